"""How a blend should choose: every candidate on the same splits, and ways to choose among them.

    python -m benchmarks.candidates --data FOLDER [--sets a,b] [--labels 4,25] [--seeds 0,1]
    python -m benchmarks.candidates --page     # results → docs/choice.md
    python -m benchmarks.candidates --history  # results → src/leaven/learn/history.json

The claim to be tested: with few labels, weights from other sets and from records left out are
better than picking the winner among records left out, and better than any one candidate always.
What a set is given comes from the other sets alone (leave one set out); test records decide
nothing. Answers are kept in a cache, from which rows are made.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from leaven.learn.classic_method import Frozen

__all__ = ["encoded", "main"]

CACHE = Path("benchmarks/cache/candidates")
_MOST_TEST = 3000


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit what is missing, then what was asked for; 0."""
    asked = _parser().parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"  # before anything that reads it is imported
    from benchmarks.choosing import history, page

    if asked.data is not None:
        _fit_missing(asked)
    if asked.history:
        history(asked.cache)
    if asked.page:
        page(asked.cache)
    return 0


def _fit_missing(asked: argparse.Namespace) -> None:
    import torch

    from benchmarks.sets import list_sets

    torch.set_num_threads(1)
    usable, _ = list_sets(asked.data)
    names = [n for n in usable if usable[n]["modality"] != "graph"]
    asked.cache.mkdir(parents=True, exist_ok=True)
    for seed in map(int, asked.seeds.split(",")):
        for name in asked.sets.split(",") if asked.sets else names:
            for per in map(int, asked.labels.split(",")):
                path = asked.cache / f"{name}-{per}-{seed}.npz"
                if not path.exists():
                    began = time.process_time()
                    _keep(path, asked.data, name, per, seed, asked.encoder)
                    print(f"{path.stem}: {time.process_time() - began:.0f} s", flush=True)


def _keep(path: Path, data: Path, name: str, per: int, seed: int, encoder: str) -> None:
    """Write what all candidates say of records left out and of the test records."""
    import numpy as np

    from benchmarks.sets import load
    from leaven.learn.blending import fitted_member, member, parted
    from leaven.learn.classic.blend import Blend
    from leaven.learn.out_of_fold import answers, folds, out_of_fold

    task = load(data, name, per, seed)
    known, asked, truth = encoded(task, encoder)
    y = known.targets[: known.labelled]
    tried = Blend().tried(known)
    kept: dict[str, Any] = {"y": y, "truth": truth, "modality": known.modality}
    pool = known.features[known.labelled :][:2000]
    for candidate in Blend().names(known):
        method, part = member(candidate), tried.of(parted(candidate)[1])
        began = time.process_time()
        rounds = []
        for repeat in range(Blend().repeats):
            parts = folds(y, seed + 1000 * repeat)
            if parts:
                rounds.append(out_of_fold(method, part, parts))
        head = fitted_member(candidate, known)
        kept[f"{candidate}/seconds"] = time.process_time() - began
        kept[f"{candidate}/left out"] = np.array(rounds, np.float32)
        kept[f"{candidate}/test"] = answers(head, asked).astype(np.float16)
        kept[f"{candidate}/pool"] = answers(head, pool).astype(np.float16)
    partial = path.with_suffix(".part.npz")
    np.savez_compressed(partial, **kept)
    os.replace(partial, path)


def encoded(
    task: Any, encoder: str
) -> tuple[Frozen, npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The problem on frozen features, features of test records, and their classes."""
    import numpy as np

    from benchmarks.ours import testing, training
    from leaven.data.modality import MODALITIES
    from leaven.learn.classic.blend import Blend
    from leaven.learn.classic_method import Frozen
    from leaven.learn.encoder import ENCODERS, encode
    from leaven.learn.extractor import find_extractor
    from leaven.learn.front import Front

    dataset = training(task)
    extractor = find_extractor(encoder, "text") if task.modality == "text" and encoder else None
    front = Front.describe(dataset, extractor)
    views = MODALITIES[front.views.name]
    arrays, rejected = front.decode(dataset)
    bad = np.array([row[0] for row in rejected], np.int64)
    labelled, others = (np.setdiff1d(rows, bad) for rows in (dataset.labelled, dataset.unlabelled))
    kind = ENCODERS[Blend().default_encoder(views)]
    made = kind(**kind.configure(front.arrays_spec))
    made.prepare(arrays, np.concatenate([labelled, others]), 0)
    rows = np.concatenate([labelled, others])
    targets = np.full(len(rows), -1, np.int64)
    targets[: len(labelled)] = dataset.targets[labelled]
    named = front.named(dataset.classes)
    names = None if named is None else encode(made, named, np.arange(len(named)), views.plain)
    known = Frozen(
        encode(made, arrays, rows, views.plain), targets, len(dataset.classes), 0,
        np.arange(len(others)), modality=views.name, columns=made.columns, names=names,
    )  # fmt: skip
    test = testing(task, _columns(dataset))
    found, _ = front.decode(test)
    place = {name: i for i, name in enumerate(dataset.classes)}
    truth = np.array([place.get(label, -1) for label in task.truth])
    drawn = np.sort(np.random.default_rng(0).permutation(len(truth))[:_MOST_TEST])
    return known, encode(made, found, drawn, views.plain), truth[drawn]


def _columns(dataset: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [asdict(column) for column in dataset.columns]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.candidates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of the sets; nothing is fitted without")
    parser.add_argument("--sets", default="", help="default: all but graphs")
    parser.add_argument("--labels", default="4,25", help="labels a class; default: 4,25")
    parser.add_argument("--seeds", default="0,1", help="default: 0,1")
    parser.add_argument("--encoder", default="", help="folder of a sentence encoder, for texts")
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    parser.add_argument("--page", action="store_true", help="write docs/choice.md")
    parser.add_argument("--history", action="store_true", help="write the table that ships")
    return parser


if __name__ == "__main__":
    sys.exit(main())
