"""The search for settings: it finds what was planted, and is judged by nothing that it has seen."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from leaven import api
from leaven.core.errors import MissingExtraError, SettingError, UnknownNameError
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.evaluate import affording
from leaven.evaluate.affording import affordable_trials, with_members
from leaven.evaluate.folder import RunFolder
from leaven.evaluate.stages import Pace, Stage, fit_stage
from leaven.learn.blending import BlendMethod, Evidence, member
from leaven.learn.classic.blend import Blend
from leaven.learn.classic.supervised_blend import SupervisedBlend
from leaven.learn.classic_method import Frozen
from leaven.learn.front import Front
from leaven.learn.learner import LEARNERS
from leaven.learn.method import METHODS, Problem
from leaven.learn.out_of_fold import answers, fitted
from leaven.learn.plan import plan
from leaven.learn.search import SPACE, Search, space_of
from leaven.learn.temperature import apply


def faint(labelled: int, seed: int = 0) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Two classes that a small column tells, beside large ones: a penalty hides it."""
    rng = np.random.default_rng(seed)
    y = np.arange(labelled + 1000) % 2
    X = 20 * rng.normal(size=(len(y), 5)).astype(np.float32)
    X[:, 0] = 0.5 * (2 * y - 1) + 0.2 * rng.normal(size=len(y))
    known = Frozen(X[:labelled], y[:labelled], 2, seed, np.zeros(0, np.int64))
    return known, X[labelled:], y[labelled:]


def knots(labelled: int = 3, size: int = 6, seed: int = 0) -> tuple[Frozen, np.ndarray, np.ndarray]:
    """Knots of a few records, each of any class: further neighbours are of other knots."""
    rng = np.random.default_rng(seed)
    centres = np.stack(np.meshgrid(*[np.arange(8.0)] * 2), -1).reshape(-1, 2)
    kinds = rng.permutation(np.arange(len(centres)) % 2)
    X = (centres[:, None] + 0.1 * rng.normal(size=(len(centres), size, 2))).astype(np.float32)
    seen, rest = X[:, :labelled].reshape(-1, 2), X[:, labelled:].reshape(-1, 2)
    y, hidden = np.repeat(kinds, labelled), np.repeat(kinds, size - labelled)
    targets = np.r_[y, np.full(len(rest), -1)]
    return Frozen(np.r_[seen, rest], targets, 2, seed, np.arange(len(rest))), rest, hidden


def evidence(blend: BlendMethod, known: Frozen) -> Evidence:
    comparing = blend.compare(known)
    while True:
        try:
            next(comparing)
        except StopIteration as done:
            return done.value


def surprise(method, known, X, y) -> float:
    given = apply(answers(fitted(method, known), X), 1.0)
    return float(-np.log(given[np.arange(len(y)), y]).mean())


def test_a_weaker_penalty_is_found_where_the_telling_column_is_small():
    known, X, y = faint(40)
    found = evidence(SupervisedBlend(members="logistic", trials=8, repeats=1), known)
    assert found.settings["logistic"]["strength"] > 100
    tuned = member("logistic", found.settings["logistic"])
    assert surprise(tuned, known, X, y) < surprise(member("logistic"), known, X, y) - 0.05


def test_fewer_neighbours_are_found_where_clusters_are_small():
    known, X, y = knots()
    found = evidence(Blend(members="label-spreading", trials=12, repeats=1), known)
    assert found.settings["label-spreading"]["neighbours"] < 8
    right = [
        (answers(fitted(member("label-spreading", one), known), X).argmax(1) == y).mean()
        for one in ({}, found.settings["label-spreading"])
    ]
    assert right[1] > right[0] + 0.1


@pytest.mark.parametrize("seed", range(2))
def test_what_is_chosen_never_surprises_more_than_the_own_settings(seed):
    known = knots(2, 4, seed)[0]
    members = "logistic,ridge,poisson-learning,label-spreading,self-training-ridge"
    own = evidence(Blend(members=members, repeats=1), known)
    tuned = evidence(Blend(members=members, repeats=1, trials=4), known)
    assert "ridge" not in tuned.settings, "it has none"
    for name, before in own.surprise.items():
        assert tuned.surprise[name] <= before
        assert (tuned.surprise[name] < before) == (name in tuned.settings)


def test_noise_moves_no_setting_for_long():
    """Where no setting can be better, few searches think so: chance is not taken for a find."""
    moved = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(24, 5)).astype(np.float32), np.arange(24) % 2
        known = Frozen(X, y, 2, seed, np.zeros(0, np.int64))
        found = evidence(SupervisedBlend(members="logistic", trials=5, repeats=1), known)
        moved += found.settings.get("logistic", {"strength": 0.0})["strength"] > 10
    assert moved <= 1, "a weaker penalty on noise"


