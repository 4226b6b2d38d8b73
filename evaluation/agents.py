"""With which agent a scenario is played."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.test import override_settings

from evaluation.model_server import ModelServer
from evaluation.player import Player
from evaluation.scenario import Scenario
from evaluation.scripted_model import ScriptedModel
from outreach.agents import registry

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
        _check_chosen("openai")
        yield Player(scenario)
    elif agent == "scripted":
        model = ScriptedModel(scenario)
        with (
            ModelServer(model) as server,
            override_settings(OPENAI_API_KEY="scripted", OPENAI_BASE_URL=server.url, OFFLOAD_MODEL="scripted"),
        ):
            _check_chosen("openai")
            yield Player(scenario, before_steps=model.know)
    else:
        with override_settings(**NO_MODEL):
            _check_chosen("form")
            yield Player(scenario)


def check_configured() -> None:
    """Raise NotConfigured unless the environment names a model to measure."""
    if not settings.OFFLOAD_MODEL or not (settings.OPENAI_API_KEY or settings.OPENAI_BASE_URL):
        raise NotConfigured("Set OPENAI_API_KEY (or OPENAI_BASE_URL) and OFFLOAD_MODEL to measure a model.")


def _check_chosen(name: str) -> None:
    """Raise NotConfigured where the service would not use the agent that is to be measured."""
    chosen = registry.current(1.0).name
    if chosen != name:
        raise NotConfigured(f"With these settings the service uses the agent {chosen}, not {name}.")
