"""From where a request comes."""

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest


def address_of(request: HttpRequest) -> str:
    """The client's IP address; behind a proxy (OFFLOAD_BEHIND_PROXY) the one that the proxy has seen.

    Of X-Forwarded-For only the last entry is the proxy's own; the ones before it anybody can make up. With more than
    one proxy, the outermost has to be the one that counts: let the inner ones leave the header alone.
    """
    seen = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.OFFLOAD_BEHIND_PROXY:
        return seen
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    try:
        return str(ip_address(forwarded))
    except ValueError:  # none, or not an address: a misconfigured proxy, or a request that did not come through it
        return seen


def counted_as(address: str) -> str:
    """The address as limits count it: of IPv6 the /64, which is what one customer gets (RFC 6177)."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(parsed) if parsed.version == 4 else str(ip_network((parsed, 64), strict=False))
