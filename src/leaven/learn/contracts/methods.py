"""What every method must keep, on a small problem whose answer is known."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leaven.core.recipe import Training
from leaven.data.arrays import Arrays
from leaven.data.dataset import Dataset, Index
from leaven.data.modality import MODALITIES
from leaven.learn.contracts.check import Check, require, run_all
from leaven.learn.contracts.fits import Fit, gains, goes_on_exactly, same, whole_fit
from leaven.learn.head import Head
from leaven.learn.method import METHODS, Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective
from leaven.learn.train import LoopMethod

__all__ = ["EXCLUDED", "METHOD_CHECKS", "Made", "check_method", "made_problem"]

_SHORT = 30  # steps, where only sameness is asked; enough for FixMatch to accept guesses
_LONG = 100  # steps, where something must be learnt
#: Steps of methods that have learnt little after 100: of targets that are means of a record's last
#: visits, and of weak forces upon the features.
_SLOW = {"temporal-ensembling": 300, "coral": 300, "dann": 300}

#: (name of a method, name of a check) that it may break, and the reason.
EXCLUDED: dict[tuple[str, str], str] = {
    ("adabn", "the unlabelled term counts"): "it has none: they give statistics at the end",
    ("mixmatch", "weight zero is supervised"): "labelled records are mixed whatever the weight",
    ("remixmatch", "weight zero is supervised"): "labelled records are mixed whatever the weight",
}


@dataclass(frozen=True)
class Made:
    """A problem whose answer is known: `truth` (n,) everywhere, and records held out."""

    problem: Problem
    truth: npt.NDArray[np.int64]
    held: Index

    def accuracy(self, network: Network) -> float:
        """Share of the held-out records that are named rightly."""
        said = network.logits(self.problem.arrays, self.held).argmax(1)
        return float((said == self.truth[self.held]).mean())


def made_problem(method: Method, seed: int = 0, steps: int = _SHORT) -> Made:
    """Four round clouds in 32 dimensions, two labels and 60 unlabelled records of each.

    Two labels a class leave a linear model some points below what the clouds allow, and 60
    unlabelled records show where the clouds lie: whoever uses them gains. Weights do not decay,
    so that nothing moves without a gradient.

    For methods of the family `adaptation` what is missing is not labels: there are 25 of each,
    closer clouds, and all other records come from elsewhere (`_elsewhere`). For methods of graphs
    alone the clouds are closer still, and edges join mostly nodes of one cloud (`_made_graph`).
    Methods that read the votes of rules get some (`_made_votes`).
    """
    if "graph" in method.modalities:
        return _made_graph(method, seed, steps)
    rng = np.random.default_rng((seed, 4))
    width, classes, unlabelled, held = 32, 4, 60, 100
    adapts = method.family == "adaptation"
    labelled, radius, batch = (25, 3.5, 32) if adapts else (2, 4.5, 8)
    centres = rng.normal(size=(classes, width))
    centres *= radius / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = np.arange(classes * (labelled + unlabelled + held)) % classes
    features = centres[truth] + rng.normal(size=(len(truth), width))
    first, second = classes * labelled, classes * (labelled + unlabelled)
    if adapts:
        features[first:] = _elsewhere(features[first:], rng)
    problem = Problem(
        arrays=Arrays({"features": features.astype(np.float32)}),
        spec={"width": width},
        modality="embedding",
        task="classification",
        classes=classes,
        targets=np.where(np.arange(len(truth)) < first, truth, -1),
        train=np.arange(first),
        unlabelled=np.arange(first, second),
        encoder=method.default_encoder(MODALITIES["embedding"]),
        seed=seed,
        steps=steps,
        training=Training(labelled_batch=batch, precision="32-true", weight_decay=0.0),
        votes=_made_votes(truth, classes, rng) if method.reads_votes else None,
    )
    return Made(problem, truth, np.arange(second, len(truth)))


def _made_votes(
    truth: npt.NDArray[np.int64], classes: int, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """(n, classes) votes: a rule a class, which abstains on half and seldom errs."""
    shape = (len(truth), classes)
    named = np.where(rng.random(shape) < 0.9, truth[:, None], rng.integers(0, classes, shape))
    own = np.arange(classes)
    return np.where((named == own) & (rng.random(shape) < 0.5), own, -1).astype(np.int16)


def _made_graph(method: Method, seed: int, steps: int) -> Made:
    """Four groups of nodes, three edges a node, of which three quarters stay in the group."""
    rng = np.random.default_rng((seed, 5))
    width, classes, labelled, unlabelled, held = 16, 4, 3, 60, 100
    centres = rng.normal(size=(classes, width))
    centres *= 1.0 / np.linalg.norm(centres, axis=1, keepdims=True)
    truth = np.arange(classes * (labelled + unlabelled + held)) % classes
    features = centres[truth] + rng.normal(size=(len(truth), width))
    source = np.repeat(np.arange(len(truth)), 3)
    target = rng.integers(0, len(truth), len(source))
    alike = rng.random(len(source)) < 0.75
    target[alike] += (truth[source] - truth[target])[alike]  # the group is the number modulo four
    first, second = classes * labelled, classes * (labelled + unlabelled)
    edges = np.stack([source, target % len(truth)])
    dataset = Dataset.from_arrays(features, edges=edges)
    views = MODALITIES["graph"]
    spec = views.describe(dataset)
    problem = Problem(
        arrays=views.decode(dataset, spec)[0],
        spec=spec,
        modality="graph",
        task="classification",
        classes=classes,
        targets=np.where(np.arange(len(truth)) < first, truth, -1),
        train=np.arange(first),
        unlabelled=np.arange(first, second),
        encoder=method.default_encoder(views),
        seed=seed,
        steps=steps,
        training=Training(labelled_batch=12, precision="32-true", weight_decay=0.0),
    )
    return Made(problem, truth, np.arange(second, len(truth)))


def _elsewhere(
    features: npt.NDArray[np.float64], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """The features (n, w) where two fifths of the instruments are others.

    Each of those has a unit and an offset of its own.
    """
    width = features.shape[1]
    others = rng.permutation(width)[: 2 * width // 5]
    moved = features.copy()
    moved[:, others] *= np.exp(1 + rng.normal(size=len(others)))
    moved[:, others] += 2 * rng.normal(size=len(others))
    return moved


class _Subject:
    """A method, and the fits of it that several checks look at, each made once."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self._long: dict[int, tuple[Network, list[Step]]] = {}
        self._alone: dict[tuple[str, int], Network] = {}

    @cached_property
    def made(self) -> Made:
        """The problem where only sameness is asked."""
        return made_problem(self.method)

    @property
    def problem(self) -> Problem:
        """What of it the method gets."""
        return self.made.problem

    @cached_property
    def fit(self) -> Fit:
        """Its fit."""
        torch.manual_seed(1)
        return Fit.of(self.method, self.problem)

    @cached_property
    def told(self) -> Network:
        """A second fit, from another state of the generator, with the hidden labels there."""
        wrong = (self.made.truth + 1) % self.problem.classes
        wrong[self.problem.train] = self.made.truth[self.problem.train]
        torch.manual_seed(2)
        return whole_fit(self.method, replace(self.problem, targets=wrong))[0]

    def taught(self, seed: int = 0) -> Made:
        """The problem where something must be learnt."""
        return made_problem(self.method, seed, _SLOW.get(self.method.name, _LONG))

    def long(self, seed: int = 0) -> tuple[Network, list[Step]]:
        """Its fit: the network, and the steps."""
        if seed not in self._long:
            self._long[seed] = whole_fit(self.method, self.taught(seed).problem)
        return self._long[seed]

    def alone(self, encoder: str, seed: int = 0) -> Network:
        """The fit of its supervised part, with this encoder."""
        if (encoder, seed) not in self._alone:
            problem = replace(self.taught(seed).problem, encoder=encoder)
            self._alone[encoder, seed], _ = whole_fit(METHODS[self.method.baseline], problem)
        return self._alone[encoder, seed]


