"""The playground: somebody plays a sandbox case's counterparty on the staff's pages."""

import html as markup
import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory
from cases.models import Attachment, Case, Event, InputRequest, Status
from cases.testing import run_due
from cases.tests.staff import HOSTILE, assert_harmless, staff, told
from outreach import playground
from outreach.factories import FORM, Played
from outreach.inbound.classify import InboundKind
from outreach.inbound.mail import parse
from outreach.models import InboundPayload, PayloadState, SandboxMail
from outreach.sandbox import NotASandboxCase

BASE = "/admin/outreach/sandboxmail/"
PLAY = f"{BASE}play/"


@pytest.fixture
def player(db: None) -> Browser:
    return staff("view_case", "change_case", "view_inboundpayload")


@pytest.fixture
def viewer(db: None) -> Browser:
    return staff("view_case")


@pytest.fixture
def played(db: None) -> Played:
    return Played.begin(result_schema=FORM)


def do(browser: Browser, case: Case, step: str, **data: Any) -> Any:
    return browser.post(f"{PLAY}{case.pk}/{step}/", data)


def shown(browser: Browser, case: Case) -> str:
    return browser.get(f"{PLAY}{case.pk}/").content.decode()


def raw_payloads() -> list[bytes]:
    return [bytes(row.body) for row in InboundPayload.objects.order_by("received_at", "id")]


# --- The mailbox ---


def test_the_mailbox_is_read_as_a_mail_program_shows_it(viewer: Browser, played: Played) -> None:
    played.reply("Which invoice?")
    page = markup.unescape(shown(viewer, played.case))
    [mail] = SandboxMail.objects.all()
    for text in (
        played.mails[0]["subject"],
        "ann@supplier.example",
        "Bob Buyer",
        "Which invoice?",
        mail.message_id,
        f"{PLAY}{played.case.pk}/mails/{mail.pk}/",
        f"/admin/cases/case/{played.case.pk}/change/",
    ):
        assert text in page
    assert f"{mail.delivered_at:%H:%M:%S} UTC" in page
    assert viewer.get(f"{PLAY}{played.case.pk}/").context["steps"] == []  # to see is not to act
    assert "<form" not in page.partition('<div id="mailbox"')[2]


def test_mail_from_outside_stays_text(player: Browser) -> None:
    played = Played.begin(goal={"objective": HOSTILE}, counterparty={"address": "a@b.example", "name": HOSTILE})
    played.reply(HOSTILE, from_name=HOSTILE)
    assert_harmless(shown(player, played.case))
    assert_harmless(player.get(PLAY).content.decode())


def test_a_mail_and_its_files_are_downloaded_as_files(viewer: Browser) -> None:
    raw = (
        b"From: us@x.example\r\nTo: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nHi\r\n'
        b'--x\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="../a.pdf"\r\n\r\n'
        b"%PDF\r\n--x--\r\n"
    )
    case = CaseFactory(status="RUNNING")
    mail = SandboxMail.objects.create(
        case=case, idempotency_key="1", message_id="<1@x>", raw=raw, delivered_at=work.now()
    )
    base = f"{PLAY}{case.pk}/mails/{mail.pk}/"
    assert "a.pdf" in shown(viewer, case)
    whole: Any = viewer.get(base)
    file: Any = viewer.get(f"{base}0/")
    assert (b"".join(whole.streaming_content), b"".join(file.streaming_content)) == (raw, b"%PDF")
    assert file.headers["content-disposition"] == 'attachment; filename="a.pdf"'
    assert file.headers["content-type"] == whole.headers["content-type"] == "application/octet-stream"
    assert viewer.get(f"{base}1/").status_code == 404
    assert viewer.get(f"{PLAY}{CaseFactory().pk}/mails/{mail.pk}/").status_code == 404  # another case's
    assert staff("view_inboundpayload").get(base).status_code == 403


def test_the_fragment_says_when_nothing_has_changed(player: Browser, played: Played) -> None:
    url = f"{PLAY}{played.case.pk}/mailbox/"
    first = player.get(url)
    seen = first.context["fingerprint"]
    assert f"?seen={seen}" in first.content.decode()
    assert player.get(url, {"seen": seen}).status_code == 204
    played.reply("Which invoice?")
    assert player.get(url, {"seen": seen}).status_code == 200


