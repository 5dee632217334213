"""The one loop. Every method that trains by steps goes through it, and it yields each step."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from leaven.core.recipe import Training
from leaven.data.arrays import Batch
from leaven.data.dataset import Index
from leaven.data.modality import Modality
from leaven.learn.adapt import adapt, merge, rates_of
from leaven.learn.choices.compose import composed
from leaven.learn.encoder import ENCODERS, Encoder
from leaven.learn.heads.bare import BareHead
from leaven.learn.method import Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Draw, Moment, Objective, joined
from leaven.learn.reduced import has_bf16
from leaven.learn.schedule import rate_factor
from leaven.learn.state import TrainState
from leaven.learn.streams import Labelled, Unlabelled

__all__ = ["LoopMethod", "train"]

_VIEWS, _DROPOUT = 2, 3  # streams of chance; those of records are in `streams`
_SMALL = 1_000_000  # weights


def train(
    problem: Problem, objective: Objective, checkpoint: Path | None = None
) -> Generator[Step, None, Network]:
    """Train a network by `objective`; yield a Step after each; return the averaged network.

    The total number of steps may be lowered while it runs (`step.state.total`); the learning
    rate follows. What happens in step t depends on the seed, t, the weights and the objective's
    state only. A pretext has no labels to adapt to: it always changes all of the encoder.
    """
    fabric = _fabric(_precision(problem))
    torch.manual_seed(_mix(problem.seed, _DROPOUT, -1))
    encoder = problem.build_encoder()
    # Anew, for an encoder that was prepared before drew nothing.
    torch.manual_seed(_mix(problem.seed, _DROPOUT, -2))
    head = objective.head(problem, encoder.width)
    settings = _pretraining(problem.training) if isinstance(head, BareHead) else problem.training
    held = adapt(encoder, settings, lambda: _few(problem))
    network = Network(encoder, head, settings.dropout, held)
    kept = objective.state(problem, network)
    trained: list[nn.Module] = [network] if kept is None else [network, kept]
    for module in trained:
        fabric.to_device(module)
    optimiser = torch.optim.AdamW(
        _groups(trained, settings.rate, settings.weight_decay, settings.layer_decay),
        betas=(0.9, 0.99),
    )
    clipped = [weights for module in trained if (weights := list(module.parameters()))]
    state = TrainState(network, optimiser, kept, problem.steps)
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint)
    # Wrapped, a network computes in the chosen precision; views are drawn outside, in full.
    forward: Any = fabric.setup_module(network)
    average: Any = fabric.setup_module(state.average)
    rng = torch.Generator(fabric.device)
    draws = _Draws(problem, objective, rng, fabric)
    # The decay's memory is a tenth of the training at most, or a short one would end on an
    # average of its first steps.
    decay = min(settings.average, 1 - 10 / max(problem.steps, 20))

    network.train()
    with _threads(network):
        while state.step < state.total:
            step = state.step
            _seed(fabric.device, _mix(problem.seed, _DROPOUT, step))
            rng.manual_seed(_mix(problem.seed, _VIEWS, step))
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * rate_factor(step, state.total, settings)
            parts = draws.parts(state.split)
            losses = []
            try:
                for draw in draws(step, state.split):
                    at = (problem.label, step, state.total, kept, fabric.autocast)
                    loss = objective.loss(Moment(forward, average, draw, *at))
                    fabric.backward(loss.total if parts == 1 else loss.total / parts)
                    losses.append(loss)
            except torch.OutOfMemoryError:
                if not draws.may_split(state.split):
                    raise
                state.split *= 2  # the same step again, in parts half as large
                optimiser.zero_grad(set_to_none=True)
                continue
            for weights in clipped:
                nn.utils.clip_grad_norm_(weights, settings.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            state.update_average(decay)
            state.step += 1
            loss = joined(losses)
            terms = {name: term.detach() for name, term in loss.terms.items()}
            yield Step(state.step, state.total, terms, loss.figures, loss.taught, state)
    merge(state.average.encoder)
    objective.finish(problem, state.average)
    return state.average


@dataclass
class LoopMethod(Method):
    """A method that is an objective over the loop."""

    name: str
    summary: str
    paper: str
    objective: Objective
    family: str = "consistency"
    baseline: str = "supervised"
    stepped: bool = True

    @property
    def unlabelled(self) -> bool:  # type: ignore[override]
        """As its objective does."""
        return self.objective.unlabelled

    @property
    def row(self) -> dict[str, str] | None:
        """The objective's choices."""
        return self.objective.row

    def default_encoder(self, modality: Modality) -> str:
        """The modality's trainable one."""
        return modality.encoder

    def fit(
        self, problem: Problem, checkpoint: Path | None = None
    ) -> Generator[Step, None, Network]:
        """Run the loop; settings change what reads unlabelled records, not its baseline."""
        settings = problem.settings if self.unlabelled else {}
        return (yield from train(problem, composed(self.objective, settings), checkpoint))

    def check(self, settings: Mapping[str, Any]) -> None:
        """Compose once."""
        if self.unlabelled:
            composed(self.objective, settings)
        else:
            super().check(settings)


