"""The process that draws one file: `python -m outreach.reading.draw image|pdf large|small`, the file on stdin.

Its answer is a line of JSON for each thing that it has to say: `count` of pages, a `page` (WebP in base64), a `note`.
So what has been drawn is not lost if the next page is more than it can take.
"""

import base64
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pypdfium2
from PIL import Image, ImageOps, WebPImagePlugin
from PIL.Image import DecompressionBombError
from pypdfium2 import PdfDocument, PdfiumError, PdfPage

from outreach.reading.bounds import SOFT_SECONDS, Unreadable, bind_process

MAX_PAGES = 5
LARGE, SMALL = (1240, 3500), (112, 112)  # pixels, at most: the width of A4 at 150 dpi, and a stamp
MAX_PIXELS = 40_000_000  # of an image; a JPEG of more is decoded smaller
MAX_ENLARGEMENT = 4.0  # of a PDF's point: tiny pages are drawn so that they can be read, and no larger
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")  # Pillow has sixty decoders; these are all that a file is given to

Said = dict[str, Any]


def main(what: str, size: str) -> None:
    box = SMALL if size == "small" else LARGE
    Image.preinit()  # imports the decoders, while there is memory and there are files to be opened
    warnings.simplefilter("ignore")  # of Pillow about the size of images, which is looked at below
    bind_process()  # after the imports, which are ours, and before the first foreign byte
    content = sys.stdin.buffer.read()
    attempt(lambda: draw_image(content, box) if what == "image" else draw_pdf(content, box))


def attempt(draw: Callable[[], Iterator[Said]]) -> None:
    """Say what is drawn as it is drawn; a failure as a note."""
    try:
        for said in draw():
            say(said)
    except Unreadable as reason:
        say({"note": f"can't be shown: {reason}"})
    except MemoryError:
        say({"note": "can't be shown: it takes too much memory"})
    # The libraries raise whatever a broken file leads them to.
    except Exception as error:  # noqa: BLE001
        say({"note": f"can't be shown: damaged ({type(error).__name__})"})


def say(said: Said) -> None:
    print(json.dumps(said), flush=True)  # noqa: T201 (its stdout is the answer)


def draw_image(content: bytes, box: tuple[int, int]) -> Iterator[Said]:
    """The image, upright and no larger than the box; of an animation its first picture."""
    try:
        image: Image.Image = Image.open(BytesIO(content), formats=FORMATS)
    except DecompressionBombError as error:
        raise Unreadable("too many pixels") from error
    image.draft("RGB", box)  # has an effect on a JPEG only
    if image.width * image.height > MAX_PIXELS:
        raise Unreadable("too many pixels")
    image = ImageOps.exif_transpose(image)
    image.thumbnail(box)
    yield page_of(image)


def draw_pdf(content: bytes, box: tuple[int, int]) -> Iterator[Said]:
    """The first pages, with what has been filled in and written upon them."""
    end = time.monotonic() + SOFT_SECONDS
    document = _open(content)
    count, most = len(document), 1 if box == SMALL else MAX_PAGES
    yield {"count": count}
    for number in range(min(count, most)):
        if time.monotonic() > end:
            yield {"note": f"only the first {number} of {count} pages are shown: it takes too long"}
            return
        yield page_of(_render(document[number], box))
    if count > most:
        yield {"note": f"only the first {most} of {count} pages are shown"}


def _open(content: bytes) -> PdfDocument:
    try:
        document = PdfDocument(content)
    except PdfiumError as error:
        why = "protected by a password" if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD else "damaged"
        raise Unreadable(why) from error
    document.init_forms()  # else what is filled in is not drawn; no script is run, the library is built without
    return document


def _render(page: PdfPage, box: tuple[int, int]) -> Image.Image:
    width, height = page.get_size()
    scale = min(box[0] / max(width, 1), box[1] / max(height, 1), MAX_ENLARGEMENT)
    drawn: Image.Image = page.render(scale=scale).to_pil()
    return drawn


def page_of(image: Image.Image) -> Said:
    """The picture on white, as a line of the answer."""
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        image = paper
    packed = BytesIO()
    Image.Image.save(image, packed, "WEBP", quality=80, method=2)
    return {"page": base64.b64encode(packed.getvalue()).decode("ascii")}


assert WebPImagePlugin.SUPPORTED  # noqa: S101 (Pillow can be built without; all its wheels have it)

if __name__ == "__main__":
    main(*sys.argv[1:])
