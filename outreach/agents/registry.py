"""Which agent writes and judges."""

from django.conf import settings

from outreach.agents.base import Agent
from outreach.agents.form import FormAgent
from outreach.providers import gate as gates


def current(seconds: float) -> Agent:
    """The agent that is configured, `form` where there is no model; `seconds` are left for its calls."""
    if not settings.OFFLOAD_MODEL:
        return FormAgent()
    from outreach.agents import openai  # loads an SDK that takes a second, and that only a model needs

    return openai.OpenAIAgent(seconds, gates.of_model(openai.base_url()))
