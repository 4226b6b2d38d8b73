"""Which agent writes and judges."""

from outreach.agents.base import Agent
from outreach.agents.form import FormAgent


def current() -> Agent:
    """The agent that the service is configured with; `form` where there is no model."""
    return FormAgent()
