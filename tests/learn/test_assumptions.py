"""Advice before training: the four cases that do harm are caught, clean sets raise nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from sklearn import datasets as real

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.assumptions import Advice, advise
from leaven.learn.label_noise import cross_fitted, label_noise, share
from leaven.learn.structure import agreement, bare_regions, group, tendency
from leaven.learn.two_samples import (
    classifier_test,
    compare_columns,
    compare_components,
    holm,
    kernel_test,
    permuted,
)


@cache
def loaded(name: str) -> tuple[Dataset, np.ndarray]:
    """A real set with every label, and its class numbers."""
    if name == "digits":
        x, y = real.load_digits(return_X_y=True)
        return Dataset.from_arrays((x.reshape(-1, 8, 8) * 15).astype(np.uint8), y), y
    if name == "flat digits":
        x, y = real.load_digits(return_X_y=True)
        return Dataset.from_arrays(x, y, modality="embedding"), y
    loader = {"wine": real.load_wine, "cancer": real.load_breast_cancer}[name]
    x, y = loader(return_X_y=True)
    return Dataset.from_arrays(x, y), y


def drawn(y: np.ndarray, n: int, seed: int, weights: np.ndarray | None = None) -> np.ndarray:
    """Which records get a label."""
    rng = np.random.default_rng(seed)
    kept = np.zeros(len(y), bool)
    p = None if weights is None else weights / weights.sum()
    kept[rng.choice(len(y), n, replace=False, p=p)] = True
    return kept


def advised(dataset: Dataset, kept: np.ndarray, y: np.ndarray) -> Advice:
    """Advice on the records whose labels `kept` leaves, and which `y` may have changed."""
    labels = [str(label) if seen else None for label, seen in zip(y, kept, strict=True)]
    part = replace(dataset, labels=pa.array(labels, pa.string()))
    modality = MODALITIES[part.modality]
    spec = modality.describe(part)
    arrays, _ = modality.decode(part, spec)
    return advise(part, arrays, spec)


def test_clean_sets_raise_no_alarm():
    """Labels drawn at random, over many draws of real sets; each kind of alarm is rare."""
    raised = []
    for name, labels, draws in (("wine", 60, 4), ("cancer", 100, 4), ("flat digits", 200, 2)):
        dataset, y = loaded(name)
        for seed in range(draws):
            raised += advised(dataset, drawn(y, labels, seed), y).alarms
    assert len(raised) <= 1, raised


def test_labels_collected_so_many_a_class_are_no_shift():
    dataset, y = loaded("cancer")
    rng = np.random.default_rng(0)
    kept = np.zeros(len(y), bool)
    for c, wanted in ((0, 20), (1, 80)):  # the pool has 37 and 63 %
        kept[rng.choice(np.flatnonzero(y == c), wanted, replace=False)] = True
    told = advised(dataset, kept, y)
    assert not told.alarms
    assert told.choice == "semi-supervised"


def test_a_shifted_pool_is_caught_and_its_columns_named():
    dataset, y = loaded("cancer")
    smooth = dataset.records.column(4).to_numpy()  # it says little of the class
    weights = 1 / (1 + np.exp(-4 * (smooth - np.median(smooth)) / smooth.std()))
    told = advised(dataset, drawn(y, 120, 0, weights), y)
    assert told.choice == "label more"
    assert "shift" in told.alarms
    assert told.numbers["separability"] > 0.6
    assert dataset.columns[4].name in [column.name for column in told.columns]
    assert all(column.adjusted < 0.01 for column in told.columns)
    assert set(told.label_next) <= set(dataset.ids)
    assert told.label_next


def test_a_class_without_labels_is_caught_and_its_records_are_asked_for():
    dataset, y = loaded("digits")
    told = advised(dataset, drawn(y, 200, 1, (y != 4).astype(float)), y)
    assert told.choice == "label more"
    assert "unseen classes" in told.alarms
    asked = y[np.isin(dataset.ids, told.label_next[:5])]
    assert (asked == 4).mean() > 0.5
    region = told.regions[0]
    assert region.labelled < 0.15 * region.expected
    assert region.p <= 0.01


@pytest.mark.parametrize(("name", "labels"), [("cancer", 200), ("digits", 300)])
def test_noisy_labels_are_caught_with_an_honest_precision(name: str, labels: int):
    dataset, y = loaded(name)
    rng = np.random.default_rng(2)
    kept, wrong = drawn(y, labels, 2), y.copy()
    flipped = kept & (rng.random(len(y)) < 0.25)
    wrong[flipped] = (y[flipped] + rng.integers(1, y.max() + 1, flipped.sum())) % (y.max() + 1)
    told = advised(dataset, kept, wrong)
    assert told.choice == "label more"
    assert "noisy labels" in told.alarms
    figure = next(item for item in told.evidence if item.name == "wrong labels")
    assert figure.low < flipped.sum() / labels < figure.high
    doubted = flipped[np.isin(dataset.ids, told.check_labels)]
    assert len(doubted) >= 10
    assert doubted.mean() > 0.7


def test_where_wrong_labels_are_no_more_than_likely_the_doubted_are_named():
    dataset, y = loaded("digits")
    rng = np.random.default_rng(8)
    kept, wrong = drawn(y, 200, 8), y.copy()
    flipped = kept & (rng.random(len(y)) < 0.15)
    wrong[flipped] = (y[flipped] + rng.integers(1, 10, flipped.sum())) % 10
    told = advised(dataset, kept, wrong)
    assert "noisy labels" not in told.alarms
    assert "look wrong, unless classes overlap even there" in told.reasons[-1]
    assert flipped[np.isin(dataset.ids, told.check_labels)].mean() > 0.7


def test_heavy_imbalance_is_caught():
    dataset, y = loaded("cancer")
    rng = np.random.default_rng(3)
    rare = rng.choice(np.flatnonzero(y == 0), 8, replace=False)
    index = np.sort(np.concatenate([np.flatnonzero(y == 1), rare]))
    part, y = dataset.select(index), y[index]
    kept = drawn(y, 120, 3)
    kept[np.flatnonzero(y == 0)[:4]] = True
    told = advised(part, kept, y)
    assert told.alarms == ("imbalance",)
    assert told.choice == "label more"
    assert told.classes == ("0",)


def test_labels_by_chance_teach_nothing():
    """Neighbours that share no label: a table has no better features to wait for."""
    dataset, y = loaded("cancer")
    told = advised(dataset, drawn(y, 50, 0), np.random.default_rng(0).permutation(y))
    assert told.choice == "supervised"
    assert "rarely share a label" in told.reasons[0]


def test_pictures_whose_features_say_nothing_are_pretrained_first():
    dataset, y = loaded("digits")
    told = advised(dataset, drawn(y, 40, 0), np.random.default_rng(0).integers(2, size=len(y)))
    assert told.choice == "self-supervised first"
    assert "leaven pretrain" in told.reasons[0]


def test_what_cannot_be_measured_is_said():
    dataset, y = loaded("wine")
    none = advised(dataset, np.zeros(len(y), bool), y)
    assert none.choice == "label more"
    assert len(set(none.label_next)) >= 5, "one from the middle of each cluster"
    every = advised(dataset, np.ones(len(y), bool), y)
    assert every.choice == "supervised"
    few = advised(dataset, drawn(y, 12, 0), y)
    assert "How unsure this is: with 12 labels" in few.reasons[-1]
    alone = np.zeros(len(y), bool)
    alone[[0, 1, 60, 170, 171]] = True
    told = advised(dataset, alone, y)
    assert told.alarms == ("few labels",)
    assert told.classes == ("1",)


def test_advice_is_plain_json():
    dataset, y = loaded("wine")
    kept = drawn(y, 60, 0)
    told = asdict(advised(dataset, kept, y))
    assert json.loads(json.dumps(told, allow_nan=False))["choice"] == told["choice"]
    assert told == asdict(advised(dataset, kept, y)), "the same data, the same advice"


def test_permutations_stay_within_strata():
    strata = np.array([2, 0, 2, 1, 0, 2])
    moved = permuted(strata, 50, seed=0)
    assert (moved[:, 0] == np.arange(6)).all()
    assert (strata[moved] == strata[:, None]).all()
    assert (np.sort(moved, axis=0) == np.arange(6)[:, None]).all()
    assert len(np.unique(moved, axis=1).T) > 6


def test_p_values_are_honest_under_no_difference_and_small_under_one():
    rng = np.random.default_rng(0)
    strata = np.zeros(150, np.int64)
    p = {classifier_test: [], kernel_test: []}
    for seed in range(40):
        x = rng.standard_t(3, size=(150, 5))
        for test, found in p.items():
            found.append(test(x, np.arange(150) < 40, strata, seed, times=100).p)
    for found in p.values():
        assert np.mean(np.array(found) <= 0.1) <= 0.2
        assert 0.3 < np.mean(found) < 0.7
    x[:40] += 1.5
    for test in p:
        assert test(x, np.arange(150) < 40, strata).p <= 0.01


def test_the_classifiers_area_is_that_of_an_independent_count():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 1))
    ours = np.arange(400) < 200
    x[ours] += 1.0
    found = classifier_test(x, ours, np.zeros(400, np.int64))
    true = (x[ours] > x[~ours].T).mean()
    assert found.value == pytest.approx(true, abs=0.03)
    assert found.low < true < found.high


def test_other_class_shares_are_no_difference_within_classes():
    rng = np.random.default_rng(2)
    kind = np.r_[np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [100, 400])]
    x = rng.normal(size=(600, 3)) + 4 * kind[:, None]
    ours = np.arange(600) < 100
    assert classifier_test(x, ours, np.zeros(600, np.int64)).p < 0.01
    assert classifier_test(x, ours, kind).p > 0.05
    assert kernel_test(x, ours, kind).p > 0.05


def test_columns_are_compared_by_what_they_hold():
    rng = np.random.default_rng(0)
    n = 400
    ours = np.arange(n) < 100
    frame = pa.table(
        {
            "same": rng.normal(size=n),
            "moved": rng.normal(size=n) + 1.0 * ours,
            "colour": np.where(ours & (rng.random(n) < 0.5), "red", "blue"),
            "gone": pa.array(rng.normal(size=n), mask=~ours & (rng.random(n) < 0.5)),
            "y": ["a", "b"] * (n // 2),
        }
    )
    dataset = Dataset.from_frame(frame, label="y")
    tests = compare_columns(dataset, np.flatnonzero(ours), np.flatnonzero(~ours))
    sure = {test.name: test for test in tests if test.adjusted < 0.01}
    assert set(sure) == {"moved", "colour", "gone"}
    assert sure["moved"].test == "ks"
    assert sure["colour"].test == "chi2"
    assert "'red'" in sure["colour"].said or "'blue'" in sure["colour"].said
    assert sure["gone"].said.startswith("missing in 0 %")


def test_holm_is_holm():
    assert holm([]) == []
    assert holm([0.5, 0.001]) == [0.5, 0.002]
    assert max(holm([0.9, 0.8, 0.7])) == 1.0


def test_clusters_are_found_where_they_are():
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(300, 4)) * [3, 1, 1, 1]
    assert tendency(cloud, 3).p > 0.05
    assert tendency(cloud + 8 * rng.integers(3, size=(300, 1)), 3).p < 0.05
    assert tendency(cloud[:30], 3) is None


def test_labels_agree_in_clusters_or_do_not():
    member = np.repeat(np.arange(5), 10)
    value, chance, p, pairs = agreement(member, member % 2)
    assert (value, pairs) == (1.0, 5 * 45)
    assert chance == pytest.approx(0.5, abs=0.05)
    assert p < 0.01
    assert agreement(np.arange(4), np.arange(4)) is None


def test_a_bare_region_is_found_and_none_where_labels_are_at_random():
    rng = np.random.default_rng(0)
    kind = rng.integers(4, size=800)
    x = rng.normal(size=(800, 2)) + 6 * np.c_[kind % 2, kind // 2]
    one = np.zeros(800, np.int64)
    at_random = rng.random(800) < 0.15
    grouping = group(x, 4)
    assert not bare_regions(x, at_random, one, grouping)
    found = bare_regions(x, at_random & (kind != 3), one, grouping)
    assert (kind[np.concatenate([region.records for region in found])] == 3).mean() > 0.95
    assert sum(len(region.records) for region in found) > 0.8 * (kind == 3).sum()


def test_a_record_is_not_asked_of_a_model_that_saw_its_label():
    """Labels by chance on many features: a model that had seen them would know them."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 60)), rng.integers(2, size=100)
    said, told = cross_fitted(x, y, x, 2)
    assert (said.argmax(1) == y).mean() < 0.65
    assert (told.argmax(1) == y).mean() > (said.argmax(1) == y).mean() + 0.1
    assert said.sum(1) == pytest.approx(np.ones(100))


def test_noise_is_told_only_of_enough_labels():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    x = rng.normal(size=(200, 3)) + 5 * y[:, None]
    said, _ = cross_fitted(x, y, x[:0], 2)
    found = label_noise(x, y, 2, said)
    assert found.rate.value == 0
    assert found.caught.low > 0.3, "half of the records are surest, so half can be noticed"
    assert label_noise(x[80:120], y[80:120], 2, said[80:120]) is None


def test_a_share_of_none_is_unknown():
    assert (share(0, 0).low, share(0, 0).high) == (0.0, 1.0)


def test_a_side_of_few_records_is_not_tested():
    rng = np.random.default_rng(0)
    sides = np.arange(40) < 4
    assert compare_components(rng.normal(size=(40, 3)), sides) == []
    assert compare_components(rng.normal(size=(40, 3)), np.zeros(40, bool)) == []
    assert len(compare_components(rng.normal(size=(40, 3)), np.arange(40) < 5)) == 3