def test_the_same_seed_finds_the_same_and_both_arms_alike():
    known, _, _ = faint(40)
    shown = replace(known, targets=np.r_[known.targets, -1, -1], places=np.arange(2),
                    features=np.r_[known.features, known.features[:2] + 9])  # fmt: skip
    blend = Blend(members="logistic,label-spreading", trials=5, repeats=1)
    first = evidence(blend, shown)
    assert first == evidence(blend, shown)
    alone = evidence(SupervisedBlend(members=blend.members, trials=5, repeats=1), shown)
    assert alone.settings["logistic"] == first.settings["logistic"]
    asked = []
    for seed in (0, 0, 1):
        search = Search({"strength": 10.0}, 5, seed)
        told = []
        for _ in range(5):
            told.append(search.ask()["strength"])
            search.tell(told[-1])
        asked.append(told)
    assert asked[0] == asked[1] != asked[2]
    assert asked[0][0] == 10.0


def problem(X: np.ndarray, y: np.ndarray, train: np.ndarray, judged: np.ndarray) -> Problem:
    dataset = Dataset.from_arrays(X, modality="embedding")
    front = Front.describe(dataset, None)
    arrays, _ = front.decode(dataset)
    return Problem(
        arrays=arrays, spec=front.arrays_spec, modality="embedding", task="classification",
        classes=2, targets=y.copy(), train=train, unlabelled=np.zeros(0, np.int64),
        encoder="standardised", settings={"trials": 4, "members": "logistic,ridge"},
    )  # fmt: skip


def test_records_that_judge_may_be_anything(tmp_path):
    """Labels and features of judged records, turned to nonsense, leave the tuned blend as it is."""
    known, _, _ = faint(60)
    X, y = known.features, known.targets
    judged = np.arange(0, 60, 3)
    train = np.setdiff1d(np.arange(60), judged)
    none = np.zeros(0, np.int64)
    stage = Stage("fold", "fold", "", "supervised-blend", train, none, judged, False)
    nonsense = X.copy()
    nonsense[judged] = 50.0
    wrong_judged, wrong_taught = y.copy(), y.copy()
    wrong_judged[judged] = 1 - y[judged]
    wrong_taught[train[:9]] = 1 - y[train[:9]]
    heads = []
    for number, (features, targets) in enumerate(
        [(X, y), (nonsense, wrong_judged), (X, wrong_taught)]
    ):
        asked = problem(features, targets, train, judged)
        with RunFolder(tmp_path / str(number)) as folder:
            fit = fit_stage(stage, asked, folder, Pace(1, {}))
            while True:
                try:
                    next(fit)
                except StopIteration as done:
                    heads.append(done.value[0].head)
                    break
    asked = torch.from_numpy(X[train])
    assert torch.equal(heads[0](asked), heads[1](asked))
    assert not torch.equal(heads[0](asked), heads[2](asked)), "what is taught matters"


def test_without_optuna_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    METHODS["blend"].check({})
    with pytest.raises(MissingExtraError, match=r"pip install 'leaven\[tune\]'"):
        METHODS["blend"].check({"trials": 5})
    with pytest.raises(MissingExtraError, match="extra 'tune'"):
        plan(Recipe(tune=True), texts(), False)


def test_settings_of_learners_are_checked_and_followed():
    with pytest.raises(UnknownNameError, match="Did you mean 'strength'"):
        METHODS["logistic"].check({"strenght": 1})
    with pytest.raises(UnknownNameError, match="Did you mean 'trials'"):
        METHODS["blend"].check({"trails": 5})
    for name, settings in (
        ("logistic", {"strength": 0}), ("forest", {"leaves": 1}), ("random-forest", {"least": 0}),
        ("blend", {"trials": -1}), ("forest", {"trees": 2.5}),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=next(iter(settings))):
            METHODS[name].check(settings)
    assert LEARNERS["logistic"].estimator(0).C == 10.0
    for name, trees in (("forest", 100), ("random-forest", 60)):
        plain = LEARNERS[name].estimator(0)
        assert (plain.n_estimators, plain.max_leaf_nodes, plain.min_samples_leaf) == (trees, 512, 1)
    known, X, _ = faint(40)
    assert len(fitted(member("forest", {"trees": 7}), known).roots) == 7
    coarse = answers(fitted(member("forest", {"least": 15}), known), X)
    assert coarse.std() < answers(fitted(member("forest"), known), X).std()


