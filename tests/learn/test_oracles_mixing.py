"""VAT, ICT, MixMatch and ReMixMatch against slow transcriptions of their papers, in float64."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.recipe import Training
from leaven.data.arrays import Arrays, Batch
from leaven.data.views.mixing import CutMix, Mix, MixUp
from leaven.learn.choices.ramps import LinearRamp
from leaven.learn.contracts import made_problem
from leaven.learn.method import METHODS, Problem
from leaven.learn.network import Network
from leaven.learn.objectives.ict import Interpolation
from leaven.learn.objectives.mixmatch import MixMatch
from leaven.learn.objectives.remixmatch import ReMixMatch
from leaven.learn.objectives.vat import VirtualAdversarial
from leaven.learn.rotation import rotation_head, turned
from leaven.learn.train import train
from tests.learn.oracle_parts import (
    CLASSES,
    WIDTH,
    Floats,
    Small,
    Views,
    certain,
    cross_entropy,
    moment,
    sharpen,
    slope,
    softmax,
)

L, U = 4, 6


class Case:
    """Random records of one step: labelled ones, and views of unlabelled ones."""

    def __init__(self, seed: int, views: int = 4, shape: tuple[int, ...] = (WIDTH,)) -> None:
        rng = np.random.default_rng(seed)
        self.labelled = rng.normal(size=(L, *shape))
        self.labels = rng.integers(0, CLASSES, L)
        self.views = [rng.normal(size=(U, *shape)) for _ in range(views)]
        self.network, self.average = Small(seed, math.prod(shape)), Small(seed + 100)

    @property
    def supervised(self) -> float:
        """Mean cross-entropy of the unmixed labelled records."""
        losses = [
            cross_entropy(self.network.answer(x), certain(y))
            for x, y in zip(self.labelled, self.labels, strict=True)
        ]
        return float(np.mean(losses))


def divergence(guess: Floats, logits: Floats) -> float:
    said = softmax(logits)
    return float(sum(q * math.log(q / p) for q, p in zip(guess, said, strict=True)))


def biases(case: Case, term: Tensor) -> Floats:
    """The gradient of a term in the network's bias."""
    (found,) = torch.autograd.grad(term, case.network.bias, retain_graph=True)
    return found.numpy()


# --- VAT ---------------------------------------------------------------------------------------


def adversarial(case: Case, record: Floats, start: Floats, rule: VirtualAdversarial) -> Floats:
    """Miyato et al. 2018, eq. 6 and section 3.3, with lengths in roots of the entries' number."""
    guess, root = softmax(case.network.answer(record)), math.sqrt(record.size)
    direction = start / np.linalg.norm(start)
    for _ in range(rule.iterations):
        at = rule.xi * root * direction
        found = slope(lambda r: divergence(guess, case.network.answer(record + r)), at)
        direction = found / np.linalg.norm(found)
    return rule.epsilon * root * direction


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("entropy", [0.0, 0.7])
def test_vat_is_the_papers(seed: int, iterations: int, entropy: float):
    rule = VirtualAdversarial(1.5, 0.4, 0.05, iterations, entropy)
    case = Case(seed)
    records = case.views[0]
    views = Views(weak=[case.labelled, records])
    loss = rule.loss(moment(case.network, case.average, views, case.labels, U, seed))
    rng = torch.Generator().manual_seed(seed)
    starts = torch.randn(records.shape, generator=rng, dtype=torch.float64).numpy()
    change = [adversarial(case, x, d, rule) for x, d in zip(records, starts, strict=True)]
    guess = [softmax(case.network.answer(x)) for x in records]

    def smooth(bias: Floats | None = None) -> float:
        pairs = zip(guess, records, change, strict=True)
        return 1.5 * float(np.mean([divergence(q, case.network.answer(x + r, bias)) for q, x, r in pairs]))  # fmt: skip  # noqa: E501

    assert loss.terms["supervised"].item() == pytest.approx(case.supervised, rel=1e-9)
    assert loss.terms["unlabelled"].item() == pytest.approx(smooth(), rel=1e-6)
    # No gradient reaches the guess or the change: those that move the bias leave them as they are.
    numeric = slope(smooth, case.network.bias.detach().numpy())
    np.testing.assert_allclose(biases(case, loss.terms["unlabelled"]), numeric, atol=1e-7)
    if entropy:
        unsure = np.mean([-(q * np.log(q)).sum() for q in guess])
        assert loss.terms["entropy"].item() == pytest.approx(1.5 * entropy * unsure, rel=1e-9)


