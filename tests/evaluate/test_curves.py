"""Learning curves on real records: what they measure and forecast, and what they never do."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from leaven.core.errors import DataError, SettingError
from leaven.data.dataset import Dataset
from leaven.evaluate import curve_plan
from leaven.evaluate.curve_plan import Plan
from leaven.evaluate.curves import Growth, grow
from leaven.evaluate.forecast import forecast
from leaven.evaluate.growing import grow_dataset
from leaven.learn.classic_method import ClassicMethod, Frozen
from leaven.learn.head import Head
from leaven.learn.method import METHODS, Step

#: The least that can be measured, one repetition, whatever the machine; and all that is planned.
LEAST, ALL = 0.0, 1000.0


def digits(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and classes in a drawn order."""
    pixels, classes = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(classes))
    return (pixels[order] / 16).astype(np.float32), classes[order]


def problem(
    features: np.ndarray, classes: np.ndarray, labelled: int, unlabelled: int = 0
) -> Frozen:
    """The first records with their labels, those after them without."""
    n = labelled + unlabelled
    targets = np.where(np.arange(n) < labelled, classes[:n], -1)
    k = int(classes.max()) + 1
    return Frozen(features[:n], targets, k, 0, np.arange(unlabelled))


def taught(method: ClassicMethod, known: Frozen) -> Head:
    fit = method.learn(known)
    while True:
        try:
            next(fit)
        except StopIteration as done:
            return done.value


def accuracy(
    method: ClassicMethod, known: Frozen, features: np.ndarray, classes: np.ndarray
) -> float:
    with torch.inference_mode():
        said = taught(method, known)(torch.from_numpy(features)).argmax(1).numpy()
    return float((said == classes).mean())


def ridge() -> ClassicMethod:
    method = METHODS["ridge"]
    assert isinstance(method, ClassicMethod)
    return method


@dataclass
class Spy:
    """A method that notes what it was taught by and what its head was asked."""

    method: ClassicMethod
    fits: list[dict[str, Any]] = field(default_factory=list)
    name: str = "spy"
    unlabelled: bool = True

    def learn(self, known: Frozen) -> Generator[Step, None, Head]:
        fit = {"taught": known.features[: known.labelled], "targets": known.targets,
               "read": known.features, "asked": []}  # fmt: skip
        self.fits.append(fit)
        part = known.among(np.arange(known.labelled), np.zeros(0, np.int64))
        head = yield from self.method.learn(part)

        def answer(features: torch.Tensor) -> torch.Tensor:
            fit["asked"].append(features.numpy())
            return head(features)

        return answer  # type: ignore[return-value]


def rows(features: np.ndarray) -> set[bytes]:
    return {row.tobytes() for row in features}


@pytest.fixture(scope="module")
def digits_growth() -> Growth:
    return grow(problem(*digits(), 150), ridge(), seconds=ALL)


def test_judged_records_never_teach_and_are_not_read_at_all():
    features, classes = digits()
    spy = Spy(ridge())
    grow(problem(features, classes, 40, 60), spy, seconds=LEAST)  # type: ignore[arg-type]
    assert len(spy.fits) > 20
    for fit in spy.fits:
        asked = rows(np.concatenate(fit["asked"]))
        assert asked
        assert not asked & rows(fit["read"])
        assert (fit["targets"][len(fit["taught"]) :] == -1).all()


def test_units_are_never_parted():
    features, classes = digits()
    features, classes = np.repeat(features[:30], 2, 0), np.repeat(classes[:30], 2)
    spy = Spy(ridge())
    known = problem(features, classes, 60)
    grow(known, spy, seconds=LEAST, units=np.repeat(np.arange(30), 2))  # type: ignore[arg-type]
    for fit in spy.fits:
        assert not rows(np.concatenate(fit["asked"])) & rows(fit["taught"])
    apart = Spy(ridge())
    grow(known, apart, seconds=LEAST)  # type: ignore[arg-type]
    assert any(rows(np.concatenate(f["asked"])) & rows(f["taught"]) for f in apart.fits)


def test_every_beginning_teaches_each_class():
    features, classes = digits()
    spy = Spy(ridge())
    grow(problem(features, classes, 60), spy, seconds=LEAST)  # type: ignore[arg-type]
    there = set(classes[:60])
    for fit in spy.fits:
        assert set(fit["targets"][: len(fit["taught"])]) == there


