"""`make attack`: strangers, clients and counterparties who mean harm, against the service as it runs.

Starts web server, worker and clock on a database of its own and prints one line for each attack: how much was tried,
and how much of it did what it must not. Exits with 0 only if nothing did. `--cases` sets how many requests Schemathesis
makes at least, `--only` names single attacks.
"""

import argparse
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import django
import requests

from scripts import demo

ROOT = demo.ROOT
BODY_SECONDS = 3  # in which the attacked server wants its bodies; in production 20
MARKER = "zq-nobody-else-may-see-this"
HARMLESS_CASE: dict[str, Any] = {
    "channel": "EMAIL",
    "goal": {"objective": "Please confirm the delivery."},
    "counterparty": {"address": "ann@supplier.example", "name": "Ann"},
    "senderPersona": {"name": "Robin"},
}


@dataclass
class Outcome:
    """What one attack has tried, and what came of it that must not."""

    tried: int = 0
    findings: list[str] = field(default_factory=list)

    def expect(self, holds: bool, finding: str) -> None:
        self.tried += 1
        if not holds:
            self.findings.append(finding)


@dataclass
class Target:
    """The service under attack."""

    base: str
    home: Path
    environment: dict[str, str]

    def key(self, name: str, *options: str) -> str:
        """A new client's API key."""
        made = demo.manage(self.environment, "create_client", name, "--json", *options)
        return str(json.loads(made)["apiKey"])

    def call(self, method: str, path: str, key: str | None = None, **options: Any) -> requests.Response:
        headers = {**({} if key is None else {"x-api-key": key}), **options.pop("headers", {})}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, f"{self.base}{path}", headers=headers, timeout=60, **options)

    def post_case(self, key: str, **fields: Any) -> requests.Response:
        return self.call("POST", "/cases", key, json={**HARMLESS_CASE, **fields})

    def query(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.home / "offload.sqlite3", timeout=30)) as database:
            return database.execute(sql).fetchall()


@contextmanager
def target() -> Iterator[Target]:
    """The service in its processes, without a rate limit, which would answer in place of what is attacked.

    It reaches nothing beyond this machine, whatever webhooks the requests name.
    """
    with tempfile.TemporaryDirectory(prefix="offload-attack-") as home, ExitStack() as stack:
        port = demo.free_port()
        environment = {
            **demo.environment(Path(home), port),
            "DJANGO_SETTINGS_MODULE": "scripts.attack_settings",
            "OFFLOAD_WEBHOOK_ALLOW_CIDRS": "",
            "OFFLOAD_RATE_PER_MINUTE": "0",
            "OFFLOAD_FAILED_KEYS_PER_MINUTE": "0",
            "OFFLOAD_BODY_SECONDS": str(BODY_SECONDS),
            "OFFLOAD_SQLITE_SYNCHRONOUS": "OFF",
        }
        demo.manage(environment, "migrate", "-v0")
        demo.service(stack, environment)
        attacked = Target(f"http://127.0.0.1:{port}", Path(home), environment)
        demo.wait_for("the web server", lambda: _answers(attacked))
        yield attacked


def _answers(attacked: Target) -> bool:
    try:
        return attacked.call("GET", "/healthz").ok
    except requests.ConnectionError:
        return False


# --- The attacks ----------------------------------------------------------------------------------


def ssrf(attacked: Target) -> Outcome:
    """Webhook addresses that lead inside: none is taken, whatever it is spelled like."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "offload_project.tests.settings"  # for what the list's module imports
    django.setup()
    from webhooks.tests.test_addresses import LITERALS

    outcome, key = Outcome(), attacked.key("ssrf", "--test")
    for url in LITERALS:
        response = attacked.post_case(key, clientWebhookUrl=url)
        outcome.expect(response.status_code == 400, f"{url!r} was answered {response.status_code}")
    outcome.expect(attacked.query("SELECT count(*) FROM webhooks_delivery") == [(0,)], "a delivery was made")
    tests = ["webhooks/tests/test_addresses.py", "webhooks/tests/test_sender.py"]  # DNS that changes, redirects
    return _tested(attacked, outcome, *tests)


def _tested(attacked: Target, outcome: Outcome, *paths: str) -> Outcome:
    """The outcome, with the tests in these files counted in."""
    report = attacked.home / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for _ in range(report.read_text().count("<testcase ") if report.exists() else 0):
        outcome.expect(True, "")
    outcome.expect(done.returncode == 0, "\n".join(done.stdout.splitlines()[-20:]))
    return outcome


def keys(attacked: Target) -> Outcome:
    """Every operation of the description, without a good key and with another client's."""
    outcome = Outcome()
    theirs, ours, revoked = attacked.key("theirs", "--test"), attacked.key("ours", "--test"), attacked.key("revoked")
    demo.manage(attacked.environment, "revoke_key", revoked)
    marked = {"goal": {"objective": MARKER}, "clientReferenceId": MARKER, "metadata": {MARKER: MARKER}}
    case_id = attacked.post_case(theirs, **marked).json()["data"]["caseId"]
    before = attacked.call("GET", f"/cases/{case_id}", theirs).json()["data"]
    callers = {"none": None, "empty": "", "unknown": "offload_live_guess", "revoked": revoked, "another's": ours}
    for method, path in _operations(attacked):
        url = path.replace("{case_id}", case_id)
        while "{" in url:
            url = url[: url.index("{")] + str(uuid.uuid4()) + url[url.index("}") + 1 :]
        for caller, key in callers.items():
            response = attacked.call(method, url, key, json=None if method == "GET" else {})
            outcome.expect(MARKER not in response.text, f"{method} {path} tells {caller} of another's case")
            wanted = _wanted(caller, path)
            outcome.expect(
                response.status_code in wanted, f"{method} {path} answers {caller} {response.status_code}, not {wanted}"
            )
    after = attacked.call("GET", f"/cases/{case_id}", theirs).json()["data"]
    same = [name for name in ("goal", "metadata", "clientReferenceId") if before.get(name) != after.get(name)]
    outcome.expect(same == [] and after["status"] in {"CREATED", "RUNNING"}, f"the case was changed: {after['status']}")
    return outcome


