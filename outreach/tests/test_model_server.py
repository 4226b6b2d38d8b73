"""The stand-in model itself, asked without any SDK: what it sends, and what it remembers."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from evaluation.model_server import (
    ModelServer,
    Request,
    Step,
    calling_tool,
    cut,
    failing,
    garbage,
    refusing,
    resetting,
    says,
    silent,
)


def ask(server: ModelServer, **more: Any) -> requests.Response:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": '{"task": "check"}\n\nmore'}]
    body = {"model": "m", "messages": messages, **more}
    return requests.post(f"{server.url}/chat/completions", json=body, timeout=10)


def choice(server: ModelServer) -> dict[str, Any]:
    found: dict[str, Any] = ask(server).json()["choices"][0]
    return found


def test_a_completion_has_text_and_usage() -> None:
    with ModelServer([says({"a": "ä"}, usage=(7, 3)), says("plain")]) as server:
        first, second = ask(server).json(), ask(server).json()
    assert json.loads(first["choices"][0]["message"]["content"]) == {"a": "ä"}
    assert first["choices"][0]["finish_reason"] == "stop"
    assert first["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert (first["object"], first["model"]) == ("chat.completion", "m")
    assert second["choices"][0]["message"]["content"] == "plain"


def test_usage_can_be_missing() -> None:
    with ModelServer([says("x", usage=None)]) as server:
        assert "usage" not in ask(server).json()


def test_errors_are_worded_like_openais() -> None:
    with ModelServer([failing(429, "slow down", retry_after=3, code="rate_limit_exceeded"), failing(500)]) as server:
        first, second = ask(server), ask(server)
    assert (first.status_code, first.headers["Retry-After"]) == (429, "3")
    assert first.json()["error"]["message"] == "slow down"
    assert first.json()["error"]["code"] == "rate_limit_exceeded"
    assert (second.status_code, "Retry-After" in second.headers) == (500, False)


def test_answers_that_are_none() -> None:
    steps = [cut("half"), refusing("no"), calling_tool("send_mail"), silent()]
    with ModelServer(steps) as server:
        half, refused, called, nothing = (choice(server) for _ in steps)
    assert (half["finish_reason"], half["message"]["content"]) == ("length", "half")
    assert (refused["message"]["refusal"], refused["message"]["content"]) == ("no", None)
    assert called["message"]["tool_calls"][0]["function"]["name"] == "send_mail"
    assert nothing["message"] == {"role": "assistant", "content": None, "refusal": None}


def test_garbage_comes_as_it_is() -> None:
    with ModelServer([garbage(b"<html>")]) as server:
        response = ask(server)
    assert (response.status_code, response.content) == (200, b"<html>")


def test_a_connection_can_be_reset() -> None:
    with ModelServer([resetting()]) as server, pytest.raises(requests.ConnectionError):
        ask(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("step", [says("x", wait_seconds=0.3), Step("x", body=b"abcd", drip_seconds=0.1)])
def test_slow_steps_take_their_time(step: Step) -> None:
    with ModelServer([step]) as server:
        began = time.monotonic()
        ask(server)
        assert time.monotonic() - began >= 0.3


def test_a_script_may_be_a_function_of_the_request() -> None:
    with ModelServer(lambda request: says(request.purpose)) as server:
        assert choice(server)["message"]["content"] == "check"


def test_a_list_that_has_run_out_is_an_error_that_no_client_repeats_for_long() -> None:
    with ModelServer([]) as server:
        assert (ask(server).status_code, len(server.requests)) == (501, 1)


def test_formats_that_it_does_not_know_are_refused() -> None:
    with ModelServer(lambda _: says("x"), formats=["json_object"]) as server:
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
        assert ask(server, response_format=schema).status_code == 400
        assert ask(server, response_format={"type": "json_object"}).status_code == 200
        assert ask(server).status_code == 200
    assert [request.format for request in server.requests] == ["json_schema", "json_object", "text"]


def test_other_addresses_are_unknown() -> None:
    with ModelServer(lambda _: says("x")) as server:
        assert requests.post(f"{server.url}/models", json={}, timeout=10).status_code == 404


def test_a_request_tells_what_it_was_about() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:,"}}
    parts = [{"type": "text", "text": '{"task": "evaluation", "n": 1} and more'}, picture]
    later = [{"role": "assistant", "content": "hm"}, {"role": "user", "content": "again"}]
    messages = [{"role": "system", "content": "Rules."}, {"role": "user", "content": parts}, *later]
    request = Request("/", {}, {"model": "m", "messages": messages})
    assert (request.purpose, request.data, request.is_repair) == (
        "evaluation",
        {"task": "evaluation", "n": 1},
        True,
    )
    assert (request.system, request.user) == ("Rules.", '{"task": "evaluation", "n": 1} and more\nagain')


def test_it_counts_what_it_answers_at_once() -> None:
    with ModelServer(lambda _: says("x", wait_seconds=0.5)) as server:
        with ThreadPoolExecutor(8) as threads:
            statuses = {response.status_code for response in threads.map(lambda _: ask(server), range(8))}
        assert (statuses, server.most_at_once, server.at_once) == ({200}, 8, 0)
