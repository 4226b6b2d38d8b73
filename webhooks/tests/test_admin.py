import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from pytest_django import DjangoAssertNumQueries

from cases import work
from cases.factories import CaseFactory
from cases.models import Status
from webhooks import sender, signing, tasks
from webhooks.models import Delivery
from webhooks.tests.test_listeners import ask, fail

pytestmark = pytest.mark.django_db
XSS = "<script>alert(1)</script>"


@pytest.fixture
def delivery() -> Delivery:
    case = CaseFactory(
        status=Status.RUNNING,
        client_webhook_url="https://hooks.example/<b>",
        client_reference_id=XSS,
        metadata={"note": XSS},
    )
    ask(case)
    fail(case)
    first: Delivery = Delivery.objects.get(sequence=1)
    said = sender.Outcome(500, 12, headers={"X-Odd": XSS}, body=XSS.encode(), error=XSS)
    tasks.record_attempt(first.pk, work.now(), said)
    return first


def test_the_list_says_what_stands_where(
    delivery: Delivery, admin_client: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    fail(CaseFactory(status=Status.RUNNING, client_webhook_url="https://other.example/"))
    with django_assert_max_num_queries(13):
        page = admin_client.get("/admin/webhooks/delivery/").content.decode()
    assert page.count("to be delivered") >= 3
    assert "after an earlier one of its case" in page
    assert "https://other.example:443" in page
    found = admin_client.get("/admin/webhooks/delivery/", {"q": str(delivery.case_id)}).content.decode()
    assert "2 deliveries" in found


def test_the_page_shows_each_attempt_and_escapes_what_others_wrote(delivery: Delivery, admin_client: Browser) -> None:
    page = admin_client.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").content.decode()
    assert delivery.event_id in page
    assert XSS not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "https://hooks.example/&lt;b&gt;" in page


def test_nobody_changes_anything_and_no_secret_is_shown(delivery: Delivery, admin_client: Browser) -> None:
    secret = signing.secrets_for(delivery.client)[0]
    encrypted = delivery.client.signing_secrets.get().encrypted
    for page in ("delivery", "endpoint"):
        row = delivery.pk if page == "delivery" else delivery.endpoint_id
        for path, status in (("add/", 403), (f"{row}/delete/", 403), ("", 200), (f"{row}/change/", 200)):
            answer = admin_client.get(f"/admin/webhooks/{page}/{path}")
            assert answer.status_code == status
            assert secret not in answer.content.decode()
            assert encrypted not in answer.content.decode()
        assert admin_client.post(f"/admin/webhooks/{page}/{row}/change/", {"state": "DELIVERED"}).status_code == 403
    assert admin_client.get("/admin/webhooks/signingsecret/").status_code == 404
    delivery.refresh_from_db()
    assert delivery.state == "WAITING"


def test_staff_without_the_permission_see_nothing(delivery: Delivery, client: Browser) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    client.force_login(viewer)
    assert client.get("/admin/webhooks/delivery/").status_code == 403
    viewer.user_permissions.add(Permission.objects.get(codename="view_case"))
    assert client.get("/admin/webhooks/delivery/").status_code == 200
    assert "500" in client.get(f"/admin/webhooks/delivery/{delivery.pk}/change/").content.decode()