def test_vat_brings_no_absent_word_to_life():
    rng = np.random.default_rng(0)
    words = rng.normal(size=(U, 7, 3))
    for record in range(U):
        words[record, record + 1 :] = 0
    network = Small(0, 21)
    entered, guess = torch.tensor(words), torch.full((U, CLASSES), 1 / CLASSES).double()
    rule = VirtualAdversarial(epsilon=0.4)
    change = rule._change(network, entered, guess, torch.Generator())  # type: ignore[arg-type]
    for record in range(U):
        assert (change[record, record + 1 :] == 0).all()
        length = change[record].norm().item()
        assert length == pytest.approx(0.4 * math.sqrt(3 * (record + 1)), rel=1e-9)


def test_vat_asks_for_its_direction_without_dropout_and_in_full_precision():
    """The loop's wrapper refuses gradients within a step, under bf16: the bare network is asked."""
    method = METHODS["vat"]
    problem = made_problem(method, steps=2).problem
    problem = replace(problem, training=Training(labelled_batch=8, precision="bf16-mixed"))
    modes = []
    for step in (fit := method.fit(problem)):
        assert step.state is not None
        modes.append(step.state.network.training)
        assert all(math.isfinite(float(term)) for term in step.terms.values())
    fit.close()
    assert modes == [True] * 2


# --- ICT ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("progress", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_ict_is_the_papers(seed: int, progress: float, mixing: str):
    case, rule = Case(seed), Interpolation(weight=20.0, alpha=0.5, mixing=mixing)
    records = case.views[0]
    views = Views(weak=[case.labelled, records])
    now = moment(case.network, case.average, views, case.labels, U, seed, progress)
    loss = rule.loss(now)
    way = CutMix(0.5) if mixing == "cutmix" else MixUp(0.5, keep=True)
    mix = way.draw(torch.tensor(records), torch.Generator().manual_seed(seed))
    mixed = way.apply(torch.tensor(records), mix).numpy() if mixing == "cutmix" else None
    ramp = math.exp(-5 * (1 - min(progress / 0.4, 1)) ** 2)
    guess = [softmax(case.average.answer(x)) for x in records]

    def agreement(bias: Floats | None = None) -> float:
        total = 0.0
        for one in range(U):
            other, share = int(mix.partner[one]), float(mix.share[one])
            between = share * records[one] + (1 - share) * records[other]
            record = between if mixed is None else mixed[one]
            target = share * guess[one] + (1 - share) * guess[other]
            said = softmax(case.network.answer(record, bias))
            total += sum((p - q) ** 2 for p, q in zip(said, target, strict=True)) / CLASSES
        return 20.0 * ramp * total / U

    assert loss.terms["supervised"].item() == pytest.approx(case.supervised, rel=1e-9)
    assert loss.terms["unlabelled"].item() == pytest.approx(agreement(), rel=1e-6)
    numeric = slope(agreement, case.network.bias.detach().numpy())
    np.testing.assert_allclose(biases(case, loss.terms["unlabelled"]), numeric, atol=1e-7)
    loss.total.backward()
    assert all(weight.grad is None for weight in case.average.parameters())


def test_ict_names_the_mixings_it_knows():
    with pytest.raises(UnknownNameError, match="Did you mean 'cutmix'"):
        Interpolation(mixing="cut-mix")


# --- MixMatch ----------------------------------------------------------------------------------


