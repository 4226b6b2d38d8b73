"""The agent that asks a model, through any endpoint that speaks OpenAI's Chat Completions.

Every request has a defined end. A server that is busy, broken or not there is asked again, as `Retry-After` says, while
there is time; then AgentError, and the engine tries again later. Before each request the gate is asked, which all
processes share: AgentWaits where the server is to be left alone for longer than a step can wait. An answer that can't
be used (a refusal, cut off, no JSON, off the schema) gets one repair round with the faults named; then AgentGaveUp, and
a human decides.
"""

import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx2
import openai
from django.conf import settings

from outreach import retry_after
from outreach.agents import prompting, wire
from outreach.agents.base import (
    AgentError,
    AgentGaveUp,
    AgentWaits,
    CaseView,
    Decision,
    Draft,
    Judgement,
    ModelCall,
    Verdict,
)
from outreach.agents.signature import signed
from outreach.providers import trouble
from outreach.providers.gate import Entry, Gate, OpenGate, ProviderWaits
from outreach.providers.trouble import Trouble

T = TypeVar("T")

OPENAI_URL = "https://api.openai.com/v1"
LEAST_SECONDS = 0.5  # with less time left a request is not worth beginning
LONGEST_PAUSE = 8.0  # seconds between tries, where the server names no time
CONNECT_SECONDS = 5.0
MOST_BYTES = 4_000_000  # of one answer


