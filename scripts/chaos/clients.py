"""The client's applications: they post, repeat what was not answered, answer questions, cancel, and read."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import requests

from scripts.chaos.plans import Plan
from scripts.chaos.post import ANSWER, DATE
from scripts.chaos.receiver import Told
from scripts.chaos.services import Installation

ENDED = {"case.completed", "case.failed"}
AT_ONCE = 5  # answers to one question, from as many applications
GIVE_UP_SECONDS = 180.0


class Client:
    """One application with its key; any thread may use it."""

    def __init__(self, service: Installation) -> None:
        self.service = service
        self.key, self.url = service.client["apiKey"], service.receiver("url")
        self._sessions = threading.local()
        self.over = threading.Event()  # nobody insists on anything any more

    def request(
        self, method: str, path: str, body: Any = None, *, web: str = "email", key: str = ""
    ) -> tuple[int, Any]:
        """Status and data, or error, of one request. Raises requests.RequestException."""
        if not hasattr(self._sessions, "own"):
            self._sessions.own = requests.Session()
            self._sessions.own.trust_env = False
        headers = {"x-api-key": self.key} | ({"Idempotency-Key": key} if key else {})
        answer = self._sessions.own.request(
            method, f"{self.service.webs[web]}{path}", json=body, headers=headers, timeout=20
        )
        content = answer.json()
        return answer.status_code, content.get("data") or content.get("error")

    def insist(self, method: str, path: str, body: Any = None, *, web: str = "email", key: str = "") -> tuple[int, Any]:
        """As `request`, repeated until the service has an answer of its own; a request that may be repeated."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < deadline and not self.over.is_set():
            with suppress(requests.RequestException, ValueError):
                status, data = self.request(method, path, body, web=web, key=key)
                if status < 500 and status != 429 and (data or {}).get("code") != "IDEMPOTENCY_KEY_IN_USE":
                    return status, data
            time.sleep(random.uniform(0.2, 0.8))
        return 0, None

    def post(self, plan: Plan, *, key: str = "") -> str:
        """Post the plan's case until it is acknowledged; its id, empty where it never was."""
        status, data = self.insist("POST", "/cases", plan.body(self.url), web=plan.transport, key=key or plan.reference)
        return str(data["caseId"]) if status == 201 else ""

    def read(self, case_id: str) -> dict[str, Any]:
        """The case as the client sees it; empty where it does not."""
        status, data = self.insist("GET", f"/cases/{case_id}")
        return dict(data) if status == 200 else {}


class Load:
    """All cases of the load, and what the client has seen of them."""

    def __init__(self, service: Installation, plans: list[Plan], seed: int) -> None:
        self.client, self.service, self.plans = Client(service), service, plans
        self.dice = random.Random(f"load {seed}")
        self.acknowledged: dict[str, str] = {}  # reference to case id
        self.cancelled: dict[str, int] = {}  # case id to the status of the last request to cancel
        self.at_their_end: dict[str, dict[str, Any]] = {}  # case id to what was seen once its end was heard of
        self.answers: dict[str, Counter[int]] = {}  # question to the statuses of the answers to it
        self._known: dict[str, Plan] = {}
        self._heard = 0
        self._over = self.client.over
        self._posters, self._threads = ThreadPoolExecutor(12), ThreadPoolExecutor(24)

    def start(self, seconds: float) -> None:
        """Post everything within about so many seconds, and react to what comes of it until `stop`."""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._posting = [self._posters.submit(self._post, plan, seconds) for plan in self._spread(seconds)]

    def _spread(self, seconds: float) -> Iterable[Plan]:
        self._began_at = time.monotonic()
        self._at = {plan.reference: self.dice.uniform(0, seconds) for plan in self.plans}
        return sorted(self.plans, key=lambda plan: self._at[plan.reference])

    def _post(self, plan: Plan, seconds: float) -> None:
        time.sleep(max(0.0, self._began_at + self._at[plan.reference] - time.monotonic()))
        case_id = self.client.post(plan)
        if not case_id:
            return
        self._known[case_id] = plan
        self.acknowledged[plan.reference] = case_id
        if plan.name == "cancelled":
            time.sleep(random.uniform(0, 3))
            self._cancel(case_id)

    def _cancel(self, case_id: str) -> None:
        status = 0
        while status not in (200, 409) and not self._over.is_set():
            with suppress(requests.RequestException, ValueError):
                status = self.client.request("POST", f"/cases/{case_id}/cancel")[0]
        self.cancelled[case_id] = status

    def all_posted(self) -> bool:
        """Whether every case was posted; raises what a thread raised."""
        return all(posting.done() and posting.result() is None for posting in self._posting)

    # --- What the client hears of ---

    def _listen(self) -> None:
        while not self._over.wait(0.3):
            for told in self.service.receiver("since", self._heard):
                self._heard += 1
                self._threads.submit(self._react, told)

    def _react(self, told: Told) -> None:
        if told.event_type == "case.input_needed":
            self.answer(told.case_id, told.input_request_id)
        elif told.event_type in ENDED and told.case_id not in self.at_their_end:
            self.at_their_end[told.case_id] = self.client.read(told.case_id)
            plan = self._known.get(told.case_id)
            if plan and plan.name == "late":
                self._disturb(told.case_id, plan)

    def answer(self, case_id: str, question: str) -> None:
        """Answer the question from several applications at once, each with words of its own, until it is answered."""
        statuses = self.answers.setdefault(question, Counter())
        while not self._over.is_set() and not (statuses[202] or statuses[409]):
            statuses.update(answer_at_once(self.client, case_id, question, AT_ONCE))

    def _disturb(self, case_id: str, plan: Plan) -> None:
        """Everything that could still change an ended case."""
        self.service.post("write", plan.address, f"One more thing: {DATE[:-2]}15", True)
        for path, body in (
            ("cancel", None),
            ("input", {"inputRequestId": case_id, "providedContext": "Too late."}),
        ):
            self.client.insist("POST", f"/cases/{case_id}/{path}", body)

    def is_content(self) -> bool:
        """Whether every case is posted. Answers questions that were heard of while nobody could be reached."""
        status, data = self.client.insist("GET", "/cases?status=INPUT_NEEDED&limit=100")
        for case in data["cases"] if status == 200 else ():
            if case["inputRequest"]["status"] == "PENDING":
                self.answer(case["caseId"], case["inputRequest"]["id"])
        return self.all_posted()

    def stop(self) -> None:
        self._over.set()
        for threads in (self._posters, self._threads):
            threads.shutdown(wait=True, cancel_futures=True)


def answer_at_once(client: Client, case_id: str, question: str, count: int) -> list[int]:
    """The statuses of so many answers that are given at the same moment, at both web servers; 0: no answer came."""
    start = threading.Barrier(count)

    def give(number: int) -> int:
        body = {"inputRequestId": question, "providedContext": f"{ANSWER} (says number {number})"}
        start.wait()
        try:
            return client.request("POST", f"/cases/{case_id}/input", body, web=("email", "agentmail")[number % 2])[0]
        except (requests.RequestException, ValueError):
            return 0

    return at_once(count, give)


def at_once(count: int, act: Callable[[int], Any]) -> list[Any]:
    """What the function answers to 0, 1 … in as many threads."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(act, range(count)))
