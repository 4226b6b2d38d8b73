"""django-q2's Redis and SQS brokers, with what an installation of many processes needs of them: no call waits for
minutes, no connection is shared with a forked child, and a cluster starts and stays where the broker is away.

Chosen by settings.Q_CLUSTER; everything that uses them is in cases/work.py.
"""

import os
from typing import Any

import boto3
import botocore.session
import redis
from botocore.config import Config
from django_q.brokers import Broker
from django_q.brokers.aws_sqs import Sqs
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from redis.backoff import NoBackoff
from redis.retry import Retry

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 5.0  # more than a broker's own wait for the next wake-up


class RedisBroker(Redis):
    """A list in Redis. redis-py's own connections notice a fork; by itself it would try again for seconds."""

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        return redis.from_url(
            Conf.REDIS,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # a connection that has been idle may be closed
        )

    def ping(self) -> bool:
        """A cluster asks as it starts, and would end if this raised."""
        return True

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """django-q2's own statistics, twice a second, which nobody reads here."""


class SqsBroker(Sqs):
    """A queue in SQS, looked up (or made) when a process first needs it."""

    def __init__(self, list_key: str | None = None) -> None:
        self._owner: int | None = None
        Broker.__init__(self, list_key)

    def __setstate__(self, state: Any) -> None:
        self._owner = None
        Broker.__setstate__(self, state)

    @staticmethod
    def get_connection(list_key: str | None = None) -> boto3.Session:
        session = botocore.session.get_session()
        session.set_default_client_config(
            Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=ANSWER_SECONDS,
                retries={"total_max_attempts": 2, "mode": "standard"},
            )
        )
        return boto3.Session(botocore_session=session, region_name=Conf.SQS["aws_region"])

    @property
    def queue(self) -> Any:
        """This very process's: pusher and monitor inherit one broker, and would read each other's answers."""
        if self._owner != os.getpid():
            self.connection = self.get_connection(self.list_key)
            self._queue = self.get_queue()
            self._owner = os.getpid()
        return self._queue

    def queue_size(self) -> int:
        self.queue.load()  # boto3 keeps what it has once read
        return int(super().queue_size())

    def lock_size(self) -> int:
        self.queue.load()
        return int(super().lock_size())

    def delete(self, task_id: str) -> None:
        """Acknowledge a message, by its receipt."""
        self.queue.meta.client.delete_message(QueueUrl=self.queue.url, ReceiptHandle=task_id)
