"""Real components that tests and trials start for themselves: Redis, SQS and S3. PostgreSQL: scripts/with_postgres.py.

Each listens on loopback, on ports that were free, keeps its data in a directory of its own, and is stopped and removed
at the end of the block.
"""

import json
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

START_SECONDS = 60.0
REGION = "eu-central-1"


class NotStarted(RuntimeError):
    """A server did not answer in time; the text ends with its log."""


def free_ports(count: int) -> list[int]:
    """So many different ports of loopback on which nobody listens."""
    with ExitStack() as stack:
        probes = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def _server(command: list[str], home: Path, is_up: Callable[[], Any]) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command until the block ends; enters it once `is_up` neither fails nor says no."""
    log = home / "log"
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _holds(is_up):
            if running.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{command[0]} did not start\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        yield running
    finally:
        running.kill()  # its data goes anyway
        running.wait()


def _holds(condition: Callable[[], Any]) -> bool:
    try:
        return bool(condition())
    except (OSError, redis.RedisError, BotoCoreError, ClientError):
        return False


@contextmanager
def _home(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"offload-{name}-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@contextmanager
def redis_server(port: int = 0) -> Iterator[str]:
    """Start Debian's redis-server, which keeps nothing; gives its URL."""
    port = port or free_ports(1)[0]
    url = f"redis://127.0.0.1:{port}/0"
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    client = redis.from_url(url, socket_timeout=2)
    with closing(client), _home("redis") as home, _server(command, home, client.ping):
        yield url


@contextmanager
def sqs_server() -> Iterator[dict[str, str]]:
    """Start moto's server, which speaks SQS over HTTP; gives the environment of a service whose broker it is."""
    port = free_ports(1)[0]
    endpoint = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _home("sqs") as home, _server(command, home, lambda: sqs_client(endpoint).list_queues()):
        yield {"Q_BROKER": f"sqs://{REGION}", "SQS_ENDPOINT_URL": endpoint, **keys}


def sqs_client(endpoint: str) -> Any:
    """boto3's client of that server."""
    return _client("sqs", endpoint, {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"})


@contextmanager
def s3_server(bucket: str = "files") -> Iterator[dict[str, str]]:
    """Start SeaweedFS as an S3 server with one private bucket; gives the environment of a service that keeps its files
    there. It checks signatures, their ends and who may do what, as S3 does.
    """
    keys = {"AWS_ACCESS_KEY_ID": "offload", "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(24)}
    s3, *ports = free_ports(8)
    names = ["master.port", "master.port.grpc", "volume.port", "volume.port.grpc"]
    names += ["filer.port", "filer.port.grpc", "s3.port.grpc"]
    with _home("s3") as home:
        (home / "identities.json").write_text(json.dumps(_identities(keys)))
        command = [str(Path(sys.executable).parent / "weed"), "server", "-s3", f"-s3.port={s3}"]
        command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={home}", f"-s3.config={home / 'identities.json'}"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-master.volumeSizeLimitMB=64"]
        command += ["-master.telemetry=false", "-volume.max=10", "-master.volumePreallocate=false"]
        endpoint = f"http://127.0.0.1:{s3}"
        client = _client("s3", endpoint, keys)
        with _server(command, home, lambda: client.create_bucket(Bucket=bucket)):
            yield {
                "AWS_STORAGE_BUCKET_NAME": bucket,
                "AWS_S3_ENDPOINT_URL": endpoint,
                "AWS_S3_REGION_NAME": REGION,
                "AWS_S3_ADDRESSING_STYLE": "path",
                **keys,
            }


def _identities(keys: dict[str, str]) -> dict[str, Any]:
    """One who may do everything, and nobody else: without a name nothing may be read."""
    credentials = [{"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "offload", "credentials": credentials, "actions": actions}]}


def s3_client(environment: dict[str, str]) -> Any:
    """boto3's client of an `s3_server`, whose environment it takes."""
    return _client("s3", environment["AWS_S3_ENDPOINT_URL"], environment)


def _client(service: str, endpoint: str, keys: dict[str, str]) -> Any:
    session = boto3.Session(keys["AWS_ACCESS_KEY_ID"], keys["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    config = Config(
        signature_version="s3v4" if service == "s3" else None,
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
        connect_timeout=2,
        read_timeout=10,
    )
    return session.client(service, endpoint_url=endpoint, config=config)
