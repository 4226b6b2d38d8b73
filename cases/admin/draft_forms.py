"""What staff may decide about a draft, each as a form that carries it out."""

from typing import Any, ClassVar

from django import forms
from django.urls import reverse

from cases import drafts
from cases.admin.forms import Prose
from cases.fields import CONTROL
from cases.models import Draft
from cases.serializers import LONGEST_BODY, LONGEST_REASON, LONGEST_SUBJECT


class DraftForm(forms.Form):
    """The base of all. `hash` is of the draft as the person saw it: what they decide is about that."""

    name: ClassVar[str]  # in the address
    title: ClassVar[str]
    button: ClassVar[str]
    done: ClassVar[str]  # what the person is told
    stays: ClassVar[bool] = False  # whether there is more to decide about the same draft

    hash = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, draft: Draft, data: Any = None) -> None:
        self.draft = draft
        initial = {"hash": draft.hash, **self.start()}
        super().__init__(data, auto_id=f"{self.name}-%s", initial=initial, label_suffix="")

    @property
    def url(self) -> str:
        """Where it is posted to."""
        return reverse(f"admin:cases_draft_{self.name}", args=[self.draft.pk])

    def start(self) -> dict[str, Any]:
        """What is filled in already."""
        return {}

    def carry_out(self, actor: str) -> None:
        """Do what the valid form says. Raises CaseError."""
        raise NotImplementedError

    def show_again(self) -> None:
        """The person is about to see the draft as it is by now: from here the form is about that."""
        self.draft.refresh_from_db()
        self.data = {**dict(self.data.items()), "hash": self.draft.hash}


class ApproveForm(DraftForm):
    name, title, button = "approve", "Approve", "Approve and send"
    done = "The mail is approved and will be sent."

    def carry_out(self, actor: str) -> None:
        drafts.approve(self.draft.case_id, self.draft.pk, hash=self.cleaned_data["hash"], actor=actor)


class EditForm(DraftForm):
    name, title, button = "edit", "Change the words", "Save"
    done = "The draft is changed. It is sent once it is approved."
    stays = True

    subject = forms.CharField(label="Subject", max_length=LONGEST_SUBJECT)
    body = Prose(label="Text", rows=14, max_length=LONGEST_BODY)

    def start(self) -> dict[str, Any]:
        return {"subject": self.draft.subject, "body": self.draft.text}

    def clean_subject(self) -> str:
        subject: str = self.cleaned_data["subject"]
        if CONTROL.search(subject):
            raise forms.ValidationError("Must not contain line breaks or other control characters.")
        return subject

    def carry_out(self, actor: str) -> None:
        drafts.edit(self.draft.case_id, self.draft.pk, actor=actor, **self.cleaned_data)


class RejectForm(DraftForm):
    name, title, button = "reject", "Reject", "Reject and have it written anew"
    done = "The draft is rejected, and will be written anew."

    reason = Prose(label="Reason", rows=3, max_length=LONGEST_REASON, help_text="The agent reads it as an instruction.")

    def carry_out(self, actor: str) -> None:
        drafts.reject(self.draft.case_id, self.draft.pk, reason=self.cleaned_data["reason"], actor=actor)


DECISIONS: dict[str, type[DraftForm]] = {form.name: form for form in (ApproveForm, EditForm, RejectForm)}
