"""The waits of production after a failure, from a minute to a day, shortened to what a run of minutes can wait for.

Nothing else of the kinds is changed: they are the product's own. Named in settings.py, so that every process of the
service imports this before it looks for work.
"""

from datetime import timedelta

from cases import leases
from outreach.inbound import intake
from outreach.tasks import CASES, PAYLOADS
from webhooks import tasks as webhook_tasks
from webhooks.tasks import DELIVERIES

__all__ = ["CASES", "DELIVERIES", "PAYLOADS"]

leases.BACKOFF_SECONDS = (1.0, 6.0)
intake.TRY_AGAIN = timedelta(seconds=2)
webhook_tasks.SCHEDULE = (  # type: ignore[assignment]  # as many attempts as a run may need
    timedelta(0),
    *(timedelta(seconds=seconds) for seconds in (1, 2, 4, *[8] * 60)),
)
