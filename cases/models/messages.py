import uuid
from datetime import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q

from cases.models.cases import Case
from cases.models.claims import Claimable


class Direction(models.TextChoices):
    OUT = "OUT", "sent by us"
    IN = "IN", "received"


class MessageStatus(models.TextChoices):
    DRAFT = "DRAFT"  # waits for a person's approval; outdated as soon as the case has moved on
    QUEUED = "QUEUED"  # frozen; will be sent, or dropped if the case moves on before the send begins
    SENT = "SENT"
    DROPPED = "DROPPED"  # never handed to the transport
    REFUSED = "REFUSED"  # the provider refused it for good
    UNKNOWN = "UNKNOWN"  # the case ended while the send was under way: it may have arrived, it is not repeated
    RECEIVED = "RECEIVED"


class Purpose(models.TextChoices):
    """What a message is for; of received mail, what kind of thing it is."""

    OUTREACH = "OUTREACH"
    FOLLOW_UP = "FOLLOW_UP"
    REPLY = "REPLY"  # ours
    HUMAN = "HUMAN"  # a person wrote it
    MACHINE = "MACHINE"  # an out-of-office note, a ticket receipt: nobody's answer
    DELAY = "DELAY"  # a delay notice, a transient bounce: nothing has happened yet, so clients do not see it
    REPORT = "REPORT"  # bounce or complaint


UNREAD = Q(direction=Direction.IN, purpose=Purpose.HUMAN, read_at__isnull=True)


class MessageQuerySet(models.QuerySet["Message"]):
    def shown(self) -> "MessageQuerySet":
        """Those that the case's client may see: mail that changes nothing for it is for staff."""
        return self.filter(is_after_end=False).exclude(purpose=Purpose.DELAY)

    def unread(self) -> "MessageQuerySet":
        """A person's mail that no verdict has taken into account yet."""
        return self.filter(UNREAD)

    def waiting(self) -> "MessageQuerySet":
        """Those that something has to be done about: drafts, what is queued, and unread mail."""
        return self.filter(UNREAD | Q(status__in=[MessageStatus.DRAFT, MessageStatus.QUEUED])).order_by()


class Waits(models.TextChoices):
    """Whose limit of mails a queued message waits for; see outreach/limits.py."""

    RECIPIENT = "recipient", "as many mails have gone to this address as may within an hour"
    CLIENT = "client", "as many mails of this client have gone out as may within an hour"
    CLIENT_DAY = "client_day", "as many mails of this client have gone out as may within a day"


