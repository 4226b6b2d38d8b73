"""`python -m scripts.upgrade REF`: an upgrade from the code of a git ref to this one, under load, without a pause.

On one PostgreSQL database the older code serves and works; the schema is migrated beneath it; both versions serve and
work side by side; the older one is stopped. All the while cases are posted, read and answered. Exits with 0 only if no
request failed, no process logged an error, and every case got on: one mail, its answer, its webhooks.
"""

import json
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import requests

from scripts import demo
from scripts.demo import Failed, Receiver, check, wait_for
from scripts.with_postgres import postgres_server

PHASE_SECONDS = 12
CLIENTS = 2


class Version:
    """One version of the code, and its processes on the common database."""

    def __init__(self, name: str, code: Path, home: Path, common: dict[str, str]) -> None:
        self.name, self.code, self.home = name, code, home
        home.mkdir()
        port = str(demo.free_port())
        self.base = f"http://127.0.0.1:{port}"
        self.environment = {**demo.environment(home, int(port)), **common}
        self.stack = ExitStack()

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=self.code, env=self.environment, capture_output=True, text=True)
        check(done.returncode == 0, f"{self.name}: {arguments[0]}\n{done.stderr[-3000:]}")
        return done.stdout

    def start(self) -> None:
        """Web server, worker and clock; returns when they are ready."""
        web = demo.web_server(self.environment["PORT"])
        commands = {"web": web, **{name: [sys.executable, "manage.py", name] for name in ("worker", "clock")}}
        for name, command in commands.items():
            log = self.stack.enter_context((self.home / f"{name}.log").open("wb"))
            running = subprocess.Popen(
                command, cwd=self.code, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
            self.stack.callback(running.wait, 60)
            self.stack.callback(running.terminate)
        wait_for(f"{self.name} to be ready", lambda: demo.is_ready(self.base) or None)

    def stop(self) -> None:
        """As an operator does: what is begun is finished."""
        self.stack.close()

    def complaints(self) -> list[str]:
        """Lines of its logs that tell of an error."""
        lines = [line for log in self.home.glob("*.log") for line in log.read_text(errors="replace").splitlines()]
        marks = (" ERROR ", " CRITICAL ", "Error:")
        return [line for line in lines if any(mark in line for mark in marks) and "/readyz" not in line]


class Load:
    """Applications that post, read and answer cases at whatever servers there are."""

    def __init__(self, key: str, webhook_url: str) -> None:
        self.key, self.body = key, {**demo.CASE, "clientWebhookUrl": webhook_url}
        self.servers: list[str] = []
        self.cases: dict[str, str] = {}  # to what the counterparty has written, if anything
        self.requests: Counter[str] = Counter()
        self.errors: list[str] = []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _run(self) -> None:
        while not self.over.is_set():
            server = random.choice(self.servers)
            try:
                with closing(demo.Api(server, self.key)) as api:
                    self._one_round(api)
            except (Failed, requests.RequestException) as error:
                if server in self.servers:  # else it was told to stop meanwhile
                    self.errors.append(f"{server}: {error}"[:400])

    def _one_round(self, api: demo.Api) -> None:
        case_id = api.call("POST", "/cases", self.body, expect=201)["caseId"]
        with self.lock:
            self.cases[case_id] = ""
            silent = [pk for pk, said in self.cases.items() if not said]
        other = random.choice(silent)
        status = api.call("GET", f"/cases/{other}")["status"]
        text = random.choice([demo.QUESTION, demo.FORM])
        with self.lock:
            answers = status == "RUNNING" and not self.cases[other]
            if answers:
                self.cases[other] = text
        if answers:
            api.call("POST", f"/sandbox/cases/{other}/reply", {"text": text}, expect=202)
        self.requests[api.base] += 2 + answers
        time.sleep(0.2)

    def wanted(self) -> Counter[str]:
        """How many cases should be in which status."""
        ends = {"": "RUNNING", demo.QUESTION: "INPUT_NEEDED", demo.FORM: "COMPLETED"}
        return Counter(ends[said] for said in self.cases.values())


def unpack(ref: str, into: Path) -> Path:
    into.mkdir()
    archive = subprocess.run(["git", "archive", ref], cwd=demo.ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(into)], input=archive, check=True)
    return into


