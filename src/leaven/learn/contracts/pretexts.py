"""What every pretext must keep, on small sets whose kinds are known and not told."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from leaven.core.recipe import Training
from leaven.data.dataset import Index
from leaven.data.modality import MODALITIES
from leaven.learn.contracts.check import Check, require, run_all
from leaven.learn.contracts.fits import Fit, gains, goes_on_exactly, same, whole_fit
from leaven.learn.contracts.made_records import MADE_RECORDS
from leaven.learn.encoder import Encoder, encode
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import Loss, Moment
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

__all__ = ["PRETEXT_CHECKS", "PRETEXT_EXCLUDED", "check_pretext", "made_pretraining"]

_SHORT = 4  # steps, where only sameness is asked
_LONG = 40  # steps, where something must be learnt
#: Steps of pretexts whose features are clearly better after fewer already, or only after more.
_SUITED = {
    "cola": 20, "mae": 20, "ts2vec": 20, "byol": 80, "jigsaw": 120, "masked-language": 120,
    "next-token": 120, "span": 120, "next-sentence": 240,
}  # fmt: skip
_SEEN, _HELD = 256, 128
_FEW = 16  # records of a batch, where it is only asked whether there can be one
_TRAINED = ("network", "objective")  # the parts of a state that a gradient moves

#: (name of a pretext, name of a check) that it may break, and the reason.
PRETEXT_EXCLUDED: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class _Pretraining:
    """A problem without labels: `kinds` (n,) are known here, and records held out."""

    problem: Problem
    kinds: npt.NDArray[np.int64]
    held: Index

    def found(self, encoder: Encoder) -> float:
        """Share of the held-out records whose five nearest others in features name their kind."""
        features = encode(
            encoder, self.problem.arrays, np.arange(len(self.kinds)), self.problem.views.plain
        )
        spread = (features - features.mean(0)) / (features.std(0) + 1e-6)
        known, asked = spread[self.problem.unlabelled], spread[self.held]
        apart = ((asked[:, None] - known[None]) ** 2).sum(-1)
        nearest = self.kinds[self.problem.unlabelled][np.argsort(apart, 1, kind="stable")[:, :5]]
        named = np.stack([np.bincount(row, minlength=8) for row in nearest]).argmax(1)
        return float((named == self.kinds[self.held]).mean())


def made_pretraining(
    pretext: Pretext, seed: int = 0, steps: int = _SHORT, modality: str = ""
) -> _Pretraining:
    """A set of the pretext's first modality (or the one named), and of ready vectors for all."""
    modality = modality or (pretext.modalities[0] if pretext.modalities else "embedding")
    dataset, kinds = MADE_RECORDS[modality](_SEEN + _HELD, seed)
    views = MODALITIES[modality]
    spec = views.describe(dataset)
    training = {"pretrain_batch": 64, **pretext.trained_by}
    problem = Problem(
        arrays=views.decode(dataset, spec)[0],
        spec=spec,
        modality=modality,
        task="classification",
        classes=1,
        targets=np.full(len(dataset), -1),
        train=np.zeros(0, np.int64),
        unlabelled=np.arange(_SEEN),
        encoder=pretext.encoder(modality),
        seed=seed,
        steps=steps,
        training=Training(**training | {"precision": "32-true", "weight_decay": 0.0}),
    )
    return _Pretraining(problem, kinds, np.arange(_SEEN, _SEEN + _HELD))


class _Subject:
    """A pretext, and the fit of it that several checks look at, made once."""

    def __init__(self, pretext: Pretext) -> None:
        self.pretext = pretext

    @cached_property
    def made(self) -> _Pretraining:
        """The problem where only sameness is asked."""
        return made_pretraining(self.pretext)

    @property
    def problem(self) -> Problem:
        """What of it the pretext gets."""
        return self.made.problem

    @cached_property
    def fit(self) -> Fit:
        """Its fit."""
        torch.manual_seed(1)
        return Fit.of(self.pretext, self.problem)

    @cached_property
    def told(self) -> Network:
        """A second fit, from another state of the global generator, with the labels there."""
        torch.manual_seed(2)
        return whole_fit(self.pretext, replace(self.problem, targets=self.made.kinds))[0]


def check_pretext(name: str) -> list[str]:
    """Hold the pretext of this name to all checks that apply; returns their names.

    Raises BrokenContract at the first that fails.
    """
    asked = [check for check in PRETEXT_CHECKS if (name, check.name) not in PRETEXT_EXCLUDED]
    return run_all(asked, _Subject(PRETEXTS[name]), name)


