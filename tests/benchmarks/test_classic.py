"""Classic methods beside their peers: one run, its page, and a peer in another interpreter."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from benchmarks.classic import main
from benchmarks.graphlearning_peer import GraphLearning
from benchmarks.grid import choose_peers
from benchmarks.results import read

OPTIONS = ["--sets", "points,notes", "--labels", "1,4", "--seeds", "0", "--methods",
           "label-spreading", "--peers", "spreading,propagation"]  # fmt: skip

#: What the peer's functions give back, in as few lines: the class of the nearest labelled record.
STUB = """
import sys
import types


class Learner:
    def __init__(self, features):
        self.features = features

    def fit_predict(self, known, labels):
        own = self.features[known]
        far = ((self.features[:, None] - own[None]) ** 2).sum(-1)
        return labels[far.argmin(1)]


weightmatrix = types.SimpleNamespace(knn=lambda features, k: features)
ssl = types.SimpleNamespace(poisson=Learner, laplace=lambda graph: sys.exit("no convergence"))
"""


@pytest.fixture(scope="module")
def results(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("classic") / "classic.jsonl"
    with redirect_stdout(io.StringIO()) as said:
        assert main(["--data", str(sets), "--out", str(out), *OPTIONS]) == 0
    assert "0 of 12 fits are done" in said.getvalue()
    return out


def test_ours_and_peers_are_scored_on_the_same_records(results: Path):
    rows = read(results)
    assert len(rows) == 12
    assert {row["n"]["test"] for row in rows} == {40}
    easy = [row for row in rows if row["set"] == "points" and row["labels"] == 4]
    assert {row["method"] for row in easy} == {"label-spreading", "spreading", "propagation"}
    assert all(row["scores"]["shipped"]["accuracy"] > 0.9 for row in easy)


def test_what_is_done_is_not_done_again(results: Path, sets: Path, capsys):
    before = results.read_bytes()
    assert main(["--data", str(sets), "--out", str(results), *OPTIONS]) == 0
    assert "12 of 12 fits are done" in capsys.readouterr().out
    assert results.read_bytes() == before


def test_the_page_has_every_method_and_set(results: Path, tmp_path: Path):
    page = tmp_path / "classic.md"
    assert main(["--out", str(results), "--page", str(page)]) == 0
    said = page.read_text()
    for name in ("Leaven label-spreading", "LabelSpreading", "LabelPropagation", "## notes"):
        assert name in said
    assert said.count("| Leaven label-spreading |") == 3, "two sets, and all of them"
    drawn = (tmp_path / "images" / "classic.svg").read_text()
    assert drawn.count("<circle") == 6, "three methods with two numbers of labels"


def test_a_peer_of_another_interpreter_labels_what_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "graphlearning.py").write_text(STUB)
    monkeypatch.setenv("GRAPHLEARNING_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "graphlearning-poisson" in choose_peers(["all"])
    peer = GraphLearning("poisson").fit(np.array([[0.0], [9.0], [1.0]]), np.array([0, 1, -1]))
    assert peer.predict(np.array([[8.0], [2.0]])).tolist() == [1, 0]
    with pytest.raises(RuntimeError, match="no convergence"):
        GraphLearning("laplace").fit(np.zeros((2, 1)), np.array([0, 1])).predict(np.ones((1, 1)))


def test_without_that_interpreter_the_peer_is_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRAPHLEARNING_PYTHON", raising=False)
    assert not any(name.startswith("graphlearning") for name in choose_peers(["all"]))