def kept_mix(values: Floats, alpha: float, rng: torch.Generator) -> Mix:
    """The partners and shares that the method draws; the larger share is a record's own."""
    mix = MixUp(alpha, keep=True).draw(torch.tensor(values), rng)
    assert bool((mix.share >= 0.5).all())
    return mix


def blended(values: Floats, mix: Mix, place: int) -> Floats:
    share = float(mix.share[place])
    return share * values[place] + (1 - share) * values[int(mix.partner[place])]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("progress", [0.1, 0.9])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_mixmatch_is_the_papers(seed: int, progress: float, count: int):
    case, rule = Case(seed), MixMatch(weight=75.0, views=count)
    seen = case.views[:count]
    views = Views(weak=[case.labelled, *seen])
    loss = rule.loss(moment(case.network, case.average, views, case.labels, U, seed, progress))
    guesses = []
    for record in range(U):
        mean = np.mean([softmax(case.network.answer(view[record])) for view in seen], axis=0)
        guesses.append(sharpen(mean, 0.5))
    records = np.concatenate([case.labelled, *seen])
    targets = np.array([*(certain(y) for y in case.labels), *(guesses * count)])
    mix = kept_mix(records, 0.75, torch.Generator().manual_seed(seed))

    def labelled(bias: Floats | None = None) -> float:
        return float(np.mean([cross_entropy(case.network.answer(blended(records, mix, i), bias), blended(targets, mix, i)) for i in range(L)]))  # fmt: skip  # noqa: E501

    def unlabelled(bias: Floats | None = None) -> float:
        total = 0.0
        for place in range(L, len(records)):
            said = softmax(case.network.answer(blended(records, mix, place), bias))
            total += ((said - blended(targets, mix, place)) ** 2).sum() / CLASSES
        return 75.0 * min(progress / 0.4, 1) * total / (count * U)

    bias = case.network.bias.detach().numpy()
    for name, value in (("supervised", labelled), ("unlabelled", unlabelled)):
        assert loss.terms[name].item() == pytest.approx(value(), rel=1e-6)
        np.testing.assert_allclose(biases(case, loss.terms[name]), slope(value, bias), atol=1e-6)


# --- ReMixMatch --------------------------------------------------------------------------------


def problem_of(case: Case, modality: str = "made", views: Any = None, side: int = 0) -> Any:
    """What the state of ReMixMatch is made from."""
    return SimpleNamespace(
        modality=modality,
        spec={"height": side, "width": side},
        views=views or Views(),
        classes=CLASSES,
        targets=case.labels,
        train=np.arange(L),
    )


def encoder_of(width: int) -> Any:
    return SimpleNamespace(encoder=SimpleNamespace(width=width))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("labelled_view", ["weak", "strong"])
@pytest.mark.parametrize("progress", [0.1, 0.5, 0.95])
def test_remixmatch_is_the_papers(seed: int, labelled_view: str, progress: float):
    """Three steps, so that the alignment has something to remember."""
    rule = ReMixMatch(labelled_view=labelled_view, ramp=LinearRamp(0.0, 0.8))
    case = Case(seed)
    state = rule.state(problem_of(case), encoder_of(3))
    prior = (np.bincount(case.labels, minlength=CLASSES) + 1) / (L + CLASSES)
    means: list[Floats] = []
    for step in range(3):
        case.views = [v + 0.3 * step for v in case.views]
        anchor, *strong = case.views[:3]
        lists: dict[str, list[Floats]] = {"weak": [anchor], "strong": list(strong)}
        lists[labelled_view].insert(0, case.labelled)
        now = moment(
            case.network, case.average, Views(**lists), case.labels, U, seed, progress, state
        )
        loss = rule.loss(now)
        said = np.array([softmax(case.network.answer(x)) for x in anchor])
        means.append(said.mean(0))
        aligned = said * prior / np.mean(means, axis=0)
        guesses = [sharpen(row / row.sum(), 0.5) for row in aligned]
        records = np.concatenate([case.labelled, *strong, anchor])
        targets = np.array([*(certain(y) for y in case.labels), *(guesses * 3)])
        mix = kept_mix(records, 0.75, torch.Generator().manual_seed(seed))
        losses = [
            cross_entropy(case.network.answer(blended(records, mix, i)), blended(targets, mix, i))
            for i in range(len(records))
        ]
        pairs = zip(strong[0], guesses, strict=True)
        alone = [cross_entropy(case.network.answer(x), q) for x, q in pairs]
        ramp = min(progress / 0.8, 1)
        wanted = {
            "supervised": np.mean(losses[:L]),
            "unlabelled": 1.5 * ramp * np.mean(losses[L:]),
            "unmixed": 0.5 * ramp * np.mean(alone),
        }
        found = {name: term.item() for name, term in loss.terms.items()}
        assert found == pytest.approx(wanted, rel=1e-5)  # the memory of means is single precision
        assert loss.taught is not None
        rows = [row / row.sum() for row in aligned]
        np.testing.assert_allclose(loss.taught.guess.numpy(), rows, rtol=1e-5)
        assert not loss.taught.guess.requires_grad


