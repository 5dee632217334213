"""Splits: parts that do not overlap, whole units, fair shares, and no say for the order of rows."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.splits import Split, split


def make(
    values: list[int],
    labels: list[str | None],
    groups: list[int] | None = None,
    times: list[int] | None = None,
) -> Dataset:
    columns: dict[str, object] = {"x": values, "y": pa.array(labels, pa.string())}
    if groups is not None:
        columns["group"] = groups
    if times is not None:
        columns["time"] = times
    return Dataset.from_frame(
        pa.table(columns),
        label="y",
        group=None if groups is None else "group",
        time=None if times is None else "time",
    )


def parts(s: Split) -> list[np.ndarray]:
    return [s.train, s.calibration, s.holdout, s.unlabelled, s.proxy]


def check_rules(dataset: Dataset, s: Split) -> None:
    """What holds for every split."""
    together = np.concatenate(parts(s))
    assert len(together) == len(np.unique(together)), "disjoint"
    labelled = np.sort(np.concatenate([s.train, s.calibration, s.holdout]))
    np.testing.assert_array_equal(labelled, dataset.labelled)
    assert np.isin(np.concatenate([s.unlabelled, s.proxy]), dataset.unlabelled).all()
    folded = np.concatenate([*s.folds, np.zeros(0, np.int64)])
    assert len(folded) == len(np.unique(folded))
    assert np.isin(folded, s.train).all()
    assert len(s.folds) != 1
    judged = set(dataset.content[np.concatenate([s.holdout, s.calibration])])
    assert not judged & set(dataset.content[np.concatenate([s.unlabelled, s.proxy])])
    assert len(s.barred) == len(s.folds)
    for fold, barred in zip(s.folds, s.barred, strict=True):
        assert np.isin(barred, s.unlabelled).all()
        left = np.setdiff1d(s.unlabelled, barred)
        assert not set(dataset.content[fold]) & set(dataset.content[left])
    for pieces in ([s.train, s.calibration, s.holdout], [*s.folds], [s.unlabelled, s.proxy]):
        owners = [set(dataset.content[piece]) for piece in pieces]
        assert sum(map(len, owners)) == len(set().union(*owners)), "equal records stay together"
    assert all((np.diff(part) > 0).all() for part in parts(s))


RECORDS = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from(["a", "b", "c", None, None]), st.integers(0, 9)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(RECORDS, st.integers(0, 3), st.randoms(use_true_random=False))
@pytest.mark.parametrize("strategy", ["stratified", "grouped", "time"])
def test_small_splits(
    strategy: str, records: list[tuple[int, str | None, int]], seed: int, random: object
) -> None:
    def build(rows: list[tuple[int, str | None, int]]) -> Dataset:
        values, labels, others = (list(column) for column in zip(*rows, strict=True))
        return make(values, labels, groups=others, times=others)

    dataset = build(records)
    s = split(dataset, seed=seed, strategy=strategy)
    check_rules(dataset, s)
    assert s.rule == "folds"
    for k in range(len(s.folds)):
        taught = np.setdiff1d(s.train, s.folds[k])
        assert set(dataset.targets[s.folds[k]]) <= set(dataset.targets[taught]) or strategy != (
            "stratified"
        )
    if strategy == "grouped":
        group = np.array([r[2] for r in records])
        owners = [set(group[fold]) for fold in s.folds]
        assert sum(map(len, owners)) == len(set().union(*owners))
    again = list(records)
    random.shuffle(again)  # type: ignore[attr-defined]
    other = build(again)
    t = split(other, seed=seed, strategy=strategy)
    for ours, theirs in zip([*parts(s), *s.folds], [*parts(t), *t.folds], strict=True):
        assert sorted(dataset.content[ours]) == sorted(other.content[theirs])
    assert s.reason == t.reason


@settings(max_examples=15, deadline=None)
@given(st.integers(500, 900), st.integers(2, 8), st.integers(0, 99))
def test_large_splits_are_stratified(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets = np.r_[np.repeat(np.arange(k), 12), rng.integers(0, k, n - 12 * k)]
    labels = [f"c{t}" for t in targets] + [None] * 300
    dataset = make(rng.integers(0, 10**9, n + 300).tolist(), labels)
    s = split(dataset, seed=seed)
    check_rules(dataset, s)
    assert s.rule == "holdout"
    assert not s.folds
    counts = np.bincount(targets)
    assert (np.abs(np.bincount(targets[s.holdout], minlength=k) - counts * 0.2) <= 2).all()
    assert len(s.calibration) == pytest.approx(max(50, n // 10), abs=k)
    assert len(s.proxy) == 30
    other = split(dataset, seed=seed + 1)
    assert not np.array_equal(other.holdout, s.holdout), "the seed counts"
    quick = split(dataset, seed=seed, enough=n + 1)
    check_rules(dataset, quick)
    assert quick.rule == "folds"
    assert len(quick.train) == n, "where folds take little time all labels teach"
    assert f"(it takes {n + 1})" in quick.reason


def test_folds_have_each_class_in_its_share() -> None:
    labels = ["a"] * 20 + ["b"] * 9 + ["once"] + [f"t{i // 2}" for i in range(20)]
    dataset = make(list(range(50)), labels)
    s = split(dataset)
    assert len(s.folds) == 4
    sizes = [len(fold) for fold in s.folds]
    assert sum(sizes) == 49
    assert max(sizes) - min(sizes) <= 1
    for fold in s.folds:
        of = [labels[i] for i in fold]
        assert of.count("a") == 5
        assert 2 <= of.count("b") <= 3
    assert "'once'" in s.reason
    assert "50 labelled records are too few" in s.reason


def test_a_large_set_with_a_tiny_class_is_folded_and_says_why() -> None:
    dataset = make(list(range(600)), ["a"] * 300 + ["b"] * 296 + ["rare"] * 4)
    s = split(dataset)
    assert s.rule == "folds"
    assert "'rare' has 4 labelled records" in s.reason


def test_groups_are_whole_at_size() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 80, 1500)
    labels = [None if i % 3 == 0 else "ab"[i % 2] for i in range(1500)]
    dataset = make(rng.integers(0, 10**9, 1500).tolist(), labels, groups=group.tolist())
    s = split(dataset)
    assert s.rule == "holdout"
    check_rules(dataset, s)
    assert len(s.holdout) == pytest.approx(200, abs=40)
    judges = set(group[s.holdout]) | set(group[s.calibration])
    assert not judges & (set(group[s.train]) | set(group[s.unlabelled]) | set(group[s.proxy]))
    assert not set(group[s.holdout]) & set(group[s.calibration])


def test_a_fold_bars_the_unlabelled_of_its_groups_and_no_others() -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 40, 800)
    labels = ["ab"[i % 2] if i < 120 else None for i in range(800)]
    dataset = make(rng.integers(0, 10**9, 800).tolist(), labels, groups=group.tolist())
    s = split(dataset)
    check_rules(dataset, s)
    assert len(s.unlabelled) + len(s.proxy) == 680, "the final fit may learn from all"
    for fold, barred in zip(s.folds, s.barred, strict=True):
        left = np.setdiff1d(s.unlabelled, barred)
        assert not set(group[fold]) & set(group[left])
        assert set(group[barred]) <= set(group[fold])
        assert len(left) > 300


def test_the_latest_judge() -> None:
    rng = np.random.default_rng(0)
    times = rng.permutation(1000)
    dataset = make(rng.integers(0, 10**9, 1000).tolist(), ["a", "b"] * 500, times=times.tolist())
    s = split(dataset)
    assert times[s.holdout].min() == 800
    assert times[s.calibration].min() == 700
    assert times[s.train].max() == 699
    few = dataset.select(np.arange(100))
    blocks = [few.meta["time"].to_numpy()[f] for f in split(few).folds]  # type: ignore[index]
    assert all(a.max() < b.min() for a, b in itertools.pairwise(blocks))


def test_nothing_to_fold() -> None:
    for labels in (["a", "b", None], [None, None, None], ["a", None, None]):
        dataset = make([1, 2, 3], labels)
        s = split(dataset)
        check_rules(dataset, s)
        assert s.folds == ()
        assert "Nothing can be held back" in s.reason


def test_a_rare_class_of_a_huge_set_is_still_judged() -> None:
    n = 60_000
    labels = ["rare"] * 10 + ["a"] * (n - 10)
    s = split(make(list(range(n)), labels))
    assert s.rule == "holdout"
    assert len(s.holdout) == pytest.approx(5000, abs=3)
    assert (s.holdout < 10).sum() == 2
    assert (s.calibration < 10).sum() >= 1


def test_unknown_or_impossible_strategies() -> None:
    dataset = make([1, 2], ["a", "b"])
    for strategy in ("random", "grouped", "time"):
        with pytest.raises(SettingError, match="strategy"):
            split(dataset, strategy=strategy)