def _operations(attacked: Target) -> list[tuple[str, str]]:
    paths = attacked.call("GET", "/schema").json()["paths"]
    found = [(method.upper(), path) for path, item in paths.items() for method in item if item[method].get("security")]
    demo.check(len(found) >= 10, "the description has hardly any operations")
    return found


def _wanted(caller: str, path: str) -> set[int]:
    if caller in {"none", "empty", "unknown"}:
        return {401}
    if caller == "revoked" or "{case_id}" in path:
        return {403}
    return {403, 404} if "{" in path else {200, 202, 400, 404, 409, 422}


BREAKS = ["\r\n", "\n", "\r", "\x00", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\r\n ", "\\r\\n", "%0d%0a"]


def headers(attacked: Target) -> Outcome:
    """Names that would be more than names: each mail has one recipient, and no header that we did not write."""
    outcome, key = Outcome(), attacked.key("headers", "--test")
    names = [f"Ann{what}Bcc: eve@evil.example" for what in BREAKS]
    names += ["=?utf-8?q?Ann=0d=0aBcc:_eve@evil.example?=", "Ann, eve@evil.example", '"Ann" <eve@evil.example>,']
    names += ["A" * 300, "Ä" * 300, "\u202eann", "Ann;eve@evil.example", "(Ann) <eve@evil.example>"]
    taken = 0
    for name in [*names, "A" * 2_000, "\ud800"]:
        for person in ("counterparty", "senderPersona"):
            response = attacked.post_case(key, **{person: {**HARMLESS_CASE[person], "name": name}})
            outcome.expect(response.status_code in {201, 400}, f"{person}.name {name[:40]!r}: {response.status_code}")
            taken += response.status_code == 201
    for address in ("ann@supplier.example\r\nBcc: eve@evil.example", "ann@supplier.example,eve@evil.example"):
        response = attacked.post_case(key, counterparty={"address": address, "name": "Ann"})
        outcome.expect(response.status_code == 400, f"{address!r} was answered {response.status_code}")
    sent = "SELECT raw FROM outreach_sandboxmail s JOIN cases_case c ON c.id = s.case_id"
    sent += " JOIN cases_client k ON k.id = c.client_id WHERE k.name = 'headers'"
    demo.wait_for("the mails", lambda: len(attacked.query(sent)) >= taken)
    for (raw,) in attacked.query(sent):
        _look_at(outcome, bytes(raw))
    return outcome


OURS = {"from", "to", "subject", "date", "message-id", "auto-submitted", "content-type", "content-transfer-encoding"}
OURS |= {"mime-version", "in-reply-to", "references", "reply-to"}


def _look_at(outcome: Outcome, raw: bytes) -> None:
    mail = message_from_bytes(raw, policy=default)
    foreign = {name.lower() for name in mail} - OURS
    outcome.expect(not foreign, f"a mail has the headers {sorted(foreign)}")
    recipients = [address for _, address in getaddresses([str(value) for value in mail.get_all("to", [])])]
    outcome.expect(recipients == ["ann@supplier.example"], f"a mail goes to {recipients}")
    longest = max(len(line) for line in raw.split(b"\r\n\r\n")[0].split(b"\r\n"))
    outcome.expect(longest <= 998, f"a header line has {longest} characters")


def oversize(attacked: Target) -> Outcome:
    """Bodies that are too long, too deep, or never end: refused in time, and the next request is served."""
    outcome, key = Outcome(), attacked.key("oversize", "--test")
    as_json = {"content-type": "application/json"}

    def send(what: str, wanted: int, body: Any, path: str = "/cases", **more: str) -> None:
        answer = attacked.call("POST", path, key, data=body, headers={**as_json, **more})
        outcome.expect(answer.status_code == wanted, f"{what}: {answer.status_code}, not {wanted}: {answer.text[:200]}")

    case_id = attacked.post_case(key).json()["data"]["caseId"]
    send("1 MB and a byte", 413, b" " * 1_000_001, f"/cases/{case_id}/input")
    send("2 MB in chunks", 413, (b" " * 65_536 for _ in range(32)), f"/cases/{case_id}/input")
    send("a goal of 1 MB", 413, json.dumps({**HARMLESS_CASE, "goal": {"objective": "a" * 1_000_000}}).encode())
    send("65 levels", 400, b'{"a":' * 65 + b"1" + b"}" * 65)
    send("100,000 lists", 400, b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    send("100,000 keys", 400, json.dumps({str(n): n for n in range(50_000)}).encode())
    send("a number of 100,000 digits", 400, b'{"a":' + b"9" * 100_000 + b"}")
    send("a compressed body", 400, b"\x1f\x8b\x08\x00" + b"\x00" * 1000, **{"content-encoding": "gzip"})
    send("36 MB to the sandbox", 413, b" " * 36_000_000, f"/sandbox/cases/{case_id}/reply")
    with ThreadPoolExecutor(9) as stalling:  # more than the server has threads
        stalls = [stalling.submit(_stall, attacked, key) for _ in range(9)]
        while not all(stall.done() for stall in stalls):
            outcome.expect(attacked.call("GET", "/healthz").ok, "the server does not answer while bodies stall")
            time.sleep(0.5)
    for stalled, seconds in (stall.result() for stall in stalls):
        outcome.expect(stalled in {"408", ""}, f"a body that stalls is answered {stalled}")
        outcome.expect(seconds < BODY_SECONDS * 4, f"a body that stalls holds on for {seconds:.0f} s")
    return outcome


def _stall(attacked: Target, key: str) -> tuple[str, float]:
    """Send half a body and nothing more; the status of the answer and after how long it came."""
    host, port = attacked.base.removeprefix("http://").split(":")
    began = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=BODY_SECONDS * 5) as connection:
        head = f"POST /cases HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\nContent-Type: application/json\r\n"
        connection.sendall(f'{head}Content-Length: 1000\r\n\r\n{{"channel"'.encode())
        answer = connection.recv(100).decode("latin-1")
    return answer[9:12], time.monotonic() - began


SCHEMATHESIS_SECONDS = 1800
# That a time zone is IANA's, a schema a schema, an address one of mail, no description can say: such data is "valid",
# and rightly answered 400. So are requests that come too late or too soon after others: a key that has been used for
# another body (422), a second test of webhooks within seconds (429). Everything else is as Schemathesis has it.
CONFIG = """hooks = "scripts.attack_hooks"

[phases.stateful]
max-steps = 12

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
"""


def schemathesis(attacked: Target, at_least: int) -> Outcome:
    """Whatever its description allows and forbids, in any order: all checks of Schemathesis."""
    outcome, key = Outcome(), attacked.key("schemathesis", "--test")
    report = attacked.home / "schemathesis.json"
    operations = len(_operations(attacked))
    config = attacked.home / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(config)]
    command += ["run", f"{attacked.base}/schema"]
    command += ["--header", f"x-api-key: {key}", "--checks", "all", "--report", "json", "--seed", "1"]
    command += ["--report-json-path", str(report), "--max-examples", str(max(1, at_least // operations // 2))]
    # (The examples that probe each field's limits are as many again.)
    command += ["--generation-database", "none", "--no-color"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # for the hooks
    try:
        done = subprocess.run(
            command,
            cwd=attacked.home,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SCHEMATHESIS_SECONDS,
        )
    except subprocess.TimeoutExpired:
        outcome.expect(False, f"Schemathesis was not done after {SCHEMATHESIS_SECONDS} s")
        return outcome
    cases = json.loads(report.read_text())["test_cases"] if report.exists() else {"generated": 0}
    outcome.tried = cases["generated"]
    if done.returncode:
        outcome.findings.append(done.stdout.partition("= FAILURES =")[2][:8000] or done.stdout[-3000:] + done.stderr)
    followed = re.search(r"API Links: +([1-9]\d*) covered", done.stdout)
    if followed is None:
        outcome.findings.append("no link of the description was followed")
    if cases["generated"] < at_least:
        outcome.findings.append(f"only {cases['generated']} requests were made, not {at_least}")
    return outcome


# --- All of them ----------------------------------------------------------------------------------


def attacks(at_least: int) -> dict[str, Callable[[Target], Outcome]]:
    return {
        "ssrf": ssrf,
        "keys": keys,
        "headers": headers,
        "oversize": oversize,
        "schemathesis": lambda attacked: schemathesis(attacked, at_least),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000, help="requests that Schemathesis makes at least")
    parser.add_argument("--only", nargs="*", help="the attacks to carry out")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the attacked service is ended too
    harmed = 0
    with target() as attacked:
        for name, attack in attacks(options.cases).items():
            if options.only and name not in options.only:
                continue
            outcome = attack(attacked)
            print(f"{name:<13} {outcome.tried:>6} tried, {len(outcome.findings)} findings", flush=True)
            for finding in outcome.findings:
                print(f"    {finding}", flush=True)
            harmed += len(outcome.findings)
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
