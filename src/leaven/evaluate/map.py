"""A map of records: their features in two dimensions, for a page that shows a record on hover."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from leaven.core.errors import LeavenError
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES, Shown
from leaven.learn.encoder import Encoder, encode, sample

__all__ = ["map_records"]

_EACH = 150  # labelled records, and as many others


def map_records(
    dataset: Dataset,
    arrays: Arrays,
    seen: Index,
    labelled: Index,
    encoder: Encoder,
    seed: int,
) -> list[dict[str, Any]]:
    """At most 300 records: `x` and `y` in [0, 1], the `label` where one is known, and `shown`.

    t-SNE (van der Maaten & Hinton 2008) of at most 50 principal components: near records are near
    in the features; distances between far ones mean little.
    """
    index = np.unique(
        np.concatenate([sample(labelled, _EACH, seed), sample(seen, _EACH, seed + 1)])
    )
    if len(index) < 8:
        return []
    features = encode(encoder, arrays, index, MODALITIES[encoder.modality].plain)
    scaled = (features - features.mean(0)) / (features.std(0) + 1e-6)
    narrow = PCA(min(50, *scaled.shape), random_state=seed).fit_transform(scaled)
    perplexity = min(20.0, (len(index) - 1) / 4)
    places = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(narrow)
    places = places - places.min(0)
    places = places / np.maximum(places.max(0), 1e-9)
    known = np.isin(index, labelled)
    return [
        {
            "x": round(float(places[i, 0]), 4),
            "y": round(float(places[i, 1]), 4),
            "id": str(dataset.ids[record]),
            "label": dataset.classes[dataset.targets[record]] if known[i] else None,
            "shown": _shown(dataset, int(record)),
        }
        for i, record in enumerate(index)
    ]


def _shown(dataset: Dataset, record: int) -> Shown:
    """As the modality shows it; of a sound its picture, for 300 players would weigh megabytes."""
    try:
        shown = MODALITIES[dataset.modality].show(dataset, record)
    except LeavenError:
        return {"kind": "none"}
    return {"kind": "image", "png": shown["png"]} if shown["kind"] == "audio" else shown
