"""Picture files made harmless: opened within bounds, upright, grey or RGB, 8 bits.

Whatever a file turns out to be, the outcome is a picture or one `Unreadable` that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.IcoImagePlugin import IcoImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from leaven.data.files import Unreadable, source

__all__ = ["MOST_PIXELS", "Look", "Unreadable", "fit", "look", "read"]

#: Pictures of more are refused before a pixel is decoded: 50 megapixels, 150 MB as RGB.
MOST_PIXELS = 50_000_000

# Pillow knows more, among them formats that start other programs (EPS starts Ghostscript).
# Importing a reader is what makes its format known.
_READERS = (
    PngImageFile,
    JpegImageFile,
    GifImageFile,
    BmpImageFile,
    TiffImageFile,
    WebPImageFile,
    PpmImageFile,
    IcoImageFile,
)
_FORMATS = tuple(reader.format for reader in _READERS)
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Look:
    """What a picture is like: its upright size in pixels, and whether all of it is grey."""

    width: int
    height: int
    grey: bool


def look(item: str | bytes | None, root: Path | None) -> Look:
    """Size and greyness of a picture, from a reduced reading where the format allows it.

    Parameters and errors are those of `read`.
    """
    with _opened(item, root) as image:
        width, height = image.size
        if _turned(image) >= 5:  # these orientations lie on their side
            width, height = height, width
        return Look(width, height, _is_grey(_decoded(image, 96)))


def read(item: str | bytes | None, root: Path | None, hint: int) -> Image.Image:
    """A picture as mode L or RGB: the first frame, upright, transparency over white.

    Parameters
    ----------
    item : a file name relative to `root`, or the bytes of an encoded picture.
    root : the folder that files must lie in. Links inside it are followed, as the reader that
        listed it did: folders of links are a usual way to make a subset.
    hint : the side that the picture will be shrunk to; a large JPEG is read at no more than
        needed for twice that.

    Raises `Unreadable` for a missing or outside file, and for bytes that are empty, no picture
    of a known format, cut off, damaged, or too large.
    """
    with _opened(item, root) as image:
        return _decoded(image, hint)


def fit(picture: Image.Image, channels: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    """(channels, height, width) of a picture of mode L or RGB.

    Scaled so that all of it fits with its shape kept, centred, its edge repeated beyond it.
    """
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (width, height):
        scale = min(width / picture.width, height / picture.height)
        size = (
            min(width, max(1, round(picture.width * scale))),
            min(height, max(1, round(picture.height * scale))),
        )
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    pixels = np.asarray(picture)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    down, right = height - pixels.shape[1], width - pixels.shape[2]
    if down or right:
        sides = ((0, 0), (down // 2, down - down // 2), (right // 2, right - right // 2))
        pixels = np.pad(pixels, sides, mode="edge")
    return pixels


@contextmanager
def _opened(item: str | bytes | None, root: Path | None) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked; every failure as `Unreadable`."""
    try:
        with Image.open(source(item, root, "image"), formats=_FORMATS) as image:
            if min(image.size) < 1:
                raise Unreadable("no pixels", f"the picture is {image.width} by {image.height}")
            if image.width * image.height > MOST_PIXELS:
                found = f"{image.width} by {image.height} pixels"
                raise Unreadable("too large", f"{found}; at most {MOST_PIXELS} are read")
            yield image
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not an image", "the bytes are of no known picture format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable("too large", str(error)) from None
    except Exception as error:
        # Pillow's readers meet damage with whatever error comes up: OSError, SyntaxError,
        # struct.error, IndexError, KeyError … None of them may end a run over many files.
        raise Unreadable("undecodable image", f"{type(error).__name__}: {error}") from error


def _turned(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    turned = 1
    with suppress(Exception):  # EXIF is often damaged in pictures that are fine
        turned = int(image.getexif().get(_ORIENTATION, 1))
    return turned if 1 <= turned <= 8 else 1


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _decoded(image: Image.Image, hint: int) -> Image.Image:
    """An opened picture as mode L or RGB, upright."""
    turned = _turned(image)
    if isinstance(image, JpegImageFile):
        image.draft(None, (2 * hint, 2 * hint))
    image.load()
    picture = _plain(image)
    return picture.transpose(_TURNS[turned]) if turned in _TURNS else picture


def _plain(image: Image.Image) -> Image.Image:
    """A decoded picture as mode L or RGB of 8 bits, over white where it is transparent."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _eight_bits(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Pixels of 16 or 32 bits or floats as 8 bits.

    Integers above 255 mean a range of 16 bits, floats up to 1 mean a range of 1: the file does
    not say, and stretching each picture by itself would make them incomparable.
    """
    wide = np.nan_to_num(values.astype(np.float64))
    if values.dtype.kind == "f":
        scaled = wide * 255 if wide.max() <= 1 else wide
    else:
        scaled = wide / 257 if values.dtype.itemsize == 2 or wide.max() > 255 else wide
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _is_grey(picture: Image.Image) -> bool:
    """Whether a picture of mode L or RGB has only greys."""
    if picture.mode == "L":
        return True
    red, green, blue = picture.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()
