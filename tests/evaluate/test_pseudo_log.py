"""The log of pseudo-labels against its definitions, guess by guess; and what it may touch."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

import leaven
from leaven import Dataset, Run
from leaven.evaluate import stages
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.pseudo_log import CLASS_POINTS, PseudoLog
from leaven.evaluate.stages import Pace, Stage, fit_stage
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS
from leaven.learn.objective import PseudoLabels


def guesses(
    seed: int, steps: int, classes: int = 4, batch: int = 9, records: int = 12
) -> list[PseudoLabels]:
    """Random guesses of `steps` steps; a third of the weights is zero, records come again."""
    rng = np.random.default_rng(seed)
    taught = []
    for _ in range(steps):
        guess = rng.dirichlet(np.full(classes, 0.4), size=batch)
        weight = rng.random(batch) * (rng.random(batch) > 1 / 3)
        taught.append(
            PseudoLabels(
                torch.from_numpy(rng.integers(records, size=batch)),
                torch.from_numpy(guess.astype(np.float32)),
                torch.from_numpy(weight.astype(np.float32)),
                torch.from_numpy(rng.integers(classes, size=batch)),
            )
        )
    return taught


Truth = np.ndarray[Any, np.dtype[np.int64]]


def oracle(window: list[PseudoLabels], truth: Truth | None, only: int | None = None) -> Any:
    """The figures of the guesses of a window, or of those of the class `only`."""
    total, mine, weights, agreed, entropies = 0, 0, 0.0, 0, 0.0
    right, known = 0.0, 0.0
    sides: tuple[list[int], list[int]] = ([], [])
    last: dict[int, dict[int, int]] = defaultdict(dict)  # of each record: step -> class
    for step, taught in enumerate(window):
        for i in range(len(taught.weight)):
            p = [float(v) for v in taught.guess[i]]
            c = p.index(max(p))
            w, record = float(taught.weight[i]), int(taught.records[i])
            total += 1
            sides[0].append(c)
            sides[1].append(int(taught.answers[i]))
            if truth is not None and truth[record] >= 0 and w > 0:
                last[record][step] = max(c, last[record].get(step, -1))
            if only is not None and c != only:
                continue
            mine += 1
            weights += w
            agreed += c == int(taught.answers[i])
            entropies += -sum(v * math.log(v) for v in p if v > 0)
            if truth is not None and truth[record] >= 0:
                known += w
                right += w * (truth[record] == c)
    counted = [of[max(of)] for of in last.values() if of]
    return {
        "share": mine / total,
        "coverage": weights / mine if mine else None,
        "agreement": agreed / mine if mine else None,
        "kappa": cohen_kappa_score(*sides),
        "entropy": entropies / mine if mine else None,
        "precision": right / known if known else None,
        "audited": len(counted) if only is None else counted.count(only),
    }


#: Classes 0 to 3; 4 is a label that is no class, -1 is not known.
TRUTH = np.array([0, 1, 2, 3, -1, -1, 4, 0, 1, -1, 2, 3])


def together(wanted: dict[str, Any]) -> Any:
    """The oracle's figures of all classes as the log tells them."""
    unknown = {"precision", "audited"} if wanted["precision"] is None else set()
    return pytest.approx(
        {n: v for n, v in wanted.items() if n not in unknown | {"share"}}, abs=2e-5
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([40, 80]), st.booleans())
def test_the_figures_are_those_of_the_definitions(seed: int, steps: int, known: bool):
    truth = TRUTH if known else None
    log, taught = PseudoLog(4, truth), guesses(seed, steps, batch=5)
    start, class_start, entries = 0, 0, 0
    for number, each in enumerate(taught, 1):
        log.add(number, each)
        if number % 2:
            continue
        assert log.point(number, steps) == together(oracle(taught[start:number], truth))
        start = number
        if number * CLASS_POINTS // steps == (number - 1) * CLASS_POINTS // steps:
            continue
        window, point = taught[class_start:number], log.by_class[-1]
        class_start, entries = number, entries + 1
        wanted = [oracle(window, truth, c) for c in range(4)]
        names = {"share", "coverage", "agreement", "entropy"}
        names |= {"precision", "audited"} if known else set()
        assert set(point) == names | {"step", "all"}
        assert point["step"] == number
        assert point["all"] == together(oracle(window, truth))
        for name in names:
            for value, figures in zip(point[name], wanted, strict=True):
                right = figures[name]
                assert value == (None if right is None else pytest.approx(right, abs=1e-4)), name
    assert len(log.by_class) == entries == CLASS_POINTS