def test_pages_take_few_queries(
    player: Browser, played: Played, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(4):
        played.reply(f"Number {number}?", from_address=f"x{number}@stranger.example")
        played.reply(f"Number {number}?")
    for url in (f"{PLAY}{played.case.pk}/", PLAY, BASE):
        with django_assert_max_num_queries(15):
            player.get(url)


def test_the_list_reads_no_whole_mail(viewer: Browser, played: Played) -> None:
    SandboxMail.objects.update(raw=b"To: zoe@b.example\r\nSubject: Long\r\n\r\n" + b"x" * 100_000)
    response = viewer.get(BASE)
    [row] = response.context["cl"].result_list
    assert "raw" in row.get_deferred_fields()
    for text in ("Long", "zoe@b.example", f"{PLAY}{played.case.pk}/"):
        assert text in response.content.decode()


# --- What the counterparty can do ---


def test_a_reply_with_a_file_completes_the_case(player: Browser, played: Played) -> None:
    file = SimpleUploadedFile("invoice.txt", b"Invoice 2026-0042", "text/plain")
    text = "Invoice number: 2026-0042\r\nTotal: 1250.50"
    response = do(player, played.case, "reply", text=text, quoting="on", attachments=[file])
    assert (response.status_code, response.url) == (302, f"{PLAY}{played.case.pk}/")
    run_due()
    assert played.reload().status == Status.COMPLETED
    assert played.case.result == {"invoiceNumber": "2026-0042", "total": 1250.5}
    page = shown(player, played.case)
    assert "<dt><bdi>total</bdi></dt><dd><bdi>1250.5</bdi></dd>" in page
    assert Attachment.objects.get().name == "invoice.txt"
    [mail] = [parse(raw) for raw in raw_payloads()]
    assert "> " in mail.text
    event = Event.objects.get(type="sandbox.played")
    assert (event.actor, event.data) == ("staff ann0", {"step": "reply"})
    assert LogEntry.objects.get().get_change_message() == "Played the counterparty: Reply"
    assert "2026-0042" in shown(player, played.case)


def test_the_proposed_answer_is_one_that_completes_the_case(player: Browser, played: Played) -> None:
    [reply, *_] = player.get(f"{PLAY}{played.case.pk}/").context["steps"]
    do(player, played.case, "reply", text=reply.value("text"))
    run_due()
    assert played.reload().status == Status.COMPLETED


def test_a_reply_without_quotes_and_twice(player: Browser, played: Played) -> None:
    do(player, played.case, "reply", text="Is <it>\nurgent?", twice="on")
    first, second = (parse(raw) for raw in raw_payloads())
    assert first.message_id != second.message_id
    assert [mail.reply_text for mail in (first, second)] == ["Is <it>\nurgent?"] * 2
    assert (first.text, "wrote:" in first.html) == ("", False)
    run_due()
    assert len(played.received) == 2


def test_a_reply_from_elsewhere_is_kept_from_the_case(player: Browser, played: Played) -> None:
    do(player, played.case, "reply", text="Hello", from_address="eve@evil.example", from_name="Eve")
    run_due()
    assert played.received == []
    row = InboundPayload.objects.get()
    assert (row.state, row.case, row.summary["name"]) == (PayloadState.QUARANTINED, played.case, "Eve")
    assert f"/admin/outreach/inboundpayload/{row.pk}/change/" in shown(player, played.case)
    assert f"{row.pk}" not in shown(staff("view_case", "change_case"), played.case)


@pytest.mark.parametrize(
    ("step", "data", "kind", "result_status"),
    [
        ("out-of-office", {"until": "2031-01-31"}, InboundKind.AUTO_REPLY, None),
        ("out-of-office", {"text": "Gone fishing."}, InboundKind.AUTO_REPLY, None),
        ("bounce", {"permanent": "yes"}, InboundKind.BOUNCE, "BOUNCED"),
        ("bounce", {"permanent": "no"}, InboundKind.SOFT_BOUNCE, None),
        ("complaint", {}, InboundKind.COMPLAINT, "COMPLAINED"),
        ("delay", {}, InboundKind.DELAY, None),
    ],
)
def test_what_a_mail_system_sends(
    player: Browser, played: Played, step: str, data: Any, kind: InboundKind, result_status: str | None
) -> None:
    assert do(player, played.case, step, **data).status_code == 302
    [raw] = raw_payloads()
    assert parse(raw).kind == kind
    run_due()
    assert played.reload().result_status == result_status


def test_the_date_of_an_absence_is_in_the_note(player: Browser, played: Played) -> None:
    do(player, played.case, "out-of-office", until="2031-01-31")
    assert b"31 January 2031" in raw_payloads()[0]


def test_time_passes_by_hours_and_days_and_to_the_next_action(player: Browser, played: Played) -> None:
    planned = played.reload().next_action_at
    assert planned is not None
    do(player, played.case, "advance", amount="2", unit="1")
    do(player, played.case, "advance", amount="0.5", unit="24")
    assert played.reload().next_action_at == planned - timedelta(hours=14)
    assert len(played.sent) == 1
    do(player, played.case, "advance-to-next")
    run_due()
    assert len(played.sent) == 2
    assert {event.actor for event in Event.objects.filter(type="time.skipped")} == {"staff ann0"}


def test_nothing_is_gone_to_where_nothing_waits(player: Browser) -> None:
    case = CaseFactory(status="COMPLETED", result={"a": 1})
    assert "Go to the next action" not in shown(player, case)
    assert told(do(player, case, "advance-to-next")) == ["The case waits for nothing that time would bring."]
    assert not Event.objects.filter(type="time.skipped").exists()


@pytest.mark.parametrize(
    ("step", "data", "said"),
    [
        ("reply", {"text": " "}, "Write something, or choose a file."),
        ("reply", {"text": "x", "from_address": "nobody"}, "Enter a valid email address."),
        ("out-of-office", {"until": "tomorrow"}, "Enter a valid date."),
        ("bounce", {"permanent": "perhaps"}, "Select a valid choice."),
        ("advance", {"amount": "0", "unit": "1"}, "greater than or equal to 0.01"),
        ("advance", {"amount": "nan", "unit": "1"}, "Enter a number."),
        ("advance", {"amount": "87600", "unit": "24"}, "At most ten years."),
    ],
)
def test_what_makes_no_sense_is_said_and_nothing_is_done(
    player: Browser, played: Played, step: str, data: Any, said: str
) -> None:
    response = do(player, played.case, step, **data)
    assert response.status_code == 200
    assert said in response.content.decode()
    assert raw_payloads() == []
    assert not Event.objects.filter(type__in=["sandbox.played", "time.skipped"]).exists()


def test_files_have_bounds(player: Browser, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [SimpleUploadedFile(f"{number}", b"x") for number in range(21)]
    assert "At most 20 files." in do(player, played.case, "reply", attachments=many).content.decode()
    monkeypatch.setattr(playground, "MAX_UPLOAD_BYTES", 1_000_000)
    large = SimpleUploadedFile("a", b"x" * 1_000_001)
    assert "Together at most 1 MB here." in do(player, played.case, "reply", attachments=[large]).content.decode()
    assert raw_payloads() == []


def test_before_the_first_mail_there_is_nothing_to_answer(player: Browser) -> None:
    case = CaseFactory()
    for step in ("out-of-office", "complaint", "delay"):
        assert told(do(player, case, step))[-1] == "No mail has been sent for this case yet."
    assert not InboundPayload.objects.exists()
    assert not Event.objects.filter(type="sandbox.played").exists()
    assert not LogEntry.objects.exists()


def test_only_sandbox_cases_are_played(player: Browser) -> None:
    real = CaseFactory(status="RUNNING", transport="email", is_test=False)
    page = f"/admin/cases/case/{real.pk}/change/"
    answers: list[Any] = [player.get(f"{PLAY}{real.pk}/"), do(player, real, "reply", text="x")]
    for response in (*answers, do(player, real, "advance")):
        assert (response.status_code, response.url) == (302, page)
        assert told(response)[-1] == NotASandboxCase.message
    assert player.get(f"{PLAY}{real.pk}/mailbox/").status_code == 204
    assert not InboundPayload.objects.exists()
    assert str(real.pk) not in player.get(PLAY).content.decode()


def test_who_may_not_act_plays_nothing(viewer: Browser, played: Played) -> None:
    for step in playground.STEPS:
        assert do(viewer, played.case, step, text="x", amount="1", unit="1", permanent="yes").status_code == 403
        assert viewer.get(f"{PLAY}{played.case.pk}/{step}/").status_code == 405
        assert viewer.post(f"{PLAY}{played.case.pk}/{step}/curl/", {}).status_code == 403
    assert viewer.post(PLAY, {"client": played.case.client_id, "body": "{}"}).status_code == 403
    assert viewer.post(f"{PLAY}curl/", {"body": "{}"}).status_code == 403
    stranger = staff("view_inboundpayload")
    assert [stranger.get(url).status_code for url in (PLAY, f"{PLAY}{played.case.pk}/")] == [403, 403]
    checked = Browser(enforce_csrf_checks=True)
    checked.cookies = staff("change_case").cookies
    assert do(checked, played.case, "reply", text="x").status_code == 403
    assert raw_payloads() == []


# --- Commands ---


def command(browser: Browser, case: Case, step: str, **data: Any) -> str:
    return markup.unescape(browser.post(f"{PLAY}{case.pk}/{step}/curl/", data).content.decode())


def test_a_command_follows_what_is_typed_and_changes_nothing(player: Browser, played: Played) -> None:
    path = f'curl -s "$URL/sandbox/cases/{played.case.pk}'
    assert command(player, played.case, "reply", text='It\'s "12"\n$HOME', quoting="on") == (
        f'<code>{path}/reply" \\\n  -H "x-api-key: $KEY" \\\n  -H \'content-type: application/json\' \\\n'
        '  -d \'{"text": "It\'"\'"\'s \\"12\\"\\n$HOME"}\'</code>'
    )
    form = command(player, played.case, "reply", text="@x", file_names='a;"b.pdf/c d.txt', quoting="on")
    assert "--form-string text=@x" in form
    assert "-F 'attachments=@\"a;_b.pdf\"'" in form
    assert "-F 'attachments=@\"c d.txt\"'" in form
    assert '{"html": "<p>a &lt;b&gt;<br>\\nc</p>"}' in command(player, played.case, "reply", text="a <b>\nc")
    assert command(player, played.case, "reply", text="x", twice="on").count("curl -s") == 2
    assert "always the counterparty" in command(player, played.case, "reply", text="x", from_name="Eve")
    assert '{"permanent": false}' in command(player, played.case, "bounce", permanent="no")
    assert '{"until": "2031-01-31"}' in command(player, played.case, "out-of-office", until="2031-01-31")
    assert '{"hours": 36}' in command(player, played.case, "advance", amount="1.5", unit="24")
    assert "The API has no route for it." in command(player, played.case, "delay")
    assert raw_payloads() == []
    assert not Event.objects.filter(type__in=["sandbox.played", "time.skipped"]).exists()


# --- A new case ---


def test_a_sandbox_case_is_created_without_a_key(player: Browser) -> None:
    client = ApiKeyFactory().client
    page = player.get(PLAY)
    body = page.context["form"].initial["body"]
    response = player.post(PLAY, {"client": str(client.pk), "body": body})
    case = Case.objects.get()
    assert (response.status_code, response.url) == (302, f"{PLAY}{case.pk}/")  # type: ignore[attr-defined]
    assert (case.client, case.is_test, case.transport) == (client, True, "sandbox")
    assert case.client_reference_id == json.loads(body)["clientReferenceId"]
    assert Event.objects.get(type="case.created").actor == "staff ann0"
    assert client.keys.count() == 1  # and none was issued for it
    assert LogEntry.objects.get().get_change_message() == "Created in the playground"
    run_due()
    assert "ann@supplier.example" in shown(player, case)
    assert f"{PLAY}{case.pk}/" in player.get(PLAY).content.decode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "Not JSON"),
        ("[]", "Not a JSON object."),
        ("{}", "goal: This field is required."),
        ('{"channel": "FAX"}', "channel: Must be EMAIL or SMS."),
        ('{"counterparty": {"address": "a@b.example"}}', "counterparty.name: This field is required."),
    ],
)
def test_a_body_that_the_api_would_refuse_is_refused_here_with_its_places(
    player: Browser, body: str, said: str
) -> None:
    response = player.post(PLAY, {"client": str(ClientFactory().pk), "body": body})
    assert response.status_code == 200
    assert said in markup.unescape(response.content.decode())
    assert not Case.objects.exists()


def test_a_client_that_is_switched_off_gets_no_case(player: Browser) -> None:
    client = ClientFactory(is_active=False)
    assert player.post(PLAY, {"client": str(client.pk), "body": "{}"}).status_code == 200
    assert not Case.objects.exists()


def test_an_open_question_is_shown_with_the_ways_to_answer_it(player: Browser, played: Played) -> None:
    played.reply("Do you need it on paper?")
    question = InputRequest.objects.get()
    page = markup.unescape(shown(player, played.case))
    assert f"/admin/cases/inputrequest/{question.pk}/change/" in page
    assert f'curl -s "$URL/cases/{played.case.pk}/input"' in page
    assert f'{{"inputRequestId": "{question.pk}", "providedContext": "Yes, please go on."}}' in page