def rows(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.encode()).fetchall()


def play(ref: str, home: Path, url: str, stack: ExitStack) -> None:
    common = {
        "DATABASE_URL": url,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "OFFLOAD_STAFF_NOTICES": "staff@ours.example",
        "OFFLOAD_TRANSPORT": "sandbox",
        "OFFLOAD_RATE_PER_MINUTE": "0",
        "OFFLOAD_DATABASE_POOL": "15",
    }
    old = Version("old", unpack(ref, home / "code"), home / "old", common)
    new = Version("new", demo.ROOT, home / "new", common)
    stack.callback(new.stop)
    stack.callback(old.stop)
    old.manage("migrate", "--verbosity", "0")
    client = json.loads(old.manage("create_client", "Acme", "--test", "--json"))
    receiver = stack.enter_context(closing(Receiver(client["webhookSecret"])))
    old.start()
    load = Load(client["apiKey"], receiver.url)
    load.servers = [old.base]
    load.start()
    stack.callback(load.stop)
    time.sleep(PHASE_SECONDS / 2)

    began_at = time.monotonic()
    told = new.manage("migrate", "--verbosity", "0")
    print(f"gave way {told.count('trying again')} times")
    print(f"migrated in {time.monotonic() - began_at:.1f} s, beneath {load.requests.total()} requests to the old code")
    new.start()
    load.servers = [old.base, new.base]
    time.sleep(PHASE_SECONDS)
    load.servers = [new.base]
    time.sleep(1)
    old.stop()
    print(f"side by side: {dict(load.requests)}")
    time.sleep(PHASE_SECONDS / 2)
    load.stop()
    finish(load, receiver, url, old, new)


def finish(load: Load, receiver: Receiver, url: str, old: Version, new: Version) -> None:
    """Wait until all is done, and see that it was done once."""
    wanted = load.wanted()

    def statuses() -> Counter[str]:
        return Counter(dict(rows(url, "SELECT status, count(*) FROM cases_case GROUP BY status")))

    try:
        wait_for("every case to get on", lambda: statuses() == wanted or None)
    except Failed as error:
        raise Failed(f"{error}: {dict(statuses())} instead of {dict(wanted)}") from error
    ended = wanted["INPUT_NEEDED"] + wanted["COMPLETED"]
    wait_for("every webhook", lambda: len(receiver.events) >= ended or None)
    time.sleep(2)
    events = Counter(event["event_id"] for event in receiver.events)
    mails = rows(url, "SELECT count(*), count(DISTINCT case_id) FROM outreach_sandboxmail")[0]
    failed = rows(url, "SELECT count(*) FROM cases_case WHERE failures > 0 OR lost_leases > 0")[0][0]
    notices = rows(url, "SELECT count(*) FROM outreach_staffnotice")[0][0]
    print(f"{dict(wanted)}; {mails[0]} mails, {len(events)} webhooks, {notices} notices to staff")
    check(mails == (len(load.cases), len(load.cases)), f"{mails} mails for {len(load.cases)} cases")
    check(len(events) == ended == events.total(), f"{events.total()} webhooks, {ended} wanted")
    check(failed == 0, f"{failed} cases failed on their way")
    check(notices == wanted["INPUT_NEEDED"], f"{notices} notices")
    complaints = [f"{version.name}: {line}" for version in (old, new) for line in version.complaints()]
    check(not complaints, "\n".join(complaints[:30]))
    check(not load.errors, "\n".join(load.errors[:10]))
    print("no request failed, no process logged an error")


def main(ref: str) -> int:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="offload-upgrade-", ignore_cleanup_errors=True))
        url = stack.enter_context(postgres_server())
        try:
            play(ref, Path(home), url, stack)
        except Failed as error:
            print(f"FAILED: {error}", file=sys.stderr)
            kept = demo.ROOT / "var" / "upgrade"
            shutil.copytree(home, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("code"))
            print(f"the logs are in {kept}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
