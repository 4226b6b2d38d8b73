"""What our own server says of a sender's domain, and what anyone else says."""

import time

import pytest
from pytest_django import Settings

from outreach.inbound import doors
from outreach.inbound.arrival import Standing
from outreach.inbound.authentication import standing_of
from outreach.models import InboundPayload

OURS = "mx.ours.example"
ANN = "ann@supplier.example"


def standing(*results: str, before: str = "", sender: str = ANN, authserv_id: str = OURS) -> Standing:
    headers = "".join(f"Authentication-Results: {result}\r\n" for result in results)
    raw = f"{before}{headers}From: Ann <{sender}>\r\nSubject: x\r\n\r\nHello".encode()
    return standing_of(raw, sender, authserv_id)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("dmarc=pass (p=none dis=none) header.from=supplier.example", Standing.PASSED),
        ("DMARC=Pass header.From=SUPPLIER.example", Standing.PASSED),
        ("dmarc=pass", Standing.PASSED),
        ("dmarc=pass header.from=evil.example", Standing.UNKNOWN),
        ("dmarc=fail (p=REJECT) header.from=supplier.example", Standing.FAILED),
        ("dmarc=fail header.from=supplier.example; dkim=pass header.d=supplier.example", Standing.FAILED),
        ('dkim=pass (2048-bit key) header.d=supplier.example header.b="a/+="; dmarc=none', Standing.PASSED),
        ("dkim=pass header.i=@supplier.example", Standing.PASSED),
        ("dkim=pass header.d=evil.example", Standing.UNKNOWN),
        ("dkim=fail header.d=supplier.example", Standing.UNKNOWN),
        ("spf=pass (mx: 192.0.2.1 is permitted; yes) smtp.mailfrom=bounces@supplier.example", Standing.PASSED),
        ("spf=pass smtp.mailfrom=supplier.example", Standing.PASSED),
        ("spf=pass smtp.mailfrom=x@evil.example smtp.helo=supplier.example", Standing.UNKNOWN),
        ("spf=softfail smtp.mailfrom=x@supplier.example", Standing.UNKNOWN),
        ("arc=pass; auth=pass smtp.auth=ann", Standing.UNKNOWN),
        ("dmarc=temperror", Standing.UNKNOWN),
        ("none", Standing.UNKNOWN),
        ("", Standing.UNKNOWN),
    ],
)
def test_what_our_server_says(results: str, expected: Standing) -> None:
    assert standing(f"{OURS}; {results}") == expected
    assert standing(f"MX.Ours.Example (mail filter) 1;\r\n\t{results}") == expected


def test_a_stranger_says_nothing() -> None:
    assert standing("mx.evil.example; dmarc=pass header.from=supplier.example") == Standing.UNKNOWN
    assert standing(f"evil.{OURS}; dmarc=pass") == Standing.UNKNOWN
    assert standing(f"{OURS}.evil.example; dmarc=pass") == Standing.UNKNOWN
    assert standing("mx.evil.example; dmarc=fail") == Standing.UNKNOWN
    assert standing(f"{OURS}; dmarc=fail", "mx.evil.example; dmarc=pass") == Standing.FAILED


def test_without_an_id_of_ours_nobody_is_believed() -> None:
    assert standing(f"{OURS}; dmarc=pass", authserv_id="") == Standing.UNKNOWN
    assert standing("; dmarc=pass", authserv_id="") == Standing.UNKNOWN


def test_what_a_server_wrote_above_counts_more_than_what_it_was_handed() -> None:
    assert standing(f"{OURS}; dmarc=fail", f"{OURS}; dmarc=pass") == Standing.FAILED
    assert standing(f"{OURS}; spf=pass smtp.mailfrom=x@evil.example", f"{OURS}; dmarc=fail") == Standing.FAILED
    assert standing(f"{OURS}; dmarc=pass", f"{OURS}; dmarc=fail") == Standing.PASSED


@pytest.mark.parametrize(
    "copied",
    [
        "spf=none smtp.mailfrom=<>",
        'spf=fail smtp.mailfrom="x; dmarc=pass "@evil.example',
        "spf=fail smtp.mailfrom=x;dmarc=pass",
        "spf=fail (x; dmarc=pass) smtp.mailfrom=@",
        "spf=fail (((",
        "spf=fail smtp.mailfrom=käse",
    ],
)
def test_an_odd_sender_address_hides_no_failure(copied: str) -> None:
    assert standing(f"{OURS}; {copied}; dmarc=fail header.from=supplier.example") == Standing.FAILED


def test_a_second_author_is_nobody_that_the_server_vouches_for() -> None:
    assert standing(f"{OURS}; dmarc=pass", before="From: Eve <eve@evil.example>\r\n") == Standing.UNKNOWN
    assert standing(f"{OURS}; dmarc=fail", before="From: Eve <eve@evil.example>\r\n") == Standing.FAILED


def test_without_an_author_there_is_no_standing() -> None:
    assert standing_of(f"Authentication-Results: {OURS}; dmarc=pass\r\n\r\nx".encode(), "", OURS) == Standing.UNKNOWN


@pytest.mark.parametrize(
    "value", ["(" * 15_000, "dmarc=none (" * 1300, ";" * 16_000, '"' * 15_000, "a=b c.d=e " * 1600]
)
def test_any_value_is_read_in_bounded_time(value: str) -> None:
    start = time.monotonic()
    assert standing(*[f"{OURS}; {value}"] * 15) == Standing.UNKNOWN
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("source", ["smtp", "pipe", "imap"])
def test_doors_behind_our_server_ask_it_and_no_header_of_another(source: str, settings: Settings) -> None:
    settings.OFFLOAD_AUTHSERV_ID = OURS
    for verdict, expected in (("pass", Standing.PASSED), ("fail", Standing.FAILED)):
        body = f"Authentication-Results: {OURS}; dmarc={verdict}\r\nFrom: {ANN}\r\n\r\nHello".encode()
        payload = InboundPayload(source=source, body=body, envelope={"standing": "passed", "sender": ANN})
        arrival = doors.open_payload(payload, seconds=1)
        assert (arrival.envelope.standing, arrival.envelope.sender) == (expected, ANN)
        settings.OFFLOAD_AUTHSERV_ID = "elsewhere.example"
        assert doors.open_payload(payload, seconds=1).envelope.standing == Standing.UNKNOWN
        settings.OFFLOAD_AUTHSERV_ID = OURS
