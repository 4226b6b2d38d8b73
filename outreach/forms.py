"""What staff may decide for mail that waits for them, each as a form that carries it out."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.validators import validate_email
from django.db.models import Case as Choose
from django.db.models import Q, QuerySet, When
from django.urls import reverse

from cases.admin.forms import Prose, WithoutColons
from cases.models import OPEN, Case, Direction, Message
from outreach import suppression
from outreach.inbound import candidates, handling
from outreach.inbound.addresses import canonical
from outreach.inbound.candidates import Candidate
from outreach.models import InboundPayload, PayloadState, Suppression

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    ModelForm = forms.ModelForm[Suppression]
else:
    ModelForm = forms.ModelForm

MAX_FOUND = 20


class HandlingForm(forms.Form):
    """The base of all."""

    name: ClassVar[str]  # in the address
    title: ClassVar[str]
    button: ClassVar[str]
    done: ClassVar[str]  # what the person is told
    is_drastic: ClassVar[bool] = False
    states: ClassVar[frozenset[PayloadState]]  # in which it is offered; the services decide anew

    def __init__(self, payload: InboundPayload, data: Any = None) -> None:
        self.payload = payload
        super().__init__(data, auto_id=f"{self.name}-%s", label_suffix="")

    @property
    def url(self) -> str:
        """Where it is posted to."""
        return reverse(f"admin:outreach_inboundpayload_{self.name}", args=[self.payload.pk])

    @classmethod
    def applies_to(cls, payload: InboundPayload) -> bool:
        """Whether it is offered. The services decide anew."""
        return payload.state in cls.states

    def carry_out(self, actor: str) -> None:
        """Do what the valid form says. Raises CaseError."""
        raise NotImplementedError


class ReleaseForm(HandlingForm):
    name, title, button = "release", "Let it act on its case", "Let it act"
    done = "The mail will be taken in as if the counterparty had written it."
    states = frozenset({PayloadState.QUARANTINED})

    admit = forms.BooleanField(required=False, label="And so shall all further mail of this sender on this case.")
    confirmed = forms.BooleanField(label="Yes: I have read the mail. The agent will take it for the counterparty's.")

    def carry_out(self, actor: str) -> None:
        handling.release(self.payload.pk, actor=actor, admit=self.cleaned_data["admit"])


class AssignForm(HandlingForm):
    name, title, button = "assign", "Assign it to a case", "Assign it to this case"
    done = "The mail will be taken in on the case that you chose."
    states = handling.ASSIGNABLE

    case_id = forms.UUIDField(label="Case", widget=forms.RadioSelect)
    confirmed = forms.BooleanField(label="Yes: I have read the mail. The agent will take it for the counterparty's.")

    def __init__(self, payload: InboundPayload, data: Any = None) -> None:
        super().__init__(payload, data)
        self.found: list[Candidate] = []
        self.sought = ""

    def offer(self, sought: str) -> None:
        """Show cases to choose from: those that are like what is sought, or where nothing is, the nearest ones."""
        self.sought = sought.strip()
        if self.sought:
            self.found = [Candidate(case) for case in cases_like(self.sought)]
        else:
            self.found = candidates.nearest(self.payload)
        if len(self.found) == 1 and not self.is_bound:
            self.initial["case_id"] = self.found[0].case.pk

    @property
    def chosen(self) -> str:
        """The id of the case that is marked; may be empty or no id at all."""
        return str(self["case_id"].value() or "")

    def carry_out(self, actor: str) -> None:
        handling.assign(self.payload.pk, self.cleaned_data["case_id"], actor=actor)


class DiscardForm(HandlingForm):
    name, title, button = "discard", "Put it aside", "Put it aside"
    done = "The mail is kept, and waits for nobody any more."
    is_drastic = True
    states = handling.DISCARDABLE

    note = Prose(label="Note", rows=2, max_length=1000, required=False, help_text="Why; for your colleagues.")
    confirmed = forms.BooleanField(label="Yes: this mail is to act on no case.")

    def carry_out(self, actor: str) -> None:
        handling.discard(self.payload.pk, actor=actor, note=self.cleaned_data["note"])


class BlockForm(HandlingForm):
    name, title, button = "block", "Put it aside and write no more to its sender", "Put it aside and add the sender"
    done = "The mail is put aside, and its sender gets no more mail."
    is_drastic = True
    states = handling.ASSIGNABLE

    note = Prose(label="Why", rows=2, max_length=1000, help_text="For your colleagues, beside the address.")
    confirmed = forms.BooleanField(label="Yes: nothing is to be sent to this address any more, whoever the client is.")

    @classmethod
    def applies_to(cls, payload: InboundPayload) -> bool:
        return super().applies_to(payload) and is_address(payload.summary.get("from", ""))

    def carry_out(self, actor: str) -> None:
        note = self.cleaned_data["note"]
        handling.discard(self.payload.pk, actor=actor, note=note)
        suppression.add_by_hand(address=self.payload.summary["from"], client=None, note=note, actor=actor)


class BulkDiscardForm(WithoutColons, forms.Form):
    """Several mails are put aside at once, once the person has seen which."""

    note = Prose(label="Note", rows=2, max_length=1000, required=False, help_text="Why; for your colleagues.")
    confirmed = forms.BooleanField(label="Yes: these mails are to act on no case.")


class LiftForm(WithoutColons, forms.Form):
    """Staff let mail go to a suppressed address again."""

    reason = Prose(label="Why", rows=2, max_length=1000, help_text="For your colleagues, beside the address.")
    confirmed = forms.BooleanField(label="Yes: this address can get mail, and whoever has it wants it.")


class SuppressionForm(ModelForm):
    """Staff put an address on the list by hand."""

    note = Prose(label="Why", rows=2, max_length=1000)

    class Meta:
        model = Suppression
        fields = ("address", "client", "note")
        help_texts: ClassVar = {"client": "Whose cases write there no more. Empty: nobody's do."}

    def clean_address(self) -> str:
        """The address as it is kept."""
        address: str = self.cleaned_data["address"]
        validate_email(address)
        return canonical(address)


HANDLING_FORMS: dict[str, type[HandlingForm]] = {
    form.name: form for form in (ReleaseForm, AssignForm, DiscardForm, BlockForm)
}


def offered(payload: InboundPayload, sought: str, tried: HandlingForm | None = None) -> list[HandlingForm]:
    """The forms for what can be done with the payload, the one that has just failed among them as it was filled in."""
    forms = []
    for name, form in HANDLING_FORMS.items():
        if form.applies_to(payload):
            forms.append(tried if tried is not None and tried.name == name else form(payload))
    for one in forms:
        if isinstance(one, AssignForm):
            one.offer(sought)
    return forms


def is_address(text: str) -> bool:
    """Whether mail could be sent there."""
    try:
        validate_email(text)
    except forms.ValidationError:
        return False
    return True


def cases_like(sought: str) -> QuerySet[Case]:
    """The cases of that id, reference, address, name or subject, open ones first; at most MAX_FOUND."""
    sought = sought.strip()
    is_open = Choose(When(status__in=sorted(OPEN), then=0), default=1)
    cases = Case.objects.select_related("client").order_by(is_open, "-created_at", "-id")
    if not sought:
        return cases.none()
    try:
        like = Q(pk=uuid.UUID(sought))
    except ValueError:
        like = Q(client_reference_id__icontains=sought) | Q(counterparty__name__icontains=sought)
        like |= Q(counterparty_address__icontains=canonical(sought) if "@" in sought else sought)
        about = Message.objects.filter(direction=Direction.OUT, subject__icontains=sought)
        like |= Q(pk__in=about.order_by().values("case_id"))
    found: QuerySet[Case] = cases.filter(like)[:MAX_FOUND]
    return found
