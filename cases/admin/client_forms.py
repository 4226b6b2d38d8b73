"""What people who keep clients decide for one: its keys, and what goes for all its cases."""

import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.utils import timezone

from cases.admin.forms import WithoutColons
from cases.models import Client, Scope
from cases.serializers import ClientChange

if TYPE_CHECKING:  # at run time Django's class takes no parameter
    ModelForm = forms.ModelForm[Client]
else:
    ModelForm = forms.ModelForm

EVENTS: Mapping[str, str] = {
    "case.created": "A case was posted",
    "case.draft_ready": "A draft waits for approval",
    "case.input_overdue": "A question has waited too long",
    "message.received": "A mail has come in",
    "message.sent": "A mail was sent",
}
HOURS = [("0", "Not at all: it is refused at once"), ("1", "1 hour"), ("24", "24 hours"), ("168", "7 days")]


class KeyForm(WithoutColons, forms.Form):
    """What is chosen for a new key. Its id comes with the form: sent twice, the form makes one key."""

    key_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    is_test = forms.TypedChoiceField(
        label="Kind",
        choices=[("yes", "Test: its cases stay in the sandbox"), ("no", "Live: its cases send real mail")],
        coerce=lambda choice: choice == "yes",
        initial="yes",
        widget=forms.RadioSelect,
    )
    scopes = forms.MultipleChoiceField(
        label="Besides reading, it may",
        choices=Scope.choices,
        initial=Scope.values,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="A program that must not approve its own mail, or answer its own questions, gets a key without.",
    )
    name = forms.CharField(
        label="Name", max_length=100, required=False, help_text="For you: where the key is used, for example."
    )
    last_day = forms.DateField(
        label="Good until",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="The last day (UTC) on which it is let in. Empty: it has no end.",
    )

    def clean_last_day(self) -> date | None:
        day: date | None = self.cleaned_data["last_day"]
        if day is not None and day < timezone.now().date():
            raise forms.ValidationError("This day is over.")
        return day

    def wishes(self) -> dict[str, Any]:
        """What `keys.issue` is told, of a valid form."""
        wanted = {name: self.cleaned_data[name] for name in ("key_id", "is_test", "scopes", "name")}
        day = self.cleaned_data["last_day"]
        end = datetime.combine(day, time(), tzinfo=UTC) + timedelta(days=1) if day else None
        return {**wanted, "expires_at": end}


class ReplaceForm(WithoutColons, forms.Form):
    """How a key is replaced."""

    key_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    hours = forms.TypedChoiceField(
        label="The old key stays good for",
        choices=HOURS,
        initial="24",
        coerce=int,
        help_text="Long enough for every program that uses it to get the new one.",
    )

    @property
    def old_valid_for(self) -> timedelta:
        """How long the old key is let in, of a valid form."""
        return timedelta(hours=self.cleaned_data["hours"])


class SettingsForm(WithoutColons, ModelForm):
    """What goes for all cases of a client. What the API checks, the API's own serializer checks here, too."""

    event_types = forms.MultipleChoiceField(
        label="Webhooks also tell of",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Besides the end of a case and its questions, which every client hears of.",
    )

    class Meta:
        model = Client
        fields = ("daily_send_limit", "settle_seconds", "reminder_hours", "default_webhook_url", "event_types")
        labels = {
            "settle_seconds": "Seconds to wait after a reply",
            "reminder_hours": "Hours until somebody is reminded of a question",
            "default_webhook_url": "Webhook URL of cases that have none",
        }
        help_texts = {
            "settle_seconds": "So that a correction joins the reply that it corrects. Empty: what holds for all.",
            "reminder_hours": "Empty: nobody is reminded.",
        }
        widgets = {"default_webhook_url": forms.TextInput(attrs={"inputmode": "url"})}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        choices = [(name, EVENTS.get(name, name)) for name in settings.OFFLOAD_OPTIONAL_EVENTS]
        self.fields["event_types"] = self._with_choices(choices)

    def _with_choices(self, choices: list[tuple[str, str]]) -> forms.Field:
        field = self.fields["event_types"]
        assert isinstance(field, forms.MultipleChoiceField)  # noqa: S101 (declared above)
        field.choices = choices
        return field

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["default_webhook_url"] = cleaned.get("default_webhook_url") or None
        names = {field: name for name, field in ClientChange.FIELDS.items() if field in cleaned}
        change = ClientChange(data={name: cleaned[field] for field, name in names.items()})
        if not change.is_valid():
            for field, name in names.items():
                for said in change.errors.get(name, []):
                    self.add_error(field, str(said))
        return cleaned

    def changed(self) -> list[str]:
        """What is another now, each with its new value, in words."""
        return [f"{self.fields[name].label}: {_in_words(self.cleaned_data[name])}" for name in self.changed_data]


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "not set" if value is None else str(value)
