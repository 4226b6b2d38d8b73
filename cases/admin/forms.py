"""What staff may decide for a case, each as a form that carries it out."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse

from cases import changes, reopening, services
from cases.admin.skeleton import skeleton
from cases.errors import InvalidResult
from cases.models import Case, ResultStatus, Status

MAX_CHARS = 20_000
MAX_DEPTH = 32  # of a result's JSON
LONGEST_WAIT = timedelta(days=366)


class Prose(forms.CharField):
    """Text of several lines, trimmed, with the line ends of everybody else instead of HTML's CR LF."""

    def __init__(self, *, rows: int = 6, **options: Any) -> None:
        super().__init__(**{"max_length": MAX_CHARS, "widget": forms.Textarea(attrs={"rows": rows}), **options})

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class AnswerForm(forms.Form):
    """The answer to a question."""

    provided_context = Prose(label="Answer")


class ActionForm(forms.Form):
    """The base of all. `version` is the case's as the person saw it: what they decide is about that."""

    name: ClassVar[str]  # in the address
    title: ClassVar[str]
    button: ClassVar[str]
    done: ClassVar[str]  # what the person is told
    is_drastic: ClassVar[bool] = False

    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, case: Case, data: Any = None) -> None:
        self.case = case
        super().__init__(data, auto_id=f"{self.name}-%s", initial={"version": case.version, **self.start()})

    @property
    def url(self) -> str:
        """Where it is posted to."""
        return reverse(f"admin:cases_case_{self.name}", args=[self.case.pk])

    def start(self) -> dict[str, Any]:
        """What is filled in already."""
        return {}

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        """Whether it is offered. The services decide anew when it is done."""
        return not case.is_terminal

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        """Do what the valid form says. Raises CaseError."""
        raise NotImplementedError

    def show_again(self, case: Case) -> None:
        """The person is about to see the case as it stands by now: from here the form is about that."""
        self.case = case
        self.data = {**dict(self.data.items()), "version": case.version}


class ReplyForm(ActionForm):
    name, title, button = "reply", "Write to the counterparty", "Send this text"
    done = "The text will be sent as the next mail."

    text = Prose(
        label="Text",
        rows=8,
        help_text="Sent exactly as it stands here, as the next mail of the thread. An open question is closed by it.",
    )

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.reply_to_counterparty(case_id, text=self.cleaned_data["text"], actor=actor)


class CompleteForm(ActionForm):
    name, title, button = "complete", "Complete with a result", "Complete with this result"
    done = "The case is completed."

    result = Prose(
        label="Result (JSON)",
        rows=10,
        help_text="Checked against the resultSchema. Replace each null; delete the lines of optional values that "
        "nobody knows.",
    )

    def start(self) -> dict[str, Any]:
        empty = skeleton(self.case.result_schema) if self.case.result_schema else {}
        return {"result": json.dumps(empty, indent=2, ensure_ascii=False)}

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return not case.is_terminal and case.status != Status.CREATED

    def clean_result(self) -> Any:
        return parse_result(self.cleaned_data["result"])

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.complete_case(case_id, result=self.cleaned_data["result"], actor=actor)

    def show_errors(self, error: InvalidResult) -> None:
        """Put what the resultSchema has against the result to the field, each with its place."""
        for detail in error.details or [{"path": "", "message": error.message}]:
            self.add_error("result", f"{detail['path'] or 'The whole result'}: {detail['message']}")


class FailForm(ActionForm):
    name, title, button = "fail", "End without a result", "End the case"
    done = "The case has ended without a result."
    is_drastic = True

    why = forms.TypedChoiceField(
        label="Why",
        choices=[
            (ResultStatus.FAILED_REJECTED, "The counterparty refuses"),
            (ResultStatus.FAILED_BY_STAFF, "Another reason"),
        ],
        coerce=ResultStatus,
        widget=forms.RadioSelect,
        help_text="The client gets it as the case's resultStatus: failed_rejected, or failed_by_staff.",
    )
    reason = Prose(label="Reason", rows=3, max_length=2000, help_text="The client reads it in the webhook.")

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.fail_case(
            case_id, reason=self.cleaned_data["reason"], actor=actor, result_status=self.cleaned_data["why"]
        )


