"""The one loop. Every method that trains by steps goes through it, and it yields each step."""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from leaven.data.arrays import Batch
from leaven.data.dataset import Index
from leaven.data.modality import Modality
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import Method, Problem, Step
from leaven.learn.network import Network
from leaven.learn.objective import Draw, Moment, Objective
from leaven.learn.state import TrainState

__all__ = ["LoopMethod", "train"]

_LABELLED, _UNLABELLED, _VIEWS, _DROPOUT = range(4)
_SMALL = 1_000_000  # trainable weights


def train(
    problem: Problem, objective: Objective, checkpoint: Path | None = None
) -> Generator[Step, None, Network]:
    """Train a network by `objective`; yield a Step after each; return the averaged network.

    The total number of steps may be lowered while it runs (`step.state.total`); the learning
    rate follows. What happens in step t depends on the seed, t and the weights only.
    """
    settings = problem.training
    fabric = _fabric(problem)
    torch.manual_seed(_mix(problem.seed, _DROPOUT, -1))
    encoder = problem.build_encoder()
    network = Network(encoder, problem.label.head(encoder.width, problem.classes))
    fabric.to_device(network)
    optimiser = torch.optim.AdamW(
        _groups(network, settings.rate, settings.weight_decay), betas=(0.9, 0.99)
    )
    kept = objective.state(problem.classes, len(problem.unlabelled))
    if kept is not None:
        fabric.to_device(kept)
    state = TrainState(network, optimiser, kept, problem.steps)
    if checkpoint is not None and checkpoint.exists():
        state.load(checkpoint)
    # Wrapped, a network computes in the chosen precision; views are drawn outside, in full.
    forward, average = fabric.setup_module(network), fabric.setup_module(state.average)
    rng = torch.Generator(fabric.device)
    # The decay's memory is a tenth of the training at most, or a short one would end on an
    # average of its first steps.
    decay = min(settings.average, 1 - 10 / max(problem.steps, 20))

    network.train()
    with _threads(network):
        while state.step < state.total:
            step = state.step
            torch.manual_seed(_mix(problem.seed, _DROPOUT, step))
            rng.manual_seed(_mix(problem.seed, _VIEWS, step))
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * _rate(step, state.total, settings.warm_up)
            draw = _draw(problem, objective, step, rng, fabric)
            progress = step / state.total
            loss = objective.loss(
                Moment(forward, average, draw, problem.label, progress, state.objective)
            )
            fabric.backward(loss.total)
            nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            state.update_average(decay)
            state.step += 1
            terms = {name: term.detach() for name, term in loss.terms.items()}
            yield Step(state.step, state.total, terms, loss.figures, state)
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
        """Run the loop."""
        return (yield from train(problem, self.objective, checkpoint))


def _draw(
    problem: Problem, objective: Objective, step: int, rng: torch.Generator, fabric: Fabric
) -> Draw:
    """The records of one step, moved to the device."""
    size = problem.training.labelled_batch
    chosen = _stream(problem.train, size, step, problem.seed, _LABELLED)
    others: Batch | None = None
    if objective.unlabelled and len(problem.unlabelled):
        size *= problem.training.unlabelled_ratio
        index = _stream(problem.unlabelled, size, step, problem.seed, _UNLABELLED)
        others = _move(problem.arrays.batch(index), fabric)
    targets = torch.from_numpy(problem.targets[chosen]).to(fabric.device)
    records = _move(problem.arrays.batch(chosen), fabric)
    return Draw(problem.views, problem.spec, rng, records, targets, others)


def _stream(index: Index, size: int, step: int, seed: int, stream: int) -> Index:
    """Records number step·size … of an endless stream of shuffled passes over `index`."""
    places = np.arange(step * size, (step + 1) * size)
    passes, within = np.divmod(places, len(index))
    chosen = np.empty(size, np.int64)
    for number in np.unique(passes):
        order = np.random.default_rng((seed, stream, int(number))).permutation(len(index))
        now = passes == number
        chosen[now] = index[order[within[now]]]
    return chosen


@contextmanager
def _threads(network: Network) -> Iterator[None]:
    """One thread for a small network on the processor, whose threads would only wait in turn.

    Two are no faster at its matrices, and many times slower where other programs run too.
    """
    before = torch.get_num_threads()
    weights = sum(p.numel() for p in network.parameters() if p.requires_grad)
    if weights < _SMALL and not network.encoder.mixed:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _move(batch: Batch, fabric: Fabric) -> Batch:
    return {name: tensor.to(fabric.device, non_blocking=True) for name, tensor in batch.items()}


def _groups(network: Network, rate: float, decay: float) -> list[dict[str, object]]:
    """Matrices decay, vectors do not; the encoder may ask for a rate of its own."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            own = network.encoder.rate if name.startswith("encoder.") else 1.0
            key = (rate * own, decay if parameter.ndim > 1 else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": shrink}
        for (peak, shrink), parameters in groups.items()
    ]


def _rate(step: int, total: int, warm_up: float) -> float:
    """Factor on the peak rate: linear warm-up, then a cosine to zero."""
    start = max(int(total * warm_up), 1)
    if step < start:
        return (step + 1) / start
    return 0.5 * (1 + math.cos(math.pi * (step - start) / max(total - start, 1)))


def _fabric(problem: Problem) -> Fabric:
    precision = problem.training.precision
    if precision == "auto":
        precision = "bf16-mixed" if ENCODERS[problem.encoder].mixed and _has_bf16() else "32-true"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would tell the precision
    return Fabric(accelerator="auto", devices=1, precision=precision)  # type: ignore[arg-type]


def _has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; emulated it is slower than fp32."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def _mix(*parts: int) -> int:
    """One 63-bit seed from several numbers, far apart for neighbouring ones."""
    words = np.random.SeedSequence([p % 2**32 for p in parts]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])
