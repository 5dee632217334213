"""What turned out to be true in production, as a table of labels for the next fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import pyarrow as pa
from sqlalchemy import and_, select

from leaven.store.prediction_tables import feedback, predictions
from leaven.store.store import Store

__all__ = ["production_labels"]

_LABELS = pa.schema(
    {
        "content": pa.string(), "label": pa.string(), "origin": pa.string(), "people": pa.string(),
        "answers": pa.int64(), "agreed": pa.float64(), "caused": pa.bool_(),
        "explored": pa.bool_(), "at": pa.string(),
    }
)  # fmt: skip


def production_labels(store: Store, service: str) -> tuple[pa.Table, int]:
    """One row a content of which truth came back, and of how many contents it was ambiguous.

    `content` is what records are joined by, `origin` is `production`, `people` who told it,
    `answers` how often it was told, `agreed` the share of these that named the label. `explored`
    says that one of the predictions was drawn at random, `at` is the time of the last. Where
    several labels were told of one content, the most frequent counts; where two are as frequent
    there is no row.

    `caused` labels were brought about by what was done because of a prediction: they are marked,
    and a fit leaves them out. Where a label that was not caused is known as well, it alone counts.
    """
    heard = and_(
        predictions.c.name == feedback.c.prediction, predictions.c.place.in_(("live", "canary"))
    )
    told = (
        *(feedback.c[name] for name in ("content", "label", "caused", "person", "at", "origin")),
        predictions.c.explored,
    )
    query = (
        select(*told)
        .join(predictions, heard, isouter=True)
        .where(feedback.c.service == service)
        .order_by(feedback.c.content, feedback.c.id)
    )
    rows: list[dict[str, object]] = []
    ambiguous = 0
    with store.read() as connection:
        found = connection.execution_options(yield_per=1000).execute(query).mappings()
        for content, group in groupby(found, key=lambda row: str(row["content"])):
            row = _label(content, list(group))
            if row is None:
                ambiguous += 1
            else:
                rows.append(row)
    return pa.Table.from_pylist(rows, schema=_LABELS), ambiguous


def _label(content: str, told: Sequence[Any]) -> dict[str, object] | None:
    """The row of a content; None where the labels that count are even."""
    own = [row for row in told if not row["caused"]]
    counted = own or told
    (label, most), *others = Counter(row["label"] for row in counted).most_common(2)
    if others and others[0][1] == most:
        return None
    return {
        "content": content,
        "label": label,
        "origin": counted[0]["origin"],
        "people": ", ".join(sorted({row["person"] for row in counted})),
        "answers": len(counted),
        "agreed": most / len(counted),
        "caused": not own,
        "explored": any(row["explored"] for row in counted),
        "at": datetime.fromtimestamp(max(row["at"] for row in counted), UTC).isoformat(),
    }
