"""What the tests of reading share: sentences, files, and what is told of a dataset."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from leaven.data.dataset import Dataset

SENTENCES = [f"the quick fox number {i} jumps over the lazy dog" for i in range(12)]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def png(value: int, size: int = 8) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def names(dataset: Dataset) -> set[str]:
    return {finding.name for finding in dataset.findings}


def reasons(dataset: Dataset) -> list[str]:
    return sorted(dataset.quarantine["reason"].to_pylist())


def texts(dataset: Dataset) -> list[str]:
    return dataset.records.column(0).to_pylist()
