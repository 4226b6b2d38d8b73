"""The client for code that awaits: client.py, word for word, but for `async` and `await`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from offload_client import http, requests, waiting
from offload_client.bodies import CaseChange, CaseFilters, EventFilters, File, NewCase, Reopening, SettingsChange
from offload_client.errors import ConnectionFailed, OffloadError
from offload_client.models import (
    AttachmentDownload,
    Case,
    CasePage,
    ClientSettings,
    Endpoint,
    Message,
    SandboxMail,
    SentEvent,
    SentEventPage,
    TestOutcome,
    TimelineEvent,
)
from offload_client.requests import Request
from offload_client.retries import Retries

T = TypeVar("T")


class AsyncClient:
    """The API at `base_url`, as the owner of `api_key`. An async context manager, or to be closed.

    Every method raises ApiError (its class says the code), ConnectionFailed or AnswerMalformed.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        retries: Retries | None = None,
        timeout: httpx.Timeout | float = http.TIMEOUT,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url, self._api_key = base_url, api_key
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(timeout=timeout, transport=transport)
        self.sandbox = AsyncSandbox(self.call)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def create_case(self, *, idempotency_key: str | None = None, **new: Unpack[NewCase]) -> str:
        """Create a case; its id. With the same key the same case is answered for 24 hours; each call has its own."""
        return await self.call(requests.create_case(new, idempotency_key))

    async def get_case(self, case_id: str, *, transcript: bool = False, sources: bool = False) -> Case:
        """The case as it stands, with its thread as one text, and with where its result comes from, if wanted."""
        return await self.call(requests.get_case(case_id, transcript=transcript, sources=sources))

    async def list_cases(self, **filters: Unpack[CaseFilters]) -> CasePage:
        """One page of cases, the newest first."""
        return await self.call(requests.list_cases(filters))

    async def iter_cases(self, **filters: Unpack[CaseFilters]) -> AsyncIterator[Case]:
        """All cases that the filters let through, the newest first; pages are fetched as needed."""
        page = await self.list_cases(**filters)
        for case in page.cases:
            yield case
        while page.next_cursor:
            filters["cursor"] = page.next_cursor
            page = await self.list_cases(**filters)
            for case in page.cases:
                yield case

    async def iter_messages(self, case_id: str) -> AsyncIterator[Message]:
        """The thread, oldest first."""
        page = await self.call(requests.list_messages(case_id, None))
        for message in page.messages:
            yield message
        while page.next_cursor:
            page = await self.call(requests.list_messages(case_id, page.next_cursor))
            for message in page.messages:
                yield message

    async def iter_timeline(self, case_id: str) -> AsyncIterator[TimelineEvent]:
        """What has happened on the case, oldest first."""
        page = await self.call(requests.list_timeline(case_id, None))
        for event in page.events:
            yield event
        while page.next_cursor:
            page = await self.call(requests.list_timeline(case_id, page.next_cursor))
            for event in page.events:
                yield event

    async def answer(self, case_id: str, input_request_id: str, provided_context: str) -> None:
        """Answer the question that the case waits on. Not repeated by itself: a second answer would be refused."""
        await self.call(requests.answer(case_id, input_request_id, provided_context))

    async def cancel(self, case_id: str) -> Case:
        """End the case; nothing is sent any more."""
        return await self.call(requests.cancel(case_id))

    async def change_case(self, case_id: str, **changes: Unpack[CaseChange]) -> Case:
        """Change what an open case goes by."""
        return await self.call(requests.change_case(case_id, changes))

    async def pause(self, case_id: str) -> Case:
        """Send and evaluate nothing until the case is resumed."""
        return await self.call(requests.pause(case_id))

    async def resume(self, case_id: str) -> Case:
        """Let a paused case go on."""
        return await self.call(requests.resume(case_id))

    async def reopen(self, case_id: str, *, idempotency_key: str | None = None, **anew: Unpack[Reopening]) -> str:
        """Go on with an ended case as a new one, in the same thread; the new one's id. Repeated as a creation is."""
        return await self.call(requests.reopen(case_id, anew, idempotency_key))

    async def approve_draft(self, case_id: str, draft_id: str, hash: str) -> Case:
        """Have the draft that waits sent, as it was seen: `hash` is the `Draft.hash` of then."""
        return await self.call(requests.approve_draft(case_id, draft_id, hash))

    async def edit_draft(
        self, case_id: str, draft_id: str, hash: str, *, body: str, subject: str | None = None
    ) -> Case:
        """Change the draft's words. It goes on waiting, as `Case.draft` with another hash."""
        return await self.call(requests.edit_draft(case_id, draft_id, hash, body=body, subject=subject))

    async def reject_draft(self, case_id: str, draft_id: str, reason: str) -> Case:
        """Have the draft written anew, heeding the reason."""
        return await self.call(requests.reject_draft(case_id, draft_id, reason))

    async def client_settings(self) -> ClientSettings:
        """What goes for all your cases."""
        return await self.call(requests.client_settings())

    async def change_client_settings(self, **changes: Unpack[SettingsChange]) -> ClientSettings:
        """Set what goes for all your cases from now on; None switches a setting off."""
        return await self.call(requests.change_client_settings(changes))

    async def get_attachment(self, case_id: str, attachment_id: str) -> AttachmentDownload:
        """A file's metadata, with a link that is good for some minutes."""
        return await self.call(requests.attachment(case_id, attachment_id))

    @asynccontextmanager
    async def download(self, case_id: str, attachment_id: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a file, in pieces, for as long as the block lasts. Raises DownloadIncomplete at their end."""
        attachment = await self.get_attachment(case_id, attachment_id)
        with self._connected():
            async with self._http.stream("GET", attachment.download_url) as response:
                http.check_download(response)
                yield http.counted_async(response.aiter_bytes(), attachment.size)

    async def list_events(self, **filters: Unpack[EventFilters]) -> SentEventPage:
        """One page of the webhooks that were sent, or wait to be; the newest first."""
        return await self.call(requests.list_events(filters))

    async def iter_events(self, **filters: Unpack[EventFilters]) -> AsyncIterator[SentEvent]:
        """All webhooks that the filters let through, the newest first."""
        page = await self.list_events(**filters)
        for event in page.events:
            yield event
        while page.next_cursor:
            filters["cursor"] = page.next_cursor
            page = await self.list_events(**filters)
            for event in page.events:
                yield event

    async def case_events(self, case_id: str) -> tuple[SentEvent, ...]:
        """The webhooks of one case, in order, with each attempt."""
        return await self.call(requests.case_events(case_id))

    async def redeliver(self, event_id: str) -> SentEvent:
        """Have a webhook sent again, under the same id."""
        return await self.call(requests.redeliver(event_id))

    async def list_endpoints(self) -> tuple[Endpoint, ...]:
        """Where webhooks go, and whether they arrive."""
        return await self.call(requests.list_endpoints())

    async def test_webhook(self, url: str | None = None, *, replay_parked: bool = False) -> TestOutcome:
        """Have a `webhook.test` sent to the URL, or to that of the newest case; what came of it."""
        return await self.call(requests.test_webhook(url, replay_parked=replay_parked))

    async def wait_for(
        self,
        case_id: str,
        until: Collection[str] | Callable[[Case], bool] = waiting.SOMETHING_TO_DO,
        *,
        timeout: float = 600.0,
    ) -> Case:
        """The case once its status is one of these, or the function says so; asks at growing intervals, up to 10 s.

        Raises NotInTime after `timeout` seconds. A webhook is the better way where something can receive it.
        """
        wait = waiting.Wait(case_id, until, timeout)
        while not wait.is_over(case := await self.get_case(case_id)):
            await asyncio.sleep(wait.pause(case))
        return case

    async def call(self, request: Request[T]) -> T:
        """Carry out one of `offload_client.requests`, again where that may help."""
        attempt = 1
        while True:
            try:
                return await self._attempt(request)
            except OffloadError as error:
                pause = self._retries.pause_after(attempt, error) if request.may_be_repeated else None
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _attempt(self, request: Request[T]) -> T:
        with self._connected():
            response = await self._http.request(**http.arguments(request, self._base_url, self._api_key))
        return http.result(request, response)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise ConnectionFailed(str(error) or type(error).__name__) from error


class AsyncSandbox:
    """For test keys: what the counterparty and its mail system can do."""

    def __init__(self, call: Callable[[Request[Any]], Awaitable[Any]]) -> None:
        self._call = call

    async def mails(self, case_id: str) -> tuple[SandboxMail, ...]:
        """What the counterparty has got, oldest first."""
        mails: tuple[SandboxMail, ...] = await self._call(requests.sandbox_mails(case_id))
        return mails

    async def reply(self, case_id: str, text: str = "", *, html: str = "", attachments: Collection[File] = ()) -> None:
        """Answer the newest mail."""
        await self._call(requests.sandbox_reply(case_id, text, html, attachments))

    async def bounce(self, case_id: str, *, permanent: bool = True) -> None:
        await self._call(requests.sandbox_bounce(case_id, permanent=permanent))

    async def complaint(self, case_id: str) -> None:
        """Report the newest mail as spam."""
        await self._call(requests.sandbox_complaint(case_id))

    async def out_of_office(self, case_id: str, until: date | None = None) -> None:
        await self._call(requests.sandbox_out_of_office(case_id, until))

    async def advance(self, case_id: str, hours: float) -> datetime | None:
        """Let hours pass for the case; when it acts next, if anything is scheduled."""
        at: datetime | None = await self._call(requests.sandbox_advance(case_id, hours))
        return at
