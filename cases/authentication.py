"""Who is calling: a client, by the key in the header `x-api-key`."""

from dataclasses import dataclass
from typing import Any, cast

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from cases.models import ApiKey, Client, Scope, hash_key

HEADER = "x-api-key"


@dataclass(frozen=True)
class Caller:
    """What `request.user` is on the API's routes; `request.auth` is the key itself."""

    client: Client
    key: ApiKey

    is_authenticated = True  # REST framework's IsAuthenticated looks here

    @property
    def actor(self) -> str:
        """The caller's name on the timeline."""
        return f"client {self.key.prefix}"


def caller_of(request: Request) -> Caller:
    """Who makes this request, in a view that only lets callers with a key in."""
    return cast(Caller, request.user)


class ApiKeyAuthentication(BaseAuthentication):
    """Let a usable key in. A missing or unknown key is 401, one that was good once is 403."""

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey]:
        """The caller and its key. Raises NotAuthenticated, AuthenticationFailed or PermissionDenied."""
        sent = request.headers.get(HEADER)
        if not sent:
            raise exceptions.NotAuthenticated(f"Send your API key in the header {HEADER}.")
        try:
            key = ApiKey.objects.select_related("client").get(key_hash=hash_key(sent))
        except ApiKey.DoesNotExist as error:
            raise exceptions.AuthenticationFailed("The API key is not known.") from error
        if not key.is_usable(timezone.now()):
            raise exceptions.PermissionDenied("The API key is inactive, expired or revoked.")
        return Caller(key.client, key), key

    def authenticate_header(self, request: Request) -> str:
        """The challenge without which REST framework answers 403 instead of 401."""
        return HEADER


class KeyHasScope(BasePermission):
    """Reading is open to every key. All else takes a scope: `cases`, or what `scopes` of the view names for its action.

    So a program that posts cases need not be able to answer its own questions, nor to approve its own mail.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller's key has it. Raises PermissionDenied with the scope's name where it has not."""
        scope = getattr(view, "scopes", {}).get(getattr(view, "action", None), Scope.CASES)
        if request.method in SAFE_METHODS or caller_of(request).key.may(scope):
            return True
        raise exceptions.PermissionDenied(f"The API key does not have the scope `{scope}`.")


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes it."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": HEADER}
