"""Which agent writes and judges."""

from django.conf import settings

from outreach.agents.base import Agent
from outreach.agents.form import FormAgent


def current(seconds: float) -> Agent:
    """The agent that is configured, `form` where there is no model; `seconds` are left for its calls."""
    if not settings.OFFLOAD_MODEL:
        return FormAgent()
    from outreach.agents.openai import OpenAIAgent  # loads an SDK that takes a second, and that only a model needs

    return OpenAIAgent(seconds)
