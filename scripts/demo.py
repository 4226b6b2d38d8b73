"""`make demo`: one whole case over real HTTP, on embedded defaults, printing each step as it happens.

Starts web server, worker and clock as an operator would, on a database of its own under `var/demo/` (or the directory
that is named as its argument), and plays the application, the counterparty and the staff. Exits with 0 only if every
step went as it should. TRANSPORT says how the mail goes: `sandbox` (the default), `email` (over real SMTP), or
`agentmail` (over a stand-in).
"""

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import jsonschema_rs
import requests
from standardwebhooks import Webhook

from scripts.counterparty import Counterparty, Sandbox
from scripts.demo_agentmail import OverAgentMail
from scripts.demo_email import OverEmail

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_SECONDS = 60
T = TypeVar("T")
COUNTERPARTIES: dict[str, Callable[[], Counterparty]] = {
    "sandbox": Sandbox,
    "email": OverEmail,
    "agentmail": OverAgentMail,
}

RESULT_SCHEMA = {
    "type": "object",
    "required": ["deliveryDate", "signedBy"],
    "properties": {
        "deliveryDate": {"type": "string", "format": "date"},
        "signedBy": {"type": "string", "minLength": 3},
        "remarks": {"type": "string"},
    },
    "additionalProperties": False,
}
CASE: dict[str, Any] = {
    "channel": "EMAIL",
    "clientReferenceId": "order-4711",
    "goal": {
        "objective": "Please send us the signed order confirmation for order 4711, with the delivery date.",
        "knowledge": "The order was placed on 2 November.",
    },
    "counterparty": {"address": "ann.miller@supplier.example", "name": "Ann Miller", "timezone": "Europe/Berlin"},
    "senderPersona": {"name": "Robin Ward", "role": "Purchasing", "company": "Acme"},
    "resultSchema": RESULT_SCHEMA,
    "metadata": {"orderRow": 4711},
}
QUESTION = "Hello Robin,\n\nhere is the signed confirmation. Do you want the delivery in one piece or in two?\n\nAnn"
ANSWER = "In one piece, please."
FORM = "Hello Robin,\n\nDelivery date: 14 December 2026\nSigned by: Ann Miller\n\nBest regards\nAnn"


# --- What the reader sees -------------------------------------------------------------------------


def title(text: str) -> None:
    print(f"\n\033[1m── {text}\033[0m" if sys.stdout.isatty() else f"\n── {text}", flush=True)


def show(text: str) -> None:
    print("\n".join(f"   {line}" for line in text.rstrip().splitlines()), flush=True)


def show_json(value: Any) -> None:
    show(json.dumps(value, indent=2, ensure_ascii=False))


# --- The processes --------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, port: int) -> dict[str, str]:
    """Settings of a service that exists for one run; only loopback is opened to its webhooks."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        "OFFLOAD_VAR_DIR": str(home),
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ALLOWED_HOSTS": "127.0.0.1",
        "OFFLOAD_BASE_URL": f"http://127.0.0.1:{port}",
        "OFFLOAD_WEBHOOK_ALLOW_CIDRS": "127.0.0.1/32",
        "PORT": str(port),
    }


def manage(env: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


@contextmanager
def process(name: str, command: list[str], env: dict[str, str]) -> Iterator[None]:
    """Run a process of the service for as long as the block lasts; its log is <name>.log in its directory."""
    with (Path(env["OFFLOAD_VAR_DIR"]) / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()


def service(stack: ExitStack, env: dict[str, str]) -> None:
    """Web server, worker and clock, as the Procfile has them; where there is a port for it, a server for mail too."""
    mail = [sys.executable, "manage.py", "receive_mail", "--port", env["MAIL_PORT"]] if "MAIL_PORT" in env else []
    for name, command in (
        ("web", web_server(env["PORT"])),
        ("worker", [sys.executable, "manage.py", "worker"]),
        ("clock", [sys.executable, "manage.py", "clock"]),
        *([("receive_mail", mail)] if mail else []),
    ):
        stack.enter_context(process(name, command, env))


def web_server(port: str) -> list[str]:
    """The command that serves the application on loopback."""
    granian = str(Path(sys.executable).parent / "granian")
    where = ["--interface", "asginl", "--no-ws", "--host", "127.0.0.1", "--port", port]
    return [granian, *where, "offload_project.asgi:application"]


class Receiver:
    """The application's endpoint for webhooks: checks each signature, keeps each event."""

    def __init__(self, secret: str) -> None:
        self.events: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                Webhook(secret).verify(body, dict(self.headers.items()))  # raises where the signature is wrong
                self.send_response(204)
                self.end_headers()
                receiver.events.append(json.loads(body))

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/offload"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


# --- The API --------------------------------------------------------------------------------------


class Api:
    """The application's side, and in the sandbox the counterparty's."""

    def __init__(self, base: str, key: str) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["x-api-key"] = key

    def call(self, method: str, path: str, body: Any = None, *, expect: int = 200) -> Any:
        response = self.session.request(method, f"{self.base}{path}", json=body, timeout=20)
        check(response.status_code == expect, f"{method} {path}: {response.status_code} {response.text[:500]}")
        return response.json()["data"]

    def close(self) -> None:
        self.session.close()


