"""Failure modes of a service, each made to happen on real records: it is asked over HTTP, the alert
opens by the verb, what the runbook says is done, and the alert closes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

import leaven
from leaven import auditing, guarding, objectives, releasing
from leaven.evaluate.run import Run
from leaven.label.queue import Queue
from leaven.serve.models.answering import Settings
from leaven.store.store import Store
from tests.serve.models.released import copied, served

ROOT = Path(__file__).parents[2]
CONFIG = """
[alerts]
grace = 0
settle = 0
[[route]]
kind = "log"
name = "log"
file = "{}"
"""
#: Columns of the breast cancer set by which a model is right in three of four records.
COLUMNS = {"smoothness": 4, "compactness": 5, "symmetry": 8}
REFUSED = "not better, for a test"


class World:
    """A service: what is fitted and released, what it is asked, and what is promised of it."""

    def __init__(self, home: Path, name: str) -> None:
        self.home, self.name, self.store = home, name, str(home / "leaven.db")
        self.config = home / "leaven.toml"
        self.config.write_text(CONFIG.format(home / "alerts.jsonl"))

    def release(self, run: Run) -> None:
        releasing.release(
            run, by="ann", override=REFUSED, service=self.name, store=self.store
        )  # fmt: skip

    def ask(
        self, records: Sequence[dict[str, Any]], truth: Any, *, explore: float = 1.0,
        told: Any = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Answers to these records. `truth` are their labels, told of each that was drawn; `told`
        gives of an answer that was not, and its truth, what is told of it, None for nothing."""
        found = []
        with served(self.store, self.name, settings=Settings(explore=explore)) as client:
            for start in range(0, len(records), 100):
                asked = {"records": list(records[start : start + 100])}
                said = client.post("/predict", json=asked)
                assert said.is_success, said.text
                found += said.json()["predictions"]
            for answer, true in zip(found, truth, strict=True):
                tells = {"label": str(true)}
                if not answer["explored"]:
                    tells = told(answer, str(true)) if told is not None else None
                if tells is not None:
                    kept = client.post("/feedback", json={"id": answer["id"]} | tells)
                    assert kept.is_success, kept.text
        return found

    def alerts(self) -> set[str]:
        """The names of what is open after a look."""
        return {one["slo"] for one in self.check()["alerts"]}

    def check(self) -> dict[str, Any]:
        return objectives.check(self.name, config=self.config, store=self.store)


class Cells:
    """The breast cancer set by three of its columns, of which 200 records are labelled."""

    def __init__(self, home: Path) -> None:
        told = load_breast_cancer()
        self.home = home
        self.x = {name: told.data[:, column] for name, column in COLUMNS.items()}
        self.label = np.array(["malignant", "benign"])[told.target]
        self.order = np.random.default_rng(0).permutation(len(self.label))
        self.taught, self.rest = self.order[:200], self.order[200:]

    def fit(self, name: str, more: dict[str, Any] | None = None, given: Any = None,
            **how: Any) -> Run:  # fmt: skip
        if given is None:
            given = self.given(self.taught)
        file = self.home / f"{name}.csv"
        pa_csv.write_csv(pa.table(self.x | (more or {}) | {"label": given}), file)
        return leaven.fit(
            file, method="logistic", budget="5s", out=str(self.home / name), label="label", **how
        )

    def given(self, rows: Any) -> Any:
        return np.where(np.isin(np.arange(len(self.label)), rows), self.label, "")

    def records(self, rows: Any, **changed: float) -> list[dict[str, Any]]:
        """As JSON, some columns times a number."""
        return [
            {name: float(x[row] * changed.get(name, 1.0)) for name, x in self.x.items()}
            for row in rows
        ]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return Cells(tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def plain(cells: Cells) -> Run:
    """A run with nothing wrong."""
    return cells.fit("plain")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, "cells")


