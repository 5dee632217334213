"""What one training step costs, and how much of it is views, network and optimiser.

    python -m benchmarks.step [--encoder wrn-28-2] [--method fixmatch] [--turns 5] [--profile]
    python -m benchmarks.step --pretext simclr [--encoder resnet-18] [--batch 256]

Ours is the product's own loop on random pictures, 64 labelled and 448 unlabelled a step; of a
pretext 256 of no label. The peer is the same step the way the field's reference toolkits take it
(`benchmarks.step_peer`; of every method FixMatch's, of every pretext SimCLR's), in the same
process and by turns, so that the ratio holds on a machine that others use too. On a processor
the figures are CPU seconds over all threads, medians; with CUDA seconds of a synchronised device.
`system` is what of a step the operating system took, nearly all of it to hand out memory; it
depends on what else lives in the process, so `--only` measures one of the two by itself.
Goal: at most 6 CPU seconds on two cores, where the reference toolkit was measured at 18.2; for
SimCLR at most 7.5.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.machine import machine
from benchmarks.step_peer import Peer, PretextPeer
from leaven.core.recipe import Training
from leaven.data.arrays import Arrays
from leaven.learn import streams, train
from leaven.learn.encoder import ENCODERS
from leaven.learn.method import METHODS, Problem, Step
from leaven.learn.pretext import PRETEXTS
from leaven.learn.state import TrainState

__all__ = ["Clock", "measure", "problem", "without_labels"]

_CLASSES = 10
Costs = dict[str, list[float]]


class Clock:
    """Adds up what a step spends, in all (`step`) and in named parts."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.inside = False

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count the block for `part`; a part within a part is the outer one's."""
        if self.inside:
            yield
            return
        self.inside, began = True, _now()
        try:
            yield
        finally:
            self.spent[part] += _now() - began
            self.inside = False

    def watch(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, each call of it counted for `part`."""

        def watched(*args: Any, **named: Any) -> Any:
            with self.timed(part):
                return function(*args, **named)

        return watched


def problem(encoder: str, labelled: int, ratio: int, side: int, steps: int) -> Problem:
    """Random colour pictures (4096, 3, side, side), 250 of them labelled."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (4096, 3, side, side), dtype=np.uint8)
    targets = np.full(len(pixels), -1, np.int64)
    targets[:250] = random.integers(_CLASSES, size=250)
    return Problem(
        arrays=Arrays({"pixels": pixels}),
        spec={"channels": 3, "height": side, "width": side},
        modality="image",
        task="classification",
        classes=_CLASSES,
        targets=targets,
        train=np.arange(250),
        unlabelled=np.arange(len(pixels)),
        encoder=encoder,
        steps=steps,
        training=Training(labelled_batch=labelled, unlabelled_ratio=ratio),
    )


def without_labels(encoder: str, batch: int, side: int, steps: int) -> Problem:
    """The same pictures, none of them labelled, so many a step."""
    pictures = problem(encoder, 1, 1, side, steps)
    return replace(pictures, train=np.zeros(0, np.int64), training=Training(pretrain_batch=batch))


def measure(
    given: Problem, method: str, turns: int, warm: int, who: Sequence[str] = ("ours", "peer")
) -> dict[str, Costs]:
    """Seconds of each turn by part, for each of `who`; the first `warm` turns are left out.

    `method` is a pretext where no record is labelled.
    """
    found: dict[str, Costs] = {name: defaultdict(list) for name in who}
    steps = _fit(given, method)
    peer: Peer | PretextPeer | None = None
    if "peer" in who:
        labels = len(given.train) > 0
        peer = Peer(_CLASSES, _device()) if labels else PretextPeer(_device())
    for turn in range(warm + turns):
        for name, costs in found.items():
            clock = Clock()
            with ExitStack() as watching:
                if name == "ours" or peer is None:
                    _watch(watching, clock, given)
                    step: Callable[[], object] = partial(next, steps)
                else:
                    step = _peer_step(peer, given, turn, clock)
                began, asked = _now(), _system()
                step()
                whole, system = _now() - began, _system() - asked
            # What is in no other part of the loop is the network's.
            clock.spent["network"] = 0.0
            clock.spent["network"] = whole - sum(clock.spent.values())
            if turn >= warm:
                for part, spent in ({"step": whole, "system": system} | clock.spent).items():
                    costs[part].append(spent)
    steps.close()
    return found


def _fit(given: Problem, method: str) -> Generator[Step, None, Any]:
    """The steps of a method, or of a pretext."""
    if len(given.train):
        return METHODS[method].fit(given)
    return PRETEXTS[method].fit(given)


def _peer_step(
    peer: Peer | PretextPeer, given: Problem, turn: int, clock: Clock
) -> Callable[[], object]:
    """The peer's step on records of the same number."""
    random = np.random.default_rng(turn)
    pixels = given.arrays["pixels"].transpose(0, 2, 3, 1)
    if isinstance(peer, PretextPeer):
        few = random.permutation(given.unlabelled)[: given.training.pretrain_batch]
        return lambda: peer.step(pixels[few], clock.timed)
    size = given.training.labelled_batch
    rows = random.permutation(given.train)[:size]
    others = random.permutation(given.unlabelled)[: size * given.training.unlabelled_ratio]
    targets = torch.from_numpy(given.targets[rows]).to(_device())
    return lambda: peer.step(pixels[rows], targets, pixels[others], clock.timed)


def _watch(watching: ExitStack, clock: Clock, given: Problem) -> None:
    """Have the loop's parts counted; the rest of a step is the network's."""
    parts = [
        *(
            (type(given.views), view, "views")
            for view in ("weak", "strong", "contrastive", "local")
        ),
        (streams.Labelled, "__call__", "data"),
        (streams.Unlabelled, "__call__", "data"),
        (Arrays, "batch", "data"),
        (torch.optim.AdamW, "step", "optimiser"),
        (train.nn.utils, "clip_grad_norm_", "optimiser"),
        (TrainState, "update_average", "optimiser"),
    ]
    for owner, name, part in parts:
        function = clock.watch(part, getattr(owner, name))
        watching.enter_context(mock.patch.object(owner, name, function))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _now() -> float:
    """CPU seconds of all threads; with CUDA seconds, the device's work done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def _system() -> float:
    """CPU seconds that the operating system took for this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


def _table(found: dict[str, Costs]) -> str:
    """A line a part: the median, the range and the share of a step."""
    unit = "s" if torch.cuda.is_available() else "CPU-s"
    lines = []
    for name, costs in found.items():
        whole = statistics.median(costs["step"])
        for part in ("step", "views", "data", "network", "optimiser", "system"):
            if part in costs:
                middle = statistics.median(costs[part])
                lines.append(
                    f"{name:5} {part:10} {middle:8.3f} {unit}  {middle / whole:6.1%}  "
                    f"({min(costs[part]):.3f} to {max(costs[part]):.3f}, n {len(costs[part])})"
                )
        if torch.cuda.is_available():
            lines.append(f"{name:5} {1 / whole:.1f} steps a second")
    if len(found) == 2:
        ratios = [
            theirs / mine
            for mine, theirs in zip(found["ours"]["step"], found["peer"]["step"], strict=True)
        ]
        lines.append(
            f"the peer takes {statistics.median(ratios):.1f} times as much "
            f"({min(ratios):.1f} to {max(ratios):.1f} by turns)"
        )
    return "\n".join(lines)


def _profile(given: Problem, method: str) -> str:
    """The dearest operations of one step."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    steps = _fit(given, method)
    next(steps)
    next(steps)
    with torch.profiler.profile(activities=activities) as profiled:
        next(steps)
    steps.close()
    order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    table: str = profiled.key_averages().table(sort_by=order, row_limit=16)
    return table


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", help="one of `leaven encoders`: wrn-28-2, resnet-18")
    parser.add_argument("--method", default="fixmatch")
    parser.add_argument("--pretext", help="in place of a method")
    parser.add_argument("--batch", type=int, default=256, help="records of a pretext's step")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2, help="turns that are not counted")
    parser.add_argument("--labelled", type=int, default=64)
    parser.add_argument("--ratio", type=int, default=7)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=("ours", "peer"))
    parser.add_argument(
        "--profile", action="store_true", help="the dearest operations, and no more"
    )
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    # A plan longer than what is measured: the rate stays near its peak.
    if asked.pretext:
        method, encoder = asked.pretext, asked.encoder or "resnet-18"
        given = without_labels(encoder, asked.batch, asked.side, 1000)
    else:
        method, encoder = asked.method, asked.encoder or "wrn-28-2"
        given = problem(encoder, asked.labelled, asked.ratio, asked.side, 1000)
    weights = sum(p.numel() for p in given.build_encoder().parameters())
    print(f"{machine()}, torch {torch.__version__}, {asked.threads} threads")
    print(f"{method}, {ENCODERS[encoder].name}, {weights:,} weights")
    if asked.profile:
        print(_profile(given, method))
    else:
        who = (asked.only,) if asked.only else ("ours", "peer")
        print(_table(measure(given, method, asked.turns, asked.warm, who)))


if __name__ == "__main__":
    main()