class Failed(Exception):
    """A step did not go as it should."""


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """Look until there is something; raises Failed after a minute."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise Failed(f"waited {PATIENCE_SECONDS} s for {what}")


def is_ready(base: str) -> bool:
    try:
        return requests.get(f"{base}/readyz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


def signed_form() -> bytes:
    """A small PDF, as a scanner would attach it."""
    text = b"BT /F1 18 Tf 72 720 Td (Order confirmation 4711 - signed: A. Miller) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
    ]
    pdf, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(pdf))
        pdf += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(pdf))
    return pdf + head + table + tail


# --- The story ------------------------------------------------------------------------------------


def play(api: Api, receiver: Receiver, counterparty: Counterparty) -> None:
    """One case from POST to result; raises Failed where it goes wrong."""
    case_id = post(api, receiver)
    case = f"/cases/{case_id}"

    title("The mail, as the counterparty got it")
    show(newest_mail(api, counterparty, case_id, 1)["raw"])

    form = signed_form()
    title(f"The counterparty replies with a PDF of {len(form)} bytes, and asks something")
    show(QUESTION)
    counterparty.reply(api.call, case_id, QUESTION, pdf=form)

    event = webhook(receiver, "case.input_needed")
    title("The form agent leaves that to a human, who answers (POST /cases/{id}/input)")
    answer = {"inputRequestId": event["data"]["inputRequestId"], "providedContext": ANSWER}
    show_json(answer)
    show_json(api.call("POST", f"{case}/input", answer, expect=202))

    title("The next mail carries the answer, with what is still missing")
    show(newest_mail(api, counterparty, case_id, 2)["text"])

    title("The counterparty fills in the lines")
    show(FORM)
    counterparty.reply(api.call, case_id, FORM)

    webhook(receiver, "case.completed")
    finish(api, case, form)


def post(api: Api, receiver: Receiver) -> str:
    title(f"POST {api.base}/cases")
    case = {**CASE, "clientWebhookUrl": receiver.url}
    show_json(case)
    title("Its answer, at once")
    answer = api.call("POST", "/cases", case, expect=201)
    show_json(answer)
    return str(answer["caseId"])


def newest_mail(api: Api, counterparty: Counterparty, case_id: str, count: int) -> dict[str, str]:
    def look() -> dict[str, str] | None:
        mails = counterparty.mails(api.call, case_id)
        return mails[-1] if len(mails) == count else None

    return wait_for(f"mail number {count}", look)


def webhook(receiver: Receiver, type_: str) -> dict[str, Any]:
    event = wait_for(
        f"the webhook {type_}", lambda: next((event for event in receiver.events if event["event_type"] == type_), None)
    )
    title(f"Webhook received, its signature verified with the standardwebhooks library: {type_}")
    show_json(event)
    return event


def finish(api: Api, case: str, form: bytes) -> None:
    title(f"GET {case}")
    final = api.call("GET", case)
    show_json(final)
    check(final["status"] == "COMPLETED", f"the case is {final['status']}")
    jsonschema_rs.validator_for(RESULT_SCHEMA).validate(final["result"])
    expected = {"deliveryDate": "2026-12-14", "signedBy": "Ann Miller"}
    check(final["result"] == expected, f"the result is {final['result']}")
    show("✓ the result validates against the resultSchema")

    [attachment] = final["attachments"]
    title(f"GET {case}/attachments/{attachment['attachmentId']}, and its downloadUrl")
    link = api.call("GET", f"{case}/attachments/{attachment['attachmentId']}")
    show_json(link)
    downloaded = requests.get(link["downloadUrl"], timeout=20).content  # needs no key
    check(downloaded == form, "the download differs from what was attached")
    show(f"✓ {len(downloaded)} bytes, byte for byte as attached (SHA-256 {hashlib.sha256(downloaded).hexdigest()})")


def main() -> int:
    """Set up, play, tear down; the exit status."""
    started = time.monotonic()
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "var" / "demo"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    counterparty = COUNTERPARTIES[os.environ.get("TRANSPORT", "sandbox")]()
    env = environment(home, free_port()) | counterparty.settings
    title("Setting up: database, client, web server, worker, clock")
    env |= counterparty.set_up(partial(manage, env))
    manage(env, "migrate", "--verbosity", "0")
    client = json.loads(manage(env, "create_client", "Demo", "--json", *(["--test"] if counterparty.is_test else [])))
    show(f"everything is under {os.path.relpath(home)}/, the logs too")
    base = env["OFFLOAD_BASE_URL"]
    try:
        with ExitStack() as stack:
            stack.enter_context(closing(counterparty))
            service(stack, env)
            wait_for("the service to be ready", lambda: is_ready(base))
            api = stack.enter_context(closing(Api(base, client["apiKey"])))
            play(api, stack.enter_context(closing(Receiver(client["webhookSecret"]))), counterparty)
    except Failed as error:
        print(f"\nThe demo failed: {error}\nLogs: {os.path.relpath(home)}/*.log", file=sys.stderr)
        return 1
    title(f"Done in {time.monotonic() - started:.0f} s. Next: `make run`, and README.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