def test_a_class_without_guesses_has_no_figures_and_a_share_of_nought():
    log = PseudoLog(3)
    guess = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    log.add(1, PseudoLabels(torch.tensor([0, 1]), guess, torch.ones(2), torch.tensor([0, 0])))
    assert log.point(1, 1)["coverage"] == 1
    (point,) = log.by_class
    assert point["share"] == [0.5, 0.5, 0]
    assert point["coverage"] == [1, 1, None]
    assert point["agreement"] == [1, 0, None]


def test_steps_that_teach_nothing_leave_nothing():
    log = PseudoLog(3, TRUTH)
    assert [log.point(number, 20) for number in range(1, 21)] == [{}] * 20
    assert log.by_class == []


@pytest.mark.parametrize("known", [True, False])
def test_put_down_and_taken_up_at_any_step_it_ends_the_same(known: bool):
    truth, steps = TRUTH if known else None, 40

    def ended(stop: int) -> tuple[list[Any], list[Any]]:
        log, points = PseudoLog(4, truth), []
        for number, each in enumerate(guesses(0, steps), 1):
            log.add(number, each)
            if number % 2 == 0:
                points.append(log.point(number, steps))
            if number == stop:
                note = json.loads(json.dumps(log.note))
                log = PseudoLog(4, truth)
                log.restore(note)
        return points, log.by_class

    whole = ended(-1)
    assert all(ended(stop) == whole for stop in range(1, steps))


def fitted(home: Path, made: Any, stop: int = -1) -> dict[str, Any]:
    """The record of a stage of a known problem, cut off after `stop` points and resumed."""
    problem = made.problem
    seen = (problem.train, problem.unlabelled, problem.train)
    stage = Stage("fit", "fit", "fixmatch", "fixmatch", *seen, final=True)
    with RunFolder(home) as folder:
        if stop >= 0:
            cut_off = fit_stage(stage, problem, folder, Pace(40, {}), truth=made.truth)
            for _ in range(stop):
                next(cut_off)
            cut_off.close()
            assert (folder.work / "fit" / "checkpoint.safetensors").exists()
        doing = fit_stage(stage, problem, folder, Pace(40, {}), truth=made.truth)
        while True:
            try:
                next(doing)
            except StopIteration as done:
                record: dict[str, Any] = done.value[1]
                return record


def test_a_stage_tells_what_was_taught(tmp_path: Path):
    """The hidden labels of a known problem: the log's precision is that of the guesses taught."""
    made = made_problem(METHODS["fixmatch"], steps=40)
    taught = [step.taught for step in METHODS["fixmatch"].fit(made.problem)]
    record = fitted(tmp_path / "run", made)
    hidden = made.truth[made.problem.unlabelled]
    assert len(record["pseudo_history"]) == CLASS_POINTS
    assert len(record["history"]) == 40
    for number, point in enumerate(record["history"]):
        wanted = oracle(taught[number : number + 1], hidden)  # type: ignore[arg-type]
        for name in {"coverage", "agreement", "entropy", "precision"} & set(point):
            assert point[name] == pytest.approx(wanted[name], abs=1e-4)
    last = record["pseudo_history"][-1]
    for c in range(4):
        wanted = oracle(taught[-2:], hidden, c)  # type: ignore[arg-type]
        assert last["audited"][c] == wanted["audited"]
        right = wanted["precision"]
        assert last["precision"][c] == (None if right is None else pytest.approx(right, abs=1e-4))
    assert any(value is not None for value in last["precision"])


