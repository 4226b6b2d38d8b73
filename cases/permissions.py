"""Who among staff may see and do what: two permissions decide, `cases.view_case` and `cases.change_case`.

Apart from the admin's classes, since template tags ask too, and the theme loads those before it has its own classes.
"""

from django.http import HttpRequest

SEE, ACT = "cases.view_case", "cases.change_case"


def actor(request: HttpRequest) -> str:
    """The person of the request, as the timeline names them."""
    return f"staff {request.user.get_username()}"


def may_see(request: HttpRequest) -> bool:
    """Whether the person may see cases and all that belongs to them: questions, mail, files."""
    return request.user.has_perm(SEE) or request.user.has_perm(ACT)


def may_act(request: HttpRequest) -> bool:
    """Whether the person may answer questions and decide for cases."""
    return request.user.has_perm(ACT)


def person(actor: str) -> str:
    """Who that is, as colleagues know them: `olaf` for the actor `staff olaf`; a client's key stays what it is."""
    return actor.removeprefix("staff ")
