"""Requests to our own API as commands for a shell, to be copied. `$URL` and `$KEY` are the reader's to set."""

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any


def get(path: str) -> str:
    """A request that reads; `path` begins with a slash and holds nothing that a shell would read."""
    return _command(path)


def post(path: str, body: Mapping[str, Any] | None = None, *, indent: int | None = None) -> str:
    """A request with a body of JSON, or with none."""
    if body is None:
        return _command(path, "-X POST")
    text = pretty(body, indent)  # begins with {, so curl takes no @ for a file's name
    return _command(path, "-H 'content-type: application/json'", f"-d {shlex.quote(text)}")


def pretty(body: Mapping[str, Any], indent: int | None = 2) -> str:
    """The body as JSON that people can read."""
    return json.dumps(body, ensure_ascii=False, indent=indent)


def form(path: str, texts: Mapping[str, str], files: Iterable[str]) -> str:
    """A request with a form: its texts, and files by their names as they lie in the reader's directory."""
    said = [f"--form-string {shlex.quote(f'{name}={text}')}" for name, text in texts.items()]
    return _command(path, *said, *(f"-F {shlex.quote(_file(name))}" for name in files))


def _file(name: str) -> str:
    """Inside double quotes curl takes no comma or semicolon for its own (curl(1), --form)."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'attachments=@"{escaped}"'


def _command(path: str, *arguments: str) -> str:
    return " \\\n  ".join([f'curl -s "$URL{path}"', '-H "x-api-key: $KEY"', *arguments])
