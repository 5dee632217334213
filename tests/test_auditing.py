"""Trust in labels, by the commands that a person types: audits, the finished set, money, lineage,
revoking, and a set that has no label yet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import load_digits, load_wine
from typer.testing import CliRunner

from leaven.cli import app
from leaven.label.place import place_of
from leaven.label.results import waiting
from leaven.label.trust.auditing import judge


def command(*words: Any, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout) if result.stdout.startswith("{") else {"said": result.output}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, str]]:
    """A run of three digits as a table, the table, and the true labels by id."""
    home = tmp_path_factory.mktemp("home")
    X, y = load_digits(n_class=3, return_X_y=True)
    names = np.array(["zero", "one", "two"])[y]
    shown = np.random.default_rng(0).permutation(len(y))[:60]
    given = np.where(np.isin(np.arange(len(y)), shown), names, "")
    ids = [f"d{i}" for i in range(len(y))]
    table = {"id": ids, **{f"x{i}": X[:, i] for i in range(X.shape[1])}, "label": given}
    pa_csv.write_csv(pa.table(table), home / "digits.csv")
    words = ("--method", "laplace-learning", "--out", home / "runs")
    told = command("fit", home / "digits.csv", *words)
    return Path(told["run"]["folder"]), home / "digits.csv", dict(zip(ids, names, strict=True))


def answer(
    run: Path, store: Path, truth: dict[str, str], file: Path, person: str, wrong: str = ""
) -> int:
    """All that waits is answered by a file: the truth, but for `wrong`, which becomes another."""
    queue = place_of(run, store).open()
    records = waiting(queue)
    rows = []
    for name in records:
        label = truth[name]
        rows.append((name, "one" if label == wrong else label))
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("id", "label"), *rows])
    command("label", "import", run, file, "--person", person, "--store", store)
    return len(records)


def test_audits_decide_which_pseudo_labels_finish_the_set(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, _, truth = made
    store, out = tmp_path / "answers.db", tmp_path / "finished.parquet"
    command("query", run, "--ask", 9, "--store", store)
    drawn = command("label", "audit", run, "--draw", 180, "--confidence", 0.6, "--store", store)
    assert (drawn["added"], drawn["open"]) == (180, 189)
    assert all(one["state"] == "collecting" for one in drawn["classes"])
    queue = place_of(run, store).open()
    asked = queue.lease("somebody", 100)
    kinds = [one.kind for one in asked]
    assert {"ask", "audit"} == set(kinds), "audits stand among the others"
    reasons = {one.reason for one in asked if one.kind == "audit"}
    assert reasons == {one.reason for one in asked if "random" in one.reason}
    queue.release("somebody")

    words = ("--confidence", 0.6, "--target", 0.8, "--store", store)
    before = command("label", "finish", run, out, *words)
    assert (before["given"], before["person"], before["model"]) == (60, 0, 0)
    answer(run, store, truth, tmp_path / "a.csv", "ann")
    told = command("label", "audit", run, *words)
    states = {one["class"]: one["state"] for one in told["classes"]}
    assert set(states.values()) == {"holding"}, told["classes"]
    (batch,) = told["batches"]
    assert (batch["name"], batch["n"]) == ("audit 1", 180)
    assert batch["agreement"]["value"] > 0.9

    after = command("label", "finish", run, out, *words)
    assert (after["given"], after["person"]) == (60, 189)
    assert after["model"] > 100
    assert sum(after[name] for name in ("given", "person", "model", "none")) == len(truth)
    rows = pq.read_table(out).to_pylist()
    model = [one for one in rows if one["origin"] == "model"]
    assert all(one["confidence"] >= 0.6 for one in model)
    assert np.mean([truth[one["id"]] == one["label"] for one in model]) > 0.9
    stricter = command("label", "audit", run, "--confidence", 0.5, "--store", store)
    assert all(one["n"] == 0 for one in stricter["classes"]), "they say nothing of less sure ones"
    others = judge(place_of(run, store).open(), "another run", confidence=0.6)
    assert all(one.n == 0 for one in others), "nor of another model"


def test_a_class_that_became_worse_is_stopped_by_itself(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, _, truth = made
    store, words = (
        tmp_path / "answers.db",
        ("--confidence", 0.6, "--store", tmp_path / "answers.db"),
    )
    command("label", "audit", run, "--draw", 150, *words)
    answer(run, store, truth, tmp_path / "a.csv", "ann")
    command("label", "audit", run, "--draw", 90, *words)
    answer(run, store, truth, tmp_path / "b.csv", "ann", wrong="two")
    told = command("label", "audit", run, *words)
    states = {one["class"]: one["state"] for one in told["classes"]}
    assert states["two"] == "stopped"
    assert states["zero"] == "holding"
    assert [one["name"] for one in told["batches"]] == ["audit 1", "audit 2"]
    finished = command("label", "finish", run, tmp_path / "f.csv", *words)
    assert finished["model"] > 0
    with (tmp_path / "f.csv").open() as file:
        labels = [row["label"] for row in csv.DictReader(file) if row["origin"] == "model"]
    assert "two" not in labels


def test_known_labels_judge_people_and_look_like_other_questions(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, _, truth = made
    store = tmp_path / "answers.db"
    command("query", run, "--ask", 10, "--assign", "ann", "--store", store)
    told = command("query", run, "--gold", "--ask", 10, "--store", store)
    assert (told["strategy"], told["added"]) == ("gold", 10)
    queue = place_of(run, store).open()
    assert len(queue.lease("ben", 50)) == 10, "what is for ann is for nobody else"
    queue.release("ben")
    asked = {one.record: one for one in queue.lease("ann", 50)}
    golden = {name: one for name, one in asked.items() if one.kind == "gold"}
    assert all(one.truth == truth[name] for name, one in golden.items())
    others = [one for one in asked.values() if one.kind == "ask"]
    assert {tuple(one.shown) for one in golden.values()} == {tuple(one.shown) for one in others}
    assert {one.reason for one in golden.values()} <= {one.reason for one in others}
    low, high = (end(one.priority for one in others) for end in (min, max))
    assert all(low <= one.priority <= high for one in golden.values())
    answer(run, store, truth, tmp_path / "a.csv", "ann", wrong="two")
    (ann,) = command("queue", run, "--store", store)["people"]
    wrong = sum(one.truth == "two" for one in golden.values())
    assert ann["gold"]["n"] == 10
    assert ann["gold"]["value"] == pytest.approx(1 - wrong / 10)
    labels = command("label", "export", run, tmp_path / "l.csv", "--store", store)["labels"]
    assert labels == 10, "they are no new labels"


def test_what_labels_cost_and_whether_to_stop(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, _, truth = made
    store = tmp_path / "answers.db"
    command("query", run, "--ask", 20, "--store", store)
    answer(run, store, truth, tmp_path / "a.csv", "ann")
    words = ("--price", 0.5, "--budget", 10.2, "--store", store)
    told = command("label", "worth", run, *words)
    assert (told["answers"], told["spent"]) == (20, 10.0)
    rules = {one["rule"]: one for one in told["rules"]}
    assert set(rules) == {
        "budget spent", "forecast below price", "stability", "audited precision"
    }  # fmt: skip
    assert rules["budget spent"]["stop"]
    assert not rules["audited precision"]["stop"]
    plain = CliRunner().invoke(app, ["label", "worth", str(run), *map(str, words)])
    assert "enough for 0 more labels" in plain.stdout


def test_a_label_is_followed_to_its_runs_and_revoked(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, data, truth = made
    store, runs = run.parent / "leaven.db", run.parent
    command("query", run, "--ask", 10)
    record = place_of(run).open().lease("ann", 1)[0].record
    answer(run, store, truth, tmp_path / "a.csv", "ann")
    command("query", run, "--ask", 5)
    answer(run, store, truth, tmp_path / "b.csv", "ben")
    command("label", "export", run, tmp_path / "labels.csv")
    words = ("--answers", tmp_path / "labels.csv", "--method", "laplace-learning", "--out", runs)
    next_ = command("fit", data, *words)
    kept = pq.read_table(Path(next_["run"]["folder"]) / "labels.parquet").to_pylist()
    assert sum(one["by"] == "ann" and one["origin"] == "person" for one in kept) == 10
    assert sum(one["origin"] == "given" and one["by"] == "digits.csv" for one in kept) == 60

    told = command("label", "lineage", run, record)
    assert [one["kind"] for one in told["events"]] == ["asked", "answered"]
    assert [one["run"] for one in told["runs"]] == [next_["run"]["id"]]
    command("label", "lineage", run, "nobody", code=2)

    command("label", "revoke", run, "--of", "anne", "--reason", "x", code=2)
    words = ("--of", "ann", "--reason", "misread the guide", "--person", "chief")
    revoked = command("label", "revoke", run, *words)
    assert revoked["revoked"] == 10
    assert record in revoked["records"]
    assert [one["run"] for one in revoked["runs"]] == [next_["run"]["id"]]
    assert command("label", "export", run, tmp_path / "left.csv")["labels"] == 5
    assert command("queue", run)["open"] == 10, "they are asked about again"
    events = command("label", "lineage", run, record)["events"]
    assert [one["kind"] for one in events] == ["asked", "answered", "revoked"]
    assert (events[-1]["person"], events[-1]["note"]) == ("ann", "chief: misread the guide")
    assert command("label", "revoke", run, *words)["revoked"] == 0
    by_file = command("label", "revoke", run, "--file", "b.csv", "--reason", "the wrong export")
    assert by_file["revoked"] == 5
    again = command("label", "import", run, tmp_path / "b.csv", "--person", "ben")
    assert again == {"answers": 5, "again": 0, "unknown": 0}
    assert command("label", "export", run, tmp_path / "again.csv")["labels"] == 5


def test_what_is_imported_can_be_shown_and_what_cannot_is_asked_of_nobody(
    made: tuple[Path, Path, dict[str, str]], tmp_path: Path
) -> None:
    run, _, truth = made
    store = tmp_path / "answers.db"
    command("query", run, "--ask", 1, "--store", store)
    asked = place_of(run, store).open().lease("ann", 1)[0].record
    name = next(name for name in truth if name != asked)
    (tmp_path / "a.csv").write_text(f"id,label\n{name},{truth[name]}\nnobody,one\n")
    words = ("label", "import", run, tmp_path / "a.csv", "--person", "ann", "--store", store)
    assert command(*words) == {"answers": 2, "again": 0, "unknown": 1}
    words = ("--of", "ann", "--reason", "x", "--store", store)
    assert command("label", "revoke", run, *words)["revoked"] == 2
    waits = {one.record: one for one in place_of(run, store).open().lease("ben", 9)}
    assert name in waits, "it wants a label again"
    assert waits[name].shown["cells"]
    assert "nobody" not in waits


def test_a_set_without_a_label_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    X, y = load_wine(return_X_y=True)
    ids = [f"w{i}" for i in range(len(y))]
    columns = {f"x{i}": X[:, i] for i in range(X.shape[1])}
    pa_csv.write_csv(pa.table({"id": ids, **columns}), "wine.csv")
    truth = dict(zip(ids, np.array(["barolo", "grignolino", "barbera"])[y], strict=True))
    command("query", "wine.csv", code=2)
    asked = command("query", "wine.csv", "--classes", "barolo,grignolino,barbera", "--ask", 12)
    assert asked["strategy"] == "typiclust"
    assert (asked["added"], asked["queue"]) == (12, "wine")
    assert {truth[one["record"]] for one in asked["asks"]} == set(truth.values())
    assert all(not one["guess"] for one in asked["asks"])
    with Path("theirs.csv").open("w") as out:
        rows = [(one["record"], truth[one["record"]]) for one in asked["asks"]]
        csv.writer(out).writerows([("id", "label"), *rows])
    command("label", "import", "wine.csv", "theirs.csv", "--person", "ann")
    command("label", "export", "wine.csv", "labels.csv")
    told = command("fit", "wine.csv", "--answers", "labels.csv", "--method", "laplace-learning")
    assert told["dataset"]["labelled"] == 12
    run = Path(told["run"]["folder"])
    again = command("query", run, "--ask", 5)
    assert (again["queue"], again["before"]) == ("wine", 12), "it is the same queue"


def test_guesses_are_no_answers(made: tuple[Path, Path, dict[str, str]], tmp_path: Path) -> None:
    _, data, truth = made
    names = list(truth)[:80]
    rows = [(name, truth[name], "model" if i % 2 else "person") for i, name in enumerate(names)]
    with (tmp_path / "finished.csv").open("w") as out:
        csv.writer(out).writerows([("id", "label", "origin"), *rows])
    words = ("--answers", tmp_path / "finished.csv", "--method", "laplace-learning")
    told = command("fit", data, *words, "--out", tmp_path / "runs")
    (found,) = [one for one in told["dataset"]["findings"] if one["name"] == "labels-guessed"]
    assert found["count"] == 40