def test_what_may_be_tried_can_be_followed():
    """Every value of the table is one that the candidates accept."""
    for name in Blend.candidates:
        for setting in space_of(member(name)):
            told = SPACE[setting]
            ends = told if isinstance(told, tuple) else (told.low, told.high)
            for value in ends:
                METHODS[name].check({setting: value})


def texts() -> Dataset:
    words = pa.array([f"word {i} and {i % 7}" for i in range(60)])
    labels = pa.array([str(i % 2) if i < 20 else None for i in range(60)])
    return Dataset.from_frame(pa.table({"text": words, "label": labels}), modality="text")


def test_only_a_blend_is_tuned():
    assert plan(Recipe(tune=True), texts(), False).recipe.method == "blend"
    with pytest.raises(SettingError, match="Methods with a search: blend, supervised-blend"):
        plan(Recipe(tune=True, method="label-spreading"), texts(), False)
    recipe = Recipe(tune=True)
    assert Recipe.from_toml(recipe.to_toml()) == recipe != Recipe()


def test_trials_are_as_many_as_the_budget_buys_and_stay_so(tmp_path, monkeypatch):
    known, _, _ = faint(20)
    asked = problem(known.features, known.targets, np.arange(20), np.zeros(0, np.int64))
    recipe = Recipe(method="supervised-blend", tune=True, budget="9steps")
    seconds = recipe.model_copy(update={"budget": "100s"})
    costs = {"logistic": 0.01, "ridge": 0.01, "forest": 0.1, "random-forest": 0.1}
    monkeypatch.setattr(affording, "_costs", lambda names, *_: {n: costs[n] for n in names})
    blend = METHODS["supervised-blend"]
    there = blend.contenders(blend.frozen(asked)[1])
    assert "forest" in there
    with RunFolder(tmp_path / "run") as folder:
        assert with_members(recipe, asked, 10, folder).objective == {"trials": 12}
        own = recipe.model_copy(update={"objective": {"trials": 5}})
        assert with_members(own, asked, 10, folder) == own
        plain = with_members(seconds.model_copy(update={"tune": False}), asked, 10, folder)
        assert "trials" not in plain.objective
    with RunFolder(tmp_path / "tuned") as folder:
        bought = with_members(seconds, asked, 10, folder)
        theirs = {name: costs[name] for name in there}
        each = 75 / 10 - 9 * sum(theirs.values())
        assert bought.objective["trials"] == affordable_trials(theirs, each) > 3
        assert "members" not in bought.objective, "no candidate makes room for the search"
        costs.update(forest=50.0)
        assert with_members(seconds, asked, 10, folder) == bought
    with RunFolder(tmp_path / "slow") as folder:
        slow = with_members(seconds, asked, 10, folder).objective
        assert "forest" not in slow["members"].split(",")


@pytest.mark.parametrize(("labelled", "affords"), [(20, False), (100, True)])
def test_many_labels_need_one_round_of_folds_and_afford_more(
    tmp_path, monkeypatch, labelled: int, affords: bool
):
    known, _, _ = faint(labelled)
    everyone = np.arange(labelled)
    asked = problem(known.features, known.targets, everyone, np.zeros(0, np.int64))
    costs = {"logistic": 0.01, "ridge": 0.01, "forest": 0.8, "random-forest": 0.01}
    monkeypatch.setattr(affording, "_costs", lambda names, *_: {n: costs[n] for n in names})
    recipe = Recipe(method="supervised-blend", budget="100s")
    with RunFolder(tmp_path / "run") as folder:
        found = with_members(recipe, asked, 10, folder).objective
    assert ("forest" in found.get("members", "forest").split(",")) == affords


def test_a_tuned_fit_says_so(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.normal(size=(40, 4)) + 2 * y[:, None]
    labels = [str(c) if i < 16 else None for i, c in enumerate(y)]
    frame = pa.table({f"c{i}": X[:, i] for i in range(4)} | {"label": labels})
    run = api.fit(
        Dataset.from_frame(frame, label="label"), method="blend", tune=True, budget="1steps",
        settings={"members": "logistic", "repeats": 1}, out=tmp_path,
    )  # fmt: skip
    assert run.story["recipe"]["tune"]
    assert run.story["recipe"]["objective"]["trials"] == 12
    assert "--tune" in run.story["run"]["command"].split()
    for member_of in run.story["training"]["members"].values():
        assert [one["method"] for one in member_of] == ["logistic"]
        assert set(member_of[0]["settings"]) <= {"strength"}
        assert member_of[0]["weight"] == 1.0
