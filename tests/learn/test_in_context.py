"""TabPFN as a method: asked where it is installed, named where it is not, saved without weights.

The package is no dependency of the tests: a stand-in of the same names, which answers by the
nearest mean of a class, is put in its place. Where the package is installed it is tried itself,
with weights that know nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

import leaven
from leaven import Recipe, Run
from leaven.core.errors import DataError, MissingExtraError, SettingError
from leaven.data.arrays import Arrays
from leaven.evaluate.affording import with_members
from leaven.evaluate.folder import RunFolder
from leaven.learn.classic.blend import Blend
from leaven.learn.classic.supervised_blend import SupervisedBlend
from leaven.learn.classic_method import Frozen
from leaven.learn.head import HEADS
from leaven.learn.heads.in_context import InContextHead
from leaven.learn.in_context import Context, weights
from leaven.learn.learner import UNSEEN
from leaven.learn.method import METHODS, Problem
from leaven.learn.out_of_fold import answers, fitted
from leaven.operate.export.exported import export

THERE = importlib.util.find_spec("tabpfn") is not None

_PACKAGE = """
import time

import numpy as np

class TabPFNClassifier:
    def __init__(self, n_estimators, model_path, random_state):
        self.scale = float(model_path.read_text())

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.means = np.stack([X[y == c].mean(0) for c in self.classes_])
        return self

    def predict_proba(self, X):
        time.sleep(0.001 * len(X))  # the network itself takes 20 times as long
        said = -self.scale * ((X[:, None] - self.means) ** 2).sum(2)
        said = np.exp(said - said.max(1, keepdims=True))
        return said / said.sum(1, keepdims=True)
"""
_LOADING = """
import os
from pathlib import Path

def get_cache_dir():
    return Path(os.environ["TABPFN_MODEL_CACHE_DIR"])
"""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The stand-in is installed, and the folder of its weights is there and empty."""
    package, folder = tmp_path / "package" / "tabpfn", tmp_path / "weights"
    package.mkdir(parents=True)
    folder.mkdir()
    (package / "__init__.py").write_text(_PACKAGE)
    (package / "model_loading.py").write_text(_LOADING)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tabpfn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("TABPFN_MODEL_CACHE_DIR", str(folder))
    importlib.invalidate_caches()
    yield folder
    for name in ("tabpfn", "tabpfn.model_loading"):
        sys.modules.pop(name, None)


@pytest.fixture
def installed(without: Path) -> Path:
    """And it has weights of two versions, and those of another task."""
    (without / "tabpfn-v2-classifier.ckpt").write_text("1")
    (without / "tabpfn-v2.5-classifier-v2.5_default.ckpt").write_text("5")
    (without / "tabpfn-v3-regressor-v3_default.ckpt").write_text("9")
    return without


def flowers(classes: int = 3) -> tuple[Frozen, np.ndarray]:
    """Measures of flowers, four labelled of each kind, and those held out."""
    X, y = load_iris(return_X_y=True)
    X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    drawn = np.random.default_rng(0).permutation(len(y))
    labelled = np.concatenate([drawn[y[drawn] == c][:4] for c in range(3)])
    pool, held = np.split(np.setdiff1d(drawn, labelled), 2)
    targets = np.r_[y[labelled], np.full(len(pool), -1)]
    rows = np.r_[labelled, pool]
    known = Frozen(X[rows], targets, classes, 0, np.arange(len(pool)), modality="tabular")
    return known, X[held]


@pytest.mark.skipif(THERE, reason="tabpfn is installed")
def test_without_the_package_the_extra_is_named():
    with pytest.raises(MissingExtraError, match=r"pip install 'leaven\[tabpfn\]'"):
        METHODS["tabpfn"].check({})
    assert not METHODS["tabpfn"].suits(flowers()[0])