def check_method(name: str, checks: Sequence[Check] | None = None) -> list[str]:
    """Hold the method of this name to the checks that apply, or those given; returns their names.

    Raises BrokenContract at the first that fails.
    """
    asked = METHOD_CHECKS if checks is None else checks
    kept = [check for check in asked if (name, check.name) not in EXCLUDED]
    return run_all(kept, _Subject(METHODS[name]), name)


def _trains_every_tensor(subject: _Subject) -> None:
    """Without decay, only a gradient moves a tensor; those that move none were forgotten."""
    fit = subject.fit
    require(bool(fit.first), "a method that takes steps must yield its state with each")
    trained = fit.first["network"]
    require(bool(trained), "the network has nothing to train")
    still = fit.still("network")
    require(not still, f"training leaves these tensors as they were: {', '.join(still)}")
    still = [name for name in fit.still("average") if name in trained]
    require(not still, f"these averaged tensors do not follow: {', '.join(still)}")


def _unlabelled_term_counts(subject: _Subject) -> None:
    """A loss between a tensor and itself is zero, or has no gradient: neither may be."""
    fitted, steps = subject.long()
    terms = [float(t) for s in steps for n, t in s.terms.items() if n != "supervised"]
    require(bool(np.isfinite(terms).all()), "a term of the loss is not a finite number")
    require(any(terms), "the terms of the unlabelled records are zero in every step")
    alone = subject.alone(subject.problem.encoder)
    require(not same(fitted, alone), "the unlabelled term changes no weight")


def _zero_weight_is_supervised(subject: _Subject) -> None:
    """The baseline is the same code on the same batches: nothing else differs."""
    method = subject.method
    assert isinstance(method, LoopMethod)
    objective: Any = method.objective
    silent = replace(method, objective=replace(objective, weight=0.0))
    one, steps = whole_fit(silent, subject.problem)
    other, alone = whole_fit(METHODS[method.baseline], subject.problem)
    losses = [[float(step.terms["supervised"]) for step in run] for run in (steps, alone)]
    require(losses[0] == losses[1], "with weight zero the loss is not the supervised one")
    require(same(one, other), "with weight zero the weights are not the supervised ones")


