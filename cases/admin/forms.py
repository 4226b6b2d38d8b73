"""What staff may decide for a case, each as a form that carries it out."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NoReturn
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.forms.renderers import DjangoTemplates
from django.template import loader
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from cases import changes, moments, reopening, result_schema, services
from cases.admin import schema_form, schema_parts
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

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Without `maxlength`: a browser cuts what is pasted there, and says nothing."""
        return {name: value for name, value in super().widget_attrs(widget).items() if name != "maxlength"}

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class WithoutColons(forms.BaseForm):
    """A form of which no label ends with a colon, as on all of our pages."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **options})


class AnswerForm(forms.Form):
    """The answer to a question."""

    name, title, button = "answer", "Answer", "Answer"
    is_drastic = False

    provided_context = Prose(label="Answer")

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, label_suffix="")


class PageRenderer(DjangoTemplates):
    """Draws forms that bring a template of their own with the site's templates, all others as Django does."""

    def get_template(self, template_name: str) -> Any:
        if template_name.startswith("admin/"):
            return loader.get_template(template_name)
        return super().get_template(template_name)


class ActionForm(forms.Form):
    """The base of all. `version` is the case's as the person saw it: what they decide is about that."""

    name: ClassVar[str]  # in the address
    title: ClassVar[str]
    button: ClassVar[str]
    done: ClassVar[str]  # what the person is told
    is_drastic: ClassVar[bool] = False
    is_decision: ClassVar[bool] = False  # about the open question, or the draft: only for whoever has taken it, if any
    default_renderer = PageRenderer

    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, case: Case, data: Any = None, *, proposal: Mapping[str, Any] | None = None) -> None:
        """`proposal` is what the agent would do and has found out (InputRequest.proposal); it is filled in already."""
        self.case = case
        self.proposal = proposal or {}
        initial = {"version": case.version, **self.start()}
        super().__init__(data, auto_id=f"{self.name}-%s", initial=initial, label_suffix="")

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
        data: Any = copy(self.data)  # a QueryDict, in which a field may have several values
        data["version"] = case.version
        self.data = data


class ReplyForm(ActionForm):
    is_decision = True
    name, title, button = "reply", "Write to the counterparty", "Send this text"
    done = "The text will be sent as the next mail."

    template_name = template_name_div = "admin/cases/inputrequest/_reply_form.html"

    text = Prose(
        label="Text",
        rows=8,
        help_text="Sent exactly as it stands here, as the next mail of the thread. An open question is closed by it.",
    )
    looked_at = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(
        self, case: Case, data: Any = None, *, proposal: Mapping[str, Any] | None = None, must_look: bool = False
    ) -> None:
        """With `must_look` it is carried out only once the person has seen the very mail that leaves."""
        self.must_look = must_look
        super().__init__(case, data, proposal=proposal)

    def start(self) -> dict[str, Any]:
        return {"text": self.proposal.get("reply", "")}

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        found: Callable[[Case, str], list[str]] = import_string(settings.OFFLOAD_DRAFT_CHECK)
        if leaks := found(self.case, text):
            raise ValidationError(f"This must not stand in a mail: {', '.join(leaks)}.")
        return text

    @cached_property
    def preview(self) -> dict[str, Any] | None:
        """The mail as it would leave (see settings.OFFLOAD_MAIL_PREVIEW) and its digest; None where it may not."""
        if not self.is_bound or self.errors:
            return None
        mail: dict[str, Any] = import_string(settings.OFFLOAD_MAIL_PREVIEW)(self.case, self.cleaned_data["text"])
        content = json.dumps(mail, sort_keys=True, ensure_ascii=False)
        return {**mail, "digest": hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()}

    @property
    def is_looked_at(self) -> bool:
        """Whether the person has seen the mail, just as it would leave now."""
        return self.preview is not None and self.data.get("looked_at") == self.preview["digest"]

    @property
    def wants_look(self) -> bool:
        """Whether the mail is to be shown, not sent."""
        return "look" in self.data or (self.must_look and not self.is_looked_at)

    def is_valid(self) -> bool:
        return super().is_valid() and not self.wants_look

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.reply_to_counterparty(case_id, text=self.cleaned_data["text"], actor=actor)