class Message(Claimable):
    """One mail of a case's thread, ours or theirs. Only a draft is ever claimed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="messages")
    direction = models.CharField(max_length=3, choices=Direction.choices)
    purpose = models.CharField(max_length=10, choices=Purpose.choices)
    status = models.CharField(max_length=10, choices=MessageStatus.choices)

    message_id = models.CharField(max_length=998, blank=True, db_index=True)  # RFC 5322, with its angle brackets
    in_reply_to = models.TextField(blank=True)
    references = models.TextField(blank=True)  # Message-IDs, oldest first, separated by spaces
    from_address = models.CharField(max_length=320)
    from_name = models.TextField(blank=True)
    to_address = models.CharField(max_length=320)
    cc = models.JSONField(default=list, blank=True)  # list of addresses: all others that it went to, by To or Cc
    subject = models.TextField(blank=True)
    text = models.TextField(blank=True)  # ours: as sent; theirs: the new words, without the quoted history
    full_text = models.TextField(blank=True)  # theirs: the whole text, quoted history included
    html = models.TextField(blank=True)  # theirs, raw; never shown unescaped
    created_at = models.DateTimeField()  # queued or received; database time

    # Ours: what the send needs to be repeated byte for byte.
    written_by = models.CharField(max_length=200, blank=True)  # the person, as on the timeline; empty: the agent
    idempotency_key = models.CharField(max_length=100, blank=True)
    case_version = models.PositiveIntegerField(null=True, blank=True)  # of the case as this was queued
    waits_for = models.CharField(max_length=10, choices=Waits.choices, blank=True)
    send_started_at = models.DateTimeField(null=True, blank=True)  # committed before the transport is called
    sent_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)  # when a mail system told us so, where one does
    provider_id = models.CharField(max_length=998, blank=True)
    # Of a mail that people look at before it is sent, see cases/drafts.py.
    drafted_at = models.DateTimeField(null=True, blank=True)  # null: it needed nobody's approval
    edited_by = models.CharField(max_length=200, blank=True)  # the last one who changed its words
    decided_by = models.CharField(max_length=200, blank=True)  # who approved or rejected it
    rejection = models.TextField(blank=True)  # why it was rejected, as an instruction to whoever writes it anew
    # Of a closing mail: {result, sources, reason} with which the case completes once it is sent.
    completion = models.JSONField(null=True, blank=True)

    # Theirs.
    sent_by_them_at = models.DateTimeField(null=True, blank=True)  # their Date header: a claim, not a fact
    absent_until = models.DateTimeField(null=True, blank=True)  # a machine says that they are away, and until when
    read_at = models.DateTimeField(null=True, blank=True)  # taken into account by a verdict
    answered_by = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="answers")
    is_after_end = models.BooleanField(default=False)  # came when the case was over; for staff to look at

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "id")
        indexes: ClassVar = [
            models.Index(
                fields=["send_started_at"], name="message_begun", condition=Q(send_started_at__isnull=False)
            ),  # for what has been sent within the hour
            # For the home page: what went out on a day, and which draft has waited longest.
            models.Index(fields=["sent_at"], name="message_sent", condition=Q(sent_at__isnull=False)),
            models.Index(fields=["drafted_at"], name="message_draft", condition=Q(status="DRAFT")),
            # For the staff's lists. What is filtered by stands last: an index that began with it would be taken for the
            # engine's queries about one case, since SQLite without statistics finds all indexes equally good.
            models.Index(fields=["-created_at", "-id", "status", "purpose", "direction"], name="message_newest"),
            models.Index(fields=["-created_at"], name="message_after_end", condition=Q(is_after_end=True)),
            models.Index(fields=["drafted_at", "id"], name="message_drafted", condition=Q(drafted_at__isnull=False)),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                name="message_one_queued_a_case", fields=["case"], condition=Q(status=MessageStatus.QUEUED)
            ),
            models.UniqueConstraint(
                name="message_one_draft_a_case", fields=["case"], condition=Q(status=MessageStatus.DRAFT)
            ),
            models.UniqueConstraint(
                name="message_sent_once", fields=["idempotency_key"], condition=~Q(idempotency_key="")
            ),
            models.UniqueConstraint(
                name="message_received_once",
                fields=["case", "message_id"],
                condition=Q(direction=Direction.IN) & ~Q(message_id=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_direction_display()}: {self.subject}"

    @property
    def at(self) -> datetime:
        """When it was sent or received, for reading the thread in order."""
        return self.sent_at or self.created_at


def attachment_path(attachment: "Attachment", name: str) -> str:
    """Where the file lies in the storage: no part of the path is the sender's."""
    return f"attachments/{attachment.message.case_id}/{attachment.pk}"


class AttachmentQuerySet(models.QuerySet["Attachment"]):
    def shown(self, *cases: Case) -> "AttachmentQuerySet":
        """The received files that the clients of these cases may see."""
        messages = Message.objects.shown().filter(case__in=cases, direction=Direction.IN)
        return self.filter(message__in=messages)


class Attachment(models.Model):
    """A file of a message, theirs or ours. Kept as it came, never opened or run by us, downloaded as a file."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=150)  # MIME, by its bytes
    declared_type = models.CharField(max_length=150, blank=True)  # MIME, by its sender
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)  # hex
    file = models.FileField(upload_to=attachment_path, max_length=300)
    is_inline = models.BooleanField(default=False)
    text = models.TextField(blank=True)  # what could be read of it; see outreach/reading
    note = models.TextField(blank=True)  # why there is no text, or that it was cut
    created_at = models.DateTimeField()

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        ordering = ("created_at", "name", "id")
        indexes: ClassVar = [
            models.Index(fields=["-created_at", "-id"], name="attachment_newest"),
            models.Index(fields=["sha256"], name="attachment_by_sha256"),
        ]

    def __str__(self) -> str:
        return self.name


def enclosure_path(enclosure: "Enclosure", name: str) -> str:
    """As for attachments."""
    return f"enclosures/{enclosure.case_id}/{enclosure.pk}"


class Enclosure(models.Model):
    """A file that the client has given along with its case, for the first mail, which gets Attachment rows of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="enclosures")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=150)  # MIME, by its bytes
    declared_type = models.CharField(max_length=150, blank=True)  # MIME, by the client
    size = models.PositiveBigIntegerField()  # bytes
    sha256 = models.CharField(max_length=64)  # hex
    file = models.FileField(upload_to=enclosure_path, max_length=300)
    text = models.TextField(blank=True)
    note = models.TextField(blank=True)
    read_at = models.DateTimeField(null=True, blank=True)  # null: nobody has tried to read its text yet

    class Meta:
        ordering = ("position",)
        constraints: ClassVar = [
            models.UniqueConstraint(name="enclosure_one_a_position", fields=["case", "position"]),
        ]

    def __str__(self) -> str:
        return self.name
