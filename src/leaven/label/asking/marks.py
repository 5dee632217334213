"""What a person who answers should look at first: the words that decide, the values that stand out.

Of a text those words are marked without which the model would be less sure of its guess (erasure;
Li, Monroe & Jurafsky 2016, arXiv:1612.08220). Of a table's row those values are marked that lie far
outside of what the column holds (Tukey 1977, outer fences), and names that hardly occur in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.data.cells import level_names, numbers
from leaven.data.dataset import Dataset
from leaven.label.rules.rule import Answering

__all__ = ["deciding_words", "unusual_values"]

_PIECES = 24  # a longer text is erased by runs of words, not word by word
_LONGEST = 1900  # characters of a text that are looked at; no page shows more
_MARKED = 3  # pieces at most
_LEAST = 0.05  # of the guess's probability, that a piece must be worth
_FENCE = 3.0  # interquartile ranges beyond the quartiles
_ENOUGH, _RARE = 100, 0.01  # records of a column, and the share under which a name is rare


def deciding_words(
    dataset: Dataset, rows: Sequence[int], model: Answering, guesses: Sequence[str]
) -> list[list[tuple[int, int]]]:
    """Of each text at `rows` the spans (start, end) in characters that its guess rests on.

    At most three, the weightiest first; none where no piece alone decides. The model is asked once,
    about all texts with each of their pieces erased.
    """
    column = next(c.name for c in dataset.columns if c.kind == "text" or len(dataset.columns) == 1)
    texts = [str(dataset.records[column][int(row)].as_py() or "") for row in rows]
    pieces = [_pieces(text[:_LONGEST]) for text in texts]
    erased = [
        (int(row), text[:start] + text[end:])
        for row, text, spans in zip(rows, texts, pieces, strict=True)
        for start, end in spans
    ]
    if not erased:
        return [[] for _ in rows]
    whole = [(int(row), text) for row, text in zip(rows, texts, strict=True)]
    told = _asked(dataset, column, whole + erased, model)
    place = {name: i for i, name in enumerate(model.classes)}
    found, at = [], len(texts)
    for i, (spans, guess) in enumerate(zip(pieces, guesses, strict=True)):
        without = told[at : at + len(spans), place[guess]]
        at += len(spans)
        loss = np.nan_to_num(told[i, place[guess]] - without, nan=0.0)
        order = np.argsort(-loss, kind="stable")[:_MARKED]
        found.append([spans[j] for j in order.tolist() if loss[j] >= _LEAST])
    return found


def unusual_values(dataset: Dataset, rows: Sequence[int]) -> list[list[str]]:
    """Of each record at `rows` the columns whose value stands out among all records."""
    found: list[list[str]] = [[] for _ in rows]
    index = np.asarray(rows, np.int64)
    if len(dataset) < _ENOUGH:
        return found
    for column in dataset.columns:
        values = dataset.records[column.name]
        if column.kind == "numeric":
            odd = _far(numbers(values), index)
        elif column.kind in ("categorical", "boolean"):
            odd = _rare(level_names(values).to_pylist(), index)
        else:
            continue
        for i in np.flatnonzero(odd).tolist():
            found[i].append(column.name)
    return found


def _pieces(text: str) -> list[tuple[int, int]]:
    """Words, or runs of as many words each, as (start, end)."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    if len(words) < 2:
        return []
    size = -(-len(words) // _PIECES)
    runs = [words[i : i + size] for i in range(0, len(words), size)]
    return [(run[0][0], run[-1][1]) for run in runs]


def _asked(
    dataset: Dataset, column: str, texts: list[tuple[int, str]], model: Answering
) -> npt.NDArray[np.float64]:
    """(n, k) what the model says of records, (row, text), with their text replaced; NaN of one
    that it cannot read."""
    part = dataset.select(np.array([row for row, _ in texts], np.int64))
    place = part.records.column_names.index(column)
    field = part.records.schema.field(column)
    said = pa.array([text for _, text in texts], field.type)
    ids = np.array([str(i) for i in range(len(texts))])
    asked = replace(part, records=part.records.set_column(place, field, said), ids=ids)
    kept, probabilities = model.predict(asked)
    told = np.full((len(texts), len(model.classes)), np.nan)
    told[kept.ids.astype(np.int64)] = probabilities
    return told


def _far(values: Any, index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    known = np.asarray(values, np.float64)
    low, high = np.nanpercentile(known, [25, 75]) if np.isfinite(known).any() else (0.0, 0.0)
    reach = _FENCE * (high - low)
    with np.errstate(invalid="ignore"):
        odd: npt.NDArray[np.bool_] = (known < low - reach) | (known > high + reach)
    return odd[index] if reach > 0 else np.zeros(len(index), np.bool_)


def _rare(names: list[str | None], index: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    counts = Counter(names)
    most = _RARE * len(names)
    levels = len(counts) <= len(names) / 10  # a column of names that are all different has none
    return np.array([levels and names[i] is not None and counts[names[i]] < most for i in index])
