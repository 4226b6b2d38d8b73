from django.db import models


class Heartbeat(models.Model):
    """The sign of life of one worker cluster. Only a finished wake-up, or a pump at work, renews it."""

    name = models.CharField(max_length=100, primary_key=True)  # host and process id of its supervisor
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()  # when the cluster last finished a wake-up, acknowledgement included
    busy_until = models.DateTimeField(null=True, blank=True)  # a pump says: still at work, look again then

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
