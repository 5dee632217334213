"""Datasets made in the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from leaven.data.dataset import Column, Dataset

Make = Callable[..., Dataset]


@pytest.fixture
def make_dataset() -> Make:
    """A dataset of one modality from columns, each a (kind, values) pair; nothing labelled."""

    def make(modality: str, root: Path | None = None, **columns: tuple[str, object]) -> Dataset:
        records = pa.table({name: values for name, (_, values) in columns.items()})
        ids = np.array([f"r{i}" for i in range(len(records))])
        return Dataset(
            records=records,
            ids=ids,
            labels=pa.nulls(len(records), pa.string()),
            modality=modality,
            columns=tuple(Column(name, kind) for name, (kind, _) in columns.items()),
            content=np.char.add("content of ", ids) if len(ids) else ids,
            root=root,
        )

    return make


@pytest.fixture
def frame() -> pd.DataFrame:
    """A table of every kind of column, with gaps."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, 40),
            "height": rng.normal(170, 10, 40).round(2),
            "city": rng.choice(["Bern", "Basel", None], 40),
            "member": rng.choice([True, False], 40),
            "since": pd.date_range("2020-01-01", periods=40, freq="37h"),
            "label": rng.choice(["a", "b", None], 40),
        }
    )
