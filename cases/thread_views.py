"""What has been said and done on a case, as data: its messages and its timeline."""

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from cases import timeline, transcript
from cases.paging import page_of
from cases.queries import PageQuery
from cases.thread_resources import MessageList, MessageResource, Timeline, TimelineEvent
from cases.views import CASE_ID, NO_CASE, own_case


class ThreadViewSet(ViewSet):
    """What a client may see of a case's past. Oldest first; of a case that has ended, up to its end."""

    lookup_url_kwarg = "case_id"

    @extend_schema(
        operation_id="listMessages",
        summary="The thread: what was sent and received",
        tags=["cases"],
        parameters=[CASE_ID, PageQuery],
        responses={200: MessageList, 404: NO_CASE},
    )
    @action(detail=True)
    def messages(self, request: Request, case_id: str) -> Response:
        case, query = own_case(request, case_id), PageQuery.of(request)
        thread = transcript.thread_of(case).prefetch_related("attachments").defer("html")
        page = page_of(thread, transcript.ORDER, name=f"messages of {case.pk}", **query)
        messages = MessageResource(page.rows, many=True, context={"case": case}).data
        return Response({"messages": messages, "nextCursor": page.next_cursor})

    @extend_schema(
        operation_id="getTimeline",
        summary="What happened, and who did it",
        tags=["cases"],
        parameters=[CASE_ID, PageQuery],
        responses={200: Timeline, 404: NO_CASE},
    )
    @action(detail=True)
    def timeline(self, request: Request, case_id: str) -> Response:
        case, query = own_case(request, case_id), PageQuery.of(request)
        page = page_of(timeline.events_of(case), ("at", "id"), name=f"timeline of {case.pk}", **query)
        return Response({"events": TimelineEvent(page.rows, many=True).data, "nextCursor": page.next_cursor})