def test_without_weights_their_place_is_told_and_nothing_is_fetched(without: Path):
    with pytest.raises(DataError) as told:
        METHODS["tabpfn"].check({})
    assert str(without) in str(told.value)
    assert "fetches nothing" in str(told.value)
    assert not METHODS["tabpfn"].suits(flowers()[0])


def test_settings_that_it_cannot_follow_are_told(installed: Path):
    METHODS["tabpfn"].check({"estimators": 2})
    with pytest.raises(SettingError, match="estimators"):
        METHODS["tabpfn"].check({"estimators": 0})


def test_the_weights_of_the_last_version_that_name_classes_are_taken(installed: Path):
    assert [path.name for path in weights()] == [
        "tabpfn-v2-classifier.ckpt",
        "tabpfn-v2.5-classifier-v2.5_default.ckpt",
    ]
    assert Context(1, 0).file == weights()[-1]
    assert Context(1, 0, "tabpfn-v2-classifier.ckpt").file == weights()[0]


def test_the_context_is_the_labelled_records_and_is_saved_with_the_head(installed: Path):
    known, X = flowers()
    head = fitted(METHODS["tabpfn"], known)
    assert isinstance(head, InContextHead)
    np.testing.assert_array_equal(head.features.numpy(), known.features[: known.labelled])
    np.testing.assert_array_equal(head.targets.numpy(), known.targets[: known.labelled])
    said = answers(head, X)
    means = np.stack([known.features[known.targets == c].mean(0) for c in range(3)])
    nearest = ((X[:, None] - means) ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(said.argmax(1), nearest)
    again = HEADS[head.kind](**head.config)
    again.load_state_dict(head.state_dict())
    np.testing.assert_array_equal(answers(again, X), said)


def test_a_class_without_a_record_is_improbable(installed: Path):
    known, X = flowers(classes=4)
    said = answers(fitted(METHODS["tabpfn"], known), X)
    assert said.shape == (len(X), 4)
    assert (said[:, 3] == UNSEEN).all()
    assert np.isfinite(said).all()
    assert answers(fitted(METHODS["tabpfn"], known), X[:0]).shape == (0, 4)


def test_a_saved_model_wants_the_very_weights_that_it_was_made_with(installed: Path):
    known, X = flowers()
    head = fitted(METHODS["tabpfn"], known)
    saved = head.config, head.state_dict()
    file = installed / head.weights
    whole = file.read_bytes()
    file.write_text("7")
    other = HEADS["in-context"](**saved[0])
    with pytest.raises(DataError, match="not the file of that name"):
        other(torch.from_numpy(X))
    file.unlink()
    with pytest.raises(DataError, match=r"v2\.5_default.*There are: tabpfn-v2-classifier\.ckpt"):
        other(torch.from_numpy(X))
    file.write_bytes(whole)
    other.load_state_dict(saved[1])
    np.testing.assert_array_equal(answers(other, X), answers(head, X))


def test_weights_that_cannot_be_used_are_named(installed: Path):
    """A blend without settings must not end in an error of somebody else's."""
    (installed / "tabpfn-v2.5-classifier-v2.5_default.ckpt").write_text("no weights")
    known, _ = flowers()
    with pytest.raises(DataError, match=r"v2\.5_default\.ckpt: ValueError: .*take them away"):
        fitted(METHODS["tabpfn"], known)


def test_another_version_of_the_package_is_left_alone(installed: Path):
    """Blends do without it; who names it is told to install one that is known."""
    (installed.parent / "package" / "tabpfn" / "model_loading.py").write_text("")
    known, _ = flowers()
    assert "tabpfn" not in Blend().contenders(known)
    with pytest.raises(MissingExtraError, match="leaven\\[tabpfn\\]"):
        METHODS["tabpfn"].check({})


def test_blends_ask_it_about_tables_where_it_is_installed(installed: Path):
    known, _ = flowers()
    for blend in (Blend(), SupervisedBlend()):
        asked = blend.contenders(known)
        assert asked["tabpfn"] == pytest.approx(1 / len(asked))
        assert sum(asked.values()) == pytest.approx(1)
        named = replace(blend, members="logistic,ridge")
        assert "tabpfn" not in named.contenders(known)
    for other in (
        replace(known, modality="embedding"),
        replace(known, classes=11),
        replace(known, features=np.zeros((len(known.targets), 501), np.float32)),
    ):
        assert "tabpfn" not in Blend().contenders(other)


@pytest.mark.parametrize(("budget", "there"), [("30s", False), ("1h", True)])
def test_a_blend_asks_it_where_the_budget_holds_its_answers(
    budget: str, there: bool, installed: Path, tmp_path: Path
):
    """A fit takes nothing, and 4,000 records four seconds: in each of ten blends."""
    rng = np.random.default_rng(0)
    arrays = Arrays({"numeric": rng.normal(size=(4030, 3)).astype("f4"),
                     "codes": np.zeros((4030, 0), np.int32)})  # fmt: skip
    targets = np.full(4030, -1)
    targets[:30] = np.arange(30) % 3
    spec = {"numeric": ["a", "b", "c"], "categorical": {}, "text": [], "datetime": {}}
    problem = Problem(
        arrays, spec, "tabular", "classification", 3, targets, np.arange(30),
        np.arange(30, 4030), "tabular-standard",
    )  # fmt: skip
    with RunFolder(tmp_path / "run") as folder:
        recipe = Recipe(method="blend", budget=budget)
        members = with_members(recipe, problem, 10, folder).objective.get("members", "tabpfn")
    assert ("tabpfn" in str(members).split(",")) is there


def test_a_run_with_it_is_saved_opened_and_told_to_have_no_graph(installed: Path, tmp_path: Path):
    X, y = load_iris(return_X_y=True)
    drawn = np.random.default_rng(1).permutation(len(y))
    kind = np.array(["setosa", "versicolor", "virginica"], object)[y]
    kind[drawn[30:]] = None
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"]).assign(kind=kind)
    run = leaven.fit(frame, label="kind", method="tabpfn", out=tmp_path)
    opened = Run.load(run.folder)
    found = opened.predict(frame)
    np.testing.assert_array_equal(found, run.predict(frame))
    assert (found.argmax(1) == y).mean() > 0.8
    with pytest.raises(SettingError, match="Got 'in-context'. This head has no exported form"):
        export(opened, data=frame)
    (installed / "tabpfn-v2.5-classifier-v2.5_default.ckpt").unlink()
    with pytest.raises(DataError, match="Leaven fetches nothing"):
        Run.load(run.folder).predict(frame)


@pytest.mark.skipif(not THERE, reason="tabpfn is not installed")
def test_the_package_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With weights that know nothing: what it says of two records hangs on neither's batch."""
    from tabpfn import architectures
    from tabpfn.settings import settings

    kind = architectures.ARCHITECTURES["tabpfn_v2"]
    config, _ = kind.parse_config(
        {"emsize": 32, "nlayers": 1, "nhead": 2, "max_num_classes": 10, "num_buckets": 10}
    )
    torch.manual_seed(0)
    state = kind.get_architecture(config).state_dict()
    told = {"state_dict": state, "config": asdict(config), "architecture_name": "tabpfn_v2"}
    torch.save(told, tmp_path / "tabpfn-v2-classifier.ckpt")
    monkeypatch.setattr(settings.tabpfn, "model_cache_dir", tmp_path)
    known, X = flowers()
    head = fitted(METHODS["tabpfn"], known)
    again = HEADS[head.kind](**head.config)
    again.load_state_dict(head.state_dict())
    said = answers(head, X)
    np.testing.assert_array_equal(answers(again, X), said)
    np.testing.assert_allclose(np.exp(said).sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(answers(again, X[:2]), said[:2], atol=1e-4)
