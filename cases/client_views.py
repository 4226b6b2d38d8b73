"""What a client has set for all its cases."""

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from cases.authentication import caller_of
from cases.models import Client
from cases.request_body import body_of
from cases.serializers import ClientChange
from cases.shapes import Shape


@extend_schema_serializer(component_name="Client")
class ClientResource(Shape):
    """The client that the key belongs to. Null: not set."""

    clientId = serializers.UUIDField(source="pk")
    name = serializers.CharField()
    defaultWebhookUrl = serializers.CharField(source="default_webhook_url", allow_null=True)
    settleSeconds = serializers.IntegerField(source="settle_seconds", allow_null=True)
    reminderHours = serializers.IntegerField(source="reminder_hours", allow_null=True)
    eventTypes = serializers.ListField(source="event_types", child=serializers.CharField())


class ClientView(APIView):
    """The caller's own settings; there is no way to another client's."""

    @extend_schema(
        operation_id="getClient",
        summary="What is set for all your cases",
        tags=["client"],
        responses={200: ClientResource},
    )
    def get(self, request: Request) -> Response:
        return Response(ClientResource(caller_of(request).client).data)

    @extend_schema(
        operation_id="changeClient",
        summary="Set what goes for all your cases",
        tags=["client"],
        request=ClientChange,
        responses={200: ClientResource},
        examples=[OpenApiExample("Reminders after a day", {"reminderHours": 24}, request_only=True)],
    )
    def patch(self, request: Request) -> Response:
        change = ClientChange(data=body_of(request))
        change.is_valid(raise_exception=True)
        fields = {ClientChange.FIELDS[name]: value for name, value in change.validated_data.items()}
        client = caller_of(request).client
        Client.objects.filter(pk=client.pk).update(**fields)
        client.refresh_from_db()
        return Response(ClientResource(client).data)
