"""A saved model: read back to the bit, or refused with a reason; never half believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaven import api
from leaven.core.errors import RunError
from leaven.data.dataset import Dataset
from leaven.learn.predictor import Predictor


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = rng.normal(size=(90, 3)) + 2 * y[:, None]
    y[45:] = -1
    run = api.fit(
        Dataset.from_arrays(x, y),
        method="logistic",
        budget="1steps",
        out=tmp_path_factory.mktemp("r"),
    )
    return run.folder / "model"


def test_what_is_saved_again_is_the_same_model(model: Path, tmp_path: Path):
    loaded = Predictor.load(model)
    loaded.save(tmp_path / "again")
    records = Dataset.from_arrays(np.random.default_rng(1).normal(size=(7, 3)))
    one, other = loaded.predict(records)[1], Predictor.load(tmp_path / "again").predict(records)[1]
    np.testing.assert_array_equal(one, other)
    assert one.shape == (7, 3)


def edited(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        told = json.loads((folder / name).read_text())
        change(told)
        (folder / name).write_text(json.dumps(told))

    return edit


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip, "not the file that was saved"),
        (lambda folder: (folder / "model.safetensors").unlink(), "No such file"),
        (lambda folder: (folder / "predictor.json").write_text("{"), "No usable model"),
        (edited("predictor.json", lambda t: t.update(format=2)), "format is 2"),
        (edited("model.json", lambda t: t.update(format=9)), "format is 9"),
        (edited("predictor.json", lambda t: t.update(classes=["a", "b"])), "3 different class"),
        (edited("predictor.json", lambda t: t.update(classes="abc")), "3 different class"),
        (edited("predictor.json", lambda t: t.update(classes=["a", "a", "b"])), "3 different"),
        (edited("predictor.json", lambda t: t.update(temperature=0)), "temperature is 0"),
        (
            edited("predictor.json", lambda t: t.update(temperature=float("nan"))),
            "temperature is nan",
        ),
        (edited("predictor.json", lambda t: t["front"].update(spec={})), "No usable model"),
        (edited("predictor.json", lambda t: t["front"].update(modality="text")), "No usable model"),
        (edited("predictor.json", lambda t: t["front"].update(modality="smell")), "smell"),
        (
            edited("predictor.json", lambda t: t["front"]["spec"]["numeric"].pop()),
            "does not fit the records",
        ),
        (edited("model.json", lambda t: t["encoder"].update(name="os.system")), "os.system"),
    ],
)
def test_a_damaged_model_is_refused_with_its_reason(
    model: Path, tmp_path: Path, damage: Callable[[Path], None], reason: str
):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    damage(folder)
    with pytest.raises(RunError, match=reason):
        Predictor.load(folder)


def test_a_damaged_description_of_a_run_is_refused(model: Path, tmp_path: Path):
    folder = tmp_path / "run"
    shutil.copytree(model.parent, folder)
    told = json.loads((folder / "run.json").read_text())
    for key in ("dataset", "metrics", "verdict", "run"):
        (folder / "run.json").write_text(json.dumps({k: v for k, v in told.items() if k != key}))
        with pytest.raises(RunError, match="damaged"):
            api.report(folder)