class _Draws:
    """The records of each step, moved to the device: in several parts where gradients add up.

    A step has `training.accumulate` parts; each is split further where memory does not suffice.
    """

    def __init__(
        self, problem: Problem, objective: Objective, rng: torch.Generator, fabric: Fabric
    ) -> None:
        self.problem, self.rng, self.fabric = problem, rng, fabric
        self.reads = objective.unlabelled and len(problem.unlabelled) > 0
        self.streams(1)

    def streams(self, split: int) -> None:
        """The streams of records, of batches that are split so many times."""
        self.split, problem = split, self.problem
        if split > 1:
            own = problem.training
            small = {
                name: -(-getattr(own, name) // split)
                for name in ("labelled_batch", "pretrain_batch")
            }
            problem = replace(problem, training=own.model_copy(update=small))
        self.labelled = Labelled(problem) if len(problem.train) else None
        self.unlabelled = Unlabelled(problem) if self.reads else None

    def parts(self, split: int) -> int:
        """How many parts a step has."""
        return self.problem.training.accumulate * split

    def may_split(self, split: int) -> bool:
        """Whether parts may be halved once more: two records are the least that can be compared."""
        training = self.problem.training
        size = training.labelled_batch if self.labelled else training.pretrain_batch
        return size // (2 * split) >= 2

    def __call__(self, step: int, split: int) -> Iterator[Draw]:
        if split != self.split:
            self.streams(split)
        parts = self.parts(split)
        for part in range(parts):
            yield self._draw(step * parts + part)

    def _draw(self, step: int) -> Draw:
        problem, device = self.problem, self.fabric.device
        own = np.zeros(0, np.int64) if self.labelled is None else self.labelled(step)
        chosen = problem.train[own]
        places = np.zeros(0, np.int64) if self.unlabelled is None else self.unlabelled(step)
        others = self._records(problem.unlabelled[places]) if len(places) else None
        return Draw(
            problem.views,
            problem.spec,
            self.rng,
            self._records(chosen) if len(chosen) else {},
            torch.from_numpy(problem.targets[chosen]).to(device),
            others,
            torch.from_numpy(own).to(device),
            torch.from_numpy(places).to(device),
        )

    def _records(self, index: Index) -> Batch:
        batch = self.problem.arrays.batch(index)
        return {n: t.to(self.fabric.device, non_blocking=True) for n, t in batch.items()}


@contextmanager
def _threads(network: Network) -> Iterator[None]:
    """One thread for a small network on the processor, whose threads would only wait in turn.

    Two are no faster at its matrices, and many times slower where other programs run too.
    """
    before = torch.get_num_threads()
    weights = sum(p.numel() for p in network.parameters())
    if weights < _SMALL and not network.encoder.mixed:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pretraining(training: Training) -> Training:
    """The settings without those that say how an encoder is adapted to labels."""
    return training.model_copy(update={"adapt": "full", "layer_decay": 1.0, "dropout": 0.0})


def _few(problem: Problem) -> Batch:
    """The plain view of at most two records."""
    known = np.concatenate([problem.train, problem.unlabelled])[:2]
    return problem.views.plain(problem.arrays.batch(known))


def _groups(
    trained: list[nn.Module], rate: float, decay: float, layer_decay: float = 1.0
) -> list[dict[str, object]]:
    """Matrices decay, vectors do not; encoders ask for rates of their own, and so do their layers.

    So does an encoder in the objective's state.
    """
    encoders = [e for module in trained for e in module.modules() if isinstance(e, Encoder)]
    own = {name: r for encoder in encoders for name, r in rates_of(encoder, layer_decay).items()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in trained:
        for parameter in module.parameters():
            if parameter.requires_grad:
                peak = rate * own.get(id(parameter), 1.0)
                key = (peak, decay if parameter.ndim > 1 else 0.0)
                groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": shrink}
        for (peak, shrink), parameters in groups.items()
    ]


def _precision(problem: Problem) -> str:
    asked = problem.training.precision
    if asked != "auto":
        return asked
    return "bf16-mixed" if ENCODERS[problem.encoder].mixed and has_bf16() else "32-true"


@cache
def _fabric(precision: str) -> Fabric:
    """One for all fits: to make another is to look through every installed package once more."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would tell the precision
    return Fabric(accelerator="auto", devices=1, precision=precision)  # type: ignore[arg-type]


def _seed(device: torch.device, number: int) -> None:
    """Seed the generators that a step on `device` draws from.

    `torch.manual_seed` seeds those of every kind of device, and for each kind that is not there it
    writes down the whole call stack: as much work as a small network's step.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def _mix(*parts: int) -> int:
    """One 63-bit seed from several numbers, far apart for neighbouring ones."""
    words = np.random.SeedSequence([p % 2**32 for p in parts]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])
