"""The sandbox's mailboxes, and the playground: a case's counterparty, played by whoever looks at this page."""

import hashlib
import io
import uuid
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import BinaryField, Q, QuerySet
from django.db.models.functions import Substr
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cases import search
from cases.admin import page, words
from cases.admin.access import CasePartAdmin, actor, may_act, may_see
from cases.admin.files import as_file
from cases.admin.filters import of_client
from cases.errors import CaseError
from cases.models import Case, RequestStatus
from outreach import curl, sandbox
from outreach.inbound.mail import InboundMail, parse
from outreach.models import InboundPayload, PayloadState, SandboxMail
from outreach.playground import MAX_UPLOAD_BYTES, STEPS, NewCaseForm, NextStep, Step

MAX_CASES = 20
HEAD_BYTES = 16_384  # of a mail, in which its headers stand
PREFIX = "outreach_sandboxmail"


@admin.register(SandboxMail)
class SandboxMailAdmin(CasePartAdmin):
    """What counterparties in the sandbox have got."""

    list_display = ("subject", "to", "played", "delivered_at")
    list_filter = ("delivered_at", of_client("case__client"))
    list_select_related = ("case",)
    search_fields = ("message_id",)
    search_help_text = "Message-ID, or the case"
    fields = ("case", "delivered_at", "message_id", "to", "subject", "text")
    readonly_fields = fields
    ordering = ("-delivered_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[SandboxMail]:
        """Without the mails themselves, which may have files in them: their headers are enough for a list."""
        head = Substr("raw", 1, HEAD_BYTES, output_field=BinaryField())
        mails: QuerySet[SandboxMail] = super().get_queryset(request).annotate(head=head).defer("raw")
        return mails

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[SandboxMail], search_term: str
    ) -> tuple[QuerySet[SandboxMail], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(message_id=term) | Q(case__in=search.cases_known_by(term))), False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Headed by its subject; Django would head it by its Message-ID."""
        mail = self.get_object(request, object_id or "")
        headed = {"subtitle": _headers(mail).subject} if mail else {}
        return super().changeform_view(request, object_id, form_url, {**headed, **(extra_context or {})})

    @admin.display(description="To")
    def to(self, mail: SandboxMail) -> str:
        return ", ".join(_headers(mail).to)

    @admin.display(description="Subject")
    def subject(self, mail: SandboxMail) -> str:
        return _headers(mail).subject

    @admin.display(description="Case")
    def played(self, mail: SandboxMail) -> SafeString:
        url = reverse(f"admin:{PREFIX}_play", args=[mail.case_id])
        return format_html('<a href="{}"><bdi>{}</bdi></a>', url, mail.case)

    @admin.display(description="Text")
    def text(self, mail: SandboxMail) -> SafeString:
        return format_html('<div class="prose">{}</div>', parse(bytes(mail.raw)).text)

    def get_urls(self) -> list[URLPattern]:
        view, case = self.admin_site.admin_view, "play/<uuid:pk>"
        own = [
            path("play/", view(require_http_methods(["GET", "HEAD", "POST"])(self.playground)), name="playground"),
            path("play/curl/", view(require_POST(self.new_case_curl)), name="playground_curl"),
            path(f"{case}/", view(require_safe(self.play)), name="play"),
            path(f"{case}/mailbox/", view(require_safe(self.mailbox)), name="mailbox"),
            path(f"{case}/mails/<int:mail_pk>/", view(require_safe(self.raw)), name="raw"),
            path(f"{case}/mails/<int:mail_pk>/<int:number>/", view(require_safe(self.file)), name="file"),
        ]
        for name, step in STEPS.items():
            act: Any = view(require_POST(partial(self.act, step_class=step)))
            # Files come in one body, which is received whole before anybody knows who sends it: see bodies.py.
            act.initkwargs = {"max_body_bytes": MAX_UPLOAD_BYTES + 200_000}
            preview = view(require_POST(partial(self.curl, step_class=step)))
            own += [
                path(f"{case}/{name}/", act, name=f"play_{name}"),
                path(f"{case}/{name}/curl/", preview, name=f"curl_{name}"),
            ]
        for route in own:
            route.name = f"{PREFIX}_{route.name}"
        return [*own, *super().get_urls()]

    # --- All sandbox cases ---

    def playground(self, request: HttpRequest) -> HttpResponse:
        """The newest sandbox cases, and a form for another one. A POST is a case."""
        if not (may_act if request.method == "POST" else may_see)(request):
            raise PermissionDenied
        form = NewCaseForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and (case := self._created(request, form)):
            messages.success(request, "The case is created. Its first mail comes as soon as a worker has written it.")
            return redirect(f"admin:{PREFIX}_play", case.pk)
        cases = page.for_staff().filter(transport="sandbox").order_by("-created_at")[:MAX_CASES]
        now = timezone.now()
        return self.page(
            request,
            "admin/outreach/sandboxmail/playground.html",
            title="Sandbox playground",
            cases=[(case, words.next_step(case, now)) for case in cases],
            form=form if may_act(request) else None,
            base_url=_base_url(request),
        )

    def _created(self, request: HttpRequest, form: NewCaseForm) -> Case | None:
        try:
            case = form.create(actor(request))
        except CaseError as error:
            form.add_error("body", error.message)
            return None
        if case is not None:
            self.log_addition(request, case, "Created in the playground")
        return case

    def new_case_curl(self, request: HttpRequest) -> HttpResponse:
        """The command for what stands in the form. It changes nothing; the body may be too long for an address."""
        if not may_act(request):
            raise PermissionDenied
        return self._command(request, NewCaseForm(request.POST).curl, "The body is no JSON object yet.")

    # --- One of them ---

    def play(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """The counterparty's mailbox, and what the counterparty can do."""
        case = self._case(request, pk)
        return self._show(request, case) if _is_played(case) else self._not_played(request, case)

    def _show(self, request: HttpRequest, case: Case, tried: Step | None = None) -> HttpResponse:
        steps = [
            tried if tried is not None and tried.name == name else step(case)
            for name, step in STEPS.items()
            if step is not NextStep
        ]
        return self.page(
            request,
            "admin/outreach/sandboxmail/play.html",
            title=f"Sandbox: {case}",
            list_title="Sandbox playground",
            list_url=reverse("admin:outreach_sandboxmail_playground"),
            base_url=_base_url(request),
            steps=steps if may_act(request) else [],
            read_mails=curl.get(f"/sandbox/cases/{case.pk}/mails"),
            read_case=curl.get(f"/cases/{case.pk}"),
            **_mailbox(case, request),
        )

    def mailbox(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """What changes by itself; 204 where it is as it was."""
        case = self._case(request, pk)
        shown = _mailbox(case, request)
        if not _is_played(case) or request.GET.get("seen") == shown["fingerprint"]:
            return HttpResponse(status=204)
        return TemplateResponse(request, "admin/outreach/sandboxmail/_mailbox.html", shown)

    def act(self, request: HttpRequest, pk: uuid.UUID, step_class: type[Step]) -> HttpResponse:
        """Let the counterparty do what the form says."""
        if not may_act(request):
            raise PermissionDenied
        case = self._case(request, pk)
        if not _is_played(case):
            return self._not_played(request, case)
        step = step_class(case, request.POST, request.FILES)
        if not step.is_valid():
            if step_class is not NextStep:
                return self._show(request, case, step)
            messages.warning(request, " ".join(map(str, step.non_field_errors())))
            return redirect(f"admin:{PREFIX}_play", pk)
        try:
            step.carry_out(actor(request))
        except CaseError as error:
            messages.warning(request, error.message)
        else:
            self.log_change(request, case, f"Played the counterparty: {step.title}")
            messages.success(request, step.done)
        return redirect(f"admin:{PREFIX}_play", pk)

    def curl(self, request: HttpRequest, pk: uuid.UUID, step_class: type[Step]) -> HttpResponse:
        """The command for what stands in the form. It changes nothing; a text may be too long for an address."""
        if not may_act(request):
            raise PermissionDenied
        step = step_class(self._case(request, pk), request.POST)
        return self._command(request, step.curl, step.not_in_api)

    def _command(self, request: HttpRequest, command: str, why_not: str) -> HttpResponse:
        context = {"command": command, "why_not": why_not}
        return TemplateResponse(request, "admin/outreach/sandboxmail/_command.html", context)

    def _case(self, request: HttpRequest, pk: uuid.UUID) -> Case:
        if not may_see(request):
            raise PermissionDenied
        case: Case = get_object_or_404(page.for_staff(), pk=pk)
        return case

    def _not_played(self, request: HttpRequest, case: Case) -> HttpResponse:
        messages.warning(request, sandbox.NotASandboxCase.message)
        return redirect("admin:cases_case_change", case.pk)

    # --- A mail as it went out ---

    def raw(self, request: HttpRequest, pk: uuid.UUID, mail_pk: int) -> HttpResponseBase:
        """The mail as it went over the wire, as a file."""
        mail = self._mail(request, pk, mail_pk)
        return as_file(io.BytesIO(bytes(mail.raw)), f"sandbox-{mail.pk}.eml")

    def file(self, request: HttpRequest, pk: uuid.UUID, mail_pk: int, number: int) -> HttpResponseBase:
        """A file that went along with it."""
        found = sandbox.file_of(self._mail(request, pk, mail_pk), number)
        if found is None:
            raise Http404("The mail has no such file.")
        return as_file(io.BytesIO(found[1]), found[0])

    def _mail(self, request: HttpRequest, pk: uuid.UUID, mail_pk: int) -> SandboxMail:
        if not may_see(request):
            raise PermissionDenied
        return get_object_or_404(SandboxMail, pk=mail_pk, case=pk)


def _headers(mail: Any) -> InboundMail:
    """The mail's headers, read once; not its text, which may not be there as a whole."""
    if not hasattr(mail, "parsed"):
        mail.parsed = parse(bytes(mail.head))
    parsed: InboundMail = mail.parsed
    return parsed


def _is_played(case: Case) -> bool:
    return case.transport == "sandbox"


def _base_url(request: HttpRequest) -> str:
    """Where the API is, as the person's own browser reaches it."""
    return request.build_absolute_uri("/").rstrip("/")


def _mailbox(case: Case, request: HttpRequest) -> dict[str, Any]:
    """What templates/admin/outreach/sandboxmail/_mailbox.html needs."""
    letters = sandbox.letters(case) if _is_played(case) else []
    kept = InboundPayload.objects.filter(case=case, state=PayloadState.QUARANTINED).defer("body")[: sandbox.MAX_LETTERS]
    question = case.input_requests.filter(status=RequestStatus.PENDING).first()
    following = NextStep(case)
    facts = [case.version, case.last_error, *(letter.key for letter in letters), *(one.pk for one in kept)]
    return {
        "case": case,
        "state": words.next_step(case, timezone.now()),
        "end": words.ENDS.get(case.result_status or ""),
        "letters": letters,
        "kept": kept if request.user.has_perm("outreach.view_inboundpayload") else [],
        "question": question,
        "answer": _answer(case, question) if question else "",
        "following": following if may_act(request) and following.hours_left else None,
        "fingerprint": hashlib.sha256(repr(facts).encode()).hexdigest()[:16],
    }


def _answer(case: Case, question: Any) -> str:
    body = {"inputRequestId": str(question.pk), "providedContext": "Yes, please go on."}
    return curl.post(f"/cases/{case.pk}/input", body)