def _trains_every_tensor(subject: _Subject) -> None:
    """Of the encoder, and of what stands behind it; without decay only a gradient moves one."""
    fit = subject.fit
    require(any(fit.first.get(part) for part in _TRAINED), "there is nothing to train")
    still = [f"{part}.{name}" for part in _TRAINED for name in fit.still(part)]
    require(not still, f"training leaves these tensors as they were: {', '.join(still)}")
    require(
        len(fit.still("average")) < len(fit.first["average"]),
        "the averaged encoder does not follow",
    )


@dataclass(frozen=True)
class _Watched(PretextObjective):
    """An objective whose frozen parts could learn: any gradient that reaches one is a fault."""

    inner: PretextObjective

    def state(self, problem: Problem, network: Network) -> nn.Module | None:
        return self.inner.state(problem, network)

    def loss(self, now: Moment) -> Loss:
        frozen = [p for p in now.average.parameters() if not p.requires_grad]
        if now.state is not None:
            frozen += [p for p in now.state.parameters() if not p.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(True)
        loss = self.inner.loss(now)
        reached = torch.autograd.grad(loss.total, frozen, retain_graph=True, allow_unused=True)
        for parameter in frozen:
            parameter.requires_grad_(False)
        require(all(g is None for g in reached), "a gradient reaches the target branch")
        require(
            not any(figure.requires_grad for figure in loss.figures.values()),
            "a figure keeps its graph, and with it the memory of the step",
        )
        require(bool(torch.isfinite(loss.total)), "the loss is not a finite number")
        require(len(now.draw.targets) == 0, "it was given labels")
        return loss


def _target_takes_no_gradient(subject: _Subject) -> None:
    pretext = subject.pretext
    whole_fit(replace(pretext, objective=_Watched(pretext.objective)), subject.problem)


def _labels_change_nothing(subject: _Subject) -> None:
    require(same(subject.fit.network, subject.told), "labels change the weights")


def _repeats(subject: _Subject) -> None:
    pretext, problem = subject.pretext, subject.problem
    one = subject.fit.network
    if not same(one, subject.told):  # which differs in more than the generator
        torch.manual_seed(2)
        other, _ = whole_fit(pretext, problem)
        require(same(one, other), "two fits with one seed differ")
    third, _ = whole_fit(pretext, replace(problem, seed=problem.seed + 1))
    require(not same(one, third), "another seed gives the same weights")


def _saves_whole(subject: _Subject) -> None:
    made, network = subject.made, subject.fit.network
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder))
        again = Network.load(Path(folder))
    before, after = (n.logits(made.problem.arrays, made.held) for n in (network, again))
    require(np.array_equal(before, after), "an encoder that was saved and loaded says otherwise")


def _resumes_exactly(subject: _Subject) -> None:
    goes_on_exactly(subject.pretext, subject.problem, subject.fit)


def _beats_an_untrained_encoder(subject: _Subject) -> None:
    """Neighbours in its features are of one kind more often."""

    def gained(seed: int) -> float:
        steps = _SUITED.get(subject.pretext.name, _LONG)
        made = made_pretraining(subject.pretext, seed, steps)
        torch.manual_seed(seed)
        before = made.found(made.problem.build_encoder())
        network, _ = whole_fit(subject.pretext, made.problem)
        return made.found(network.encoder) - before

    gains(gained, "an untrained encoder")


def _serves_what_it_says(subject: _Subject) -> None:
    """A step on every modality that it names, or on all of those whose records are at hand."""
    pretext = subject.pretext
    for modality in pretext.modalities or MADE_RECORDS:
        problem = made_pretraining(pretext, steps=2, modality=modality).problem
        small = problem.training.model_copy(update={"pretrain_batch": _FEW})
        problem = replace(problem, training=small)
        _, steps = whole_fit(pretext, problem)
        terms = [float(term) for step in steps for term in step.terms.values()]
        require(bool(np.isfinite(terms).all()), f"the loss of {modality} records is not finite")


PRETEXT_CHECKS: tuple[Check, ...] = (
    Check("serves what it says", _serves_what_it_says),
    Check("one seed, one result", _repeats),
    Check("trains every tensor", _trains_every_tensor),
    Check("the target takes no gradient", _target_takes_no_gradient),
    Check("labels change nothing", _labels_change_nothing),
    Check("saves whole", _saves_whole),
    Check("resumes exactly", _resumes_exactly),
    Check("beats an untrained encoder", _beats_an_untrained_encoder),
)
