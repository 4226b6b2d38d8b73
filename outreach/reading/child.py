"""The process that reads one file: `python -m outreach.reading.child FORMAT`, the file on stdin, the answer on stdout.

The answer is a JSON object of three strings: `text`, `note`, `image` (base64), as in `bounds.Reading`.
"""

import base64
import importlib
import json
import sys
from collections.abc import Callable

from outreach.inbound import html_lines, mime
from outreach.reading.bounds import MAX_TEXT_CHARS, Reading, Unreadable, bind_process

READERS = {"pdf": "pdf", "docx": "docx", "xlsx": "xlsx", "html": "words", "mail": "words", "text": "words"}


def main(file_format: str) -> None:
    module = importlib.import_module(f"outreach.reading.{READERS[file_format]}")
    bind_process()  # after the imports, which are ours, and before the first foreign byte
    answer(attempt(getattr(module, f"read_{file_format}"), sys.stdin.buffer.read()))


def attempt(reader: Callable[[bytes], Reading], content: bytes) -> Reading:
    """What the reader says; its failure as a note."""
    try:
        return reader(content)
    except Unreadable as reason:
        return Reading(note=f"can't be read: {reason}")
    except MemoryError:
        return Reading(note="can't be read: it takes too much memory")
    # The libraries raise whatever a broken file leads them to, RecursionError and AssertionError among it.
    except Exception as error:  # noqa: BLE001
        return Reading(note=f"can't be read: damaged ({type(error).__name__})")


def answer(reading: Reading) -> None:
    text = html_lines.without_invisible(mime.clean(reading.text)).strip()
    notes = [reading.note] if reading.note else []
    if len(text) > MAX_TEXT_CHARS:
        text = text[:MAX_TEXT_CHARS]
        notes.append(f"only the first {MAX_TEXT_CHARS} characters are here")
    if not text and not notes:
        notes.append("no text")
    image = base64.b64encode(reading.image).decode("ascii")
    json.dump({"text": text, "note": "; ".join(notes), "image": image}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