class CompleteForm(ActionForm):
    """The result: typed into fields that the resultSchema describes, or written as JSON.

    A form that has no `drawn` among what was posted, or was sent by the button `raw`, is about the JSON.
    """

    is_decision = True
    name, title, button = "complete", "Complete with a result", "Complete with this result"
    done = "The case is completed."
    template_name = template_name_div = "admin/cases/inputrequest/_complete_form.html"

    result = Prose(
        label="Result (JSON)",
        rows=10,
        required=False,
        help_text="Checked against the client's schema. Replace each null; delete the lines of optional values that "
        "nobody knows.",
    )

    def __init__(
        self,
        case: Case,
        data: Any = None,
        *,
        proposal: Mapping[str, Any] | None = None,
        quotes: Mapping[str, list[Any]] | None = None,
    ) -> None:
        """`quotes` are where the values of the proposal come from: JSON Pointer to what the page shows of it."""
        self.tree = schema_form.draw(case.result_schema, read_json=_json_of_a_field) if case.result_schema else None
        super().__init__(case, data, proposal=proposal)
        if self.tree is None:
            return
        if self.is_drawn:
            self.tree.read(self.data)
        elif self.proposal.get("values") is not None:
            self.tree.fill(self.proposal["values"], quotes or {})

    @property
    def is_drawn(self) -> bool:
        """Whether the fields were posted."""
        return self.is_bound and self.tree is not None and "drawn" in self.data

    @property
    def is_raw(self) -> bool:
        """Whether what was posted is about the JSON."""
        return self.is_bound and (not self.is_drawn or "raw" in self.data)

    @property
    def asks_for_rows(self) -> bool:
        """Whether a row is to be added to a list, or taken out, and nothing else done."""
        return self.is_drawn and ("add" in self.data or "take_out" in self.data)

    def start(self) -> dict[str, Any]:
        start = self.proposal.get("values")
        if start is None:
            start = skeleton(self.case.result_schema) if self.case.result_schema else {}
        return {"result": json.dumps(start, indent=2, ensure_ascii=False)}

    @classmethod
    def applies_to(cls, case: Case) -> bool:
        return not case.is_terminal and case.status != Status.CREATED

    def is_valid(self) -> bool:
        return not self.asks_for_rows and super().is_valid()

    def clean(self) -> dict[str, Any]:
        if self.asks_for_rows:
            return self.cleaned_data
        if self.is_raw:
            self._read_json()
        elif self.tree is not None:
            self._read_fields(self.tree)
        return self.cleaned_data

    def _read_json(self) -> None:
        text = self.cleaned_data.pop("result", None)
        if text is None:
            return  # too long, which is said already
        try:
            if not text:
                raise ValidationError(schema_parts.REQUIRED)
            self.cleaned_data["result"] = parse_result(text)
        except ValidationError as error:
            self.add_error("result", error)

    def _read_fields(self, tree: schema_parts.Part) -> None:
        self.errors.pop("result", None)  # the JSON came along, and does not count
        is_blank = tree.is_blank
        result = tree.value()
        if not tree.has_errors and is_blank:
            self.add_error(None, "Nothing is filled in. If an empty result is meant, write it as JSON.")
            return
        schema_form.place_errors(tree, result_schema.errors(self.case.result_schema, result))
        self.cleaned_data["result"] = result
        if tree.has_errors:
            self._say_so(tree)

    def _say_so(self, tree: schema_parts.Part) -> None:
        count = sum(bool(part.errors) for part in tree.parts_within())
        self.add_error(None, f"{count} field{'' if count == 1 else 's'} to put right: see below.")

    def carry_out(self, case_id: uuid.UUID, actor: str) -> None:
        services.complete_case(case_id, result=self.cleaned_data["result"], actor=actor)

    def show_errors(self, error: InvalidResult) -> None:
        """Put what the resultSchema has against the result to the fields, each to its own."""
        details = error.details or [{"path": "", "message": error.message}]
        if self.tree is not None and not self.is_raw:
            schema_form.place_errors(self.tree, details)
            self._say_so(self.tree)
            return
        for detail in details:
            self.add_error("result", f"{detail['path'] or 'The whole result'}: {detail['message']}")


class FailForm(ActionForm):
    is_decision = True
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
        help_text="The client is told which of the two it is.",
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
    is_decision = True
    name, title, button = "wait", "Wait until", "Wait until then"
    done = "Nothing will be done before then, unless they write."

    moment = WallTime(label="Until", help_text="Then the next follow-up is sent. An open question is closed by it.")
    zone = forms.ChoiceField(label="Time zone")

    def __init__(self, case: Case, data: Any = None, *, proposal: Mapping[str, Any] | None = None) -> None:
        super().__init__(case, data, proposal=proposal)
        theirs, here = case.counterparty.get("timezone"), str(moments.readers() or "UTC")
        zones = {theirs: f"{theirs} (the counterparty's)"} if theirs and theirs != "UTC" else {}
        if here not in {*zones, "UTC"}:
            zones[here] = f"{here} (yours)"
        self.fields["zone"] = forms.ChoiceField(label="Time zone", choices=[*zones.items(), ("UTC", "UTC")])

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
    return result


def _json_of_a_field(text: str) -> Any:
    """As `parse_result`, for a part of the result. Raises ValueError."""
    try:
        return parse_result(text)
    except ValidationError as error:
        raise ValueError("; ".join(error.messages)) from error


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
