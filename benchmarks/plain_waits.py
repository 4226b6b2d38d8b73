"""One blocking model call as a task of plain Celery or plain django-q2: as little as such a task can do.

`python -m benchmarks.plain_waits celery 600` puts so many tasks into the queue. The client is one for all threads of a
process, as its makers advise, and what is asked has the form and about the size of an evaluation of a case.
"""

import os
import sys
from functools import cache
from typing import Any

import httpx2
import openai
from celery import Celery

app = Celery("waits", broker=os.environ.get("WAITS_BROKER", ""))
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)

DECISIONS = ["GOAL_ACHIEVED", "REJECTED", "REPLY", "INPUT_NEEDED", "WAIT"]
FORM = {
    "type": "object",
    "properties": {"decision": {"enum": DECISIONS}, "reason": {"type": "string"}},
    "required": ["decision", "reason"],
    "additionalProperties": False,
}
PROMPT = "You judge whether a correspondence has reached its goal. " * 120


@cache
def client() -> openai.OpenAI:
    """This process's, with a connection for each thread."""
    limits = httpx2.Limits(max_connections=1024, max_keepalive_connections=1024)
    http_client = openai.DefaultHttpxClient(limits=limits)
    return openai.OpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="none", max_retries=0, http_client=http_client)


@app.task(name="waits.ask")
def ask() -> None:
    """Ask, wait, and throw the answer away."""
    response_format: Any = {"type": "json_schema", "json_schema": {"name": "reply_evaluation", "schema": FORM}}
    client().chat.completions.create(
        model="slow",
        messages=[{"role": "system", "content": PROMPT}, {"role": "user", "content": "Hello, here it is."}],
        response_format=response_format,
    )


def ask_by_django_q() -> None:
    """The same for django-q2, which imports what it is given by name."""
    ask()


def main(whose: str, count: int) -> int:
    """Put tasks into the queue."""
    if whose == "celery":
        for _ in range(count):
            ask.delay()
        return 0
    import django

    django.setup()
    from django_q.tasks import async_task

    for _ in range(count):
        async_task("benchmarks.plain_waits.ask_by_django_q")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
