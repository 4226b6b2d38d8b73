"""People at the staff's pages, for tests."""

from typing import Any

from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.test import Client as Browser

HOSTILE = "</textarea><script>alert(1)</script><img src=x onerror=alert(1)>"


def staff_user(name: str, *permissions: str) -> User:
    """Somebody who may do just that."""
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def staff(*permissions: str) -> Browser:
    """A browser in which somebody has logged in who may do just that: ann0, then ann1 …"""
    browser = Browser()
    browser.force_login(staff_user(f"ann{User.objects.count()}", *permissions))
    return browser


def told(response: Any, level: str = "warning") -> list[str]:
    """What the answer tells the person, of that level."""
    return [str(message) for message in get_messages(response.wsgi_request) if message.level_tag == level]


def assert_harmless(html: str) -> None:
    """HOSTILE is shown, as text."""
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "</textarea><script" not in html
