"""A time-based code (TOTP, RFC 6238) beside the password: by choice, or for all with OFFLOAD_REQUIRE_TOTP.

After the password, somebody who has a second factor gets to no page but this one until the code is right. django-otp
slows down guessing (each wrong code doubles the wait) and takes each code once.
"""

import base64
from collections.abc import Callable
from io import BytesIO
from typing import Any

import django_otp
import qrcode
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django_otp.plugins.otp_totp.models import TOTPDevice
from qrcode.image.svg import SvgPathImage

from cases.admin.forms import WithoutColons

FREE = ("admin:login", "admin:logout", "second_factor")  # what somebody gets to who has still to give the code


def guard(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: of the staff's pages, only this one for somebody who owes the code."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        is_page = request.path_info.startswith("/admin/")
        if is_page and owes_a_code(request.user) and request.path_info not in {reverse(name) for name in FREE}:
            return redirect("second_factor")
        return get_response(request)

    return middleware


def owes_a_code(user: Any) -> bool:
    """Whether the person of this request has logged in by the password alone, and that is not enough."""
    if not user.is_authenticated or user.is_verified():  # the latter is from django-otp's middleware
        return False
    return settings.OFFLOAD_REQUIRE_TOTP or device_of(user) is not None


def device_of(user: User, *, confirmed: bool = True) -> TOTPDevice | None:
    """The person's second factor; with `confirmed=False` the one that is being set up."""
    device: TOTPDevice | None = TOTPDevice.objects.filter(user=user, confirmed=confirmed).first()
    return device


class CodeForm(WithoutColons, forms.Form):
    """The six digits that the authenticator shows."""

    code = forms.RegexField(
        label="Code",
        regex=r"^\s*\d{3} ?\d{3}\s*$",
        error_messages={"invalid": "The code has six digits."},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )

    def clean_code(self) -> str:
        return "".join(str(self.cleaned_data["code"]).split())


@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: HttpRequest) -> HttpResponseBase:
    """One's own second factor: set it up, give its code, or remove it. A GET changes nothing."""
    user = request.user
    assert isinstance(user, User)  # noqa: S101 (admin_view lets nobody else in)
    device, candidate = device_of(user), device_of(user, confirmed=False)
    act = request.POST.get("act")
    if act == "set up" and device is None:
        TOTPDevice.objects.filter(user=user, confirmed=False).delete()
        TOTPDevice.objects.create(user=user, confirmed=False, name="authenticator")
        return redirect("second_factor")
    if act == "remove" and may_remove(request, device):
        return _remove(request, user)
    form = CodeForm(request.POST if act == "code" else None)
    asked = device or candidate
    if asked is not None and form.is_valid():
        if _is_right(request, asked, form.cleaned_data["code"]):
            return redirect("admin:index")
        form.add_error("code", "This is not the code of this moment, or it was used already. Wait for the next one.")
    return _page(request, form, device, candidate)


def may_remove(request: HttpRequest, device: TOTPDevice | None) -> bool:
    """Only with the second factor can it be removed, and not where everybody must have one."""
    is_verified: bool = request.user.is_verified()  # type: ignore[union-attr]
    return device is not None and is_verified and not settings.OFFLOAD_REQUIRE_TOTP


def _is_right(request: HttpRequest, asked: TOTPDevice, code: str) -> bool:
    device = django_otp.verify_token(request.user, asked.persistent_id, code)
    if device is None:
        return False
    if not device.confirmed:
        with transaction.atomic():
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            _log(request, "Set up a second factor")
        messages.success(request, "From now on you log in with your password and a code.")
    request.session.cycle_key()
    django_otp.login(request, device)
    return True


def _remove(request: HttpRequest, user: User) -> HttpResponse:
    with transaction.atomic():
        TOTPDevice.objects.filter(user=user).delete()
        _log(request, "Removed the second factor")
    messages.success(request, "From now on you log in with your password alone.")
    return redirect("second_factor")


def _log(request: HttpRequest, what: str) -> None:
    assert request.user.pk is not None  # noqa: S101 (admin_view lets nobody else in)
    person = User.objects.filter(pk=request.user.pk)
    LogEntry.objects.log_actions(request.user.pk, person, CHANGE, what, single_object=True)


def _page(
    request: HttpRequest, form: CodeForm, device: TOTPDevice | None, candidate: TOTPDevice | None
) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": "Second factor",
        "form": form,
        "device": device,
        "candidate": None if device else candidate,
        "is_required": settings.OFFLOAD_REQUIRE_TOTP,
        "may_remove": may_remove(request, device),
        "owes_a_code": owes_a_code(request.user),
    }
    if context["candidate"] and candidate:
        context |= {"picture": picture(candidate.config_url), "secret": base64.b32encode(candidate.bin_key).decode()}
    return TemplateResponse(request, "admin/second_factor.html", context)


def picture(text: str) -> str:
    """The text as a QR code, in a data: URL of an SVG, which the pages' policy lets stand in an img."""
    drawn = BytesIO()
    qrcode.make(text, image_factory=SvgPathImage, box_size=8).save(drawn)
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
