from datetime import timedelta

from django.db import models
from django.db.models import Q

from cases import database

FRESH = timedelta(seconds=60)


class Role(models.TextChoices):
    """What kind of process it is."""

    WORKER = "worker"
    CLOCK = "clock"


class HeartbeatQuerySet(models.QuerySet["Heartbeat"]):
    def alive(self, role: Role) -> "HeartbeatQuerySet":
        """Those of that role that have shown a sign of life within the last minute, or are busy."""
        now = database.now()
        return self.filter(Q(finished_at__gte=now - FRESH) | Q(busy_until__gte=now), role=role)


class Heartbeat(models.Model):
    """The sign of life of one worker cluster, or of one clock.

    A worker's is renewed only by a finished wake-up, or by a pump at work; a clock's by a look that has gone well.
    """

    name = models.CharField(max_length=100, primary_key=True)  # host and process id of its supervisor, or of the clock
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.WORKER, db_default=Role.WORKER)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()  # when the cluster last finished a wake-up, acknowledgement included
    busy_until = models.DateTimeField(null=True, blank=True)  # a pump says: still at work, look again then

    objects = HeartbeatQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
