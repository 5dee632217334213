"""Datasets made in the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
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
