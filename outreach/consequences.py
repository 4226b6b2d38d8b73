"""What a report about a mail of ours means: for its case, and for whom we write to from now on."""

import re
from dataclasses import dataclass

from cases import correspondence
from cases.models import Case, Direction, Message, MessageStatus, ResultStatus
from outreach import suppression
from outreach.inbound.addresses import canonical
from outreach.inbound.arrival import EventKind, ProviderEvent
from outreach.inbound.classify import InboundKind
from outreach.inbound.mail import InboundMail
from outreach.models import SuppressionReason

EVENT_ENDS = {
    EventKind.BOUNCED: ResultStatus.BOUNCED,
    EventKind.COMPLAINED: ResultStatus.COMPLAINED,
    EventKind.REJECTED: ResultStatus.REJECTED,
}
MAIL_ENDS = {InboundKind.BOUNCE: ResultStatus.BOUNCED, InboundKind.COMPLAINT: ResultStatus.COMPLAINED}
SENTENCES = {
    ResultStatus.BOUNCED: "The mail could not be delivered: {why}",
    ResultStatus.COMPLAINED: "The recipient reported the mail as unwanted.",
    ResultStatus.REJECTED: "The provider refused the mail: {why}",
}
SUPPRESSES = {
    ResultStatus.BOUNCED: SuppressionReason.BOUNCE,
    ResultStatus.COMPLAINED: SuppressionReason.COMPLAINT,
}
# RFC 3463 §3: what is wrong is the address or the mailbox itself. A mailbox that is full, a network, a policy or a mail
# that somebody dislikes says nothing of the next mail; 5.1.7 and 5.1.8 are about the sender.
_MAILBOX_IS_GONE = re.compile(r"|5\.0\.\d+|5\.1\.(?![78]$)\d+|5\.2\.[01]")


@dataclass(frozen=True)
class Failure:
    """A report that a mail has failed for good. `sent` is that mail, or the newest where it can't be told; `recipients`
    are those that the report is about, none if it does not say; `status` is its code by RFC 3463, or empty."""

    result_status: ResultStatus
    sent: Message | None
    recipients: tuple[str, ...] = ()
    why: str = ""
    status: str = ""


def failure_in_event(event: ProviderEvent, sent: Message) -> Failure | None:
    """The failure that a provider reports; None where it reports something else."""
    result_status = EVENT_ENDS.get(event.kind)
    return Failure(result_status, sent, event.recipients, event.reason) if result_status else None


def failure_in_mail(case: Case, mail: InboundMail) -> Failure | None:
    """The failure that a mail reports; None for a delay notice, and for whatever is no report."""
    result_status = MAIL_ENDS.get(mail.kind)
    if result_status is None:
        return None
    ours = case.messages.filter(direction=Direction.OUT).exclude(status=MessageStatus.DROPPED)
    if mail.report is None:
        return Failure(result_status, ours.last())
    sent = ours.filter(message_id__in=mail.report.original_message_ids).last() or ours.last()
    recipients = (mail.report.recipient,) if mail.report.recipient else ()
    return Failure(result_status, sent, recipients, mail.report.diagnostic, mail.report.status)


def concerns(case: Case, failure: Failure) -> bool:
    """Whether the failure is the case's.

    It is not where the counterparty's mailbox took the mail and another one failed to, to which it had been passed on;
    nor where an answer has come since that nobody has judged yet: what somebody has written is never lost to a bounce.
    """
    if failure.recipients and canonical(case.counterparty_address) not in map(canonical, failure.recipients):
        return False
    if failure.result_status == ResultStatus.COMPLAINED or failure.sent is None:
        return True
    return not correspondence.has_unread_answer(case, failure.sent)


def follow(case: Case, failure: Failure) -> None:
    """End the case that you hold locked, if it has not ended; keep its counterparty's address from further mail."""
    reason = SENTENCES[failure.result_status].format(why=failure.why or "no reason given")
    if failure.result_status in SUPPRESSES and _MAILBOX_IS_GONE.fullmatch(failure.status):
        suppression.add(case, SUPPRESSES[failure.result_status], note=reason)
    correspondence.record_delivery_failure(case, result_status=failure.result_status, reason=reason)
