"""Whether the records of a fit are like those that its encoder was pretrained on."""

from __future__ import annotations

import numpy as np

from leaven.data.arrays import Arrays
from leaven.data.dataset import Finding
from leaven.learn.encoder import encode, sample
from leaven.learn.probes import separability
from leaven.learn.start import Start

__all__ = ["elsewhere"]

_RECORDS = 1000
_APART = 0.75  # told apart this well by a linear classifier, they are other records


def elsewhere(start: Start, arrays: Arrays, seed: int) -> list[Finding]:
    """A finding on the distance of the two sets, in the encoder's own features; none for few."""
    index = sample(np.arange(len(arrays)), _RECORDS, seed)
    features = encode(start.encoder, arrays, index, start.front.views.plain)
    apart = separability(features, start.features[:_RECORDS], seed)
    if apart is None:
        return []
    said = (
        "A linear classifier tells these records from those that the encoder was pretrained on "
        f"with an area under the curve of {apart:.2f} (0.50 is alike)."
    )
    if apart < _APART:
        return [Finding("pretrained-on-alike", "info", said, len(index))]
    advice = (
        "Pretrain on records like these: leaven pretrain DATA. Or compare: leaven compare DATA."
    )
    return [Finding("pretrained-elsewhere", "warning", said, len(index), (), advice)]
