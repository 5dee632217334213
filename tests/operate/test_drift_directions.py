"""Pictures, sounds, series and vectors counted by their principal directions."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from leaven.core.errors import DataError
from leaven.data.dataset import Dataset
from leaven.data.series import packed
from leaven.data.sounds import wave_file
from leaven.operate.drift import directions as module
from leaven.operate.drift.comparing import compare
from leaven.operate.drift.directions import DIRECTED, Directions
from leaven.operate.drift.keeping import kept
from leaven.operate.drift.reference import Reference
from leaven.operate.drift.watched import Watched
from leaven.operate.health.frame import Frame

RATE = 4000


def pictures(n: int, rng: np.random.Generator, more: float = 0.0) -> list[Any]:
    """Stripes of some width in some light, of 40 by 40 pixels."""
    made = []
    for _ in range(n):
        wave = np.sin(np.arange(40) * rng.uniform(0.2, 0.6) + rng.uniform(0, 6))
        pixels = 128 + 60 * wave[None] + rng.normal(0, 8 + more, (40, 40))
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "PNG")
        made.append(stream.getvalue())
    return made


def sounds(n: int, rng: np.random.Generator, more: float = 0.0) -> list[Any]:
    """Tones of some height and length, in some noise."""
    made = []
    for _ in range(n):
        at = np.arange(int(RATE * rng.uniform(0.2, 0.4))) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(200, 900) * at)
        noise = rng.normal(0, 0.01 + more / 100, len(at))
        made.append(wave_file(0.5 * tone + noise, RATE, exact=True))
    return made


def series(n: int, rng: np.random.Generator, more: float = 0.0) -> list[Any]:
    """Two channels of 70 steps, some of them missing."""
    made = rng.normal(0, 0.3 + more / 20, (n, 2, 70)) + rng.normal(size=(n, 2, 1))
    made[rng.random(made.shape) < 0.05] = np.nan
    return list(made)


def vectors(n: int, rng: np.random.Generator, more: float = 0.0) -> list[Any]:
    """Six numbers, of which two say the third."""
    made = rng.normal(size=(n, 6))
    made[:, 2] = made[:, 0] + made[:, 1] + rng.normal(0, 0.1 + more / 10, n)
    return made.tolist()


MAKERS = {"image": pictures, "audio": sounds, "series": series, "embedding": vectors}
KINDS = {"image": "image", "audio": "audio", "series": "series", "embedding": "vector"}


def dataset(modality: str, cells: list[Any]) -> Dataset:
    """The cells as a set of records, as one read from a file."""
    if modality == "series":
        column = packed(cells)
    elif modality == "embedding":
        column = pa.array(cells, pa.list_(pa.float32(), 6))
    else:
        column = pa.array(cells, pa.binary())
    table = pa.table({"record": column, "label": ["a", "b"] * (len(cells) // 2)})
    return Dataset.from_frame(table, label="label", modality=modality)


@pytest.fixture(scope="module", params=DIRECTED)
def made(request: pytest.FixtureRequest) -> tuple[str, Dataset]:
    """Records of each kind in turn."""
    n = 1200 if request.param in ("series", "embedding") else 400
    cells = MAKERS[request.param](n, np.random.default_rng(0))
    return request.param, dataset(request.param, cells)


def test_what_has_changed_is_seen_and_what_has_not_is_not(made: tuple[str, Dataset]):
    modality, data = made
    found, values = Directions.of(data)
    assert {len(column) for column in values.values()} == {len(data) - len(data) // 4}
    frame, rng = Frame(Reference.of(values)), np.random.default_rng(1)
    verdicts = {}
    for more in (0.0, 25.0):
        cells = MAKERS[modality](600, rng, more)
        hour = frame.count(found.of_records([{"record": one} for one in cells]))
        shifts = compare(frame.reference, frame.sketch(hour))
        verdicts[more] = {one.column for one in shifts if one.verdict == "shifted"}
    assert verdicts[0.0] == set()
    wanted = {
        "image": "sharpness", "audio": "roughness", "series": "spread", "embedding": "component 6",
    }  # fmt: skip
    assert wanted[modality] in verdicts[25.0]


def test_requests_are_read_as_files_are_and_odd_ones_are_left_out(made: tuple[str, Dataset]):
    modality, data = made
    found, _ = Directions.of(data)
    few = data.select(np.arange(40))
    cells = MAKERS[modality](len(data), np.random.default_rng(0))[:40]
    asked = [*({"record": one} for one in cells), {"record": None}, {}]
    ours, theirs = found.of_dataset(few), found.of_records(asked)
    assert list(ours) == list(theirs)
    for name, column in ours.items():
        np.testing.assert_allclose(theirs[name], column, atol=1e-3, rtol=1e-3, err_msg=name)
    assert {len(column) for column in found.of_records([{}]).values()} == {0}


def test_a_kept_reference_reads_records_as_its_own_were_read(
    made: tuple[str, Dataset], tmp_path: Path
):
    modality, data = made
    Watched.of(data).keep(tmp_path / "r.drift")
    again = kept(tmp_path / "r.drift")
    assert again.directions is not None
    assert again.directions.modality == modality
    few = data.select(np.arange(30))
    theirs = again.directions.of_dataset(few)
    for name, column in Directions.of(data)[0].of_dataset(few).items():
        np.testing.assert_array_equal(theirs[name], column)
    came = dataset(modality, MAKERS[modality](300, np.random.default_rng(2), 25.0))
    found = Watched.of(tmp_path / "r.drift").compare(came)
    assert found.outcome == "shifted"
    assert found.features is None, "the features of an encoder need the records"


def test_records_are_read_some_at_a_time_to_the_same_columns(
    made: tuple[str, Dataset], monkeypatch: pytest.MonkeyPatch
):
    _, data = made
    found, _ = Directions.of(data)
    whole = found.of_dataset(data.select(np.arange(50)))
    monkeypatch.setattr(module, "_TOGETHER", 7)
    parted = found.of_dataset(data.select(np.arange(50)))
    for name, column in whole.items():
        np.testing.assert_allclose(parted[name], column, atol=1e-4, rtol=1e-4)


def test_alike_and_few_records_make_no_numbers_that_are_none():
    alike = dataset("embedding", [[1.0] * 6] * 40)
    _, values = Directions.of(alike)
    assert all(np.isfinite(column).all() for column in values.values())
    with pytest.raises(DataError, match="8 records"):
        Directions.of(dataset("embedding", [[1.0] * 6] * 4))
