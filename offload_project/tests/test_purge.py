"""`manage.py purge_cases`: what goes, what stays, and that it can be stopped anywhere."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from cases import database, idempotency, work
from cases.errors import CaseNotFound
from cases.factories import ApiKeyFactory, CaseFactory, ClientFactory
from cases.models import Attachment, Case, Client, Event, IdempotencyKey, Message, Status
from cases.reopening import reopen_case
from cases.testing import run_due
from offload_project.maintenance import files, retention
from offload_project.tests.maintenance import CANARY, LONG_AGO, age, dump, interrupt, rich_case, run
from outreach import sandbox
from outreach.factories import InboundPayloadFactory
from outreach.inbound import intake
from outreach.models import InboundPayload, SandboxMail, Suppression
from webhooks.models import Attempt, Delivery

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


def stored(media_root: Path) -> list[str]:
    return sorted(str(path.relative_to(media_root)) for path in media_root.rglob("*") if path.is_file())


def long_ended(**fields: Any) -> Case:
    return age(CaseFactory(status=Status.COMPLETED, **fields))


def purge(*arguments: str) -> tuple[int, str]:
    return run("purge_cases", "--older-than", "365d", *arguments)


def test_a_dry_run_counts_and_changes_nothing(media_root: Path) -> None:
    case = age(rich_case())
    before, held = dump(), stored(media_root)
    code, said = purge()
    assert code == 0
    assert f"  {case.messages.count()} mails\n" in said
    assert "  2 files (33 bytes)\n" in said  # 29 of the canary and 4 of the enclosure
    assert "  1 questions\n" in said
    assert said.endswith("Nothing was changed. Add --yes to delete all this.\n")
    assert (dump(), stored(media_root)) == (before, held)


def test_all_that_hangs_on_a_case_goes_and_nothing_of_another(media_root: Path) -> None:
    other = rich_case(address="bo@other.example", name="Bo Other")
    others = stored(media_root)
    case = age(rich_case())
    assert Attempt.objects.count() == 0
    messages = other.messages.count()
    code, said = purge("--yes")
    assert (code, Case.objects.get()) == (0, other)
    assert "  1 cases\n" in said
    assert stored(media_root) == others
    assert Message.objects.count() == messages
    assert set(SandboxMail.objects.values_list("case", flat=True)) == {other.pk}
    assert set(InboundPayload.objects.values_list("message__case", flat=True)) == {other.pk}
    assert set(Delivery.objects.values_list("case", flat=True)) == {other.pk}
    left = dump()
    assert [word for word in ("Heronby", "nn@supplier.example", "nn@Supplier.example") if word in left] == []
    assert "Bo Other" in left
    log = LogEntry.objects.filter(object_id=str(case.pk))
    assert [entry.object_repr for entry in log] == ["(purged)"]  # that somebody did something stays
    assert LogEntry.objects.filter(object_repr="(purged)", change_message="Answered").count() == 3
    assert "Deleted:\n  no case\n" in purge("--yes")[1]


@pytest.mark.parametrize("status", [Status.CREATED, Status.RUNNING, Status.INPUT_NEEDED])
def test_an_open_case_stays_however_old(status: Status) -> None:
    age(CaseFactory(status=status))
    assert purge("--yes")[0] == 0
    assert Case.objects.count() == 1


def test_the_end_counts_and_not_the_beginning() -> None:
    case = CaseFactory(status=Status.COMPLETED)
    Case.objects.update(created_at=work.now() - LONG_AGO, updated_at=work.now() - timedelta(days=364))
    purge("--yes")
    assert Case.objects.get() == case


def test_client_and_status_choose() -> None:
    acme, beta = ClientFactory(name="Acme"), ClientFactory(name="Beta")
    gone = long_ended(client=acme)
    stay = [age(CaseFactory(client=acme, status=Status.FAILED)), long_ended(client=beta)]
    InboundPayloadFactory(state="UNMATCHED", due_at=None, received_at=work.now() - LONG_AGO)
    assert purge("--client", "Acme", "--status", "COMPLETED", "--yes")[0] == 0
    assert {case.pk for case in stay} == set(Case.objects.values_list("pk", flat=True))
    assert not Case.objects.filter(pk=gone.pk).exists()
    assert InboundPayload.objects.count() == 1  # of no client
    assert purge("--client", str(beta.pk), "--yes")[0] == 0
    assert Case.objects.get() == stay[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--client", "Nobody"), "There is no client 'Nobody'"),
        (("--client", "Twin"), "Several clients are named 'Twin'"),
        (("--older-than", "1h"), "Give at least 1d"),
        (("--older-than", "soon"), "no length of time"),
        (("--older-than", "999999w"), "no length of time"),
    ],
)
def test_what_can_not_be_meant_is_refused(arguments: tuple[str, ...], says: str) -> None:
    ClientFactory(name="Twin")
    ClientFactory(name="Twin")
    code, said = purge(*arguments)
    assert code == 1
    assert says in said


@pytest.mark.parametrize(("state", "stays"), [("WAITING", True), ("PARKED", True), ("EXHAUSTED", False)])
def test_a_case_whose_client_has_still_to_hear_of_it_stays(state: str, stays: bool) -> None:
    case = age(rich_case())
    case.deliveries.update(state=state)
    said = purge("--yes")[1]
    assert Case.objects.exists() is stays
    assert ("1 stay: the client has still to be told of something" in said) is stays
    purge("--yes", "--with-parked")
    assert Case.objects.exists() is (state == "WAITING")


def test_a_thread_stays_whole_until_its_last_case_goes() -> None:
    old = long_ended()
    later = reopen_case(old.pk, actor="staff root")
    assert "1 stay: a later case continues it" in purge("--yes")[1]
    assert Case.objects.count() == 2
    Case.objects.filter(pk=later.pk).update(status=Status.FAILED, result_status="cancelled", due_at=None)
    later.refresh_from_db()
    age(later, timedelta(days=366))
    assert "  2 cases\n" in purge("--yes")[1]
    assert not Case.objects.exists()


def test_what_changes_after_the_plan_is_seen_under_the_lock() -> None:
    continued, owed, plain = (age(rich_case(address=f"{n}@x.example", name=f"Name{n}")) for n in "abc")
    reopen_case(continued.pk, actor="staff root")
    owed.deliveries.update(state="WAITING")
    gone, _ = retention.purge([continued.pk, owed.pk, plain.pk])
    assert gone.rows["cases"] == 1
    assert not Case.objects.filter(pk=plain.pk).exists()
    assert Case.objects.filter(pk__in=[continued.pk, owed.pk]).count() == 2


def test_nobody_gets_mail_again_because_a_case_has_gone() -> None:
    case = long_ended()
    Suppression.objects.create(
        address=case.counterparty_address, reason="stop", client=case.client, case=case, since=work.now()
    )
    purge("--yes")
    row = Suppression.objects.get()
    assert (row.address, row.case, row.lifted_at) == ("ann@supplier.example", None, None)
    again = CaseFactory(client=case.client, transport="email", is_test=False)
    run_due("case")
    again.refresh_from_db()
    assert (again.status, again.result_status) == (Status.FAILED, "suppressed")


def test_an_answer_kept_for_a_repeated_request_stays() -> None:
    key = ApiKeyFactory()
    case = long_ended(client=key.client)
    asked = idempotency.asked_by(key, "key-1", "/cases", {"a": 1})
    with work.transaction():
        idempotency.keep(asked, status=201, answer={"caseId": str(case.pk)})
    purge("--yes")
    assert IdempotencyKey.objects.get().answer == {"caseId": str(case.pk)}


def test_mail_on_no_case_goes_with_its_age_and_no_earlier_than_30_days() -> None:
    kept = InboundPayloadFactory(received_at=work.now() - timedelta(days=20), state="UNMATCHED", due_at=None)
    InboundPayloadFactory(received_at=work.now() - timedelta(days=31), state="UNMATCHED", due_at=None)
    waiting = InboundPayloadFactory(received_at=work.now() - timedelta(days=31))
    assert "  1 mails and reports on no case (26 bytes)\n" in run("purge_cases", "--older-than", "2d", "--yes")[1]
    assert set(InboundPayload.objects.values_list("pk", flat=True)) == {kept.pk, waiting.pk}


# --- Files ------------------------------------------------------------------------------------------------------------


def a_file(name: str, days_old: float) -> str:
    default_storage.save(name, ContentFile(b"left over"))
    moment = time.time() - days_old * 86_400
    os.utime(default_storage.path(name), (moment, moment))
    return name


def test_files_without_a_row_go_after_a_day(media_root: Path) -> None:
    case = rich_case()
    for path in media_root.rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))  # old, and known
    known = stored(media_root)
    a_file("enclosures/1234/5678", 1.1)
    a_file("attachments/9abc", 1.1)
    young = a_file("enclosures/1234/young", 0.9)
    foreign = a_file("somewhere-else/file", 9)
    assert "  2 files without a row (18 bytes)\n" in purge()[1]
    assert len(stored(media_root)) == len(known) + 4
    assert "  2 files without a row (18 bytes)\n" in purge("--yes")[1]
    assert stored(media_root) == sorted([*known, young, foreign])
    assert case.messages.exists()


def test_a_file_that_a_failed_step_will_look_for_is_no_left_over(media_root: Path) -> None:
    payload = InboundPayloadFactory(state="FAILED", due_at=None)
    name = a_file(intake.stored_at(payload.pk, 3), 2)
    assert "  0 files without a row" in purge("--yes")[1]
    assert stored(media_root) == [name]
    InboundPayload.objects.update(state="DISCARDED")
    purge("--yes")
    assert stored(media_root) == []


def test_files_go_only_after_the_commit_and_what_is_left_by_a_kill_goes_next_time(
    media_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(rich_case())
    held = stored(media_root)
    monkeypatch.setattr(retention, "_forget_in_log", lambda pks: (_ for _ in ()).throw(RuntimeError("no disk")))
    with pytest.raises(RuntimeError):
        purge("--yes")
    assert (Case.objects.count(), stored(media_root)) == (1, held)  # rolled back, and no file is gone
    monkeypatch.undo()

    class Killed(BaseException):
        pass

    def killed(names: Any) -> int:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(files, "delete", killed)
        with pytest.raises(Killed):
            purge("--yes")
    assert (Case.objects.count(), Attachment.objects.count(), stored(media_root)) == (0, 0, held)
    for name in held:
        os.utime(media_root / name, (0, 0))
    assert f"  {len(held)} files without a row" in purge("--yes")[1]
    assert stored(media_root) == []
    assert list((media_root / "enclosures").iterdir()) == []  # no empty directories either


def test_a_storage_that_refuses_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    age(rich_case())

    def refuse(name: str) -> None:
        raise PermissionError(name)

    monkeypatch.setattr(default_storage, "delete", refuse)
    code, said = purge("--yes")
    assert (code, Case.objects.count()) == (0, 0)
    assert "2 files could not be deleted; the next run tries again." in said


# --- Beside the running service ---


@pytest.mark.django_db(transaction=True)
def test_a_reply_that_comes_while_its_case_goes_is_kept_for_staff(monkeypatch: pytest.MonkeyPatch) -> None:
    case = age(rich_case())
    sandbox.reply(case, text="One more thing: it is the 15th.")
    forget, deleted, taken_in = retention._forget_in_log, threading.Event(), threading.Event()

    def hold(pks: Any) -> None:
        forget(pks)
        deleted.set()
        taken_in.wait(1.0)  # it can't end before us: we hold the case

    monkeypatch.setattr(retention, "_forget_in_log", hold)

    def work_on_it() -> None:
        assert deleted.wait(10)
        run_due("payload", failing=(CaseNotFound, *database.UNAVAILABLE))
        taken_in.set()
        connection.close()

    with ThreadPoolExecutor(1) as other:
        worker = other.submit(work_on_it)
        assert purge("--yes")[0] == 0
        worker.result(20)
    assert not Case.objects.exists()
    payload = InboundPayload.objects.get()
    InboundPayload.objects.update(retry_at=None, due_at=payload.received_at)
    run_due("payload")
    payload.refresh_from_db()
    assert (payload.state, payload.summary["text"]) == ("UNMATCHED", "One more thing: it is the 15th.")


# --- Being stopped ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_its_batch_and_goes_on_when_started_again(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        long_ended()
    purge_batch, handler = retention.purge, signal.getsignal(number)
    monkeypatch.setattr(retention.batches, "__defaults__", (2,))

    def interrupted(pks: Any, **options: Any) -> Any:
        interrupt(number)
        return purge_batch(pks, **options)

    with monkeypatch.context() as patch:
        patch.setattr(retention, "purge", interrupted)
        code, said = purge("--yes")
    assert code == 130
    assert "Stopped. 2 of 5 cases are deleted. Start it again to go on: nothing is done twice." in said
    assert Case.objects.count() == 3
    assert signal.getsignal(number) is handler
    assert "  3 cases\n" in purge("--yes")[1]
    assert not Case.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_second_ctrl_c_rolls_the_batch_back(monkeypatch: pytest.MonkeyPatch) -> None:
    case = long_ended()
    Event.objects.create(case=case, type="note", actor="system", at=work.now(), data={"text": CANARY})

    def twice(pks: Any) -> None:
        interrupt()
        interrupt()

    monkeypatch.setattr(retention, "_forget_in_log", twice)
    code, said = purge("--yes")
    assert (code, "Stopped. Nothing is done yet." in said) == (130, True)
    assert (Case.objects.count(), Event.objects.count()) == (1, 1)


def test_a_client_without_cases_is_no_error() -> None:
    Client.objects.create(name="New")
    assert "Cases that ended before" in purge("--client", "New")[1]
