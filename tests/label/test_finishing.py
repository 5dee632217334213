"""Each record gets the label that counts, and says whose it is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from leaven.data.dataset import Dataset
from leaven.label.trust.finishing import finished


def test_people_count_before_what_was_given_and_both_before_the_model():
    table = pa.table(
        {
            "id": list("abcdef"),
            "text": [f"text {i}" for i in range(6)],
            "kind": ["x", "x", "y", *[None] * 3],
        }
    )
    dataset = Dataset.from_frame(table, label="kind", modality="text")
    dataset = dataset.with_meta("by", pa.array([None, None, "ann", None, None, None]))
    said = np.array([[0.9, 0.1]] * 3 + [[0.95, 0.05], [0.1, 0.9], [0.7, 0.3]])
    told = finished(
        dataset, said, ("x", "y"), answered={"b": "y"}, accepted={"x"}, confidence=0.8
    ).to_pylist()
    assert [(one["id"], one["label"], one["origin"], one["confidence"]) for one in told] == [
        ("a", "x", "given", None),
        ("b", "y", "person", None),
        ("c", "y", "person", None),
        ("d", "x", "model", 0.95),
        ("e", None, None, None),
        ("f", None, None, None),
    ]


def test_no_record_is_a_table_without_rows():
    empty = Dataset.from_frame(
        pa.table({"text": ["a"], "kind": ["x"]}), label="kind", modality="text"
    ).select(np.zeros(0, np.int64))
    told = finished(empty, np.zeros((0, 2)), ("x", "y"), answered={}, accepted=(), confidence=0.5)
    assert told.num_rows == 0
    assert told.column_names == ["id", "content", "label", "origin", "confidence"]
