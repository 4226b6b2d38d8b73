"""Who is calling: a client, by the key in the header `x-api-key`."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from cases import database, key_use, log_context, rates
from cases.client_address import address_of, counted_as
from cases.models import ApiKey, Client, Scope, hash_key
from cases.prepared import Prepared

HEADER = "x-api-key"


@dataclass(frozen=True)
class Caller:
    """What `request.user` is on the API's routes; `request.auth` is the key itself."""

    client: Client
    key: ApiKey
    at: datetime  # the database's time, as the key was looked up

    is_authenticated = True  # REST framework's IsAuthenticated looks here

    @property
    def actor(self) -> str:
        """The caller's name on the timeline."""
        return f"client {self.key.prefix}"


def caller_of(request: Request) -> Caller:
    """Who makes this request, in a view that only lets callers with a key in."""
    return cast(Caller, request.user)


class ApiKeyAuthentication(BaseAuthentication):
    """Let a usable key in. A missing or unknown key is 401, one that was good once is 403.

    An address that sends too many of these is answered 429. A good key is let in all the same: nobody can lock a client
    out by guessing beside it, and 32 random bytes are not found by guessing.
    """

    def authenticate(self, request: Request) -> tuple[Caller, ApiKey]:
        """The caller and its key. Raises NotAuthenticated, AuthenticationFailed, PermissionDenied or Throttled."""
        found = find(request.headers.get(HEADER, ""))
        if found is None or not found.key.is_usable(found.at):
            _count_failure(request)
            raise _refusal(request, found.key if found else None)
        key_use.note(found.key)
        log_context.add(client_id=found.client.pk)
        return found, found.key

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


def find(sent: str) -> Caller | None:
    """Whose key was sent, usable or not, by one indexed query for its digest, which tells the time as well.

    Digests are compared in constant time. How far the index compares tells of a digest, and so nothing of a key.
    """
    digest = hash_key(sent)
    key: Any = _keys.first(digest) if sent else None
    if key is None or not hmac.compare_digest(key.key_hash, digest):
        return None
    at = database.to_milliseconds(key.read_at) if database.is_server() else database.now()
    return Caller(key.client, key, at)


@Prepared
def _keys(digest: str) -> QuerySet[Any, Any]:
    """Each request begins with it."""
    return ApiKey.objects.order_by().select_related("client").annotate(read_at=Now()).filter(key_hash=digest)


def _refusal(request: Request, key: ApiKey | None) -> exceptions.APIException:
    if key is not None:
        return exceptions.PermissionDenied("The API key is inactive, expired or revoked.")
    if request.headers.get(HEADER):
        return exceptions.AuthenticationFailed("The API key is not known.")
    return exceptions.NotAuthenticated(f"Send your API key in the header {HEADER}.")


def _count_failure(request: Request) -> None:
    """Raise Throttled where the address has sent too many requests without a good key."""
    limit = settings.OFFLOAD_FAILED_KEYS_PER_MINUTE
    if not limit:
        return
    allowance = rates.counters("addresses").take(counted_as(address_of(request)), per_minute=limit, burst=limit)
    if not allowance.is_granted:
        raise exceptions.Throttled(allowance.wait_seconds, "Too many requests without a usable API key.")


class ApiKeyScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes it."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": HEADER}