@pytest.mark.parametrize("stop", [20, 37])
def test_a_stage_that_was_cut_off_tells_the_same(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(stages, "CHECKPOINT_SECONDS", 0.0)
    made = made_problem(METHODS["fixmatch"], steps=40)
    whole, resumed = fitted(tmp_path / "whole", made), fitted(tmp_path / "cut", made, stop)
    assert resumed["pseudo_history"] == whole["pseudo_history"]
    assert resumed["history"] == whole["history"]


# --- what the learner may not see --------------------------------------------------------------


def clouds(audit: list[str | None] | None, label: list[str | None] | None = None) -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    x = (rng.normal(size=(240, 6)) + 2.5 * np.eye(6)[y]).astype(np.float32)
    given = [f"c{t}" if i < 36 else None for i, t in enumerate(y)]
    return Dataset.from_arrays(x, label or given, audit=audit, modality="embedding", name="clouds")


def true_labels() -> list[str | None]:
    return [f"c{i % 3}" for i in range(240)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """One data set without an audit, with a true one, and with one that is turned by a class."""
    turned: list[str | None] = [f"c{(i + 1) % 3}" for i in range(240)]
    home = tmp_path_factory.mktemp("audits")
    return {
        name: leaven.fit(clouds(audit), method="fixmatch", budget="40steps", out=home)
        for name, audit in (("none", None), ("true", true_labels()), ("turned", turned))
    }


def test_another_audit_is_another_run(runs: dict[str, Run]):
    assert len({run.folder for run in runs.values()}) == 3
    assert len({run.story["dataset"]["hash"] for run in runs.values()}) == 1


def test_audits_change_no_bit_of_models_and_predictions(runs: dict[str, Run]):
    one = runs["none"].folder
    named = ("predictions.parquet", "evidence.parquet", "model", "compared", "shown.json")
    files = [p for name in named for p in [one / name, *(one / name).glob("*")] if p.is_file()]
    assert len(files) == 9
    for other in ("true", "turned"):
        for file in files:
            same = runs[other].folder / file.relative_to(one)
            assert same.read_bytes() == file.read_bytes(), (other, file)


def test_audits_change_nothing_of_the_story_but_what_they_tell(runs: dict[str, Run]):
    def rest(run: Run) -> Any:
        story = json.loads((run.folder / "run.json").read_text())
        for key in ("run", "cost", "environment", "audit"):
            story.pop(key, None)
        for stage in story["training"]["stages"]:
            del stage["seconds"], stage["cpu_seconds"]
        points = story["training"]["history"] + story["training"]["pseudo_history"]
        for point in [*points, *(point["all"] for point in points if "all" in point)]:
            point.pop("precision", None)
            point.pop("audited", None)
        return story

    assert rest(runs["true"]) == rest(runs["none"]) == rest(runs["turned"])


def test_the_log_of_a_run_knows_the_audit(runs: dict[str, Run]):
    plain, true, turned = (runs[n].story["training"]["history"][-1] for n in runs)
    assert "precision" not in plain
    assert true["audited"] == turned["audited"] > 20
    assert true["precision"] > 0.85
    assert turned["precision"] < 0.15
    point = runs["true"].story["training"]["pseudo_history"][-1]
    assert len(point["precision"]) == 3
    assert sum(point["audited"]) >= true["audited"]


def test_the_audited_figure_is_the_share_of_right_predictions(runs: dict[str, Run]):
    assert "audit" not in runs["none"].story
    run = runs["true"]
    told, dataset = run.story["audit"], clouds(true_labels())
    probabilities = run.predictor.predict(dataset)[1]
    truth = np.arange(240) % 3
    right = (probabilities.argmax(1) == truth)[36:]
    sure = probabilities.max(1)[36:] >= 0.95
    assert told["records"] == told["accuracy"]["n"] == 204
    assert told["unknown"] == 0
    assert told["accuracy"]["value"] == pytest.approx(right.mean())
    assert told["precision"]["n"] == sure.sum() > 0
    assert told["precision"]["value"] == pytest.approx(right[sure].mean())
    assert told["precision"]["low"] < told["precision"]["value"] <= told["precision"]["high"]


def test_a_true_label_that_is_no_class_is_wrong_and_is_said(tmp_path: Path):
    audit = true_labels()
    audit[:36] = ["c0"] * 36  # of labelled records: not used
    audit[40:50] = ["merlot"] * 10
    audit[60:] = [None] * 180
    dataset = clouds(audit)
    assert dataset.audited is not None
    assert dataset.audited[:36].tolist() == [-1] * 36
    assert dataset.audited[40:50].tolist() == [3] * 10
    assert dataset.classes == ("c0", "c1", "c2")
    run = leaven.fit(dataset, method="label-spreading", budget="5steps", out=tmp_path)
    told = run.story["audit"]
    assert (told["records"], told["unknown"]) == (24, 10)
    assert told["accuracy"]["value"] <= 14 / 24
    findings = {f["name"]: f for f in run.story["dataset"]["findings"]}
    assert findings["audit-unknown-labels"]["examples"] == ["merlot"]
    assert "10 of 24" in findings["audit-unknown-labels"]["message"]
