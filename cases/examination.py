"""What `manage.py doctor` is made of: checks that the rooms offer by name (settings.OFFLOAD_DOCTOR_CHECKS).

A check is a function that takes an Examination and yields findings. Findings never carry a secret.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from django.conf import settings
from django.utils.module_loading import import_string


class Level(IntEnum):
    """How bad it is; the worst one is the command's exit code."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    level: Level
    about: str
    what: str
    remedy: str = ""  # empty only where nothing has to be done


def ok(about: str, what: str) -> Finding:
    return Finding(Level.OK, about, what)


def warn(about: str, what: str, remedy: str) -> Finding:
    return Finding(Level.WARN, about, what, remedy)


def fail(about: str, what: str, remedy: str) -> Finding:
    return Finding(Level.FAIL, about, what, remedy)


@dataclass(frozen=True)
class Examination:
    """How thorough it is to be. `deep`: also what costs money, such as one answer of a model."""

    deep: bool = False


Check = Callable[[Examination], Iterator[Finding]]


def findings(examination: Examination) -> Iterator[Finding]:
    """All findings in the order of the setting. A check that breaks is itself a finding, and the others still run."""
    for path in settings.OFFLOAD_DOCTOR_CHECKS:
        check: Check = import_string(path)
        try:
            yield from check(examination)
        except Exception as error:  # noqa: BLE001 (it examines what may be broken in any way)
            about = path.rpartition(".")[2].replace("_", " ")
            yield fail(
                about, f"could not be examined: {type(error).__name__}", "Mend what is said above it, or the log."
            )
