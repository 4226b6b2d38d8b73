"""Which agent writes and judges."""

from outreach.agents.base import Agent
from outreach.agents.form import FormAgent


def current(seconds: float) -> Agent:
    """The agent that is configured, `form` where there is no model; `seconds` are left for its calls."""
    return FormAgent()
