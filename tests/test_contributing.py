"""What the guide for contributors shows is run as it stands."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import leaven
from leaven import Dataset
from leaven.learn.choices.choice import PARTS
from leaven.learn.contracts import check_method
from leaven.learn.method import METHODS

GUIDE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
SECTION = GUIDE.partition("## Adding a method\n")[2].partition("\n## ")[0]
METHOD, QUESTION = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The method of the guide, written as a file and imported; forgotten afterwards."""
    len(METHODS)  # the built-in ones come first, as they do for a package that adds its own
    file = tmp_path / "surer_half.py"
    file.write_text(METHOD)
    spec = importlib.util.spec_from_file_location("surer_half", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "surer_half", module)
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    accept = PARTS["accept"]
    len(accept)
    monkeypatch.setattr(accept, "_entries", dict(accept._entries))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec.loader.exec_module(module)
    yield module
    torch.set_num_threads(threads)


def test_the_method_of_the_guide_keeps_every_contract(
    shown: Any, capsys: pytest.CaptureFixture[str]
):
    exec(compile(QUESTION, "CONTRIBUTING.md", "exec"), {})
    said = capsys.readouterr().out
    assert "trains every tensor" in said
    assert "beats its supervised part" in said


def test_the_method_of_the_guide_is_known_everywhere(shown: Any, tmp_path: Path):
    row = next(row for row in leaven.methods() if row["name"] == "surer-half")
    assert row["unlabelled"]
    assert row["baseline"] == "supervised"
    assert row["row"]["accept"] == "AboveMedian"
    labels = np.arange(80) % 2
    points = np.random.default_rng(0).normal(size=(80, 3)) + 2 * labels[:, None]
    dataset = Dataset.from_arrays(points, np.where(np.arange(80) < 24, labels, -1))
    run = leaven.fit(dataset, method="surer-half", budget="10steps", out=tmp_path)
    assert run.story["recipe"]["method"] == "surer-half"


def test_half_of_the_guesses_count(shown: Any):
    guess = torch.tensor(np.random.default_rng(0).dirichlet(np.ones(5), 8))
    seen: Any = SimpleNamespace(guess=guess)
    accepted = shown.AboveMedian()(seen, None)
    assert accepted.sum() == 4
    assert guess.max(-1).values[accepted > 0].min() > guess.max(-1).values[accepted == 0].max()


def test_the_choice_of_the_guide_serves_other_rows(shown: Any, tmp_path: Path):
    labels = np.arange(80) % 2
    points = np.random.default_rng(0).normal(size=(80, 3)) + 2 * labels[:, None]
    dataset = Dataset.from_arrays(points, np.where(np.arange(80) < 24, labels, -1))
    run = leaven.fit(
        dataset,
        method="mean-teacher",
        settings={"accept": "AboveMedian"},
        budget="10steps",
        out=tmp_path,
    )
    assert run.story["recipe"]["objective"] == {"accept": "AboveMedian"}
    coverage = [p["coverage"] for p in run.story["training"]["history"] if "coverage" in p]
    assert coverage
    assert 0.4 <= coverage[-1] <= 0.5


def test_the_guide_names_what_exists():
    assert callable(check_method)
    root = Path(leaven.__file__).parents[2]
    named = re.findall(r"`((?:src|tests)/[\w/.]+)`", GUIDE)
    assert len(named) >= 6
    for path in named:
        assert (root / path).exists(), path
    for dotted in re.findall(r"`(leaven\.[a-z_.]+)`", GUIDE):
        module = dotted if importlib.util.find_spec(dotted) else None
        assert module or dotted in ("leaven.methods", "leaven.encoders", "leaven.tasks"), dotted
