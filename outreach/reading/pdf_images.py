"""The picture that a scanned page consists of, taken out without decoding it."""

import struct
import zlib
from typing import Any

from pypdf import PageObject
from pypdf.generic import StreamObject

from outreach.reading.bounds import MAX_IMAGE_BYTES

MAX_PICTURES = 100

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2  # PNG colour types
_PNG_PREDICTOR = 10  # from here /FlateDecode holds what a PNG's IDAT holds (ISO 32000-1 §7.4.4.4)


def has_pictures(page: PageObject) -> bool:
    return bool(_pictures(page))


def page_image(page: PageObject) -> bytes:
    """The largest picture of the page as JPEG or PNG; empty where it is neither, or is too large.

    A JPEG is embedded as it is; a losslessly packed one is given a PNG's frame. Fax and JPEG 2000 are left.
    """
    pictures = _pictures(page)
    if not pictures:
        return b""
    largest = max(pictures, key=lambda picture: _number(picture, "/Width") * _number(picture, "/Height"))
    filters = _list(largest.get("/Filter"))
    image = b""
    if filters == ["/DCTDecode"]:
        image = largest._data
    elif filters == ["/FlateDecode"]:
        image = _png(largest)
    return image if len(image) <= MAX_IMAGE_BYTES else b""


def _pictures(page: PageObject) -> list[StreamObject]:
    resources: Any = page.get("/Resources")
    resources = resources.get_object() if resources is not None else {}
    objects: Any = resources.get("/XObject")
    objects = objects.get_object() if objects is not None else {}
    found = [reference.get_object() for reference in list(objects.values())[:MAX_PICTURES]]
    return [item for item in found if isinstance(item, StreamObject) and item.get("/Subtype") == "/Image"]


def _png(picture: StreamObject) -> bytes:
    width, height, depth = (_number(picture, key) for key in ("/Width", "/Height", "/BitsPerComponent"))
    space = picture.get("/ColorSpace")
    colour = {"/DeviceGray": _GREY, "/DeviceRGB": _RGB}.get(space if isinstance(space, str) else "")
    if colour is None or depth not in (1, 8) or (colour == _RGB and depth == 1) or "/Decode" in picture:
        return b""
    parameters = next((item for item in _list(picture.get("/DecodeParms")) if isinstance(item, dict)), {})
    predictor = parameters.get("/Predictor", 1)
    if predictor == 1:
        rows = picture.get_data()  # bounded by pypdf
        length = (width * depth * (3 if colour == _RGB else 1) + 7) // 8
        if len(rows) < length * height:
            return b""
        packed = zlib.compress(b"".join(b"\0" + rows[at : at + length] for at in range(0, length * height, length)), 1)
    elif isinstance(predictor, int) and predictor >= _PNG_PREDICTOR:
        packed = picture._data
    else:
        return b""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return _PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _number(picture: StreamObject, key: str) -> int:
    value = picture.get(key)
    value = value.get_object() if value is not None else 0
    return value if isinstance(value, int) and 0 < value < 100_000 else 0


def _list(value: Any) -> list[Any]:
    value = value.get_object() if value is not None else []
    return [item.get_object() for item in value] if isinstance(value, list) else [value]
