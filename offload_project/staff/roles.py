"""Three roles, as groups: viewers see, operators act for cases, admins also keep clients, keys and staff.

`migrate` makes the groups and gives them what they lack. What an operator of the service has given them besides is
left; whoever needs a role of another cut makes a group of another name.
"""

from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models import Q

VIEWER, OPERATOR, ADMIN = ROLES = ("viewer", "operator", "admin")
ROOMS = ("cases", "outreach", "webhooks")

_SEE = Q(content_type__app_label__in=ROOMS, codename__startswith="view_")
# Clients, keys and signing secrets are nobody's business who answers questions.
_KEPT_BY_ADMINS = Q(content_type__model__in=("client", "apikey", "signingsecret"))
_ACT = Q(content_type__app_label__in=ROOMS, codename__startswith="change_") & ~_KEPT_BY_ADMINS
_ACT |= Q(content_type__app_label="outreach", content_type__model="suppression")
_KEEP = Q(content_type__app_label__in=ROOMS) & _KEPT_BY_ADMINS
_KEEP |= Q(content_type__app_label="auth", codename__in=("view_user", "add_user", "change_user"))
_LOCKOUTS = ("view_accessattempt", "delete_accessattempt", "view_accesslog")  # to delete an attempt lifts a lockout
_KEEP |= Q(content_type__app_label="axes", codename__in=_LOCKOUTS)
# What else pages ask for (failed logins, the roles themselves): no role of ours has it, but one of somebody's own may.
_BESIDES = Q(content_type__app_label="axes", codename__startswith="view_access") & ~Q(codename__endswith="expiration")
_BESIDES |= Q(content_type__app_label="auth", content_type__model="group")
ASKED_FOR = _SEE | _ACT | _KEEP | _BESIDES
MAY = {VIEWER: _SEE, OPERATOR: _SEE | _ACT, ADMIN: _SEE | _ACT | _KEEP}


def create(**_: Any) -> None:
    """Make the groups that are missing and add the permissions that they lack. Takes nothing away."""
    for role, may in MAY.items():
        group, _created = Group.objects.get_or_create(name=role)
        group.permissions.add(*Permission.objects.filter(may))
