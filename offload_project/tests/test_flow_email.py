"""Whole cases over real SMTP, out and in, with the service in real processes: directly, and with a Postfix between."""

import re
import shutil
import smtplib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cases import services
from cases.factories import ApiKeyFactory
from cases.models import Case, ResultStatus, Status
from conftest import require
from offload_project.tests.postfix_server import postfix
from offload_project.tests.processes import Service, copy_of, installed, wait_for
from outreach.inbound.reply_address import address_for
from outreach.models import InboundPayload, PayloadState
from outreach.tests.mail_servers import Mail, mail_server
from scripts.demo import signed_form
from scripts.demo_email import out_of_office, read, reply, text_of

pytestmark = pytest.mark.long

NOBODY = "nobody@supplier.example"


@dataclass
class World:
    """The service, and the counterparty's mail server. `way_in` is the port at which the service takes mail."""

    service: Service
    arrived: list[Mail]
    way_in: int

    def hand_over(self, raw: bytes, to: str, sender: str = "ann@supplier.example") -> None:
        with smtplib.SMTP("localhost", self.way_in, local_hostname="mx.supplier.example", timeout=20) as client:
            client.sendmail(sender, [to], raw)

    def mails(self, count: int) -> list[bytes]:
        """The mails that have arrived, once there are so many."""
        wait_for(lambda: len(self.arrived) >= count, 60, f"{count} mails\n{self.service.log()[-3000:]}")
        assert len(self.arrived) == count
        return [mail.raw for mail in self.arrived]

    def ended(self, case: Case) -> Case:
        wait_for(lambda: Case.objects.get(pk=case.pk).is_terminal, 60, self.service.log()[-3000:])
        case.refresh_from_db()
        return case


@pytest.fixture(params=["direct", "postfix"])
def world(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path, django_db_blocker: Any, settings: Any
) -> Iterator[World]:
    settings.OFFLOAD_TRANSPORT, settings.OFFLOAD_MAIL_FROM = "email", "Acme <orders@ours.example>"
    ours = {
        "DJANGO_SETTINGS_MODULE": "offload_project.settings",
        "OFFLOAD_MAIL_FROM": settings.OFFLOAD_MAIL_FROM,
        "OFFLOAD_SETTLE_SECONDS": "0",
        "OFFLOAD_LOG_LEVEL": "INFO",
    }
    with ExitStack() as stack:
        their_port, arrived = stack.enter_context(mail_server(refused=[NOBODY]))
        url = copy_of(sqlite_template, tmp_path)
        service = stack.enter_context(installed(url, tmp_path, django_db_blocker, **ours))
        is_direct = request.param == "direct"
        service.start("receive_mail", "--port", "0", *([] if is_direct else ["--lmtp"]))
        way_in = _port(service)
        if is_direct:
            service.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{their_port}"
        else:
            home = Path(tempfile.mkdtemp(prefix="offload-postfix-"))  # not pytest's, which nobody else may enter
            stack.callback(shutil.rmtree, home)
            home.chmod(0o755)
            command = require("postfix")
            way_in = stack.enter_context(postfix(command, home, lmtp_port=way_in, their_port=their_port))
            service.environment["EMAIL_URL"] = f"smtp://127.0.0.1:{way_in}"
        service.start("clock")
        service.start("worker")
        yield World(service, arrived, way_in)
        service.stop()


def _port(service: Service) -> int:
    def said() -> re.Match[str] | None:
        return re.search(r"MTP on 127\.0\.0\.1:(\d+)\n", service.log("receive_mail"))

    return int(wait_for(said, 30, "receive_mail listens")[1])


def post(address: str) -> Case:
    case: Case = services.create_case(
        ApiKeyFactory(is_test=False),
        channel="EMAIL",
        goal={"objective": "Please send the signed confirmation of order 4711."},
        counterparty={"address": address, "name": "Ann Miller"},
        sender_persona={"name": "Robin Ward"},
        result_schema={"type": "object", "required": ["signedBy"], "properties": {"signedBy": {"type": "string"}}},
    )
    return case


def test_a_case_runs_over_real_mail(world: World) -> None:
    case = post("ann@supplier.example")
    [first] = world.mails(1)
    message = read(first)
    assert (str(message["From"]), str(message["Reply-To"])) == ("Robin Ward <orders@ours.example>", address_for(case))
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert "Signed by:" in text_of(first)

    to = address_for(case)
    world.hand_over(out_of_office(first).as_bytes(), to, sender="")
    wait_for(
        lambda: case.messages.filter(direction="IN", purpose="MACHINE").exists(), 60, "the absence note is taken in"
    )
    assert Case.objects.get(pk=case.pk).status == Status.RUNNING

    form = signed_form()
    answer = reply(first, "Hello Robin,\n\nSigned by: Ann Miller\n\nAnn", form).as_bytes()
    world.hand_over(answer, to)
    world.hand_over(answer, to)  # her server has not heard that it was taken
    ended = world.ended(case)
    assert (ended.status, ended.result) == (Status.COMPLETED, {"signedBy": "Ann Miller"})
    received = case.messages.get(direction="IN", purpose="HUMAN")
    [file] = received.attachments.all()
    assert (file.name, file.size, file.type) == ("confirmation.pdf", len(form), "application/pdf")
    wait_for(lambda: not InboundPayload.objects.filter(state=PayloadState.WAITING).exists(), 30, "all is taken in")
    assert not InboundPayload.objects.exclude(state=PayloadState.DONE).exists()
    assert len(world.arrived) == 1  # nobody answers an absence note, and a completed case is silent


def test_an_address_that_is_not_there_ends_the_case(world: World) -> None:
    """The server itself refuses it, or the one between reports it later (RFC 3464)."""
    ended = world.ended(post(NOBODY))
    assert ended.status == Status.FAILED
    assert ended.result_status in (ResultStatus.REJECTED, ResultStatus.BOUNCED)
    assert "5.1.1" in (ended.failure_reason or "")
    assert world.arrived == []
