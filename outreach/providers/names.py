"""What the services are called, for staff, figures and rows."""

from urllib.parse import urlsplit

from django.conf import settings

MOST_CHARS = 200


def of_model(base_url: str) -> str:
    """The server of a model: its rates are those of an account there, whichever model is asked."""
    return f"model:{urlsplit(base_url).netloc.rpartition('@')[2]}"[:MOST_CHARS]


def of_transport(transport: str) -> str | None:
    """Who takes the mail of that transport; None where nobody outside does."""
    if transport == "agentmail":
        return "agentmail"
    if transport != "email":
        return None
    if settings.EMAIL_BACKEND.startswith("anymail."):
        return f"anymail:{settings.EMAIL_BACKEND.split('.')[-2]}"
    if settings.EMAIL_BACKEND.rpartition(".")[0].endswith(".smtp"):
        return f"smtp:{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"[:MOST_CHARS]
    return None  # the console, a file