class WallTime(forms.DateTimeField):
    """A date and time as a clock on some wall shows it, without a zone."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        try:
            moment = datetime.fromisoformat(str(value).strip())
        except ValueError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error
        if moment.tzinfo is not None:
            raise ValidationError("Choose the zone in its own field.", code="invalid")
        return moment


class WaitForm(ActionForm):
    name, title, button = "wait", "Wait until", "Wait until then"
    done = "Nothing will be done before then, unless they write."

    moment = WallTime(label="Until", help_text="Then the next follow-up is sent. An open question is closed by it.")
    zone = forms.ChoiceField(label="Time zone")

    def __init__(self, case: Case, data: Any = None) -> None:
        super().__init__(case, data)
        theirs = case.counterparty.get("timezone")
        zones = [(theirs, f"{theirs} (the counterparty's)")] if theirs and theirs != "UTC" else []
        self.fields["zone"] = forms.ChoiceField(label="Time zone", choices=[*zones, ("UTC", "UTC")])

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return not case.is_terminal and case.attempt_count > 0

    def clean(self) -> dict[str, Any]:
        moment, zone = self.cleaned_data.get("moment"), self.cleaned_data.get("zone")
        if moment and zone:
            try:
                self.cleaned_data["moment"] = in_future(moment, ZoneInfo(zone))
            except ValidationError as error:
                self.add_error("moment", error)
        return self.cleaned_data

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.wait_until(case_id, self.cleaned_data["moment"], actor=actor)


class PauseForm(ActionForm):
    name, title, button = "pause", "Pause", "Pause the case"
    done = "The case is paused: nothing is sent and nothing evaluated until it is resumed."

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return not case.is_terminal and not case.paused_at

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        changes.pause_case(case_id, actor=actor)


class ResumeForm(ActionForm):
    name, title, button = "resume", "Resume", "Let the case go on"
    done = "The case goes on."

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return not case.is_terminal and case.paused_at is not None

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        changes.resume_case(case_id, actor=actor)


class CancelForm(ActionForm):
    name, title, button = "cancel", "Cancel the case", "Cancel the case"
    done = "The case is cancelled."
    is_drastic = True

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.cancel_case(case_id, actor=actor)


class ReopenForm(ActionForm):
    name, title, button = "reopen", "Reopen as a new case", "Reopen the case"
    done = "A new case goes on in the same thread."

    objective = Prose(label="Objective", rows=3, help_text="What is to be reached now.")

    def start(self) -> dict[str, Any]:
        return {"objective": self.case.goal["objective"]}

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return case.is_terminal and not hasattr(case, "reopened_as")

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        reopening.reopen_case(case_id, actor=actor, goal={"objective": self.cleaned_data["objective"]})


ACTIONS: dict[str, type[ActionForm]] = {
    form.name: form
    for form in (ReplyForm, CompleteForm, WaitForm, PauseForm, ResumeForm, FailForm, CancelForm, ReopenForm)
}


def in_future(wall_time: datetime, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which the wall clocks of the zone show that time.

    Where they show it twice, the first one. Raises ValidationError for a time that they skip, that has passed, or that
    is more than a year away.
    """
    try:
        moment = wall_time.replace(tzinfo=zone).astimezone(UTC)
        skipped = moment.astimezone(zone).replace(tzinfo=None) != wall_time
    except OverflowError as error:  # the first and the last day of the calendar
        raise ValidationError("Choose a time within a year.") from error
    if skipped:
        raise ValidationError("The clocks skip this time there: they are put forward.")
    now = datetime.now(UTC)
    if moment <= now:
        raise ValidationError("This time has passed.")
    if moment > now + LONGEST_WAIT:
        raise ValidationError("Choose a time within a year.")
    return moment


def parse_result(text: str) -> Any:
    """The result in a text of JSON. Raises ValidationError for what is no JSON, or can't be stored."""
    try:
        result = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise ValidationError(f"Not JSON: {error}.") from error
    except RecursionError as error:
        raise ValidationError("Nested too deeply.") from error
    except ValueError as error:  # half of a surrogate pair, 1e999, more digits than Python reads
        raise ValidationError("Contains a character or a number that can't be stored.") from error
    _check(result, MAX_DEPTH)
    if result is None:
        raise ValidationError("A case is completed with a result; null is none.")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValidationError(f"Not JSON: {name} is no number there.")


def _check(value: Any, depth_left: int) -> None:
    if depth_left == 0:
        raise ValidationError("Nested too deeply.")
    if isinstance(value, str) and "\x00" in value:  # PostgreSQL stores none
        raise ValidationError("Contains a character that can't be stored.")
    parts = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _check(part, depth_left - 1)
