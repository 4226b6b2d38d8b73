"""What somebody at the playground's page can do with a sandbox case, each as a form, with the API's request for it.

The forms call the functions that the sandbox's routes call, so what is tried here is what an application gets.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.html import escape

from cases import work
from cases.admin.forms import Prose, parse_result
from cases.events import record
from cases.models import ApiKey, Case, Client
from cases.serializers import NewCase
from cases.services import create_case
from cases.time_travel import bring_nearer
from cases.views import NEW_CASE
from outreach import curl, sandbox
from outreach.agents.fields import Field, fields_of
from outreach.inbound.attachments import UNKNOWN, safe_name
from outreach.inbound.content import InboundAttachment
from outreach.sandbox_fields import MAX_ATTACHMENTS

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    Upload = UploadedFile[Any]
else:
    Upload = UploadedFile

MAX_UPLOAD_BYTES = 10_000_000  # of one reply; over the API more is possible
MAX_TEXT_CHARS = 100_000
MOST_HOURS = 87_600  # as in the API
EXAMPLES: dict[str, str] = {"string": "2026-0042", "number": "1250.50", "integer": "12", "boolean": "yes"}


class ManyFiles(forms.FileInput):
    allow_multiple_selected = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        return files.getlist(name)


class Files(forms.FileField):
    """Several files of one field; none is fine."""

    widget = ManyFiles

    def clean(self, data: Any, initial: Any = None) -> list[Upload]:
        given = data if isinstance(data, list | tuple) else [data] if data else []
        if len(given) > MAX_ATTACHMENTS:
            raise forms.ValidationError(f"At most {MAX_ATTACHMENTS} files.")
        if sum(file.size or 0 for file in given) > MAX_UPLOAD_BYTES:
            raise forms.ValidationError(f"Together at most {MAX_UPLOAD_BYTES // 1_000_000} MB here.")
        return list(given)


class Step(forms.Form):
    """The base of all. A bound one says in `curl` what is filled in, whether it is valid or not."""

    name: ClassVar[str]  # in the address, and where the API has it, of its route
    title: ClassVar[str]
    button: ClassVar[str]
    done: ClassVar[str]  # what the person is told
    about: ClassVar[str] = ""
    is_drastic: ClassVar[bool] = False
    not_in_api: ClassVar[str] = ""  # why there is no request for it

    def __init__(self, case: Case, data: Any = None, files: Any = None) -> None:
        self.case = case
        super().__init__(data, files, auto_id=f"{self.name}-%s", initial=self.start(), label_suffix="")

    def start(self) -> dict[str, Any]:
        """What is filled in already."""
        return {}

    @property
    def path(self) -> str:
        return f"/sandbox/cases/{self.case.pk}/{self.name}"

    def value(self, field: str) -> Any:
        """What is filled in, or where it makes no sense, nothing."""
        if not self.is_bound:
            return self.get_initial_for_field(self.fields[field], field)
        self.is_valid()
        return self.cleaned_data.get(field)

    @property
    def curl(self) -> str:
        """The same as a command, or empty where `not_in_api` says why."""
        return curl.post(self.path)

    def carry_out(self, actor: str) -> None:
        """Do what the valid form says, and say so on the timeline. Raises CaseError."""
        with work.transaction():
            record(Case.objects.locked(self.case.pk), "sandbox.played", actor=actor, step=self.name)
            self.play()

    def play(self) -> None:
        """What the counterparty, or its mail system, does."""
        raise NotImplementedError


class ReplyStep(Step):
    name, title, button = "reply", "Reply", "Send the reply"
    done = "The reply is on its way to the case."

    text = Prose(label="Text", rows=5, required=False, max_length=MAX_TEXT_CHARS)
    attachments = Files(label="Files", required=False)
    file_names = forms.CharField(required=False, widget=forms.HiddenInput)  # filled in by mail.js, for the command
    quoting = forms.BooleanField(label="Quote our mail below the text, as mail programs do", required=False)
    twice = forms.BooleanField(label="Send it twice, as impatient people do", required=False)
    from_name = forms.CharField(label="Name, if somebody else writes", required=False, max_length=200)
    from_address = forms.EmailField(
        label="Address, if it comes from elsewhere",
        required=False,
        max_length=254,
        help_text="Mail of strangers is kept from the case until staff let it in.",
    )

    def start(self) -> dict[str, Any]:
        return {"text": example_answer(self.case), "quoting": True}

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if not (given.get("text") or given.get("attachments") or self.errors):
            raise forms.ValidationError("Write something, or choose a file.")
        return given

    @property
    def not_in_api(self) -> str:  # type: ignore[override]
        if self.value("from_address") or self.value("from_name"):
            return "Over the API it is always the counterparty who answers."
        return ""

    @property
    def curl(self) -> str:
        if self.not_in_api:
            return ""
        names = [safe_name(name) for name in str(self.value("file_names") or "").split("/") if name][:MAX_ATTACHMENTS]
        said = self._said()
        command = curl.form(self.path, said, names) if names else curl.post(self.path, said)
        return "\n".join([command] * (2 if self.value("twice") else 1))

    def _said(self) -> dict[str, str]:
        """A reply of HTML alone quotes nothing."""
        text = str(self.value("text") or "")
        if self.value("quoting") or not text:
            return {"text": text} if text else {}
        return {"html": "<p>" + "<br>\n".join(escape(line) for line in text.split("\n")) + "</p>"}

    def play(self) -> None:
        given = self.cleaned_data
        files = [_attachment(file) for file in given["attachments"]]
        for _ in range(2 if given["twice"] else 1):
            sandbox.reply(
                self.case,
                **self._said(),
                attachments=files,
                from_address=given["from_address"],
                from_name=given["from_name"],
            )


class OutOfOfficeStep(Step):
    name, title, button = "out-of-office", "Out of office", "Send the note"
    done = "The automatic reply is on its way to the case."
    about = "Nobody evaluates it; the next follow-up waits for the date, or without one for a whole pause from now."

    until = forms.DateField(
        label="Back on", required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    text = Prose(label="In other words", rows=2, required=False, max_length=10_000)

    def _said(self) -> dict[str, Any]:
        until, text = self.value("until"), self.value("text")
        return {**({"until": until} if until else {}), **({"text": text} if text else {})}

    @property
    def curl(self) -> str:
        said = {name: str(value) for name, value in self._said().items()}
        return curl.post(self.path, said or None)

    def play(self) -> None:
        sandbox.out_of_office(self.case, **self._said())


class BounceStep(Step):
    name, title, button = "bounce", "Bounce", "Return the newest mail"
    done = "The report that the mail could not be delivered is on its way to the case."
    is_drastic = True

    permanent = forms.TypedChoiceField(
        label="What the mail server says",
        choices=[("yes", "Hard: there is no such mailbox. Ends the case."), ("no", "Transient: the mailbox is full.")],
        coerce=lambda choice: choice == "yes",
        initial="yes",
        widget=forms.RadioSelect,
    )

    @property
    def curl(self) -> str:
        return curl.post(self.path, {"permanent": self.value("permanent") not in (False, "no")})

    def play(self) -> None:
        sandbox.bounce(self.case, permanent=self.cleaned_data["permanent"])


class ComplaintStep(Step):
    name, title, button = "complaint", "Complaint", "Report the newest mail as spam"
    done = "The report is on its way to the case."
    about = "Ends the case. In the sandbox nobody is put on the list of addresses that get no mail."
    is_drastic = True

    def play(self) -> None:
        sandbox.complaint(self.case)


class DelayStep(Step):
    name, title, button = "delay", "Delay note", "Send the note"
    done = "The note is on its way to the case."
    about = (
        "The mail server says that it has not delivered the newest mail yet, and goes on trying. It changes nothing."
    )
    not_in_api = "The API has no route for it."

    @property
    def curl(self) -> str:
        return ""

    def play(self) -> None:
        sandbox.delay(self.case)


class AdvanceStep(Step):
    name, title, button = "advance", "Let time pass", "Let it pass"
    done = "The case's time has been moved on."
    about = "All that the case waits for comes so much nearer."

    amount = forms.FloatField(label="How long", min_value=0.01, max_value=MOST_HOURS, initial=3)
    unit = forms.TypedChoiceField(label="Unit", choices=[(1, "hours"), (24, "days")], coerce=int, initial=24)

    def clean(self) -> dict[str, Any]:
        if self.cleaned_data.get("amount") and self._hours() > MOST_HOURS:
            self.add_error("amount", "At most ten years.")
        return self.cleaned_data

    def _hours(self) -> float:
        hours = round(float(self.value_or("amount", 1)) * int(self.value_or("unit", 1)), 4)
        return int(hours) if hours == int(hours) else hours

    def value_or(self, field: str, default: Any) -> Any:
        """What is filled in, while the form is being validated too."""
        if self.is_bound:
            return getattr(self, "cleaned_data", {}).get(field) or default
        return self.get_initial_for_field(self.fields[field], field)

    @property
    def curl(self) -> str:
        if self.is_bound:
            self.is_valid()
        return curl.post(self.path, {"hours": self._hours()})

    def carry_out(self, actor: str) -> None:
        bring_nearer(self.case.pk, timedelta(hours=self._hours()), actor=actor)  # which is on the timeline by itself


class NextStep(AdvanceStep):
    """Exactly as much time as the case waits for; `hours_left` says whether there is something to wait for."""

    name, title, button = "advance-to-next", "To the next action", "Go to the next action"

    @property
    def path(self) -> str:
        return f"/sandbox/cases/{self.case.pk}/advance"

    def __init__(self, case: Case, data: Any = None, files: Any = None) -> None:
        super().__init__(case, data, files)
        self.fields = {}

    @property
    def hours_left(self) -> float | None:
        """Hours until the next thing that the case does by itself, rounded up to a hundredth; None for nothing."""
        facts = (self.case.next_action_at, self.case.deadline_at, self.case.input_overdue_at, self.case.retry_at)
        waits = [moment for moment in facts if moment is not None]
        if not waits or self.case.is_terminal:
            return None
        seconds = (min(waits) - work.now()).total_seconds()
        return (int(seconds // 36) + 1) / 100 if seconds > 0 else None

    def _hours(self) -> float:
        return min(self.hours_left or 0.01, float(MOST_HOURS))

    def clean(self) -> dict[str, Any]:
        if self.hours_left is None:
            raise forms.ValidationError("The case waits for nothing that time would bring.")
        return self.cleaned_data


STEPS: dict[str, type[Step]] = {
    step.name: step
    for step in (ReplyStep, OutOfOfficeStep, BounceStep, ComplaintStep, DelayStep, AdvanceStep, NextStep)
}


class NewCaseForm(forms.Form):
    """A sandbox case for somebody who has no key at hand: the body that POST /cases takes, for a client."""

    client = forms.ModelChoiceField(label="Client", queryset=Client.objects.none(), empty_label=None)
    body = Prose(label="Case (JSON, as the API takes it)", rows=24, max_length=200_000)

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="new-%s", initial={"body": curl.pretty(NEW_CASE)}, label_suffix="")
        self.fields["client"].queryset = Client.objects.filter(is_active=True)  # type: ignore[attr-defined]

    @property
    def curl(self) -> str:
        """The same as a command; empty while the body is no JSON object."""
        if not self.is_bound:
            return curl.post("/cases", NEW_CASE, indent=2)
        try:
            body = parse_result(str(self.data.get("body", "")))
        except forms.ValidationError:
            return ""
        return curl.post("/cases", body, indent=2) if isinstance(body, dict) else ""

    def clean_body(self) -> dict[str, Any]:
        body = parse_result(self.cleaned_data["body"])
        if not isinstance(body, dict):
            raise forms.ValidationError("Not a JSON object.")
        return body

    def create(self, actor: str) -> Case | None:
        """The new case; None where its body is refused, and then `errors` say why. Raises CaseError."""
        key = ApiKey(client=self.cleaned_data["client"], is_test=True)  # stands for one: none is issued
        new = NewCase(data=self.cleaned_data["body"], context={"key": key})
        if not new.is_valid():
            for line in _lines(new.errors):
                self.add_error("body", line)
            return None
        return create_case(key, files=new.files(), actor=actor, **new.model_fields())


def example_answer(case: Case) -> str:
    """A reply that fills in what the case asks for, with made-up values; without a resultSchema, some words."""
    asked = [field for field in fields_of(case.result_schema) if field.is_askable]
    return "\n".join(f"{field.title}: {_example(field)}" for field in asked) or "Here is what you have asked for."


def _example(field: Field) -> str:
    if options := field.schema.get("enum"):
        return str(options[0])
    kinds = field.schema.get("type", "string")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if field.schema.get("format") == "date":
        return "2026-03-14"
    return EXAMPLES.get(str(kind), "2026-0042")


def _attachment(file: Upload) -> InboundAttachment:
    return InboundAttachment(safe_name(file.name or ""), file.content_type or UNKNOWN, file.read())


def _lines(errors: Any, path: str = "") -> list[str]:
    """REST framework's errors, each with its place in the body."""
    if isinstance(errors, dict):
        parts: list[tuple[str, Any]] = [
            (path if name == "non_field_errors" else f"{path}.{name}".lstrip("."), value)
            for name, value in errors.items()
        ]
    elif isinstance(errors, list):
        parts = [(path, value) for value in errors]
    else:
        return [f"{path}: {errors}" if path else str(errors)]
    return [line for place, value in parts for line in _lines(value, place)]
