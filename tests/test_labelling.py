"""From a run to questions, from answers to the next run: by the commands that a person types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_wine
from typer.testing import CliRunner

from leaven import labelling
from leaven.cli import app
from leaven.evaluate.run import Run
from leaven.label.place import place_of


def command(*words: Any, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """A run of a table, the table, and the true labels by id."""
    home = tmp_path_factory.mktemp("home")
    X, y = load_wine(return_X_y=True)
    shown = np.random.default_rng(0).permutation(len(y))
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    given = np.where(np.isin(np.arange(len(y)), shown[:40]), names, "")
    table = {f"x{i}": X[:, i] for i in range(X.shape[1])}
    ids = [f"w{i}" for i in range(len(y))]
    pa_csv.write_csv(pa.table({"id": ids, **table, "label": given}), home / "wine.csv")
    told = command("fit", home / "wine.csv", "--method", "laplace-learning", "--out", home / "runs")
    return Path(told["run"]["folder"]), home / "wine.csv", dict(zip(ids, names, strict=True))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "answers.db"


def test_labels_go_round(
    made: tuple[Path, Path, dict[str, str]], store: Path, tmp_path: Path
) -> None:
    run, data, truth = made
    asked = command("query", run, "--ask", 12, "--store", store)
    assert (asked["added"], asked["before"]) == (12, 0)
    labelled = {name for name, label in zip(Run.load(run).records().ids,
                Run.load(run).records().labels.to_pylist(), strict=True) if label}  # fmt: skip
    records = [one["record"] for one in asked["asks"]]
    assert len(set(records)) == 12
    assert not labelled & set(records), "nobody is asked what is known"
    assert sum("random" in one["reason"] for one in asked["asks"]) == 1, "a tenth is drawn"
    again = command("query", run, "--ask", 12, "--store", store)
    assert (again["added"], again["before"]) == (12, 12)
    assert not set(records) & {one["record"] for one in again["asks"]}

    theirs = tmp_path / "theirs.csv"
    theirs.write_text("id,label\n" + "\n".join(f"{name},{truth[name]}" for name in records))
    words = ("--person", "ann", "--store", store)
    words = ("label", "import", run, theirs, *words)
    assert command(*words) == {"answers": 12, "again": 0, "unknown": 0}
    assert command(*words) == {"answers": 12, "again": 12, "unknown": 0}
    told = command("queue", run, "--store", store)
    assert (told["open"], told["done"]) == (12, 12)
    assert [one["name"] for one in told["people"]] == ["ann"]

    out = tmp_path / "labels.csv"
    assert command("label", "export", run, out, "--store", store)["labels"] == 12
    words = ("--answers", out, "--method", "laplace-learning", "--out", tmp_path)
    next_ = command("fit", data, *words)
    assert next_["dataset"]["labelled"] == 40 + 12
    assert "--answers" in next_["run"]["command"]
    (folder,) = tmp_path.glob("wine-*")
    assert len(Run.load(folder).records().labelled) == 52, "they are read again with the records"


def test_a_strategy_that_lost_to_random_draws_is_cautioned_against(
    made: tuple[Path, Path, dict[str, str]], store: Path
) -> None:
    told = command("query", made[0], "--ask", 3, "--strategy", "bald", "--store", store)
    assert "11.7 points of accuracy below random" in told["caution"]
    assert command("query", made[0], "--ask", 3, "--store", store)["caution"] == ""


def test_what_a_person_sees_is_in_the_task(
    made: tuple[Path, Path, dict[str, str]], store: Path
) -> None:
    labelling.query(made[0], count=3, store=store)
    (task, *_) = place_of(made[0], store, None).open().lease("ann", 3)
    names, shares = zip(*task.guess, strict=True)
    assert set(names) == {"barolo", "grignolino", "barbera"}
    assert sum(shares) == pytest.approx(1)
    assert list(shares) == sorted(shares, reverse=True)
    near = task.shown["neighbours"]
    assert [one["label"] in names for one in near] == [True] * 3
    assert task.shown["cells"]
    assert task.origin["run"] == made[0].name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--strategy", "badgee"], "badge"),
        (["--ask", "0"], "count"),
        (["--people", "0"], "wanted"),
        (["--store", "mysql://x/y"], "sqlite"),
    ],
)
def test_wrong_words_are_told(
    made: tuple[Path, Path, dict[str, str]], store: Path, words: list[str], said: str
) -> None:
    told = command("query", made[0], "--store", store, *words, code=2)
    assert said in told["error"]["message"]


def test_nothing_asked_yet_is_told(made: tuple[Path, Path, dict[str, str]], store: Path) -> None:
    told = command("queue", made[0], "--store", store, code=2)
    assert "leaven query" in told["error"]["message"]
    assert not store.exists()


def test_a_label_of_no_class_is_refused_and_nothing_is_kept(
    made: tuple[Path, Path, dict[str, str]], store: Path, tmp_path: Path
) -> None:
    labelling.query(made[0], count=2, store=store)
    (tmp_path / "odd.csv").write_text("id,label\nw1,barolo\nw2,barollo\n")
    words = (made[0], tmp_path / "odd.csv", "--store", store)
    told = command("label", "import", *words, code=2)
    assert "Did you mean 'barolo'?" in told["error"]["message"]
    assert command("queue", made[0], "--store", store)["done"] == 0


def test_when_all_is_asked_it_says_so(made: tuple[Path, Path, dict[str, str]], store: Path) -> None:
    assert command("query", made[0], "--ask", 500, "--store", store)["added"] == 138
    told = command("query", made[0], "--store", store, code=2)
    assert "left to ask" in told["error"]["message"]


RULES = """
[[rule]]
kind = "threshold"
column = "x12"
operator = ">"
value = 900
label = "barolo"
name = "proline"

[[rule]]
kind = "threshold"
column = "x9"
operator = "<"
value = 3.5
label = "grignolino"
name = "pale"
"""


def test_rules_vote_and_their_labels_say_that_they_are_of_rules(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    out = tmp_path / "weak.csv"
    told = command("rules", made[1], tmp_path / "rules.toml", "--out", out)
    rows = pa_csv.read_csv(out).to_pylist()
    assert len(rows) == told["voted"] < told["records"] == 178
    assert {row["origin"] for row in rows} == {"rule"}
    right = sum(made[2][row["id"]] == row["prediction"] for row in rows)
    assert right > 0.85 * len(rows)
    assert told["weighed_by"] == "labelled records"
    proline, pale = told["rules"]
    assert proline["votes_for"] == ["barolo"]
    assert proline["accuracy"]["n"] < 40
    assert pale["conflict"] <= pale["overlap"] <= pale["coverage"]


def test_a_wrong_file_of_rules_is_told(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "rules.toml").write_text(RULES.replace("operator", "operater"))
    told = command("rules", made[1], tmp_path / "rules.toml", code=2)
    assert "operator" in told["error"]["message"]
