"""The staff's first page: what waits, how the service is, today's numbers, and charts of the days before.

It shows and does nothing. The upper part is asked for again every few seconds (`now`), the charts are not: their
numbers are kept by the day, see cases/days.py.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from cases import days
from cases.admin import charts, service, spans, today, waiting, words
from cases.admin.access import may_act, may_see
from cases.admin.charts import Chart, Series, Value
from cases.admin.today import link
from cases.models import Day, ResultStatus

LENGTHS = (14, 30, 90)  # days that charts may show
LENGTH = 30
CASES, MAIL, QUESTIONS = (f"admin:cases_{model}_changelist" for model in ("case", "message", "inputrequest"))


def page(request: HttpRequest) -> dict[str, Any]:
    """What templates/admin/index.html needs: the part that changes by itself, as HTML, and the charts."""
    shown = {"may_see": may_see(request), "may_act": may_act(request), "now": _marked(_content(request))}
    return shown | {"charts": Charts.of(request)} if shown["may_see"] else shown


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The part that changes by itself; 204 where it reads as it did (`?mark=`), so that nothing is swapped in vain."""
    content = _content(request)
    if request.GET.get("mark") == _mark(content):
        return HttpResponse(status=204)
    return HttpResponse(_marked(content))


def _content(request: HttpRequest) -> SafeString:
    zone = zone_of(request)
    shown: dict[str, Any] = {"waiting": waiting.look(request), "may_see": may_see(request), "zone": zone}
    if shown["may_see"]:
        shown |= {"parts": service.look(request), "today": today.look(request, zone)}
    return render_to_string("admin/home/_now.html", shown)


def _marked(content: SafeString) -> SafeString:
    """With what the page sends along the next time it asks."""
    return format_html('<input type="hidden" name="mark" value="{}">{}', _mark(content), content)


def _mark(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def zone_of(request: HttpRequest) -> tzinfo:
    """Where the reader is, as their browser says; see offload_project/staff/zones.py."""
    return timezone.get_current_timezone()


@dataclass(frozen=True)
class End:
    """How some cases ended, and what part of all they are."""

    words: str
    count: int
    percent: int
    url: str


@dataclass(frozen=True)
class Charts:
    """The days that are shown, and what was counted of them."""

    dates: Sequence[date]
    rows: dict[date, Day]
    zone: tzinfo

    @classmethod
    def of(cls, request: HttpRequest) -> "Charts":
        """The last 14, 30 or 90 days, as the query says, today being the last one. One query."""
        asked = request.GET.get("days", "")
        length = int(asked) if asked in {str(length) for length in LENGTHS} else LENGTH
        last = timezone.now().astimezone(days.zone()).date()
        dates = [last - timedelta(days=back) for back in reversed(range(length))]
        return cls(dates, {row.date: row for row in Day.objects.filter(date__gte=dates[0])}, days.zone())

    @property
    def lengths(self) -> list[tuple[int, bool]]:
        """What can be chosen, and whether it is."""
        return [(length, length == len(self.dates)) for length in LENGTHS]

    @property
    def counted_at(self) -> datetime | None:
        """How fresh the numbers are; None: nothing has been counted yet."""
        return max((row.counted_at for row in self.rows.values()), default=None)

    @property
    def all(self) -> list[Chart]:
        return [self.cases, self.answers, self.completion, self.cost]

    @property
    def cases(self) -> Chart:
        """Posted beside ended."""
        posted, completed, failed = (self._sum(field) for field in ("created", "completed", "failed"))
        return charts.bars(
            "cases",
            "Cases by day",
            self.dates,
            [
                self._series("posted", "info", "created", CASES, "created_at"),
                self._series("completed", "ok", "completed", CASES, "updated_at", 1, status__exact="COMPLETED"),
                self._series("failed", "bad", "failed", CASES, "updated_at", 1, status__exact="FAILED"),
            ],
            summary=f"Cases by day, {self.span}: {posted} posted, {completed} completed, {failed} failed.",
        )

    @property
    def answers(self) -> Chart:
        listed = (QUESTIONS, "resolved_at")
        answered = self._sum("answered")
        return charts.lines(
            "answers",
            "Time to answer a question",
            self.dates,
            [
                self._series("median", "info", "answer_median_seconds", *listed, status__exact="RESOLVED"),
                self._series("9 of 10 within", "warn", "answer_p90_seconds", *listed, status__exact="RESOLVED"),
            ],
            summary=f"Time to answer by day, {self.span}: {answered} questions answered{self._range('answer_median')}.",
        )

    @property
    def completion(self) -> Chart:
        listed = (CASES, "updated_at")
        completed = self._sum("completed")
        return charts.lines(
            "completion",
            "Time to completion",
            self.dates,
            [self._series("median", "ok", "completion_median_seconds", *listed, status__exact="COMPLETED")],
            summary=f"Time to completion by day, {self.span}: {completed} cases{self._range('completion_median')}.",
        )

    @property
    def cost(self) -> Chart:
        """What models cost; where no prices are known their tokens, where there is no model the mails sent."""
        if self._sum("model_cost"):
            page = settings.OFFLOAD_MODEL_CALLS_PAGE
            return self._bars("cost", "Cost of models", "model_cost", page, "at", "in model calls", least=0)
        if self._sum("model_tokens"):
            return self._bars(
                "cost", "Tokens of models", "model_tokens", settings.OFFLOAD_MODEL_CALLS_PAGE, "at", "tokens"
            )
        return self._bars("cost", "Mails sent", "sent", MAIL, "sent_at", "mails sent")

    @property
    def ends(self) -> list[End]:
        """How the cases of these days ended, the most frequent way first."""
        counts = {end: sum(row.ends.get(end, 0) for row in self.rows.values()) for end in ResultStatus.values}
        total = sum(counts.values())
        moments = days.period(self.dates[0], len(self.dates))
        return [
            End(words.ENDS[end], count, round(100 * count / total), _ended_so(end, moments))
            for end, count in sorted(counts.items(), key=lambda item: -item[1])
            if count
        ]

    @property
    def span(self) -> str:
        return f"{self.dates[0]:%d %B} to {self.dates[-1]:%d %B}"

    def _sum(self, field: str) -> Any:
        return sum(getattr(row, field) for row in self.rows.values())

    def _range(self, what: str) -> str:
        known = [getattr(row, f"{what}_seconds") for row in self.rows.values()]
        known = [seconds for seconds in known if seconds is not None]
        return f", the median of a day from {spans.short(min(known))} to {spans.short(max(known))}" if known else ""

    def _bars(self, name: str, title: str, field: str, listed: str, at: str, words_: str, least: float = 2) -> Chart:
        total = charts.number(float(self._sum(field)))
        series = [self._series(words_, "info", field, listed, at)]
        summary = f"{title} by day, {self.span}: {total} in all."
        return charts.bars(name, title, self.dates, series, summary=summary, least=least)

    def _series(
        self, words_: str, tone: str, field: str, listed: str, at: str, stack: int = 0, **filters: Any
    ) -> Series:
        """The field of each day, with the address of the list of what happened that day."""
        values = []
        for day in self.dates:
            number = getattr(self.rows.get(day), field, None)
            url = link(listed, at, days.period(day), **filters)
            values.append(Value(None if number is None else float(number), url))
        return Series(words_, tone, values, stack)


def _ended_so(end: str, moments: days.Period) -> str:
    return link(CASES, "updated_at", moments, result_status__exact=end)
