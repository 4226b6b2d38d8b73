import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.checks import run_checks
from pytest_django import Settings

from cases.errors import InvalidCase
from webhooks import addresses, sender
from webhooks.errors import AddressRefused

Answers = Callable[..., None]

LITERALS = [  # refused by looking at them
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0X7F.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://127.0.0.01/",
    "http://127.0.0.1./",
    "http://0/",
    "http://0.0.0.0/",
    "http://１２７.０.０.１/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://127.0.0.1%2f.example.com/",
    "http://ex%61mple.com/",
    "http://example.com/a b",
    "http://example.com/a\\b",
    "http://example.com/a\u2028b",
    "http://10.0.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://169.254.169.254/latest/meta-data/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://203.0.113.7/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:8.8.8.8]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[100::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[127.0.0.1]/",
    "http://[v1.x]/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://a.localhost/",
    "http://user@example.com/",
    "http://user:secret@example.com/",
    "http://@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com\t/",
    "http://exam\nple.com/",
    " http://example.com/",
    "http://example.com /",
    "http://exam\u3000ple.com/",
    "http://exam\x00ple.com/",
    "http://example.com:0/",
    "http://example.com:00/",
    "http://example.com:-1/",
    "http://example.com:65536/",
    "http://example.com:８０/",
    "http://example..com/",
    "http://.example.com/",
    "http://*.example.com/",
    "http://-example.com/",
    "http://exa'mple.com/",
    "http://" + "a" * 64 + ".com/",
    "http://" + "a." * 127 + "com/",
    "http:///path",
    "http://",
    "http:example.com",
    "//example.com/",
    "example.com",
    "",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "https+unix://%2frun%2fx/",
    "http://example.com/" + "a" * 2048,
]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, list[list[str]]]], list[str]]:
    """Give names their answers, one list of addresses for each time they are asked; returns who was asked for."""

    def use(names: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
            asked.append(host)
            if not names.get(host):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [
                (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port))
                for text in names[host].pop(0)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return use


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses that are connected to; none of them is ever reached."""
    made: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        made.append(address)
        raise ConnectionRefusedError("not here")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return made


@pytest.mark.parametrize("url", LITERALS)
def test_odd_and_private_urls_are_refused_without_asking_or_calling_anybody(
    url: str, dns: Any, connections: list[Any]
) -> None:
    asked = dns({})
    assert addresses.refusal_of_literal(url)
    with pytest.raises(InvalidCase) as refused:
        addresses.check_url(url)
    assert refused.value.details == [{"path": "clientWebhookUrl", "message": addresses.refusal_of_literal(url)}]
    if "localhost" not in url.lower():  # a name like any other: the DNS, or the hosts file, says where it leads
        assert sender.post(url, b"{}", headers={}).error == addresses.refusal_of_literal(url)
        assert asked == []
    assert connections == []


@pytest.mark.parametrize("url", ["http://localhost:8000/", "http://api.localhost/"])
def test_localhost_is_refused_for_what_it_resolves_to(url: str, dns: Any, connections: list[Any]) -> None:
    dns({"localhost": [["::1", "127.0.0.1"]], "api.localhost": [["127.0.0.1"]]})
    assert "is not a public address" in sender.post(url, b"{}", headers={}).error
    assert connections == []


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://example.com/hook?a=b#c", "example.com", 443),
        ("HTTP://Example.COM:8080", "example.com", 8080),
        ("http://example.com:", "example.com", 80),
        ("https://example.com./", "example.com.", 443),
        ("http://hooks_1.example.com/", "hooks_1.example.com", 80),
        ("http://intranet/", "intranet", 80),
        ("http://bücher.example/ä", "xn--bcher-kva.example", 80),
        ("http://8.8.8.8:65535/", "8.8.8.8", 65535),
        ("http://1.1.1.1.example.com/", "1.1.1.1.example.com", 80),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443),
        ("https://[2606:4700:4700:0:0:0:0:1111]:8443/", "2606:4700:4700:0:0:0:0:1111", 8443),
    ],
)
def test_usual_urls_are_taken(url: str, host: str, port: int) -> None:
    assert addresses.refusal_of_literal(url) is None
    target = addresses.read_url(url)
    assert (target.host, target.port) == (host, port)
    assert target.url.isascii()


def test_a_public_name_gives_its_addresses_in_order_each_once(dns: Any) -> None:
    asked = dns({"example.com": [["2606:4700::6812:1", "93.184.215.14", "93.184.215.14"]]})
    assert addresses.public_addresses("https://example.com/") == [
        ip_address("2606:4700::6812:1"),
        ip_address("93.184.215.14"),
    ]
    assert asked == ["example.com"]


def test_an_address_needs_no_dns(dns: Any) -> None:
    asked = dns({})
    assert addresses.public_addresses("https://8.8.8.8/") == [ip_address("8.8.8.8")]
    assert asked == []


@pytest.mark.parametrize("private", ["10.1.2.3", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0", "2002::1"])
@pytest.mark.parametrize("place", [0, 1])
def test_one_private_address_among_public_ones_refuses_the_name(
    private: str, place: int, dns: Any, connections: list[Any]
) -> None:
    answer = ["8.8.8.8", "1.1.1.1"]
    answer.insert(place, private)
    dns({"rebinding.example": [answer]})
    outcome = sender.post("https://rebinding.example/", b"{}", headers={})
    assert outcome.status is None
    assert outcome.error == f"{ip_address(private)} is not a public address."
    assert connections == []


def test_a_second_answer_of_the_dns_changes_nothing(dns: Any, connections: list[Any]) -> None:
    asked = dns({"rebinding.example": [["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]]})
    outcome = sender.post("http://rebinding.example:8080/", b"{}", headers={})
    assert asked == ["rebinding.example"]
    assert connections == [("8.8.8.8", 8080)]
    assert outcome.error == "not here"


def test_the_next_address_is_tried_where_one_does_not_answer(dns: Any, connections: list[Any]) -> None:
    dns({"example.com": [["2606:4700::1", "8.8.8.8"]]})
    sender.post("https://example.com/", b"{}", headers={})
    assert connections == [("2606:4700::1", 443), ("8.8.8.8", 443)]


def test_a_name_that_is_none_is_a_failed_attempt(dns: Any) -> None:
    dns({})
    assert "Name or service not known" in sender.post("https://nowhere.example/", b"{}", headers={}).error


def test_a_slow_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*args: Any, **kwargs: Any) -> list[Any]:
        time.sleep(1.5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    started = time.monotonic()
    outcome = sender.post("https://slow.example/", b"{}", headers={}, limit_seconds=0.2)
    assert time.monotonic() - started < 1
    assert outcome.error == "The name slow.example was not resolved within 0.2 s."


def test_the_operator_can_open_networks(settings: Settings, dns: Any) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["10.1.0.0/16", "fd00::/8"]
    dns({"intranet.example": [["10.1.2.3", "fd00::5"], ["10.2.0.1"]]})
    assert addresses.public_addresses("http://intranet.example/") == [ip_address("10.1.2.3"), ip_address("fd00::5")]
    with pytest.raises(AddressRefused, match=r"10\.2\.0\.1 is not a public address"):
        addresses.public_addresses("http://intranet.example/")
    assert addresses.refusal_of_literal("http://10.1.0.1/") is None
    assert addresses.refusal_of_literal("http://10.2.0.1/") == "10.2.0.1 is not a public address."
    assert (
        addresses.refusal_of_literal("http://[::ffff:10.1.0.1]/")
        == f"{ip_address('::ffff:10.1.0.1')} is not a public address."
    )


@pytest.mark.parametrize(("network", "refused"), [("127.0.0.0/8", False), ("::1/128", False), ("10.0.0.0/8", True)])
def test_localhost_is_taken_where_loopback_is_open(network: str, refused: bool, settings: Settings) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = [network]
    assert bool(addresses.refusal_of_literal("http://localhost:9000/hook")) is refused


def test_a_network_that_is_none_is_reported_at_startup(settings: Settings) -> None:
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["10.0.0.0/33"]
    assert "webhooks.E001" in {message.id for message in run_checks(tags=["webhooks"])}
    settings.OFFLOAD_WEBHOOK_ALLOW_CIDRS = ["10.0.0.0/8"]
    assert run_checks(tags=["webhooks"]) == []
