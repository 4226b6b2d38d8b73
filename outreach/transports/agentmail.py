"""Mail by AgentMail, which chooses sender name and Message-ID itself and sends once per idempotency key."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings

from cases.examination import Examination, Finding, fail, ok
from outreach.agentmail.client import AgentMail, AgentMailError, Sent
from outreach.transports.base import OutgoingMail, Receipt, TransportError, clean_text, one_line, usable_ids

# Keys are kept for 24 h (docs.agentmail.to, Idempotency); an hour less, for clocks that differ and calls under way.
KEY_LASTS = timedelta(hours=23)
MAX_REQUEST_BYTES = 6_000_000
MAX_NAME_CHARS = 200
MAX_SUBJECT_CHARS = 900
# What is wrong with the mail itself, or with whom it is for; any other refusal is for the operator to mend.
REFUSED_FOR_GOOD = {400, 413, 422}
REJECTED = "message_rejected"
AUTOMATIC = {"Auto-Submitted": "auto-generated"}  # RFC 3834 §5: other machines need not answer


class AgentMailTransport:
    """Sends the first mail of a thread as a new one and later ones as replies, each labelled with its case and its key.

    Where nobody knows what became of a send, the engine hands over the same mail again, and the same key and bytes make
    it the same send. Once AgentMail has forgotten the key, the mail is looked for by its label before it is sent.
    """

    @staticmethod
    def check(examination: Examination) -> Iterator[Finding]:
        """Whether the key opens the inbox, and whether mail can come in."""
        try:
            AgentMail(seconds=settings.OFFLOAD_TRANSPORT_SECONDS).inbox(settings.AGENTMAIL_INBOX)
        except AgentMailError as error:
            remedy = "Check AGENTMAIL_API_KEY and AGENTMAIL_INBOX; `manage.py agentmail_setup` makes an inbox."
            yield fail("mail", f"AgentMail does not open the inbox (status {error.status})", remedy)
        else:
            yield ok("mail", f"AgentMail opens the inbox {settings.AGENTMAIL_INBOX}")
        if not settings.AGENTMAIL_WEBHOOK_SECRET:
            remedy = "Run `manage.py agentmail_setup` and set AGENTMAIL_WEBHOOK_SECRET to what it prints."
            yield fail("mail", "AgentMail's events are not taken: there is no secret", remedy)

    def send(self, mail: OutgoingMail) -> Receipt:
        api = AgentMail(seconds=settings.OFFLOAD_TRANSPORT_SECONDS)
        try:
            sent = self._sent_before(api, mail) or self._send(api, mail)
        except AgentMailError as error:
            raise _as_transport_error(error) from error
        return Receipt(provider_id=sent.message_id, message_id=sent.message_id, thread_id=sent.thread_id)

    def _sent_before(self, api: AgentMail, mail: OutgoingMail) -> Sent | None:
        """The mail, if it went out so long ago that its key can't tell."""
        if mail.send_began_at is None or datetime.now(UTC) - mail.send_began_at < KEY_LASTS:
            return None
        return find(api, mail)

    def _send(self, api: AgentMail, mail: OutgoingMail) -> Sent:
        try:
            if mail.in_reply_to:
                return self._reply(api, mail)
            return api.send(mail.from_address, new_mail(mail), idempotency_key=mail.idempotency_key)
        except AgentMailError as error:
            # Either the first try is still under way, or the key was used for other bytes (an earlier version of this
            # service worded the request differently). The two look alike, and in both it must not be sent under another
            # key: it is there, or it is tried again later.
            if error.status == 409 and (sent := find(api, mail)):
                return sent
            raise

    def _reply(self, api: AgentMail, mail: OutgoingMail) -> Sent:
        try:
            key = mail.idempotency_key
            return api.reply(mail.from_address, mail.in_reply_to, reply(mail), idempotency_key=key)
        except AgentMailError as error:
            if error.status != 404:
                raise
        # The message that it answers is not there: deleted, or never came by AgentMail. A mail of its own then, under a
        # key of its own, since one key can't go to two endpoints.
        return find(api, mail) or api.send(
            mail.from_address, new_mail(mail), idempotency_key=f"{mail.idempotency_key}.new"
        )


def find(api: AgentMail, mail: OutgoingMail) -> Sent | None:
    """The mail in its inbox, if it is there: it went out."""
    since = mail.queued_at - timedelta(hours=1)
    for item in api.messages(mail.from_address, labels=[case_label(mail)], after=since):
        found = item.get("labels")
        if isinstance(found, list) and mail_label(mail) in found:
            return Sent.of(item)
    return None


def case_label(mail: OutgoingMail) -> str:
    return f"case-{mail.case_id}"


def mail_label(mail: OutgoingMail) -> str:
    return f"mail-{mail.idempotency_key}"


def new_mail(mail: OutgoingMail) -> bytes:
    """The request that opens a thread. Its bytes follow from the mail alone: a repeat must not differ in one."""
    headers = {
        name: " ".join(ids)
        for name, ids in (
            ("In-Reply-To", usable_ids([mail.in_reply_to])),
            ("References", usable_ids(mail.references)),
        )
        if ids
    }
    subject = one_line(mail.subject, MAX_SUBJECT_CHARS)
    return _request({**_common(mail), "subject": subject, "headers": {**AUTOMATIC, **headers}})


def reply(mail: OutgoingMail) -> bytes:
    """The request that answers in the thread; AgentMail derives the subject. `to` always: a reply to a mail of our own
    would else go to ourselves."""
    return _request(_common(mail))


def _common(mail: OutgoingMail) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "to": [_recipient(mail)],
        "text": clean_text(mail.text),
        "labels": [case_label(mail), mail_label(mail)],
        "headers": AUTOMATIC,
    }
    if mail.files:
        fields["attachments"] = [
            {
                "filename": one_line(file.name, MAX_NAME_CHARS),
                "content_type": file.type,
                "content_disposition": "attachment",
                "content": base64.b64encode(file.content).decode("ascii"),
            }
            for file in mail.files
        ]
    return fields


def _recipient(mail: OutgoingMail) -> str:
    """`Name <address>`, the name without what could be read as another address."""
    name = "".join(character for character in one_line(mail.to_name, MAX_NAME_CHARS) if character not in '<>"\\,;:@()')
    return f'"{name.strip()}" <{mail.to_address}>' if name.strip() else mail.to_address


def _request(fields: dict[str, Any]) -> bytes:
    body = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    if len(body) > MAX_REQUEST_BYTES:
        raise TransportError(f"the mail with its files is {len(body)} bytes; AgentMail takes 6 MB", permanent=True)
    return body


def _as_transport_error(error: AgentMailError) -> TransportError:
    """Refused for good, or to be tried again. A 403 is a refusal of the mail by its code alone: a revoked key, an
    unverified domain and a used-up plan have the same status, and are the operator's to mend."""
    permanent = error.status in REFUSED_FOR_GOOD or (error.status == 403 and error.code == REJECTED)
    return TransportError(
        str(error),
        permanent=permanent,
        retry_after_seconds=error.retry_after_seconds,
        trouble=None if permanent else error.trouble,
    )
