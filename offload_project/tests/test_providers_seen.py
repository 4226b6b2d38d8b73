"""Where staff and operators see that a provider is left alone, and what they can do about it."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from prometheus_client.parser import text_string_to_metric_families

from cases.examination import Examination, Level
from cases.tests.staff import staff
from cases.work import now
from offload_project import metrics
from outreach.doctor import providers_are_called
from outreach.models import Provider
from outreach.providers import gate, rules
from outreach.providers.gate import SharedGate
from outreach.providers.trouble import busy, down

pytestmark = pytest.mark.django_db
LIST = "/admin/outreach/provider/"
CALL_AGAIN = {"action": "call_again", "_selected_action": "model:api.example.com"}


@pytest.fixture(autouse=True)
def two_providers() -> None:
    """A model that is away, and AgentMail, which was busy once."""
    gate.forget()
    for _ in range(rules.DOWN_AFTER):
        SharedGate("model:api.example.com", 60).enter(0).report(down("it answers 502"))
    SharedGate("agentmail", 20).enter(0).report(busy("it answers 429", 0))


def opened() -> dict[str, float]:
    text = metrics.page().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {one.labels["provider"]: one.value for one in samples if one.name == "offload_provider_open"}


def test_a_figure_tells_which_provider_is_left_alone() -> None:
    assert opened() == {"model:api.example.com": 1, "agentmail": 0}
    Provider.objects.filter(name="agentmail").update(paused_until=now() + timedelta(minutes=5))
    assert opened() == {"model:api.example.com": 1, "agentmail": 1}
    for name in opened():
        gate.call_again(name)
    assert opened() == {"model:api.example.com": 0, "agentmail": 0}


def test_doctor_warns_of_it() -> None:
    [finding] = providers_are_called(Examination())
    assert finding.level == Level.WARN
    assert finding.what.startswith("model:api.example.com is left alone, as it has failed since ")
    assert finding.what.endswith(" UTC: it answers 502")
    gate.call_again("model:api.example.com")
    assert [finding.level for finding in providers_are_called(Examination())] == [Level.OK]


def test_the_home_page_leads_to_it() -> None:
    browser = staff("view_case", "view_provider")
    assert "provider that fails, so that cases wait for it" in browser.get("/admin/").content.decode()
    page = browser.get(f"{LIST}?is_down__exact=1")
    assert [row.name for row in page.context["cl"].result_list] == ["model:api.example.com"]
    assert "it answers 502" in page.content.decode()


def test_who_may_act_has_it_called_again() -> None:
    operator = staff("view_case", "change_case", "view_provider")
    assert "Call it again now" in operator.get(LIST).content.decode()
    assert operator.post(LIST, CALL_AGAIN).status_code == 302
    row = Provider.objects.get(name="model:api.example.com")
    assert (row.is_down, row.paused_until, row.failures) == (False, None, 0)
    SharedGate("model:api.example.com", 60).enter(0)
    assert [entry.object_repr for entry in LogEntry.objects.all()] == ["model:api.example.com"]


def test_who_only_looks_is_not_shown_how_and_can_not() -> None:
    viewer = staff("view_case", "view_provider")
    assert "Call it again now" not in viewer.get(LIST).content.decode()
    viewer.post(LIST, CALL_AGAIN)
    assert Provider.objects.get(name="model:api.example.com").is_down
    assert not LogEntry.objects.exists()
