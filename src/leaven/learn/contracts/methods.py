"""What every method must keep, on a small problem whose answer is known."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, fields, is_dataclass, replace
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
from leaven.learn.contracts.fits import gains, goes_on_exactly, same, whole_fit
from leaven.learn.head import Head
from leaven.learn.method import METHODS, Method, Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment, Objective
from leaven.learn.train import LoopMethod

__all__ = ["EXCLUDED", "METHOD_CHECKS", "Made", "check_method", "made_problem"]

_SHORT = 30  # steps, where only sameness is asked
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


def check_method(name: str) -> list[str]:
    """Hold the method of this name to all checks that apply; returns their names.

    Raises BrokenContract at the first that fails.
    """
    asked = [check for check in METHOD_CHECKS if (name, check.name) not in EXCLUDED]
    return run_all(asked, METHODS[name], name)


def _trains_every_tensor(method: Method) -> None:
    """Without decay, only a gradient moves a tensor; those that move none were forgotten."""
    fit = method.fit(made_problem(method).problem)
    state = next(fit).state
    require(state is not None, "a method that takes steps must yield its state with each")
    assert state is not None
    named = [(n, p) for n, p in state.network.named_parameters() if p.requires_grad]
    trained = [(n, p.detach().clone()) for n, p in named]
    average = {n: p.clone() for n, p in state.average.named_parameters()}
    for _ in fit:
        pass
    require(bool(trained), "the network has nothing to train")
    now = dict(state.network.named_parameters())
    still = [name for name, before in trained if torch.equal(before, now[name])]
    require(not still, f"training leaves these tensors as they were: {', '.join(still)}")
    kept = dict(state.average.named_parameters())
    still = [name for name, _ in trained if torch.equal(average[name], kept[name])]
    require(not still, f"these averaged tensors do not follow: {', '.join(still)}")


def _unlabelled_term_counts(method: Method) -> None:
    """A loss between a tensor and itself is zero, or has no gradient: neither may be."""
    problem = made_problem(method, steps=_LONG).problem
    fitted, steps = whole_fit(method, problem)
    terms = [float(t) for s in steps for n, t in s.terms.items() if n != "supervised"]
    require(bool(np.isfinite(terms).all()), "a term of the loss is not a finite number")
    require(any(terms), "the terms of the unlabelled records are zero in every step")
    alone, _ = whole_fit(METHODS[method.baseline], problem)
    require(not same(fitted, alone), "the unlabelled term changes no weight")


def _zero_weight_is_supervised(method: Method) -> None:
    """The baseline is the same code on the same batches: nothing else differs."""
    assert isinstance(method, LoopMethod)
    objective: Any = method.objective
    silent = replace(method, objective=replace(objective, weight=0.0))
    problem = made_problem(method).problem
    one, steps = whole_fit(silent, problem)
    other, alone = whole_fit(METHODS[method.baseline], problem)
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


def _teacher_takes_no_gradient(method: Method) -> None:
    assert isinstance(method, LoopMethod)
    whole_fit(replace(method, objective=_Watched(method.objective)), made_problem(method).problem)


def _hidden_labels_stay_hidden(method: Method) -> None:
    """Labels outside `train`, were they there, change nothing."""
    made = made_problem(method)
    wrong = (made.truth + 1) % made.problem.classes
    wrong[made.problem.train] = made.truth[made.problem.train]
    one, _ = whole_fit(method, made.problem)
    other, _ = whole_fit(method, replace(made.problem, targets=wrong))
    require(same(one, other), "labels of records outside `train` change the weights")


def _repeats(method: Method) -> None:
    """The state of the global generator beforehand makes no difference either."""
    problem = made_problem(method).problem
    torch.manual_seed(1)
    one, _ = whole_fit(method, problem)
    torch.manual_seed(2)
    other, _ = whole_fit(method, problem)
    require(same(one, other), "two fits with one seed differ")


def _seed_counts(method: Method) -> None:
    problem = made_problem(method).problem
    one, _ = whole_fit(method, problem)
    other, _ = whole_fit(method, replace(problem, seed=problem.seed + 1))
    require(not same(one, other), "another seed gives the same weights")


def _saves_whole(method: Method) -> None:
    made = made_problem(method)
    network, _ = whole_fit(method, made.problem)
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder))
        again = Network.load(Path(folder))
    before, after = (n.logits(made.problem.arrays, made.held) for n in (network, again))
    require(np.array_equal(before, after), "a network that was saved and loaded says otherwise")


def _resumes_exactly(method: Method) -> None:
    goes_on_exactly(method, made_problem(method).problem)


def _beats_chance(method: Method) -> None:
    made = made_problem(method, steps=_LONG)
    network, _ = whole_fit(method, made.problem)
    accuracy, chance = made.accuracy(network), 1 / made.problem.classes
    require(accuracy > 2 * chance, f"accuracy {accuracy:.2f} where chance has {chance:.2f}")


def _beats_its_supervised_part(method: Method) -> None:
    def gained(seed: int) -> float:
        made = made_problem(method, seed, _SLOW.get(method.name, _LONG))
        network, _ = whole_fit(method, made.problem)
        other = METHODS[method.baseline]
        encoder = other.default_encoder(made.problem.views)
        alone, _ = whole_fit(other, replace(made.problem, encoder=encoder))
        return made.accuracy(network) - made.accuracy(alone)

    gains(gained, "its supervised part")


def _stepped(method: Method) -> bool:
    return method.stepped


def _in_loop(method: Method) -> bool:
    return isinstance(method, LoopMethod) and method.unlabelled


def _weighted(method: Method) -> bool:
    if not isinstance(method, LoopMethod) or not method.unlabelled:
        return False
    objective: Any = method.objective
    return is_dataclass(objective) and any(f.name == "weight" for f in fields(objective))


def _reads_unlabelled(method: Method) -> bool:
    return method.unlabelled


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
