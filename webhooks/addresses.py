"""Where client webhooks may go: to public addresses, and to the private networks that the operator names.

A name is resolved once, every address it gives is checked, and the sender connects to one of exactly those: a name
that gives another answer a moment later changes nothing. What is odd is refused rather than interpreted, since the
readers of an odd spelling disagree about where it leads.
"""

import re
import socket
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from requests import PreparedRequest, RequestException

from cases.errors import InvalidCase
from webhooks.errors import AddressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL_LENGTH = 2048
LOOK_UP_SECONDS = 5.0

# The IANA special-purpose address registries (RFC 6890), named one by one: `is_private` and `is_global` of the
# ipaddress module change with Python's patch releases.
_REFUSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's platform services, on each of its virtual machines
        "169.254.0.0/16",  # link-local, with the clouds' metadata at .169.254
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Of IPv6 only 2000::/3 is handed out for the public Internet, which leaves out loopback, unique and link-local,
# multicast, IPv4-mapped and NAT64 addresses. These lie inside it.
_PUBLIC_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address, public or not, inside
        "3fff::/20",
    )
)

_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f-\x9f\\]|\s")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,254}}$){_LABEL}(?:\.{_LABEL})*\.?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True)
class Target:
    """A URL as the sender reads it: `url` in ASCII, `host` a name or an address without brackets."""

    url: str
    host: str
    port: int
    literal: Address | None  # the host, where it is an address

    @cached_property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @cached_property
    def path(self) -> str:
        """Path and query, as they stand in the request line."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @cached_property
    def origin(self) -> tuple[str, str, int]:
        """What has to be the same for two calls to share a connection."""
        return self.scheme, self.host, self.port


def public_addresses(url: str) -> list[Address]:
    """The addresses to connect to for this URL, in the resolver's order.

    Raises AddressRefused if the URL is odd or any of its addresses may not be called, OSError if the name can't be
    resolved (TimeoutError: not in time).
    """
    return resolve(read_url(url))


def check_url(url: str) -> None:
    """For POST /cases: raises InvalidCase where the URL can be told to be refused without asking the DNS."""
    if refusal := refusal_of_literal(url):
        raise InvalidCase(details=[{"path": "clientWebhookUrl", "message": refusal}])


def refusal_of_literal(url: str) -> str | None:
    """Why the URL is refused as it is written, or None: malformed, odd, or naming an address that may not be called."""
    try:
        target = read_url(url)
        if target.literal:
            _refuse_unless_allowed(target.literal)
    except AddressRefused as refused:
        return str(refused)
    if _is_localhost(target.host) and not any(is_allowed(ip_address(text)) for text in ("127.0.0.1", "::1")):
        return "localhost is not a public address."
    return None


def _is_localhost(host: str) -> bool:
    name = host.rstrip(".")
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761 §6.3


@lru_cache(maxsize=1024)
def read_url(url: str) -> Target:
    """Take the URL apart, without asking the DNS. Raises AddressRefused for all that is malformed or odd."""
    if len(url) > MAX_URL_LENGTH:
        raise AddressRefused(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if _CONTROL_OR_SPACE.search(url):  # urlsplit would drop some of them without a word
        raise AddressRefused("The URL contains spaces, backslashes or control characters.")
    if not url.lower().startswith(("http://", "https://")):
        raise AddressRefused("The URL must begin with http:// or https://.")
    written, read = _split(url)
    if "@" in written.netloc or "@" in read.netloc:
        raise AddressRefused("The URL must not contain a user name or a password.")
    if "%" in written.netloc:  # an encoded host, or the zone of a link-local address
        raise AddressRefused("The URL's host must not contain percent signs.")
    port = written.port or {"http": 80, "https": 443}[read.scheme]
    host = read.hostname or ""
    return Target(read.geturl(), host, port, _literal(host, written))


def _split(url: str) -> tuple[SplitResult, SplitResult]:
    """The URL as it is written, and as requests will send it (host in ASCII by IDNA, path quoted)."""
    request = PreparedRequest()
    try:
        written = urlsplit(url)
        request.prepare_url(url, None)
        read = urlsplit(request.url or "")
        if written.port == 0 or written.port != read.port:
            raise AddressRefused("The URL's port is not valid.")
    except (RequestException, ValueError) as error:
        raise AddressRefused(f"The URL is not valid: {error}") from error
    return written, read


def _literal(host: str, written: SplitResult) -> Address | None:
    """The address that the host is, None for a name. Each address has one accepted spelling; others are refused."""
    try:
        address = ip_address(host)
    except ValueError:
        if not _HOST_NAME.fullmatch(host) or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise AddressRefused("The URL's host is not a name or an address in its usual spelling.") from None
        return None
    in_brackets = "[" in written.netloc
    if host != (written.hostname or "") or in_brackets != (address.version == 6):
        raise AddressRefused("The URL's host is an address in an unusual spelling.")
    return address


def resolve(target: Target, limit_seconds: float = LOOK_UP_SECONDS) -> list[Address]:
    """Ask the DNS, once, and check every answer. Raises AddressRefused, or OSError where there is no answer."""
    found = [target.literal] if target.literal else _look_up(target, limit_seconds)
    for address in found:
        _refuse_unless_allowed(address)
    return list(dict.fromkeys(found))


def _look_up(target: Target, limit_seconds: float) -> list[Address]:
    answer: Future[list[Address]] = Future()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answer.set_result([ip_address(address[0]) for *_, address in found])
        except BaseException as error:  # noqa: BLE001 (whatever it is, it belongs to the thread that waits)
            answer.set_exception(error)

    # getaddrinfo has no time-out of its own, and the client's name servers decide how long it takes. A daemon, so that
    # a worker that stops does not wait for them either.
    threading.Thread(target=ask, name="look-up", daemon=True).start()
    try:
        return answer.result(limit_seconds)
    except TimeoutError:
        raise TimeoutError(f"The name {target.host} was not resolved within {limit_seconds:g} s.") from None


def _refuse_unless_allowed(address: Address) -> None:
    if not is_public(address) and not is_allowed(address):
        raise AddressRefused(f"{address} is not a public address.")


@lru_cache(maxsize=1024)
def is_public(address: Address) -> bool:
    """Whether the address is one that anybody on the Internet could call, and that leads nowhere else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _REFUSED_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _REFUSED_V6)


def is_allowed(address: Address) -> bool:
    """Whether the operator has opened a network that the address lies in (OFFLOAD_WEBHOOK_ALLOW_CIDRS)."""
    return any(address in network for network in networks(tuple(settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS)))


@lru_cache(maxsize=8)
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks as written in the settings. Raises ValueError for one that is none."""
    return tuple(ip_network(text.strip()) for text in texts)
