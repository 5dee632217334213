"""The whole set with a label each, as far as people gave one or the model may."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from leaven.data.dataset import Dataset
from leaven.learn.predictions import Floats

__all__ = ["finished"]

_SCHEMA = pa.schema(
    {
        "id": pa.string(), "content": pa.string(), "label": pa.string(), "origin": pa.string(),
        "confidence": pa.float64(),
    }
)  # fmt: skip


def finished(
    dataset: Dataset,
    probabilities: Floats,
    classes: Sequence[str],
    *,
    answered: Mapping[str, str],
    accepted: Collection[str],
    confidence: float,
) -> pa.Table:
    """One row a record: `id`, `content`, `label`, `origin` and `confidence`.

    What people answered counts before what was given, and both before the model: its answer stands
    where its class is accepted and it is sure enough. Else the label is null, and so is its origin.

    Parameters
    ----------
    probabilities : (n, k) what the model says of each record, over `classes`.
    answered : labels by record.
    accepted : the classes of which the model's answers may be taken.
    """
    named, sure = probabilities.argmax(1).tolist(), probabilities.max(1).tolist()
    people = [None] * len(dataset)
    if dataset.meta is not None and "by" in dataset.meta.column_names:
        people = dataset.meta["by"].to_pylist()
    rows = []
    for i, (name, given) in enumerate(
        zip(dataset.ids.tolist(), dataset.labels.to_pylist(), strict=True)
    ):
        guess = classes[named[i]]
        label, origin, p = None, None, None
        if name in answered:
            label, origin = answered[name], "person"
        elif given is not None:
            label, origin = given, "given" if people[i] is None else "person"
        elif guess in accepted and sure[i] >= confidence:
            label, origin, p = guess, "model", sure[i]
        rows.append((name, str(dataset.content[i]), label, origin, p))
    columns = zip(*rows, strict=True) if rows else [()] * len(_SCHEMA)
    return pa.table([list(column) for column in columns], schema=_SCHEMA)
