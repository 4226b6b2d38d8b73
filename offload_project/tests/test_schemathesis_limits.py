"""The same with a thousand requests more, which probe the limits of every parameter and field."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cases.models import ApiKey
from offload_project.tests.test_schemathesis import (
    Existing,
    aim,
    check,
    described,
    key,  # noqa: F401 (fixtures)
    offline_webhooks,  # noqa: F401
    rows,  # noqa: F401
)

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")]
document = described(at_limits=True)


@document.parametrize()
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Any, key: ApiKey, rows: Iterator[Existing]) -> None:  # noqa: F811
    aim(case, next(rows))
    check(case, key)