@pytest.mark.parametrize("seed", range(3))
def test_remixmatch_asks_how_far_a_picture_was_turned(seed: int):
    side = 3
    case = Case(seed, shape=(1, side, side))
    rule = ReMixMatch(rotation=0.7, views=1)
    state = rule.state(problem_of(case, "image", side=side), encoder_of(3)).double()
    views = Views(weak=[case.labelled, case.views[0]], strong=[case.views[1]])
    loss = rule.loss(moment(case.network, case.network, views, case.labels, U, seed, state=state))
    rng = torch.Generator().manual_seed(seed)
    kept_mix(np.concatenate([case.labelled, *case.views[:2]]), 0.75, rng)
    turns = torch.randint(4, (U,), generator=rng).numpy()
    matrix, offset = (w.detach().numpy() for w in (state.turns.weight, state.turns.bias))
    total = 0.0
    for picture, turn in zip(case.views[1], turns, strict=True):
        features = case.network.features(np.rot90(picture, turn, (1, 2)))
        total += cross_entropy(matrix @ features + offset, certain(turn))
    assert loss.terms["rotation"].item() == pytest.approx(0.7 * total / U, rel=1e-9)
    loss.terms["rotation"].backward()
    assert case.network.body.grad is not None
    assert bool(case.network.body.grad.any())


def test_pictures_are_turned_and_nothing_else_is():
    pictures = np.arange(4 * 2 * 3 * 3, dtype=np.float64).reshape(4, 2, 3, 3)
    found = turned(torch.tensor(pictures), torch.tensor([0, 1, 2, 3])).numpy()
    for place, (one, picture) in enumerate(zip(found, pictures, strict=True)):
        np.testing.assert_array_equal(one, np.rot90(picture, place, (1, 2)))
    case: Any = problem_of(Case(0), "embedding")
    assert rotation_head(case, encoder_of(8)) is None
    case = problem_of(Case(0), "image", side=8)
    assert rotation_head(case, encoder_of(8)) is not None
    case.spec["width"] = 9
    assert rotation_head(case, encoder_of(8)) is None


class Dialled(Views):
    """Views whose magnitudes can be steered; keeps by which rates, and what was recognised."""

    def __init__(self, **left: list[Floats]) -> None:
        super().__init__(**left)
        self.asked: list[Tensor | None] = []
        self.match: Tensor | None = None

    def dials(self, spec: Any) -> tuple[int, int]:
        return 3, 5

    def steered(
        self, batch: Batch, spec: Any, rng: torch.Generator, rates: Tensor | None
    ) -> tuple[Batch, Any]:
        self.asked.append(None if rates is None else rates.clone())
        return {"x": self.left["strong"].pop(0)}, self

    def learn(self, rates: Tensor, match: Tensor) -> Tensor:
        self.match = match
        return rates * 0.5


