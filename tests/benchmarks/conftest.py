"""A small folder of sets in each layout that the benchmarks read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from leaven.data.sounds import wave_file

WORDS = {"rain": "wet cloud storm drizzle umbrella", "bread": "oven crust dough flour yeast"}

Arrays = dict[str, np.ndarray]


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


def write_photos(folder: Path, part: str, n: int, seed: int) -> None:
    pixels, kind = pictures(n, seed)
    files = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(np.stack([image] * 3, -1)).save(stream, "PNG")
        files.append(stream.getvalue())
    pq.write_table(pa.table({"image": files, "label": kind.tolist()}), folder / f"{part}.parquet")


def write_sounds(folder: Path, part: str, n: int, seed: int) -> None:
    """A fifth of a second of a low or a high tone, in noise."""
    random, time = np.random.default_rng(seed), np.arange(1600) / 8000
    kind = np.arange(n) % 2
    waves = [0.3 * np.sin(2 * np.pi * (300, 1500)[k] * time + random.random()) for k in kind]
    files = [
        wave_file((w + random.normal(0, 0.02, len(w))).astype(np.float32), 8000, exact=True)
        for w in waves
    ]
    pq.write_table(pa.table({"audio": files, "label": kind.tolist()}), folder / f"{part}.parquet")


def waves(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2, 40) a slow or a quick wave in noise."""
    random, kind = np.random.default_rng(seed), np.arange(n) % 2
    phase = random.random((n, 2, 1))
    steps = np.arange(40) * np.where(kind, 0.9, 0.2)[:, None, None]
    return (np.sin(steps + phase) + random.normal(0, 0.05, (n, 2, 40))).astype(np.float32), kind


def write_parts(folder: Path, make: Callable[[int, int], tuple[np.ndarray, np.ndarray]]) -> None:
    (x, y), (x_test, y_test) = make(120, 0), make(40, 1)
    np.savez(folder, x_train=x, y_train=y, x_test=x_test, y_test=y_test)


def ragged() -> Arrays:
    """160 of the waves, the steps of one after those of the other, of two lengths."""
    found, kind = waves(160, 0)
    cut = [series[:, : 40 - 8 * (i % 3 == 0)] for i, series in enumerate(found)]
    return {
        "values": np.concatenate([series.T for series in cut]),
        "offsets": np.cumsum([0, *(series.shape[1] for series in cut)]),
        "y": kind,
        "split": np.where(np.arange(160) < 120, "train", "test"),
    }


def packed() -> Arrays:
    """160 of the pictures in two tones, which some of the noise gets through."""
    pixels, kind = pictures(160, 0)
    bits = np.packbits((pixels > 80).reshape(160, -1), axis=1)
    return {"images_packed": bits, "shape": np.array([8, 8]), "y": kind}


def graph() -> Arrays:
    """Two groups of 80 nodes with a word of their own, edges within the groups."""
    random, y = np.random.default_rng(0), np.arange(160) % 2
    source = np.repeat(np.arange(160), 3)
    target = (source + 2 * random.integers(1, 40, len(source))) % 160
    return {
        "edges": np.stack([source, target]), "y": y, "x_indptr": np.arange(161), "x_indices": y,
        "x_data": np.ones(160, np.float32), "x_shape": np.array([160, 3]),
        "train_idx": np.arange(8), "val_idx": np.arange(8, 60), "test_idx": np.arange(120, 160),
    }  # fmt: skip


#: Name, modality and format of each set that can be used.
SETS = {
    "points": ("tabular", "parquet"),
    "notes": ("text", "parquet"),
    "squares": ("image", "npz"),
    "photos": ("image", "image-parquet"),
    "letters": ("image", "npz-packed"),
    "waves": ("time series", "npz-ts"),
    "steps": ("time series", "npz-ragged"),
    "tones": ("audio", "audio-parquet"),
    "papers": ("graph", "npz-graph"),
}


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`SETS`, each of two classes, 40 test records and 120 others; and three of no use."""
    home = tmp_path_factory.mktemp("sets")
    index = [{"name": n, "modality": m, "format": f} for n, (m, f) in SETS.items()]
    for entry in index:
        (home / entry["name"]).mkdir()
    written = {
        "points": write_table, "notes": write_texts, "photos": write_photos, "tones": write_sounds
    }  # fmt: skip
    for name, write in written.items():
        write(home / name, "train", 120, 0)
        write(home / name, "test", 40, 1)
    write_parts(home / "squares" / "squares.npz", pictures)
    write_parts(home / "waves" / "all.npz", waves)
    index[[*SETS].index("waves")]["files"] = [{"path": "waves/all.npz"}]
    for name, make in (("steps", ragged), ("letters", packed), ("papers", graph)):
        np.savez(home / name / f"{name}.npz", **make())
    (home / "moods").mkdir()
    moods = pa.table({"text": ["so so"], "labels": [["joy", "anger"]]})
    pq.write_table(moods, home / "moods" / "train.parquet")
    index += [
        {"name": "moods", "modality": "text", "format": "parquet"},
        {"name": "talks", "modality": "audio", "format": "audio-parquet", "classes": None},
        {"name": "boxes", "modality": "detection", "format": "detection-parquet"},
    ]
    (home / "index.json").write_text(json.dumps(index))
    return home
