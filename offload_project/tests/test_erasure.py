"""`manage.py erase_counterparty`: afterwards nothing of the person is anywhere, and they still get no mail."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client as Browser
from pytest_django import Settings

from cases import encryption, work
from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory, MessageFactory
from cases.models import Attachment, Case, Correspondent, Message, Status
from cases.testing import run_due
from offload_project.maintenance import erasure
from offload_project.tests.maintenance import CANARY, dump, interrupt, rich_case, run
from outreach import erasure as mail_erasure
from outreach import fingerprints, suppression
from outreach.factories import InboundPayloadFactory
from outreach.models import FingerprintKey, InboundPayload, SandboxMail, Suppression
from webhooks.models import Attempt

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
ANN = "ann@supplier.example"


def erase(*arguments: str, address: str = ANN) -> tuple[int, str]:
    return run("erase_counterparty", address, *arguments)


def words_left(*words: str) -> list[str]:
    everything = dump().lower()
    return [word for word in words if word.lower() in everything]


def files_in(media_root: Path) -> list[Path]:
    return [path for path in media_root.rglob("*") if path.is_file()]


def test_by_default_it_only_tells(media_root: Path) -> None:
    rich_case()
    before, files = dump(), files_in(media_root)
    for arguments in ((), ("--dry-run",)):
        code, said = erase(*arguments)
        assert code == 0
        assert "Addresses: ann@supplier.example\nNames: Ann Heronby\n" in said
        assert "  1 cases about them or with mail of theirs, 0 that name them\n  0 of these are open\n" in said
        assert said.endswith("Nothing was changed. Add --yes to erase.\n")
    assert (dump(), files_in(media_root)) == (before, files)


def test_nothing_of_them_is_left_anywhere(media_root: Path) -> None:
    case = rich_case()
    Attempt.objects.create(
        delivery=case.deliveries.get(event_type="case.completed"),
        number=1,
        started_at=work.now(),
        duration_ms=5,
        response_body=CANARY,
    )
    Case.objects.update(last_error=f"550 {ANN} unknown", failure_reason=CANARY, constraints=["Call her Ms Heronby."])
    rich_case(address="bo@other.example", name="Bo Other", client=case.client)
    assert words_left(ANN, "Ann Heronby", CANARY) == [ANN, "Ann Heronby", CANARY]
    other = Case.objects.get(counterparty_address="bo@other.example")
    code, said = erase("--yes", address=" ANN@Supplier.Example ")
    assert (code, said.splitlines()[-1]) == (
        0,
        "The whole database was searched: neither address nor name is in it.",
    )
    # Bo's mail has the canary, too; what is Ann's is gone.
    assert words_left(ANN, "Heronby") == []
    assert Case.objects.get(pk=other.pk).result == {"deliveryDate": "14 December 2026"}
    assert other.messages.filter(text__contains=CANARY).exists()
    erase("--yes", address="bo@other.example")
    assert words_left(CANARY, "Bo Other", "bo@other") == []
    assert files_in(media_root) == []


def test_what_stays_is_the_case_with_its_dates_and_end() -> None:
    case = rich_case()
    erase("--yes")
    after = Case.objects.get()
    same = [
        "status",
        "result_status",
        "created_at",
        "updated_at",
        "attempt_count",
        "client_id",
        "result_schema",
        "our_address",
    ]
    assert [getattr(after, name) for name in same] == [getattr(case, name) for name in same]
    assert after.goal == {"objective": "Ask (erased) ((erased)) for the date."}
    assert after.metadata == {"contact": ["(erased)", "Dear (erased)"], "order": 4711}
    assert after.counterparty == {"address": "erased@erased.invalid", "name": "(erased)"}
    assert (after.result, after.sources) == (None, None)
    assert [message.text for message in after.messages.all()] == ["(erased)"] * 4
    assert (Attachment.objects.count(), SandboxMail.objects.count()) == (0, 0)
    assert after.events.last().type == "case.erased"
    assert after.events.filter(type="message.sent").count() == 2
    assert set(LogEntry.objects.values_list("object_repr", "change_message")) == {("(erased)", "Answered")}
    payloads = InboundPayload.objects.all()
    assert [bytes(payload.body) for payload in payloads] == [b"", b""]  # the rows stay: none is taken in once more
    event = json.loads(bytes(after.deliveries.get(event_type="case.completed").body))
    assert event["event_type"] == "case.completed"
    assert event["data"]["resultStatus"] == "goal_achieved"
    assert event["data"]["attachments"] == []
    assert "result" not in event["data"]


@pytest.mark.parametrize("keep", [(), ("--keep-results",)])
def test_client_and_staff_can_still_look_at_it(client: Browser, keep: tuple[str, ...]) -> None:
    key = ApiKeyFactory(is_test=True)
    case = rich_case(client=key.client)
    assert erase("--yes", *keep)[0] == 0
    headers = {"x-api-key": key.key}
    for path in ("?includeTranscript=true", "/messages", "/timeline"):
        assert client.get(f"/cases/{case.pk}{path}", headers=headers).status_code == 200, path
    told = client.get(f"/cases/{case.pk}", headers=headers).json()["data"]
    assert (told["status"], told["counterparty"]["name"]) == ("COMPLETED", "(erased)")
    client.force_login(User.objects.create_superuser("chief"))
    [delivery] = case.deliveries.filter(event_type="case.completed")
    [payload, _] = InboundPayload.objects.all()
    for page in (
        f"cases/case/{case.pk}",
        f"cases/inputrequest/{case.input_requests.get().pk}",
        f"webhooks/delivery/{delivery.pk}",
        f"outreach/inboundpayload/{payload.pk}",
    ):
        answer = client.get(f"/admin/{page}/change/", follow=True)
        assert answer.status_code == 200, page
        assert "Heronby" not in answer.content.decode()


def test_results_may_stay() -> None:
    case = rich_case()
    Case.objects.update(result={"deliveryDate": "14 December 2026", "by": "Ann Heronby"})
    code, said = erase("--keep-results", "--yes")
    case.refresh_from_db()
    assert (code, case.result["by"], case.sources) == (0, "Ann Heronby", None)
    assert "  1 results stay as they are; they may name the person\n" in said
    assert "  name in cases_case.result, 1 rows: " in said
    assert json.loads(bytes(case.deliveries.get(event_type="case.completed").body))["data"]["result"] == {
        "deliveryDate": "14 December 2026"
    }
    assert words_left(CANARY, ANN) == []


def test_all_spellings_are_one_person() -> None:
    rich_case(address="Ann+offers@BÜCHER.example", name="Zoë Heronby")
    rich_case(address="ann@xn--bcher-kva.example", name="Zoë Heronby")
    rich_case(address="anna@xn--bcher-kva.example", name="Somebody Else")
    code, said = erase("--yes", address="ANN@bücher.example")
    assert "  2 cases about them" in said
    assert code == 0
    assert words_left("ann+offers", "ann@xn", "ann@bü", "Zoë", "Zo\\u00eb", "Zo=C3=AB") == []
    assert words_left("anna@xn--bcher-kva.example", "Somebody Else") != []


def test_open_cases_are_refused_or_ended_first() -> None:
    case = CaseFactory(status=Status.RUNNING)
    MessageFactory(case=case)
    before = dump()
    code, said = erase("--yes")
    assert code == 1
    assert f"  open: {case.pk}\n" in said
    assert "Add --end-cases to cancel them first." in said
    assert dump() == before
    assert erase("--end-cases", "--yes")[0] == 0
    case.refresh_from_db()
    assert (case.status, case.result_status, case.due_at) == (Status.FAILED, "cancelled", None)
    assert list(case.events.values_list("type", flat=True))[-2:] == ["case.failed", "case.erased"]
    run_due("case")
    assert words_left(ANN, "Ann Supplier") == []


def test_a_dry_run_with_end_cases_ends_none() -> None:
    case = CaseFactory(status=Status.RUNNING)
    assert erase("--end-cases")[0] == 0
    case.refresh_from_db()
    assert case.status == Status.RUNNING


def test_a_case_that_merely_names_them_loses_only_that() -> None:
    case = CaseFactory(status=Status.COMPLETED, counterparty={"address": "bo@x.example", "name": "Bo"})
    mail = MessageFactory(
        case=case, direction="IN", cc=[ANN, "carl@x.example"], text=f"Ann Heronby <{ANN}> knows more. And Ann? Bo"
    )
    Correspondent.objects.create(case=case, address=ANN, name="Ann Heronby", how="COPIED", since=work.now())
    code, said = erase("--yes")
    assert "  0 cases about them or with mail of theirs, 1 that name them\n" in said
    mail.refresh_from_db()
    assert (mail.text, mail.cc) == (
        "(erased) <(erased)> knows more. And Ann? Bo",  # which may be another Ann
        ["(erased)", "carl@x.example"],
    )
    assert mail.from_address == "bo@x.example"
    assert (code, words_left(ANN, "Ann Heronby")) == (0, [])


def test_a_thread_that_they_wrote_on_goes_as_a_whole_since_others_quote_them() -> None:
    case = CaseFactory(status=Status.COMPLETED, counterparty={"address": "bo@x.example", "name": "Bo Boss"})
    MessageFactory(case=case, direction="IN", from_address="Ann@supplier.example", from_name="Ann Heronby", text=CANARY)
    MessageFactory(case=case, direction="IN", text="I agree.", full_text=f"I agree.\n> {CANARY}")
    assert erase("--yes")[0] == 0
    case.refresh_from_db()
    assert case.counterparty == {"address": "bo@x.example", "name": "Bo Boss"}
    assert words_left(CANARY, ANN, "Heronby") == []


def test_mail_on_no_case_is_emptied_and_waits_for_nobody() -> None:
    theirs = InboundPayloadFactory(
        state="UNMATCHED", due_at=None, body=f"From: ANN@supplier.example\r\n\r\n{CANARY}".encode()
    )
    told = InboundPayloadFactory(state="QUARANTINED", due_at=None, summary={"from": ANN, "text": CANARY})
    other = InboundPayloadFactory(state="UNMATCHED", due_at=None)
    assert erase("--yes")[0] == 0
    for payload in (theirs, told):
        payload.refresh_from_db()
        assert (bytes(payload.body), payload.summary, payload.state) == (b"", {}, "DISCARDED")
    other.refresh_from_db()
    assert other.state == "UNMATCHED"
    assert words_left(CANARY, ANN) == []


def test_only_one_clients_cases() -> None:
    acme, beta = ClientFactory(name="Acme"), ClientFactory(name="Beta")
    rich_case(client=acme)
    kept = rich_case(client=beta)
    code, said = erase("--client", "Acme", "--yes")
    assert code == 0
    assert said.endswith("Not searched: only this client's cases were erased.\n")
    assert Case.objects.get(client=acme).counterparty_address == "erased@erased.invalid"
    kept.refresh_from_db()
    assert kept.counterparty["name"] == "Ann Heronby"
    assert all(bytes(payload.body) for payload in InboundPayload.objects.filter(message__case=kept))


# --- They never get mail again ----------------------------------------------------------------------------------------


def suppressed(address: str, **fields: Any) -> Suppression:
    row: Suppression = Suppression.objects.create(
        address=address, since=work.now(), note=CANARY, **{"reason": "stop", **fields}
    )
    return row


def is_refused(case: Case) -> bool:
    return suppression.sentence_against(case) != ""


def live(address: str, **fields: Any) -> Case:
    return CaseFactory(
        transport="email", is_test=False, counterparty={"address": address, "name": "Ann Supplier"}, **fields
    )


def test_who_was_suppressed_stays_so_without_being_named() -> None:
    client = ClientFactory()
    suppressed(ANN, client=client)
    suppressed("bo@x.example", client=client)
    assert erase("--yes")[0] == 0
    row = Suppression.objects.get(note="")
    assert row.address.startswith("erased:")
    assert words_left(ANN) == []
    for address in (ANN, "Ann@SUPPLIER.example", "ann+offers@supplier.example"):
        assert is_refused(live(address, client=client))
    assert not is_refused(live(ANN))  # another client's; the row was of one
    assert not is_refused(live("anna@supplier.example", client=client))
    run_due("case")
    assert set(
        Case.objects.filter(client=client, counterparty_address=ANN).values_list("result_status", flat=True)
    ) == {"suppressed"}
    assert set(Message.objects.filter(case__client=client).values_list("to_address", flat=True)) == {
        "anna@supplier.example"
    }


def test_it_outlives_new_keys_and_fails_without_any(settings: Settings) -> None:
    suppressed(ANN)
    erase("--yes")
    settings.OFFLOAD_ENCRYPTION_KEYS = ["new"]
    assert run("rotate_secrets") == (0, "1 secrets are encrypted under the newest key.\n")
    settings.SECRET_KEY = "another key than the one before"
    case = live(ANN)
    assert is_refused(case)
    settings.OFFLOAD_ENCRYPTION_KEYS = []
    with pytest.raises(encryption.Unreadable):  # never "not on the list"
        suppression.sentence_against(case)


def test_a_dump_does_not_even_allow_to_guess() -> None:
    suppressed(ANN)
    erase("--yes")
    key = encryption.decrypt(FingerprintKey.objects.get().encrypted, purpose=fingerprints.PURPOSE)
    assert words_left(key) == []


def test_erased_twice_is_one_row() -> None:
    for _ in range(2):
        suppressed(ANN)
        assert erase("--yes")[0] == 0
    assert Suppression.objects.count() == 1


# --- Being stopped, and what comes in between -------------------------------------------------------------------------


def test_stopped_it_goes_on_with_the_rest(media_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        rich_case()
    erase_case = erasure.erase_case

    def interrupted(*arguments: Any, **options: Any) -> int:
        interrupt(signal.SIGTERM)
        return erase_case(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "erase_case", interrupted)
        code, said = erase("--yes")
    assert code == 130
    assert "They are out of 1 of 3 cases." in said
    assert Case.objects.filter(counterparty_address=ANN).count() == 2
    assert "  2 cases about them" in erase("--yes")[1]
    assert (words_left(ANN, CANARY, "Heronby"), files_in(media_root)) == ([], [])


def test_killed_after_the_files_have_gone_it_still_finds_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    rich_case()

    class Killed(BaseException):
        pass

    def killed(pks: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mail_erasure, "lock", killed)
        with pytest.raises(Killed):
            erase("--yes")
    assert "  1 cases about them" in erase("--yes")[1]
    assert words_left(ANN, CANARY) == []


def test_what_the_search_finds_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    rich_case()
    LogEntry.objects.update(change_message=f"Wrote to {ANN}")
    monkeypatch.setattr(erasure, "forget_elsewhere", lambda person: 0)
    code, said = erase("--yes")
    assert code == 1
    assert "  address in django_admin_log.change_message, 3 rows: " in said


@pytest.mark.parametrize("address", ["", "ann", "@", "  "])
def test_no_address(address: str) -> None:
    assert "is no address" in erase(address=address)[1]


def test_a_name_that_others_bear_is_told_and_no_error() -> None:
    rich_case()
    CaseFactory(status=Status.COMPLETED, counterparty={"address": "other@x.example", "name": "Ann Heronby"})
    code, said = erase("--yes")
    assert code == 0
    assert "The address is nowhere. The name is in the rows above: look at them, others may bear it." in said
    assert "  name in cases_case.counterparty, 1 rows: " in said
