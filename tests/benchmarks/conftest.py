"""A small folder of sets in the layout that the benchmarks read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

WORDS = {"rain": "wet cloud storm drizzle umbrella", "bread": "oven crust dough flour yeast"}


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds (n, 4), far apart, and which one each point is in."""
    random = np.random.default_rng(seed)
    kind = np.arange(n) % 2
    return random.normal(size=(n, 4)) + 6 * kind[:, None], kind


def write_table(folder: Path, part: str, n: int, seed: int) -> None:
    points, kind = blobs(n, seed)
    columns = {f"x{i}": points[:, i] for i in range(4)}
    columns["x1"] = [None if i == 5 else value for i, value in enumerate(points[:, 1].tolist())]
    columns["colour"] = [["red", None, "blue"][i % 3] for i in range(n)]
    columns["label"] = [["low", "high"][k] for k in kind]
    columns["label_name"] = columns["label"]
    pq.write_table(pa.table(columns), folder / f"{part}.parquet")


def write_texts(folder: Path, part: str, n: int, seed: int) -> None:
    random, names = np.random.default_rng(seed), list(WORDS)
    labels = [names[i % 2] for i in range(n)]
    texts = [
        f"{' '.join(random.choice(WORDS[x].split(), 4))} {random.integers(999)}" for x in labels
    ]
    pq.write_table(
        pa.table({"text": texts, "label": [names.index(x) for x in labels], "label_name": labels}),
        folder / f"{part}.parquet",
    )


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise (n, 8, 8), bright above or below."""
    pixels = np.random.default_rng(seed).integers(0, 90, (n, 8, 8), dtype=np.uint8)
    kind = np.arange(n, dtype=np.uint8) % 2
    for image, where in zip(pixels, kind, strict=True):
        image[4 * where : 4 * where + 4] += 150
    return pixels, kind


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sets named points, notes and squares: 120 training and 40 test records, two classes."""
    home = tmp_path_factory.mktemp("sets")
    for name, write in (("points", write_table), ("notes", write_texts)):
        (home / name).mkdir()
        write(home / name, "train", 120, 0)
        write(home / name, "test", 40, 1)
    (home / "squares").mkdir()
    (x, y), (x_test, y_test) = pictures(120, 0), pictures(40, 1)
    np.savez(home / "squares" / "squares.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    index = [
        {"name": "points", "modality": "tabular", "format": "parquet"},
        {"name": "notes", "modality": "text", "format": "parquet"},
        {"name": "squares", "modality": "image", "format": "npz"},
        {"name": "songs", "modality": "audio", "format": "audio-parquet"},
    ]
    (home / "index.json").write_text(json.dumps(index))
    return home
