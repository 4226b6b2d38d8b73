"""Spreadsheets: the stored values of the cells that are shown, row by row."""

import time
from collections.abc import Iterable
from datetime import date, datetime
from datetime import time as time_of_day
from typing import Any

from openpyxl import load_workbook

from outreach.reading import archives
from outreach.reading.bounds import MAX_TEXT_CHARS, SOFT_SECONDS, Reading

MAX_SHEETS = 50
MAX_ROWS = 10_000


def read_xlsx(content: bytes) -> Reading:
    """Each sheet under its name, a line for each row that holds something, cells apart by tabs."""
    end = time.monotonic() + SOFT_SECONDS
    workbook = load_workbook(archives.opened(content), read_only=True, data_only=True)
    lines: list[str] = []
    notes: list[str] = []
    shown = [sheet for sheet in workbook.worksheets if sheet.sheet_state == "visible"]
    if len(shown) < len(workbook.worksheets):
        notes.append(f"hidden sheets left out: {len(workbook.worksheets) - len(shown)}")
    for sheet in shown[:MAX_SHEETS]:
        sheet.reset_dimensions()  # what the file says of its size need not be true
        lines.append(f"Sheet: {sheet.title}")
        if not _add_rows(sheet.iter_rows(values_only=True), lines, end):
            notes.append("only the first rows were read")
            break
    return Reading("\n".join(lines), "; ".join(notes))


def _add_rows(rows: Iterable[tuple[Any, ...]], lines: list[str], end: float) -> bool:
    """Add a sheet's lines; False if there is more than can be read."""
    length = 0
    for number, row in enumerate(rows):
        if len(lines) > MAX_ROWS or length > MAX_TEXT_CHARS or (number % 100 == 0 and time.monotonic() > end):
            return False
        line = "\t".join(map(_cell, row)).rstrip("\t")
        if line:
            lines.append(line)
            length += len(line)
    return True


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(" ") if value.time() != time_of_day() else value.date().isoformat()
    if isinstance(value, date | time_of_day):
        return value.isoformat()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return " ".join(str(value).split())
