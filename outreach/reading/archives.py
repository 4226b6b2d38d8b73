"""Office files are ZIP archives: what they say they will swell to is looked at before they are opened."""

import zipfile
from io import BytesIO

from outreach.reading.bounds import Unreadable

MAX_ENTRIES = 5000
MAX_UNPACKED_BYTES = 100 * 1024 * 1024
MAX_RATIO = 200
RATIO_FROM_BYTES = 10 * 1024 * 1024  # small files of blank cells are packed tighter than that, and harmless


def opened(content: bytes) -> BytesIO:
    """The archive, ready to be read. Raises Unreadable for a bomb.

    The sizes in the directory may lie, but zipfile reads no further than they say.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise Unreadable("damaged") from error
    unpacked = sum(entry.file_size for entry in entries)
    is_swollen = unpacked > RATIO_FROM_BYTES and unpacked > MAX_RATIO * len(content)
    if len(entries) > MAX_ENTRIES or unpacked > MAX_UNPACKED_BYTES or is_swollen:
        raise Unreadable("its packed content is too large")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("protected by a password")
    return BytesIO(content)
