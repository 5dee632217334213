"""Each choice against its definition, record by record; memories over several steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from leaven.core.errors import SettingError, UnknownNameError
from leaven.learn.choices.accept import (
    All,
    AtLeast,
    FallingLoss,
    Gaussian,
    LearningStatus,
    PerClass,
    Relative,
    Scheduled,
    SelfAdaptive,
)
from leaven.learn.choices.align import Calibrated, Tempered, ToLabelled, ToPrior, ToUniform
from leaven.learn.choices.choice import PARTS, Seen
from leaven.learn.choices.compose import composed, in_words, read_choice
from leaven.learn.choices.fairness import EvenMean, SelfAdaptiveFairness
from leaven.learn.choices.filters import (
    Balanced,
    Certain,
    Easiest,
    LowEntropy,
    NeighboursAgree,
    Steady,
)
from leaven.learn.choices.teachers import (
    CommitteeTeacher,
    FormerTeacher,
    PastTeacher,
    RepeatedTeacher,
    SnapshotTeacher,
)
from leaven.learn.consistency import Consistency
from leaven.learn.method import METHODS, Problem
from leaven.learn.objective import Draw, Moment
from leaven.learn.task import TASKS
from leaven.learn.train import LoopMethod

Floats = npt.NDArray[np.float64]

RECORDS, CLASSES = 30, 4


class Answering(nn.Module):
    """A network that answers what it is told to, and has one weight to be copied."""

    def __init__(self, answers: Sequence[Floats] = (), weight: float = 0.0) -> None:
        super().__init__()
        self.answers = [torch.tensor(a) for a in answers]
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, view: Any, features: bool = False) -> Any:
        said = self.answers.pop(0) if self.answers else view["logits"] + self.weight * view["tilt"]
        return (said, said) if features else said


class Plain:
    """A modality whose views are the records."""

    def plain(self, batch: Any) -> Any:
        return batch

    def weak(self, batch: Any, spec: Any, rng: Any) -> Any:
        return batch

    strong = weak


def guesses(seed: int, n: int = 12) -> Floats:
    return np.random.default_rng(seed).dirichlet(np.full(CLASSES, 0.4), n)


def problem(**changes: Any) -> Any:
    made: Any = object.__new__(Problem)
    values = {
        "classes": CLASSES,
        "unlabelled": np.arange(RECORDS),
        "train": np.arange(8),
        "targets": np.array([0, 0, 0, 1, 1, 2, 0, 0]),
    }
    for name, value in (values | changes).items():
        object.__setattr__(made, name, value)
    return made


def seen(
    guess: Floats,
    step: int = 0,
    total: int = 1000,
    records: Sequence[int] | None = None,
    labelled: Floats | None = None,
    targets: Sequence[int] = (0, 1),
    network: nn.Module | None = None,
    average: nn.Module | None = None,
    unlabelled: Any = None,
    **more: Any,
) -> Seen:
    modality: Any = Plain()
    places = torch.arange(len(guess)) if records is None else torch.tensor(records)
    draw = Draw(
        modality, {}, torch.Generator(), {}, torch.tensor(targets), unlabelled or {},
        torch.arange(len(targets)), places,
    )  # fmt: skip
    one: Any = network or Answering()
    other: Any = average or Answering()
    known = guesses(99, len(targets)) if labelled is None else labelled
    now = Moment(one, other, draw, TASKS["classification"], step, total)
    values = {
        "guess": torch.tensor(guess),
        "labelled": torch.tensor(known),
        "output": torch.tensor(guess),
        "features": torch.tensor(guess),
        "labelled_features": torch.tensor(known),
    }
    return Seen(now=now, **(values | more))


def state_of(choice: Any, **changes: Any) -> Any:
    network: Any = Answering()
    kept = choice.state(problem(**changes), network)
    return kept.double() if kept is not None else None


def told(choice: Any, guess: Floats, **how: Any) -> list[float]:
    return choice(seen(guess, **how), state_of(choice)).tolist()


# --- accept ------------------------------------------------------------------------------------


def test_fixed_thresholds_accept_from_the_threshold_on():
    guess = np.array([[0.95, 0.05, 0, 0], [0.94, 0.06, 0, 0], [0.03, 0.97, 0, 0]])
    assert told(AtLeast(0.95), guess) == [1, 0, 1]
    assert told(All(), guess) == [1, 1, 1]
    assert told(PerClass((0.9, 0.99, 0.5, 0.5)), guess) == [1, 1, 0]
    assert told(PerClass((0.96,)), guess) == [0, 0, 1]
    with pytest.raises(SettingError, match="4 numbers, one a class"):
        state_of(PerClass((0.9, 0.8)))


def test_a_scheduled_threshold_moves_on_a_line():
    guess = np.array([[0.9, 0.1, 0, 0]])
    rule = Scheduled(0.99, 0.79, end=0.5)
    assert [told(rule, guess, step=s) for s in (0, 200, 230, 500, 900)] == [[0], [0], [1], [1], [1]]


def test_learning_status_is_flexmatchs():
    """Zhang et al. 2021, eq. 5 to 9, over steps that visit records again."""
    rule, state = LearningStatus(0.8), state_of(LearningStatus(0.8))
    last = [CLASSES] * RECORDS
    rng = np.random.default_rng(0)
    for step in range(12):
        records = rng.choice(RECORDS, 12, replace=False)
        guess = guesses(step)
        counts = [last.count(c) for c in range(CLASSES + 1)]
        wanted = []
        for q in guess:
            beta = counts[q.argmax()] / max(*counts[:CLASSES], counts[CLASSES])
            wanted.append(float(q.max() >= 0.8 * beta / (2 - beta)))
        found = rule(seen(guess, step, records=records.tolist()), state).tolist()
        assert found == wanted
        for record, q in zip(records, guess, strict=True):
            if q.max() >= 0.8:
                last[record] = int(q.argmax())
    assert state.last.tolist() == last
    assert 0 < sum(wanted) < 12


def test_self_adaptive_is_freematchs():
    rule, state = SelfAdaptive(0.9), state_of(SelfAdaptive(0.9))
    tau, shares = 1 / CLASSES, np.full(CLASSES, 1 / CLASSES)
    for step in range(30):
        guess = guesses(step)
        tau = 0.9 * tau + 0.1 * np.mean([q.max() for q in guess])
        shares = 0.9 * shares + 0.1 * guess.mean(0)
        wanted = [float(q.max() >= tau * shares[q.argmax()] / shares.max()) for q in guess]
        assert rule(seen(guess, step), state).tolist() == wanted
    assert float(state.threshold) == pytest.approx(tau)
    assert 0 < sum(wanted) < len(wanted)


def test_gaussian_is_softmatchs():
    rule, state = Gaussian(0.9), state_of(Gaussian(0.9))
    mu, variance = 1 / CLASSES, 1.0
    for step in range(30):
        sure = guesses(step).max(1)
        mu = 0.9 * mu + 0.1 * sure.mean()
        variance = 0.9 * variance + 0.1 * sure.var(ddof=1)
        wanted = [math.exp(-(min(c - mu, 0) ** 2) / (2 * variance)) for c in sure]
        assert rule(seen(guesses(step), step), state).tolist() == pytest.approx(wanted)
    assert min(wanted) < 0.9 < max(wanted) == 1


def test_a_short_training_has_a_short_memory():
    """In 40 steps a decay of 0.999 would keep 96 % of the beginning."""
    rule, state = SelfAdaptive(0.999), state_of(SelfAdaptive(0.999))
    for step in range(40):
        rule(seen(np.array([[0.97, 0.01, 0.01, 0.01]] * 3), step, total=40), state)
    assert float(state.threshold) > 0.95


def test_relative_is_adamatchs():
    labelled = np.array([[0.9, 0.1, 0, 0], [0.3, 0.7, 0, 0]])
    bound = 0.9 * (0.9 + 0.7) / 2
    guess = np.array([[bound + 1e-9, 1 - bound - 1e-9, 0, 0], [bound - 1e-6, 0.2, 0.1, 0]])
    assert told(Relative(0.9), guess, labelled=labelled) == [1, 0]


def test_falling_loss_measures_in_its_warm_up_and_falls_after():
    """Xu et al. 2021, algorithm 1; the running mean in the warm-up is ours."""
    rule, state = FallingLoss(1.5, 0.1, 9), state_of(FallingLoss(1.5, 0.1, 9))
    rho = math.log(CLASSES)
    for step in range(10):
        labelled = guesses(step, 2)
        rho = 0.8 * rho + 0.2 * -math.log(labelled[0, 0] * labelled[1, 1]) / 2
        found = rule(seen(guesses(step), step, total=100, labelled=labelled), state)
        assert not found.any()
    for step in (10, 25, 60, 99):
        bound = max(1.0001 * 1.5 ** -int((step - 10) / 90 * 9) * rho, 0.05)
        wanted = [float(-math.log(q.max()) <= bound) for q in guesses(7)]
        assert rule(seen(guesses(7), step, total=100), state).tolist() == wanted
    assert sum(wanted) < 12


# --- filters -----------------------------------------------------------------------------------


@given(st.integers(0, 50), st.floats(0, 1))
def test_entropy_filters_are_their_formulas(seed: int, share: float):
    guess = guesses(seed)
    entropy = [-sum(p * math.log(p) for p in q if p > 0) / math.log(CLASSES) for q in guess]
    found = told(LowEntropy(share), guess)
    assert all(f == (e <= share) for f, e in zip(found, entropy, strict=True) if f != e)
    assert told(Certain(), guess) == pytest.approx([1 - e for e in entropy], abs=1e-9)


def test_steady_asks_how_far_the_answers_are_apart():
    guess, spread = guesses(0, 3), torch.tensor([0.01, 0.05, 0.2])
    assert told(Steady(0.05), guess, spread=spread) == [1, 1, 0]
    with pytest.raises(SettingError, match="one that answers several times"):
        row("fixmatch", accept=Steady(0.05))
    assert row("fixmatch", accept=Steady(0.05), teacher=RepeatedTeacher(2)).unlabelled


def test_neighbours_agree_by_cosine_with_labelled_records():
    features = np.array([[1.0, 0.1], [0.1, 2.0], [3.0, 3.1]])
    labelled = np.array([[5.0, 0.0], [4.0, 0.5], [0.0, 0.1], [0.1, 9.0]])
    guess = np.array([[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.1, 0.9, 0, 0]])
    found = told(
        NeighboursAgree(2, 1.0), guess, targets=(0, 0, 1, 1), features=torch.tensor(features),
        labelled_features=torch.tensor(labelled), labelled=guesses(0, 4),
    )  # fmt: skip
    # The first record lies with class 0 and says 0; the second with 1 and says 0; of the third's
    # two neighbours one has each class.
    assert found == [1, 0, 0]


@given(st.integers(0, 20), st.sampled_from([0, 300, 999]))
def test_the_easiest_are_the_surest_share(seed: int, step: int):
    guess, rule = guesses(seed), Easiest(0.2, 0.8)
    kept = math.ceil((0.2 + 0.6 * step / 1000) * len(guess))
    bound = sorted(guess.max(1))[-kept]
    assert told(rule, guess, step=step) == [float(c >= bound) for c in guess.max(1)]


def test_balanced_weights_make_classes_count_alike():
    guess = np.eye(CLASSES)[[0] * 6 + [1] * 3 + [2] * 2 + [3]] * 0.9 + 0.025
    rule, state = Balanced(0.0), state_of(Balanced(0.0))
    found = np.array(rule(seen(guess), state).tolist())
    sums = [found[guess.argmax(1) == c].sum() for c in range(CLASSES)]
    np.testing.assert_allclose(sums, len(guess) / CLASSES)
    capped, state = Balanced(0.0, most=1.5), state_of(Balanced(0.0, most=1.5))
    assert max(capped(seen(guess), state).tolist()) == 1.5


# --- align -------------------------------------------------------------------------------------


def normed(rows: Floats) -> Floats:
    return rows / rows.sum(1, keepdims=True)


def test_to_prior_is_remixmatchs_over_the_last_batches():
    rule, state = ToPrior(5), state_of(ToPrior(5))
    prior, means = np.array([6, 3, 2, 1]) / 12, []
    for step in range(12):
        guess = guesses(step)
        means.append(guess.mean(0))
        wanted = normed(guess * prior / np.mean(means[-5:], 0))
        np.testing.assert_allclose(rule(seen(guess, step), state).numpy(), wanted, rtol=1e-6)


def test_to_uniform_divides_by_the_running_mean():
    rule, state = ToUniform(0.9), state_of(ToUniform(0.9))
    mean = np.full(CLASSES, 1 / CLASSES)
    for step in range(8):
        guess = guesses(step)
        mean = 0.9 * mean + 0.1 * guess.mean(0)
        np.testing.assert_allclose(rule(seen(guess, step), state).numpy(), normed(guess / mean))
    assert rule.judges_only
    assert not ToUniform(target=True).judges_only


def test_to_labelled_is_adamatchs():
    guess, labelled = guesses(0), guesses(1, 5)
    wanted = normed(guess * labelled.mean(0) / guess.mean(0))
    found = ToLabelled()(seen(guess, labelled=labelled, targets=(0, 1, 2, 3, 0)), None)
    np.testing.assert_allclose(found.numpy(), wanted)


def test_what_only_judges_does_not_change_the_target():
    """SoftMatch: aligned guesses are weighed, the others are learnt."""
    logits = np.log(np.array([[0.9, 0.04, 0.03, 0.03]] * 3 + [[0.5, 0.4, 0.05, 0.05]]))
    objective = row("softmatch", accept=AtLeast(0.1), ramp=None)
    for align, last in ((ToUniform(0.0), 0), (ToUniform(0.0, target=True), 1)):
        loss = one_loss(replace(objective, align=align), logits)
        assert loss.taught.guess.argmax(-1).tolist() == [0, 0, 0, last]


def test_temperatures():
    guess = guesses(3)
    powers = guess ** (1 / 2)
    np.testing.assert_allclose(Tempered(2.0)(seen(guess), None).numpy(), normed(powers), rtol=1e-6)


def test_calibration_rises_where_confidence_exceeds_accuracy():
    sure_and_wrong = np.array([[9.0, 0, 0, 0], [9.0, 0, 0, 0]])
    rule, state = Calibrated(0.1), state_of(Calibrated(0.1))
    log_temperature = 0.0
    for step in range(5):
        scaled = sure_and_wrong / math.exp(log_temperature)
        confidence = np.exp(scaled[0, 0]) / np.exp(scaled[0]).sum()
        log_temperature += 0.1 * (confidence - 0.5)  # one of the two is right
        network = Answering([sure_and_wrong])
        found = rule(seen(guesses(0), step, network=network, targets=(0, 1)), state)
        assert float(state.temperature) == pytest.approx(log_temperature)
    np.testing.assert_allclose(
        found.numpy(), normed(guesses(0) ** (1 / math.exp(log_temperature))), rtol=1e-6
    )
    assert log_temperature > 0.1


# --- teachers ----------------------------------------------------------------------------------


def test_past_teacher_is_temporal_ensemblings():
    """Laine & Aila 2017, algorithm 2, with each record updated at its visit."""
    rule, state = PastTeacher(0.6), state_of(PastTeacher(0.6))
    sums, visits = np.zeros((RECORDS, CLASSES)), np.zeros(RECORDS, int)
    rng = np.random.default_rng(1)
    for step in range(10):
        records, guess = rng.choice(RECORDS, 12, replace=False), guesses(step)
        found = rule(seen(guess, step, records=records.tolist()), state)
        for place, record in enumerate(records):
            assert found.known[place] == (visits[record] > 0)
            if visits[record]:
                wanted = sums[record] / (1 - 0.6 ** visits[record])
                np.testing.assert_allclose(found.guess[place].numpy(), wanted, rtol=1e-6)
                assert wanted.sum() == pytest.approx(1)
            sums[record] = 0.6 * sums[record] + 0.4 * guess[place]
            visits[record] += 1


def test_repeated_teacher_tells_mean_and_deviation():
    rng = np.random.default_rng(0)
    answers = [rng.normal(size=(12, CLASSES)) for _ in range(3)]
    found = RepeatedTeacher(3)(seen(guesses(0), network=Answering(answers)), None)
    every = np.stack([normed(np.exp(a)) for a in answers])
    mean = every.mean(0)
    np.testing.assert_allclose(found.guess.numpy(), mean)
    wanted = [every[:, i, mean[i].argmax()].std() for i in range(12)]
    assert found.spread is not None
    np.testing.assert_allclose(found.spread.numpy(), wanted)


def test_committee_is_the_network_and_its_average():
    rng = np.random.default_rng(0)
    one, other = (rng.normal(size=(12, CLASSES)) for _ in range(2))
    found = CommitteeTeacher()(
        seen(guesses(0), network=Answering([one]), average=Answering([other])), None
    )
    mean = (normed(np.exp(one)) + normed(np.exp(other))) / 2
    np.testing.assert_allclose(found.guess.numpy(), mean)


def tilt(n: int = 12) -> dict[str, Tensor]:
    """Records of which a network with weight w says w · (1, 0, 0, 0)."""
    first = torch.zeros(n, CLASSES, dtype=torch.float64)
    first[:, 0] = 1
    return {"logits": torch.zeros(n, CLASSES, dtype=torch.float64), "tilt": first}


def says(weight: float) -> float:
    return math.exp(weight) / (math.exp(weight) + CLASSES - 1)


def test_former_teacher_is_the_average_when_the_round_began():
    rule, state = FormerTeacher(3), state_of(FormerTeacher(3))
    for step, weight, wanted in (
        (0, 0.5, None), (24, 0.6, None), (25, 1.0, 1.0), (40, 2.0, 1.0), (50, 3.0, 3.0),
        (74, 4.0, 3.0), (75, 5.0, 5.0), (99, 6.0, 5.0),
    ):  # fmt: skip
        average = Answering(weight=weight)
        found = rule(seen(guesses(0), step, total=100, average=average, unlabelled=tilt()), state)
        if wanted is None:
            assert found.known is not None
            assert not found.known.any()
        else:
            assert found.guess[0, 0].item() == pytest.approx(says(wanted))


def test_snapshots_are_an_ensemble_of_the_last_ones():
    rule, state = SnapshotTeacher(2), state_of(SnapshotTeacher(2))
    for step, members in ((5, [5]), (10, [10, 10]), (20, [20, 10, 20]), (30, [30, 20, 30])):
        found = rule(
            seen(
                guesses(0), step, total=100, average=Answering(weight=step / 10), unlabelled=tilt()
            ),
            state,
        )
        wanted = [says(m / 10) for m in members]
        assert found.guess[0, 0].item() == pytest.approx(np.mean(wanted))
        assert found.spread is not None
        assert found.spread[0].item() == pytest.approx(np.std(wanted))


def test_copies_of_a_network_take_no_gradient():
    for rule in (FormerTeacher(), SnapshotTeacher()):
        network: Any = nn.Linear(3, 2)
        assert not any(p.requires_grad for p in rule.state(problem(), network).parameters())


# --- fairness ----------------------------------------------------------------------------------


def test_even_mean_is_the_divergence_from_even_odds():
    guess = guesses(4)
    mean = guess.mean(0)
    wanted = 0.3 * sum(p * math.log(p * CLASSES) for p in mean)
    output = torch.tensor(np.log(guess))
    found = EvenMean(0.3)(seen(guess), output, torch.ones(12), None)
    assert found.item() == pytest.approx(wanted)


def test_fairness_without_an_accepted_answer_is_nothing():
    rule, state = SelfAdaptiveFairness(), state_of(SelfAdaptiveFairness())
    output = torch.randn(12, CLASSES, dtype=torch.float64, requires_grad=True)
    term = rule(seen(guesses(0)), output, torch.zeros(12), state)
    term.backward()
    assert term.item() == 0
    assert output.grad is not None
    assert not output.grad.any()


# --- rows --------------------------------------------------------------------------------------


def row(name: str, **changes: Any) -> Consistency:
    method = METHODS[name]
    assert isinstance(method, LoopMethod)
    assert isinstance(method.objective, Consistency)
    return replace(method.objective, **changes)


def one_loss(objective: Consistency, logits: Floats) -> Any:
    """The loss of records whose views are all these logits."""
    network: Any = Answering()
    zero = torch.zeros(len(logits), CLASSES, dtype=torch.float64)
    batch = {"logits": torch.tensor(logits), "tilt": zero}
    modality: Any = Plain()
    n = len(logits)
    draw = Draw(
        modality, {}, torch.Generator(), batch, torch.zeros(n, dtype=torch.long), batch,
        torch.arange(n), torch.arange(n),
    )  # fmt: skip
    kept = objective.state(problem(), network)
    state = kept.double() if kept is not None else None
    return objective.loss(Moment(network, network, draw, TASKS["classification"], 500, 1000, state))


def test_weights_of_several_are_multiplied():
    logits = np.log(guesses(5))
    parts = [
        one_loss(row("fixmatch", accept=a), logits).taught.weight for a in (AtLeast(0.6), Certain())
    ]
    both = one_loss(row("fixmatch", accept=(AtLeast(0.6), Certain())), logits).taught.weight
    torch.testing.assert_close(both, parts[0] * parts[1])


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.row and m.unlabelled])
def test_a_row_is_read_back_from_its_words(name: str):
    """What `leaven methods --table` prints can be pasted into a recipe."""
    method = METHODS[name]
    assert isinstance(method, LoopMethod)
    if not isinstance(method.objective, Consistency):
        pytest.skip("its choices are its own")
    told_row = method.objective.row
    assert told_row is not None
    settings: dict[str, Any] = {n: w for n, w in told_row.items() if n in PARTS}
    settings["weight"] = float(told_row["weight"])
    assert composed(row("supervised"), settings) == method.objective


@pytest.mark.parametrize("part", list(PARTS))
def test_every_choice_can_be_read_by_its_name(part: str):
    assert len(PARTS[part]) >= 1
    for name, kind in PARTS[part].items():
        choice = read_choice(part, name)
        assert choice == kind()
        assert read_choice(part, in_words(choice)) == choice
        assert kind.__doc__


def test_a_recipe_composes():
    made = composed(
        row("fixmatch"),
        {
            "teacher": "RepeatedTeacher(times=3)",
            "accept": ["Scheduled(0.9, last=0.7)", "Steady"],
            "align": "ToPrior",
            "target": "Sharpen(0.4)",
            "ramp": "none",
            "weight": 2,
        },
    )
    assert made.teacher == RepeatedTeacher(3)
    assert made.accept == (Scheduled(0.9, 0.7), Steady())
    assert made.weight == 2.0
    assert isinstance(made.weight, float)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"acept": "All"}, UnknownNameError, "Did you mean 'accept'"),
        ({"accept": "AtLest(0.9)"}, UnknownNameError, "Did you mean 'AtLeast'"),
        ({"accept": "AtLeast(1.5)"}, SettingError, "a number from 0 to 1"),
        ({"accept": "AtLeast('high')"}, SettingError, "a number"),
        ({"accept": "AtLeast(0.9, 2)"}, SettingError, "at most 1 settings (threshold)"),
        ({"accept": "AtLeast(treshold=0.9)"}, UnknownNameError, "Did you mean 'threshold'"),
        ({"accept": "__import__('os').system('true')"}, SettingError, "a choice such as"),
        ({"accept": "AtLeast(open('x'))"}, SettingError, "a choice such as"),
        ({"accept": "0.9 <"}, SettingError, "a choice such as"),
        ({"accept": 0.9}, SettingError, "text such as"),
        ({"teacher": ["SelfTeacher", "SelfTeacher"]}, SettingError, "one choice"),
        ({"teacher": []}, UnknownNameError, "'teacher' must be one of"),
        ({"accept": "-" * 100_000 + "All"}, SettingError, "a choice such as"),
        ({"teacher": "SelfTeacher(mild)"}, SettingError, "weak or strong or plain or same"),
        ({"weight": "much"}, SettingError, "a number"),
        ({"accept": "Steady"}, SettingError, "one that answers several times"),
        ({"ramp": "LinearRamp(0.5, 0.2)"}, SettingError, "start < end"),
    ],
)
def test_what_cannot_be_composed_is_told(settings: Any, error: type[Exception], said: str):
    with pytest.raises(error) as told_error:
        composed(row("fixmatch"), settings)
    assert said in str(told_error.value)