def test_a_clean_service_is_quiet(world: World, cells: Cells, plain: Run):
    world.release(plain)
    world.ask(
        cells.records(cells.rest), cells.label[cells.rest], explore=0.5,
        told=lambda answer, true: {"label": true},
    )  # fmt: skip
    told = world.check()
    assert told["alerts"] == []
    found = {one["slo"]: one for one in told["findings"]}
    for name in ("feedback-bias", "feedback-mix", "overconfidence", "held-out-gap", "entropy"):
        assert found[name]["state"] in ("met", "unsure"), found[name]
        assert found[name]["n"] > 100
    for name in ("caused-labels", "leaks", "revealing", "disk", "explored-truth"):
        assert found[name]["state"] == "met", found[name]


# F2


def test_records_that_are_others_are_seen_and_a_run_of_newer_ones_closes_it(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    world.ask(cells.records(cells.rest, symmetry=2.0), cells.label[cells.rest], explore=0)
    (alert,) = [one for one in world.check()["alerts"] if one["slo"] == "drift"]
    assert "'symmetry' most" in alert["finding"]["sentence"]
    newer = Cells(world.home)
    newer.x["symmetry"] = newer.x["symmetry"] * 2
    world.release(newer.fit("newer"))
    assert "drift" in world.alerts()  # nothing is known of it yet
    world.ask(newer.records(newer.rest), newer.label[newer.rest], explore=0)
    assert "drift" not in world.alerts()


# F3


def test_answers_that_are_sure_and_wrong_are_seen_and_a_fit_with_the_truth_closes_it(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    swapped = np.where(cells.label == "benign", "malignant", "benign")  # what words mean now
    world.ask(cells.records(cells.rest), swapped[cells.rest])
    assert world.alerts() >= {"overconfidence", "audited-accuracy"}
    truth = world.home / "truth.csv"
    guarding.feedback(world.name, truth, by="ann", store=world.store)
    unlabelled = np.full(len(cells.label), "")
    world.release(cells.fit("meant anew", given=unlabelled, answers=truth))
    rows = cells.taught
    world.ask(cells.records(rows), swapped[rows])
    assert not world.alerts() & {"overconfidence", "audited-accuracy"}


def test_a_model_that_has_become_sure_of_everything_is_seen_and_rolled_back(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    truth = cells.label[cells.rest]
    world.ask(cells.records(cells.rest), truth, explore=0)
    assert "entropy" not in world.alerts()
    world.release(copied(plain, world.home, "sharp", 0.1))
    world.ask(cells.records(cells.rest), truth, explore=0)
    assert "entropy" in world.alerts()
    releasing.rollback(world.name, by="ann", reason="sure of everything", store=world.store)
    assert "entropy" not in world.alerts()


# F4


def test_answers_that_come_back_as_truth_are_seen_and_marked_as_caused_they_are_left_out(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    records, truth = cells.records(cells.rest), cells.label[cells.rest]
    world.ask(records, truth, explore=0.4,
              told=lambda answer, true: {"label": answer["label"]})  # fmt: skip
    (alert,) = [one for one in world.check()["alerts"] if one["slo"] == "feedback-bias"]
    assert "answers were right of those whose truth came by itself" in alert["finding"]["sentence"]
    table, _ = guarding.feedback(world.name, None, by="ann", store=world.store)
    drawn = set(table.filter(table["explored"])["content"].to_pylist())
    assert 80 < len(drawn) < table.num_rows / 2
    truth_file = world.home / "drawn.csv"
    pa_csv.write_csv(table.filter(table["explored"]), truth_file)
    world.release(cells.fit("drawn alone", answers=truth_file))
    world.ask(records, truth, explore=0.4,
              told=lambda answer, true: {"label": answer["label"], "caused": True})  # fmt: skip
    assert "feedback-bias" not in world.alerts()


def test_truth_of_one_class_alone_is_seen_and_truth_of_all_closes_it(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    records, truth = cells.records(cells.order), cells.label[cells.order]

    def looked_into(answer: dict[str, Any], true: str) -> dict[str, Any] | None:
        """Only where it said malignant does anybody look further."""
        return {"label": true} if answer["label"] == "malignant" else None

    world.ask(records, truth, explore=0.4, told=looked_into)
    (alert,) = [one for one in world.check()["alerts"] if one["slo"] == "feedback-mix"]
    assert "points" in alert["finding"]["sentence"]
    world.release(copied(plain, world.home, "the same anew", 1.0))
    world.ask(records, truth, explore=0.4, told=lambda answer, true: {"label": true})
    assert "feedback-mix" not in world.alerts()


def test_where_nothing_is_drawn_that_is_told_and_drawing_closes_it(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    rows = cells.order[:420]
    records, truth = cells.records(rows), cells.label[rows]
    world.ask(records, truth, explore=0, told=lambda answer, true: {"label": true})
    (alert,) = world.check()["alerts"]
    assert (alert["slo"], alert["severity"]) == ("explored-truth", "note")
    world.ask(records[:100], truth[:100], explore=0.3)
    assert world.alerts() == set()


def test_labels_that_the_service_caused_are_seen_where_they_taught_and_are_left_out(
    world: World, cells: Cells, plain: Run
):
    world.release(plain)
    rows = cells.rest[:100]
    told = world.ask(
        cells.records(rows), cells.label[rows], explore=0,
        told=lambda answer, true: {"label": answer["label"], "caused": True},
    )  # fmt: skip
    assert "caused-labels" not in world.alerts()
    mixed = cells.given(cells.taught).astype(object)
    mixed[rows] = [one["label"] for one in told]  # somebody put them among the labels
    world.release(cells.fit("fed back", given=mixed))
    (alert,) = [one for one in world.check()["alerts"] if one["slo"] == "caused-labels"]
    assert "100 of 300 labels" in alert["finding"]["sentence"]
    truth = world.home / "truth.csv"
    guarding.feedback(world.name, truth, by="ann", store=world.store)
    world.release(cells.fit("without", answers=truth))  # which leaves out what was caused
    assert "caused-labels" not in world.alerts()


# F6


def test_a_column_of_afterwards_is_seen_and_a_fit_without_it_closes_it(
    world: World, cells: Cells, plain: Run
):
    noise = np.random.default_rng(0).normal(scale=0.01, size=len(cells.label))
    world.release(cells.fit("leak", {"outcome": (cells.label == "malignant") + noise}))
    world.ask(cells.records(cells.rest), cells.label[cells.rest])
    told = {one["slo"]: one["finding"] for one in world.check()["alerts"]}
    assert {*told} >= {"revealing", "held-out-gap"}
    assert "'outcome' alone tells the label" in told["revealing"]["sentence"]
    world.release(plain)
    world.ask(cells.records(cells.rest), cells.label[cells.rest])
    assert not world.alerts() & {"revealing", "held-out-gap"}


def test_texts_that_name_their_label_are_seen_and_cut_off_it_closes(tmp_path: Path):
    table = pa_csv.read_csv(ROOT / "examples" / "banking77" / "test.csv")
    text, label = (table[name].to_pylist() for name in ("text", "intent"))
    kinds = sorted(set(label))[:4]
    rows = [i for i, one in enumerate(label) if one in kinds]
    world = World(tmp_path, "bank")

    def fit(name: str, begin: str) -> Run:
        said = [begin.format(label[i].replace("_", " ")) + text[i] for i in rows]
        given = [label[i] if i % 2 else "" for i in rows]
        pa_csv.write_csv(pa.table({"text": said, "label": given}), tmp_path / f"{name}.csv")
        return leaven.fit(tmp_path / f"{name}.csv", method="logistic", budget="5s",
                          out=str(tmp_path / name))  # fmt: skip

    world.release(fit("named", "{}: "))
    (alert,) = world.check()["alerts"]
    assert alert["slo"] == "leaks"
    assert "begin with the name of their label" in alert["finding"]["sentence"]
    assert alert["finding"]["runbook"].endswith("leaks.md")
    world.release(fit("cut off", ""))
    assert world.alerts() == set()


# F1


class Digits:
    """The digits as a table, of which 300 are labelled."""

    def __init__(self, home: Path) -> None:
        images, self.y = load_digits(return_X_y=True)
        self.home, self.x = home, images[:, 10:54]
        self.shown = np.random.default_rng(0).permutation(len(self.y))
        self.taught = self.shown[:300]

    def fit(self, name: str, labels: Any, x: Any = None) -> Run:
        x = self.x if x is None else x
        given = np.where(np.isin(np.arange(len(x)), self.taught), labels.astype(str), "")
        table = {f"p{i}": column for i, column in enumerate(x.T)} | {"label": given}
        file = self.home / f"{name}.csv"
        pa_csv.write_csv(pa.table(table), file)
        return leaven.fit(
            file, method="logistic", budget="5s", out=str(self.home / name), label="label"
        )

    def audit(self, world: World, run: Run, number: int) -> None:
        """People judge a sample of its pseudo-labels, and are right."""
        auditing.audit(run, draw=number, store=world.store, queue=world.name)
        queue = Queue(Store(world.store), world.name)
        places = {str(one): i for i, one in enumerate(run.records().ids)}
        for task in queue.lease("ann", number):
            said = str(self.y[places[task.record]])
            queue.answer(task.id, "ann", said, key=f"{run.folder.name}-{task.id}")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    return Digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def good(digits: Digits) -> Run:
    return digits.fit("good", digits.y)


def test_pseudo_labels_that_become_worse_are_seen_and_a_mended_run_closes_it(
    tmp_path: Path, digits: Digits, good: Run
):
    world = World(tmp_path, "digits")
    world.release(good)
    digits.audit(world, good, 60)
    assert "pseudo-label-drift" not in world.alerts()
    spoilt = np.where(np.isin(digits.y, [1, 3, 5]), 8, digits.y)  # somebody sees eights everywhere
    bad = digits.fit("bad", spoilt)
    world.release(bad)
    digits.audit(world, bad, 80)
    told = {one["slo"]: one["finding"] for one in world.check()["alerts"]}
    assert "right before 'audit 2'" in told["pseudo-label-drift"]["sentence"]
    releasing.rollback(world.name, by="ann", reason="worse pseudo-labels", store=world.store)
    assert "pseudo-label-drift" not in world.alerts()
    mended = copied(good, tmp_path, "mended", 1.0)
    world.release(mended)
    digits.audit(world, mended, 60)
    assert "pseudo-label-drift" not in world.alerts()


def test_a_class_that_takes_over_the_pseudo_labels_is_seen_and_audits_settle_it(
    tmp_path: Path, digits: Digits, good: Run
):
    world = World(tmp_path, "digits")
    world.release(good)
    assert "pseudo-label-mix" not in world.alerts()
    x = digits.x.copy()
    rest = np.setdiff1d(np.arange(len(x)), digits.taught)
    x[rest] = 16 - x[rest]  # what came since is dark on light
    world.release(digits.fit("inverted", digits.y, x))
    (alert,) = [one for one in world.check()["alerts"] if one["slo"] == "pseudo-label-mix"]
    assert "in the run before" in alert["finding"]["sentence"]
    assert "of the labels" in alert["finding"]["sentence"]
    releasing.rollback(world.name, by="ann", reason="one class", store=world.store)
    assert "pseudo-label-mix" not in world.alerts()
    digits.audit(world, good, 60)
    (told,) = [one for one in world.check()["findings"] if one["slo"] == "pseudo-label-mix"]
    assert (told["n"], told["state"]) == (60, "unsure")
    assert "by what people say" in told["sentence"]
