"""django-q2's broker in the database, for whoever has just committed there: a wake-up takes one statement."""

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ


class OrmBroker(ORM):
    """Chosen by settings.Q_CLUSTER. Its own module, since the other brokers import the clients of Redis and SQS."""

    def enqueue(self, task: str) -> int:
        """Put the task into the queue, by the connection that the thread has.

        django-q2 would give it back first, and take one that has to be tried out. Whoever rings has just used it; where
        it has broken all the same, the wake-up is lost, as it may be.
        """
        key = self.list_key or Conf.CLUSTER_NAME
        return int(OrmQ.objects.using(Conf.ORM).create(key=key, payload=task, lock=timezone.now()).pk)