@dataclass(frozen=True)
class _Watched(Objective):
    """An objective whose average could learn: any gradient that reaches it is a fault."""

    inner: Objective

    def head(self, problem: Problem, width: int) -> Head:
        return self.inner.head(problem, width)

    def state(self, problem: Problem, network: Network) -> nn.Module | None:
        return self.inner.state(problem, network)

    def finish(self, problem: Problem, network: Network) -> None:
        self.inner.finish(problem, network)

    def loss(self, now: Moment) -> Loss:
        require(
            not any(p.requires_grad or p.grad is not None for p in now.average.parameters()),
            "the averaged weights take gradients",
        )
        held = [p.requires_grad_(True) for p in now.average.parameters()]
        loss = self.inner.loss(now)
        reached = torch.autograd.grad(loss.total, held, retain_graph=True, allow_unused=True)
        now.average.requires_grad_(False)
        require(all(g is None for g in reached), "a gradient reaches the averaged weights")
        told = list(loss.figures.values())
        if loss.taught is not None:
            told += [loss.taught.guess, loss.taught.weight]
        noted = any(figure.requires_grad for figure in told)
        require(not noted, "a figure keeps its graph, and with it the memory of the step")
        return loss


def _teacher_takes_no_gradient(subject: _Subject) -> None:
    method = subject.method
    assert isinstance(method, LoopMethod)
    whole_fit(replace(method, objective=_Watched(method.objective)), subject.problem)


def _repeats(subject: _Subject) -> None:
    """The state of the global generator beforehand makes no difference either."""
    if same(subject.fit.network, subject.told):
        return  # though more was changed
    torch.manual_seed(2)
    other, _ = whole_fit(subject.method, subject.problem)
    require(same(subject.fit.network, other), "two fits with one seed differ")


def _hidden_labels_stay_hidden(subject: _Subject) -> None:
    """Labels outside `train`, were they there, change nothing."""
    kept = same(subject.fit.network, subject.told)
    require(kept, "labels of records outside `train` change the weights")


def _seed_counts(subject: _Subject) -> None:
    another = replace(subject.problem, seed=subject.problem.seed + 1)
    other, _ = whole_fit(subject.method, another)
    require(not same(subject.fit.network, other), "another seed gives the same weights")


def _saves_whole(subject: _Subject) -> None:
    made, network = subject.made, subject.fit.network
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder))
        again = Network.load(Path(folder))
    before, after = (n.logits(made.problem.arrays, made.held) for n in (network, again))
    require(np.array_equal(before, after), "a network that was saved and loaded says otherwise")


def _resumes_exactly(subject: _Subject) -> None:
    goes_on_exactly(subject.method, subject.problem, subject.fit)


def _beats_chance(subject: _Subject) -> None:
    network, _ = subject.long()
    accuracy, chance = subject.taught().accuracy(network), 1 / subject.problem.classes
    require(accuracy > 2 * chance, f"accuracy {accuracy:.2f} where chance has {chance:.2f}")


def _beats_its_supervised_part(subject: _Subject) -> None:
    def gained(seed: int) -> float:
        made = subject.taught(seed)
        network, _ = subject.long(seed)
        encoder = METHODS[subject.method.baseline].default_encoder(made.problem.views)
        return made.accuracy(network) - made.accuracy(subject.alone(encoder, seed))

    gains(gained, "its supervised part")


def _stepped(subject: _Subject) -> bool:
    return subject.method.stepped


def _in_loop(subject: _Subject) -> bool:
    return isinstance(subject.method, LoopMethod) and subject.method.unlabelled


def _weighted(subject: _Subject) -> bool:
    if not _in_loop(subject):
        return False
    assert isinstance(subject.method, LoopMethod)
    objective: Any = subject.method.objective
    return is_dataclass(objective) and any(f.name == "weight" for f in fields(objective))


def _reads_unlabelled(subject: _Subject) -> bool:
    return subject.method.unlabelled


_NO_STEPS = "it is fitted at one stroke"
_SUPERVISED = "it reads no unlabelled records"
_NO_WEIGHT = "its objective has no field 'weight' for the unlabelled term"

METHOD_CHECKS: tuple[Check, ...] = (
    Check("one seed, one result", _repeats),
    Check("trains every tensor", _trains_every_tensor, _stepped, _NO_STEPS),
    Check("the unlabelled term counts", _unlabelled_term_counts, _in_loop, _SUPERVISED),
    Check("weight zero is supervised", _zero_weight_is_supervised, _weighted, _NO_WEIGHT),
    Check("the teacher takes no gradient", _teacher_takes_no_gradient, _in_loop, _SUPERVISED),
    Check("hidden labels stay hidden", _hidden_labels_stay_hidden),
    Check("another seed, another result", _seed_counts, _stepped, "nothing in it is drawn"),
    Check("saves whole", _saves_whole),
    Check("resumes exactly", _resumes_exactly, _stepped, _NO_STEPS),
    Check("beats chance", _beats_chance),
    Check("beats its supervised part", _beats_its_supervised_part, _reads_unlabelled, _SUPERVISED),
)
