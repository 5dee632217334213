"""Pictures, grey or colour, from files or bytes.

To add a modality, write one file like this one: a class that implements `Modality`, registered
under its name. `describe` looks at the first records and says as plain JSON what decoding must
remember; `decode` turns records into arrays and names those it cannot; `plain`, `weak` and
`strong` turn a batch of those arrays into what the encoder reads; `show` is for people. Name the
encoders in `encoder` and `features`; if none reads your arrays, add one to the encoders.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import torch

from leaven.core.errors import DataError
from leaven.data.arrays import Arrays, Batch
from leaven.data.dataset import Dataset
from leaven.data.file_column import files_of, root_of
from leaven.data.modality import MODALITIES, Modality, Rejected, Shown, Spec
from leaven.data.pictures import Look, Unreadable, fit, look, read
from leaven.data.views.choosing import Choose
from leaven.data.views.cropping import CropResized, smaller
from leaven.data.views.draws import Operation, compose
from leaven.data.views.geometric import Rotate, ShearX, ShearY, TranslateX, TranslateY
from leaven.data.views.image_ops import Cutout, Flip, Shift, unit
from leaven.data.views.jitter import Blur, Inverted, Jitter
from leaven.data.views.learned import LearnedChoose, Steering
from leaven.data.views.photometric import (
    AutoContrast,
    Brightness,
    Colour,
    Contrast,
    Equalise,
    Identity,
    Posterise,
    Sharpness,
    Solarise,
)

__all__ = ["Image"]

# Grey pictures are not mirrored: most are digits, letters, drawings or scans, where left and
# right carry the meaning. Colour ones are mostly photographs, where they do not.
WEAK_GREY: tuple[Operation[torch.Tensor], ...] = (Shift(0.125),)
WEAK_COLOUR: tuple[Operation[torch.Tensor], ...] = (Shift(0.125), Flip())

_GREY = (
    Identity(),
    AutoContrast(),
    Brightness(),
    Contrast(),
    Equalise(),
    Posterise(),
    Sharpness(),
    Solarise(),
    Rotate(),
    ShearX(),
    ShearY(),
    TranslateX(),
    TranslateY(),
)
_COLOUR = (*_GREY, Colour())
_COVER = Cutout(0.5)
STRONG_GREY: tuple[Operation[torch.Tensor], ...] = (Choose(_GREY), _COVER)
STRONG_COLOUR: tuple[Operation[torch.Tensor], ...] = (Choose(_COLOUR), _COVER)
LEARNED_GREY = LearnedChoose(_GREY)
LEARNED_COLOUR = LearnedChoose(_COLOUR)

# For self-supervised learning (SimCLR, BYOL): where a picture is cut out, and in which light. Grey
# pictures are not inverted: in drawings and scans dark on light is no accident.
_WHOLE, _PART = CropResized(0.2), CropResized(0.05, 0.2)
_LIGHT_GREY: tuple[Operation[torch.Tensor], ...] = (Jitter(), Blur(0.25))
_LIGHT_COLOUR: tuple[Operation[torch.Tensor], ...] = (Flip(), Jitter(), Blur(0.25), Inverted(0.1))

_LOOKED_AT = 200
#: Pictures all of one size up to this side keep it; others come to at most `_LARGEST`.
_NATIVE = 64
_LARGEST = 96
_SMALLEST = 8
_SHOWN = 128
_THREADS = 2
_SLICE = 64


@MODALITIES.register("image")
class Image(Modality):
    """A picture a record. Arrays: "pixels" (n, channels, height, width) uint8.

    Views are float32 in [0, 1]. Spec: {"channels": 1 or 3, "height": h, "width": w}.

    The column of kind image (else the one named "image") holds file names relative to the
    dataset's root, or encoded bytes.
    """

    name = "image"
    encoder = "small-convnet"
    features = "patch-dictionary"
    beside: ClassVar[Mapping[str, str]] = {"gradients": "gradients"}
    blocks = "image-blocks"

    def describe(self, dataset: Dataset) -> Spec:
        """Channels and size, from at most 200 evenly spaced pictures.

        One channel if all of them are grey. The native size if it is one and the same and at
        most 64 pixels; of one larger size the same shape, 96 pixels long; of different sizes a
        square as large as the usual longer side, at most 96. Pictures of another shape are
        scaled to fit and their edge repeated: no part of a picture is cut off.

        Raises DataError where none of them can be read.
        """
        every = np.linspace(0, len(dataset) - 1, min(len(dataset), _LOOKED_AT)).astype(np.int64)
        root = root_of(dataset)
        looks: list[Look] = []
        reason = "there are no records"
        for item in files_of(dataset.select(np.unique(every)), "image").to_pylist():
            try:
                looks.append(look(item, root))
            except Unreadable as error:
                reason = str(error)
        if not looks:
            raise DataError(
                f"none of the {len(every)} pictures looked at can be read, the last because: "
                f"{reason}. Check the column of pictures and the folder it is relative to."
            )
        height, width = _shape(looks)
        return {
            "channels": 1 if all(seen.grey for seen in looks) else 3,
            "height": height,
            "width": width,
        }

    def decode(self, dataset: Dataset, spec: Spec) -> tuple[Arrays, Sequence[Rejected]]:
        """All pictures in the spec's shape; what cannot be read is rejected, with the reason."""
        items, root = files_of(dataset, "image"), root_of(dataset)
        shape = (spec["channels"], spec["height"], spec["width"])
        pixels = np.zeros((len(items), *shape), np.uint8)

        def work(start: int) -> list[Rejected]:
            rejected: list[Rejected] = []
            for place, item in enumerate(items[start : start + _SLICE].to_pylist(), start):
                try:
                    pixels[place] = fit(read(item, root, hint=max(shape[1:])), *shape)
                except Unreadable as error:
                    rejected.append((place, error.reason, error.detail))
            return rejected

        # Pillow decodes outside the interpreter's lock.
        with ThreadPoolExecutor(_THREADS) as pool:
            parts: Iterable[list[Rejected]] = pool.map(work, range(0, len(items), _SLICE))
            rejected = [one for part in parts for one in part]
        return Arrays({"pixels": pixels}), rejected

    def plain(self, batch: Batch) -> Batch:
        """The pixels as floats."""
        return {"pixels": unit(batch["pixels"])}

    def weak(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Moved by up to an eighth; colour pictures mirrored half of the time."""
        return {"pixels": unit(_moved(batch, spec, rng))}

    def strong(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """Moved as the weak view is, then two random operations and a covered square."""
        operations = STRONG_GREY if spec["channels"] == 1 else STRONG_COLOUR
        return {"pixels": compose(operations, unit(_moved(batch, spec, rng)), rng)}

    def contrastive(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """A fifth to all of the picture in another light; colour ones mirrored half of the time."""
        return {"pixels": _cut_out(_WHOLE, batch, spec, rng)}

    def local(self, batch: Batch, spec: Spec, rng: torch.Generator) -> Batch:
        """The same of a twentieth to a fifth of the picture, about half as long and wide."""
        shape = (smaller(spec["height"]), smaller(spec["width"]))
        return {"pixels": _cut_out(_PART, batch, spec, rng, shape)}

    def dials(self, spec: Spec) -> tuple[int, int]:
        """The operations of the strong view, and 17 bins of magnitude each."""
        learned = _learned(spec)
        return len(learned.operations), learned.bins

    def steered(
        self, batch: Batch, spec: Spec, rng: torch.Generator, rates: torch.Tensor | None
    ) -> tuple[Batch, Steering]:
        """As the strong view, the magnitudes of its operations by these rates (CTAugment)."""
        learned, pixels = _learned(spec), unit(_moved(batch, spec, rng))
        steering = learned.steer(pixels, rng, rates)
        return {"pixels": _COVER(learned.apply(pixels, steering), rng)}, steering

    def show(self, dataset: Dataset, position: int) -> Shown:
        """The picture as a PNG of at most 128 pixels, base64.

        Raises DataError where it cannot be read.
        """
        try:
            picture = read(
                files_of(dataset, "image")[position].as_py(),
                root_of(dataset),
                hint=_SHOWN,
            )
        except Unreadable as error:
            raise DataError(
                f"the picture at position {position} cannot be shown. {error}."
            ) from error
        picture.thumbnail((_SHOWN, _SHOWN))
        buffer = io.BytesIO()
        picture.save(buffer, "png")
        return {"kind": "image", "png": base64.b64encode(buffer.getvalue()).decode("ascii")}


def _moved(batch: Batch, spec: Spec, rng: torch.Generator) -> torch.Tensor:
    """The weak view, still uint8."""
    return compose(WEAK_GREY if spec["channels"] == 1 else WEAK_COLOUR, batch["pixels"], rng)


def _cut_out(
    crop: CropResized,
    batch: Batch,
    spec: Spec,
    rng: torch.Generator,
    shape: tuple[int, int] | None = None,
) -> torch.Tensor:
    """A part of each picture in another light, scaled to the shape."""
    pixels = unit(batch["pixels"])
    pixels = crop.apply(pixels, crop.draw(pixels, rng), shape)
    return compose(_LIGHT_GREY if spec["channels"] == 1 else _LIGHT_COLOUR, pixels, rng)


def _learned(spec: Spec) -> LearnedChoose:
    """The operations of the strong view, their magnitudes learnt."""
    return LEARNED_GREY if spec["channels"] == 1 else LEARNED_COLOUR


def _shape(looks: Sequence[Look]) -> tuple[int, int]:
    """Height and width to decode to; see `Image.describe`."""
    sizes = np.array([[seen.height, seen.width] for seen in looks])
    longer = sizes.max(1)
    if (sizes == sizes[0]).all():
        native = sizes[0].min() >= _SMALLEST and longer[0] <= _NATIVE
        scale = 1.0 if native else min(_LARGEST / longer[0], max(1.0, _SMALLEST / longer[0]))
        height, width = np.maximum(_SMALLEST, (sizes[0] * scale).round().astype(int))
        return int(height), int(width)
    side = int(np.clip(8 * round(float(np.median(longer)) / 8), _SMALLEST, _LARGEST))
    return side, side