class OpenAIAgent:
    """Writes and judges with the model of the settings; `seconds` are left for all its requests together, and `gate` is
    asked before each."""

    name = "openai"
    judges_drafts = True

    def __init__(self, seconds: float, gate: Gate | None = None) -> None:
        self._ends_at = time.monotonic() + seconds
        self._gate = gate or OpenGate()
        self.takes_images = bool(settings.OFFLOAD_MODEL_TAKES_IMAGES)

    def draft_outreach(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        """The first mail. Raises AgentError."""
        return self._draft("outreach", case, faults)

    def draft_follow_up(self, case: CaseView, faults: tuple[str, ...] = ()) -> Draft:
        """A reminder in the same thread. Raises AgentError."""
        return replace(self._draft("follow_up", case, faults), subject="")

    def draft_reply(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        """The verdict's own words; the model is asked only where they were found faulty. Raises AgentError."""
        if not faults:
            return Draft(_signed(verdict.reply_body, case))
        return replace(self._draft("reply", case, faults, reply=verdict.reply_body), subject="")

    def draft_closing(self, case: CaseView, verdict: Verdict, faults: tuple[str, ...] = ()) -> Draft:
        """The verdict's own thanks; the model is asked where it gave none, or faulty ones. Raises AgentError."""
        if verdict.reply_body and not faults:
            return Draft(_signed(verdict.reply_body, case))
        return replace(self._draft("closing", case, faults, reply=verdict.reply_body or None), subject="")

    def evaluate(self, case: CaseView, faults: tuple[str, ...] = ()) -> Verdict:
        """What to do, given the whole thread and the human's answers. Raises AgentError."""
        conversation = self._conversation("evaluation", wire.EVALUATION, case, faults, settings.OFFLOAD_MODEL)
        verdict = conversation.answer(lambda answer, is_last: wire.verdict_of(answer, case, is_last=is_last))
        if verdict.decision == Decision.INPUT_NEEDED and verdict.reply_body:  # proposed, for a person to send as theirs
            verdict = replace(verdict, reply_body=_signed(verdict.reply_body, case))
        return replace(verdict, calls=tuple(conversation.calls))

    def judge(self, case: CaseView, draft: Draft) -> Judgement:
        """A second model, or the same one asked afresh, looks at a draft. Raises AgentError."""
        model = settings.OFFLOAD_CHECK_MODEL or settings.OFFLOAD_MODEL
        more = {"draft": prompting.draft_data(draft), "disclosure": settings.OFFLOAD_MACHINE_DISCLOSURE or None}
        conversation = self._conversation("check", wire.CHECK, case, (), model, **more)
        judgement = conversation.answer(lambda answer, _: wire.judgement_of(answer))
        return replace(judgement, calls=tuple(conversation.calls))

    def _draft(self, purpose: str, case: CaseView, faults: tuple[str, ...], **more: Any) -> Draft:
        conversation = self._conversation(purpose, wire.MESSAGE, case, faults, settings.OFFLOAD_MODEL, **more)
        draft = conversation.answer(lambda answer, _: wire.draft_of(answer))
        return replace(draft, body=_signed(draft.body, case), calls=tuple(conversation.calls))

    def _conversation(
        self, purpose: str, form: wire.Form, case: CaseView, faults: tuple[str, ...], model: str, **more: Any
    ) -> "Conversation":
        data = prompting.data_of(purpose, case, settings.OFFLOAD_CONTEXT_TOKENS, **more)
        images = prompting.images_of(case) if self.takes_images and purpose == "evaluation" else []
        return Conversation(purpose, form, model, prompting.user(data, images, faults), self._ends_at, self._gate)


def _signed(body: str, case: CaseView) -> str:
    return signed(body, case.persona, settings.OFFLOAD_MACHINE_DISCLOSURE)


# --- How a server wants to be asked -----------------------------------------------------------------


@dataclass(frozen=True)
class Dialect:
    """What a server understands, found out by trying: servers that speak this protocol differ in these three."""

    format: str = "json_schema"  # then json_object, then text
    limit: str = "max_completion_tokens"  # then max_tokens, then none
    has_temperature: bool = True  # reasoning models refuse it

    def parameters(self, form: wire.Form) -> dict[str, Any]:
        parameters: dict[str, Any] = {}
        if self.format == "json_schema":
            schema = {"name": form.name, "schema": form.schema, "strict": form.is_strict}
            parameters["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.format == "json_object":
            parameters["response_format"] = {"type": "json_object"}
        if self.limit:
            parameters[self.limit] = settings.OFFLOAD_MAX_OUTPUT_TOKENS
        if self.has_temperature and settings.OFFLOAD_TEMPERATURE is not None:
            parameters["temperature"] = settings.OFFLOAD_TEMPERATURE
        return parameters

    def without(self, complaint: str) -> "Dialect | None":
        """The next dialect to try after the server has refused a request with these words; None if there is none."""
        if self.has_temperature and "temperature" in complaint:
            return replace(self, has_temperature=False)
        if self.limit and ("max_tokens" in complaint or "max_completion_tokens" in complaint):
            return replace(self, limit="max_tokens" if self.limit == "max_completion_tokens" else "")
        following = {"json_schema": "json_object", "json_object": "text"}.get(self.format)
        return replace(self, format=following) if following else None


_dialects: dict[tuple[str, str], Dialect] = {}  # by URL and model: what has worked in this process


# --- One conversation -------------------------------------------------------------------------------


class Conversation:
    """One request to a model, with its retries and its repair round. `calls` is every request that was made."""

    def __init__(self, purpose: str, form: wire.Form, model: str, content: Any, ends_at: float, gate: Gate) -> None:
        self.purpose, self.form, self.model, self.ends_at, self.gate = purpose, form, model, ends_at, gate
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        self.calls: list[ModelCall] = []

    def answer(self, read: Callable[[dict[str, Any], bool], T]) -> T:
        """What `read` makes of the answer, given the JSON object and whether it is the last. Raises AgentError."""
        faults: tuple[str, ...] = ()
        for is_last in (False, True):
            completion = self._complete()
            try:
                return read(wire.object_of(completion, self.form), is_last)
            except wire.Unusable as error:
                faults = error.faults
                self.calls[-1] = replace(self.calls[-1], fault=str(error))
                self.messages += prompting.repair(completion.text, faults)
        raise AgentGaveUp(f"The model's answer could not be used, twice: {' '.join(faults)}", tuple(self.calls))

    def _complete(self) -> wire.Completion:
        """Ask until there is a completion, or no time left. Raises AgentError."""
        key = (base_url(), self.model)
        dialect, tries = _dialects.get(key, Dialect()), 0
        while True:
            entry = self._enter()
            began, seconds = time.monotonic(), self._seconds()
            try:
                completion = wire.completion_of(self._post(dialect, seconds))
            except FAILURES as error:
                failure = Failure.of(error)
                self._note(began, fault=failure.reason)
                is_ours = failure.is_late and seconds < settings.OFFLOAD_MODEL_SECONDS / 2  # it had too little time
                entry.report(None if is_ours else failure.trouble)
            else:
                entry.report(None)
                _dialects[key] = dialect
                self._note(began, completion)
                return completion
            if failure.is_complaint and (other := dialect.without(failure.reason)):
                dialect = other
                continue
            tries += 1
            self._pause(failure, tries)

    def _enter(self) -> Entry:
        """Wait for our turn. Raises AgentError."""
        self._seconds()
        try:
            return self.gate.enter(self._left() - LEAST_SECONDS)
        except ProviderWaits as error:
            raise AgentWaits(str(error), tuple(self.calls), retry_after_seconds=error.retry_after_seconds) from error

    def _seconds(self) -> float:
        """How long a request may take. Raises AgentError where that is too little to begin one."""
        seconds: float = min(settings.OFFLOAD_MODEL_SECONDS, self._left())
        if seconds < LEAST_SECONDS:
            last = f" again. {self.calls[-1].fault}" if self.calls else "."
            raise AgentError(f"No time was left to ask the model{last}", tuple(self.calls))
        return seconds

    def _post(self, dialect: Dialect, seconds: float) -> bytes:
        """One request. Returns the body of a successful answer."""
        ends_at = time.monotonic() + seconds
        system = prompting.system(self.purpose, self.form, shows_schema=dialect.format != "json_schema")
        ask = _client().chat.completions.with_streaming_response.create  # the bytes, so that a slow drip has an end too
        messages: Any = [{"role": "system", "content": system}, *self.messages]
        timeout = openai.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
        # As extra_body: through named parameters the SDK walks, and through all of a schema, which takes it longest.
        body_of = dialect.parameters(self.form)
        with ask(model=self.model, messages=messages, timeout=timeout, extra_body=body_of) as response:
            body = b""
            for part in response.iter_bytes():
                body += part
                if time.monotonic() > ends_at:
                    raise httpx2.ReadTimeout("the answer took too long")
                if len(body) > MOST_BYTES:
                    raise wire.NoCompletion(f"more than {MOST_BYTES} bytes")
        return body

    def _note(self, began: float, completion: wire.Completion | None = None, fault: str = "") -> None:
        self.calls.append(
            ModelCall(
                purpose=self.purpose,
                model=self.model,
                prompt_version=prompting.prompt_for(self.purpose).version,
                prompt_tokens=completion.prompt_tokens if completion else 0,
                completion_tokens=completion.completion_tokens if completion else 0,
                duration_ms=round(1000 * (time.monotonic() - began)),
                fault=fault,
            )
        )

    def _pause(self, failure: "Failure", tries: int) -> None:
        """Wait as long as is right before the next try. Raises AgentError where there should be none."""
        error = AgentGaveUp if failure.is_final else AgentError
        if not failure.can_pass:
            raise error(failure.reason, tuple(self.calls))
        if self.gate.is_shared and failure.trouble and failure.trouble.is_busy:
            return  # the gate has everybody wait, us too
        own = min(0.5 * 2 ** (tries - 1), LONGEST_PAUSE) * random.uniform(0.75, 1)
        pause = own if failure.retry_after is None else failure.retry_after
        if pause + LEAST_SECONDS > self._left():
            raise error(failure.reason, tuple(self.calls))
        time.sleep(pause)

    def _left(self) -> float:
        return self.ends_at - time.monotonic()


# --- Failures ---------------------------------------------------------------------------------------

FAILURES = (openai.OpenAIError, httpx2.HTTPError, wire.NoCompletion)
_SETTINGS_AT_FAULT = {
    401: "The model's server does not accept OPENAI_API_KEY.",
    403: "The model's server does not allow this to OPENAI_API_KEY.",
    404: "The model's server knows no such model or address; see OFFLOAD_MODEL and OPENAI_BASE_URL.",
}


@dataclass(frozen=True)
class Failure:
    """Why there is no completion, in words for staff, and what can be done about it."""

    reason: str
    can_pass: bool = True  # the same request may succeed a little later
    is_complaint: bool = False  # the server objects to what was asked: another dialect may do
    is_final: bool = False  # it will not succeed later either
    retry_after: float | None = None  # seconds
    is_late: bool = False
    trouble: Trouble | None = None  # what it says about the server

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        if isinstance(error, openai.APIStatusError):
            return cls._of_status(error)
        if isinstance(error, wire.NoCompletion):
            reason = f"The model's server answered with something else than a completion ({error})."
            return cls(reason, trouble=trouble.down("it answers with something else than completions"))
        if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
            late = trouble.down("it does not answer in time")
            return cls("The model's server did not answer in time.", is_late=True, trouble=late)
        kind = type(error.__cause__ or error).__name__
        unreachable = trouble.down(f"it can't be reached ({kind})")
        return cls(f"The model's server could not be reached ({kind}).", trouble=unreachable)

    @classmethod
    def _of_status(cls, error: openai.APIStatusError) -> "Failure":
        message = error.body.get("message") if isinstance(error.body, dict) else None
        said = _without_key(f"{message or error.message} {error.code or ''}".strip())[: wire.LONGEST_FAULT]
        reason = f"The model's server answered {error.status_code}: {said}"
        if error.status_code in _SETTINGS_AT_FAULT:
            shut = trouble.down(f"it answers {error.status_code}")
            return cls(f"{_SETTINGS_AT_FAULT[error.status_code]} It said: {said}", can_pass=False, trouble=shut)
        if error.status_code in {400, 413, 422}:
            is_too_long = error.status_code == 413 or ("context" in said and "length" in said)
            return cls(reason, can_pass=False, is_complaint=not is_too_long, is_final=is_too_long)
        can_pass = error.status_code in {408, 409, 429} or error.status_code >= 500
        pause = retry_after.seconds_of(error.response.headers)
        about = trouble.of_status(error.status_code, pause)
        if error.code == "insufficient_quota":  # a 429 that waiting does not cure
            can_pass, about = False, trouble.down("its quota is used up")
        return cls(reason, can_pass=can_pass, retry_after=pause, trouble=about)


def _without_key(said: str) -> str:
    """What a server said goes to staff; some servers repeat the key that they do not like."""
    return said.replace(settings.OPENAI_API_KEY, "…") if settings.OPENAI_API_KEY else said


# --- Clients ----------------------------------------------------------------------------------------

_clients: dict[tuple[str, str], openai.OpenAI] = {}
_inherited: list[dict[tuple[str, str], openai.OpenAI]] = []
_clients_lock = threading.Lock()


def base_url() -> str:
    """Where the model of the settings is."""
    return settings.OPENAI_BASE_URL or OPENAI_URL


def _client() -> openai.OpenAI:
    """The client of this process and configuration; its connections are shared by all threads."""
    key = (base_url(), settings.OPENAI_API_KEY)
    with _clients_lock:
        if key not in _clients:
            most = settings.OFFLOAD_CONCURRENCY + 8  # one for each step at once, and none waits for another's
            limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
            _clients[key] = openai.OpenAI(
                base_url=key[0],
                api_key=key[1] or "none",  # servers of one's own seldom want a key, and the SDK does
                max_retries=0,  # the tries are counted and noted here
                http_client=openai.DefaultHttpxClient(limits=limits),
            )
        return _clients[key]


def _forget_inherited_clients() -> None:
    """In a forked child: its parent's connections are not its own, and a lock in them may be held for good.

    They are kept, unused, since closing them would take that lock.
    """
    global _clients, _clients_lock
    _inherited.append(_clients)
    _clients, _clients_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_forget_inherited_clients)