def test_remixmatch_learns_magnitudes_from_labelled_records():
    """Berthelot et al. 2020, section 3.2.2: 1 - ½ |answer - label|₁ on evenly drawn magnitudes."""
    case, rule = Case(0), ReMixMatch(views=2)
    tried = case.labelled + 0.5
    views = Dialled(weak=[case.labelled, case.views[0]], strong=[*case.views[1:3], tried])
    state = rule.state(problem_of(case, views=views), encoder_of(3))
    rule.loss(moment(case.network, case.average, views, case.labels, U, state=state))
    rates = [None if asked is None else float(asked.mean()) for asked in views.asked]
    assert rates == [1.0, 1.0, None]
    assert state.rates.unique().tolist() == [0.5]
    wanted = [
        1 - 0.5 * np.abs(softmax(case.network.answer(x)) - certain(y)).sum()
        for x, y in zip(tried, case.labels, strict=True)
    ]
    assert views.match is not None
    np.testing.assert_allclose(views.match.numpy(), wanted, rtol=1e-9)


def test_remixmatch_refuses_a_view_that_does_not_exist():
    with pytest.raises(SettingError, match="labelled_view"):
        ReMixMatch(labelled_view="plain")


def pictures(steps: int) -> Problem:
    """Two kinds of picture: lines that lie, and lines that stand."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (40, 1, 8, 8))
    truth = np.arange(40) % 2
    pixels[truth == 0, :, 3:5, :] += 150
    pixels[truth == 1, :, :, 3:5] += 150
    return Problem(
        arrays=Arrays({"pixels": pixels.astype(np.uint8)}),
        spec={"channels": 1, "height": 8, "width": 8},
        modality="image",
        task="classification",
        classes=2,
        targets=np.where(np.arange(40) < 8, truth, -1),
        train=np.arange(8),
        unlabelled=np.arange(8, 40),
        encoder="small-convnet",
        steps=steps,
        training=Training(labelled_batch=4, unlabelled_ratio=2, precision="32-true"),
    )


def test_remixmatch_on_pictures_learns_rates_and_turns_and_goes_on_exactly(tmp_path: Path):
    problem, rule, place = pictures(4), ReMixMatch(), tmp_path / "checkpoint.safetensors"
    seen = {}
    for step in (fit := train(problem, rule)):
        assert step.state is not None
        assert step.state.objective is not None
        assert set(step.terms) == {"supervised", "unlabelled", "unmixed", "rotation"}
        if step.number == 1:
            step.state.save(place)
        seen[step.number] = {
            name: tensor.clone() for name, tensor in step.state.objective.state_dict().items()
        }
    fit.close()
    assert not torch.equal(seen[1]["rates"], seen[4]["rates"])
    assert float(seen[4]["rates"].min()) < 1
    assert not torch.equal(seen[1]["turns.weight"], seen[4]["turns.weight"])
    for step in train(problem, rule, place):
        assert step.state is not None
        assert step.state.objective is not None
        resumed = step.state.objective.state_dict()
    assert all(torch.equal(resumed[name], seen[4][name]) for name in resumed)


@pytest.mark.parametrize("name", ["ict", "mixmatch", "remixmatch", "vat"])
def test_texts_of_different_length_are_served(name: str):
    """What enters of texts is as long as the longest of all views that are mixed."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 40, (24, 10)).astype(np.int32)
    for record in range(24):
        tokens[record, 3 + record % 7 :] = 0
    problem = Problem(
        arrays=Arrays({"tokens": tokens}),
        spec={"length": 10},
        modality="text",
        task="classification",
        classes=2,
        targets=np.where(np.arange(24) < 8, np.arange(24) % 2, -1),
        train=np.arange(8),
        unlabelled=np.arange(8, 24),
        encoder="text-transformer",
        steps=2,
        training=Training(labelled_batch=4, unlabelled_ratio=2, precision="32-true"),
    )
    for step in METHODS[name].fit(problem):
        assert all(math.isfinite(float(term)) for term in step.terms.values())
    assert isinstance(step.state.network, Network)  # type: ignore[union-attr]