def test_more_labels_help_where_they_do(digits_growth: Growth):
    first, last = digits_growth.labels[0], digits_growth.labels[-1]
    assert last.value - first.value > 0.15
    assert (first.size, last.size) == (10, 120)
    assert digits_growth.gain.value > 0.003
    assert digits_growth.outcome == "go on"
    assert "Go on labelling" in digits_growth.sentence


def test_the_forecast_holds_the_accuracy_with_more_labels(digits_growth: Growth):
    features, classes = digits()
    rest, seen = features[400:], classes[400:]
    found = [
        accuracy(ridge(), problem(features, classes, labels), rest, seen) for labels in (150, 200)
    ]
    assert digits_growth.now.low < found[0] < digits_growth.now.high
    assert digits_growth.then.low < found[1] < digits_growth.then.high
    assert digits_growth.gain.low < found[1] - found[0] < digits_growth.gain.high
    assert digits_growth.then.high - digits_growth.then.low < 0.25


def test_forecasts_cover_over_sets_and_draws():
    """Of 24 forecasts of 95 %, on two sets, 20 at least hold what was found later."""
    held = []
    for load in (load_digits, load_breast_cancer):
        features, classes = load(return_X_y=True)
        features = ((features - features.mean(0)) / (features.std(0) + 1e-6)).astype(np.float32)
        for seed in range(6):
            order = np.random.default_rng(seed).permutation(len(classes))
            x, y = features[order], classes[order]
            told = grow(problem(x, y, 60), ridge(), seed=seed, seconds=LEAST)
            now, then = (accuracy(ridge(), problem(x, y, n), x[150:], y[150:]) for n in (60, 110))
            held += [
                told.then.low <= then <= told.then.high,
                told.gain.low <= then - now <= told.gain.high,
            ]
    assert len(held) == 24
    assert sum(held) >= 20


def test_labels_that_are_noise_are_worth_nothing():
    features, _ = digits()
    noise = np.random.default_rng(3).integers(0, 2, len(features))
    told = grow(problem(features, noise, 300), ridge(), seconds=LEAST)
    assert abs(told.labels[-1].value - 0.5) < 0.1
    assert told.expected.value < 0.01
    sure = grow(problem(features, noise, 1200), ridge(), seconds=LEAST)
    assert sure.expected.value < 0.005
    assert sure.outcome in ("perhaps", "stop")
    assert "top" in sure.sentence


def test_the_same_seed_gives_the_same_curves():
    known = problem(*digits(), 50, 40)
    once, again = (grow(known, METHODS["label-spreading"], seed=4, seconds=LEAST) for _ in range(2))
    assert once == again
    other = grow(known, METHODS["label-spreading"], seed=5, seconds=LEAST)
    assert once.labels != other.labels


def test_unlabelled_records_have_a_curve_where_they_are_read():
    told = grow(problem(*digits(), 40, 400), METHODS["label-spreading"], seconds=LEAST)
    assert [point.size for point in told.unlabelled] == [0, 125, 250]
    assert told.unlabelled[-1].value > told.unlabelled[0].value + 0.05
    assert told.unlabelled[-1].value == told.labels[-1].value
    assert told.doubled.value == pytest.approx(
        told.unlabelled[-1].value - told.unlabelled[-2].value
    )
    assert "doubling" in told.unlabelled_sentence
    assert not grow(problem(*digits(), 40, 400), ridge(), seconds=LEAST).unlabelled


def test_few_labels_say_so_and_have_a_wide_interval(digits_growth: Growth):
    features, classes = digits()
    few = grow(problem(features, classes, 25), ridge(), seconds=LEAST)
    assert few.then.high - few.then.low > 2 * (digits_growth.then.high - digits_growth.then.low)
    assert "only roughly" in few.sentence
    none = grow(problem(features, classes, 6), ridge(), seconds=LEAST)
    assert none.outcome == "unknown"
    assert none.gain is None
    assert "too few" in none.sentence


