"""With which agent a scenario is played."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.test import override_settings

from evaluation.player import Player
from evaluation.scenario import Scenario

NO_MODEL = {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": "", "OFFLOAD_MODEL": ""}


class NotConfigured(Exception):
    """The agent needs a model, and the environment names none."""


@contextmanager
def playing_with(agent: str, scenario: Scenario) -> Iterator[Player]:
    """A player of the scenario, with the service configured for the agent while the block lasts.

    Raises NotConfigured.
    """
    if agent == "openai":
        check_configured()
        yield Player(scenario)
    else:
        with override_settings(**NO_MODEL):
            yield Player(scenario)


def check_configured() -> None:
    """Raise NotConfigured unless the environment names a model to measure."""
    if not settings.OPENAI_API_KEY and not settings.OPENAI_BASE_URL:
        raise NotConfigured("Set OPENAI_API_KEY (or OPENAI_BASE_URL) and OFFLOAD_MODEL to measure a model.")