def test_out_of_time_fewer_repetitions_are_done_and_said():
    told = grow(problem(*digits(), 60), ridge(), seconds=LEAST)
    assert told.repeats == 1 < told.planned
    assert "the time was up" in told.note
    assert told.gain.low < told.gain.high
    whole = grow(problem(*digits(), 60), ridge(), seconds=ALL)
    assert whole.repeats == whole.planned
    assert "the time was up" not in whole.note
    assert len(whole.labels) > len(told.labels)


def test_it_is_plain_json(digits_growth: Growth):
    told = asdict(digits_growth)
    assert json.loads(json.dumps(told))["gain"] == asdict(digits_growth.gain)


def test_without_a_time_the_sizes_say_how_much_is_measured(
    brief_curves: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(curve_plan, "_WORK", brief_curves)

    def planned(labelled: int, unlabelled: int) -> Plan:
        known = problem(*digits(), labelled, unlabelled)
        plan = Plan.of(known, METHODS["label-spreading"], 0, None, None)
        assert plan is not None
        return plan

    few, some, many = planned(60, 200), planned(150, 400), planned(1200, 500)
    assert [(plan.folds, plan.repeats) for plan in (few, some, many)] == [(10, 1), (5, 2), (5, 1)]
    assert few.sizes.tolist() == [10, 14, 20, 28, 39, 54]
    assert few.shares.tolist() == [0, 25, 50, 100, 200]
    monkeypatch.setattr(curve_plan, "_WORK", 0)
    least = planned(1200, 500)
    assert (least.folds, least.repeats, least.pool, least.fits) == (5, 1, 250, 25)


def test_settings_that_cannot_be_are_refused():
    known = problem(*digits(), 40)
    with pytest.raises(SettingError, match="'ahead' must be a number of labels"):
        grow(known, ridge(), ahead=0)
    with pytest.raises(SettingError, match="'worth' must be a share"):
        grow(known, ridge(), worth=2)


def test_made_curves_are_covered():
    """Nine in ten of the true accuracies of 60 made curves lie in their 95 % intervals."""
    rng = np.random.default_rng(0)
    sizes = np.array([10.0, 20, 40, 80])
    held = []
    for _ in range(60):
        floor, exponent, now = rng.uniform(0, 0.2), rng.uniform(0.2, 1.0), rng.uniform(0.02, 0.3)
        true = np.array([floor + now * (n / 100) ** -exponent for n in [*sizes, 150]])
        if true[0] > 0.95:
            continue
        covariance = np.full((4, 4), 3e-4) + np.eye(4) * 1e-4
        seen = true[:4] + rng.multivariate_normal(np.zeros(4), covariance)
        told = forecast(sizes, seen, covariance, 100, 50, 200)
        held.append(told.then.low <= 1 - true[4] <= told.then.high)
    assert len(held) > 40
    assert np.mean(held) > 0.9


def test_the_curve_is_of_a_model_that_copes_with_unequal_classes():
    """Labels that flow drown a class of 4 %; of equal classes they tell more than a line."""
    features, classes = digits()
    kept = np.concatenate([np.flatnonzero(classes == 3)[:16], np.flatnonzero(classes != 3)[:384]])
    kept = np.random.default_rng(1).permutation(kept)
    for names, method in (((classes == 3), "logistic"), (classes, "poisson-learning")):
        labels = [str(c) if i < 100 else None for i, c in enumerate(names[kept])]
        data = Dataset.from_arrays(features[kept], labels)
        assert grow_dataset(data, "auto", seconds=LEAST).method == method


def test_from_a_data_set():
    features, classes = digits()
    labels = [str(c) if i < 80 else None for i, c in enumerate(classes[:300])]
    data = Dataset.from_arrays(features[:300], labels)
    told = grow_dataset(data, "label-propagation", seconds=LEAST)
    assert (told.labelled, told.known, told.method) == (80, 220, "label-propagation")
    assert told.labels[-1].value > 0.6
    bare = grow_dataset(data.select(data.labelled), "label-propagation", seconds=LEAST)
    assert bare.method == METHODS["label-propagation"].baseline
    assert not bare.unlabelled
    with pytest.raises(SettingError, match="A network takes too long"):
        grow_dataset(data, "fixmatch")
    with pytest.raises(DataError, match="no labels of two classes"):
        grow_dataset(data.select(data.unlabelled), "label-propagation")
