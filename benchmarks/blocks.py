"""What blocks of features are worth to a blend, and what mixing is: from answers that are kept.

    python -m benchmarks.candidates --data DATA [--encoder ENCODER]   # keeps the answers
    python -m benchmarks.blocks                                       # → docs/choice.md

Each set's experience comes from the other sets alone, with the same blocks. The modality's own
features are one block; those beside it are added one by one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from benchmarks.candidates import CACHE
from benchmarks.choosing import PAGE, Case, blended, prior_of, read_cases
from benchmarks.machine import commit, machine
from benchmarks.page import put, table

__all__ = ["main"]

_CALLED = {"series": "series", "image": "pictures", "embedding": "texts, by a sentence encoder"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table; 0."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.blocks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=Path, default=CACHE, help=f"default: {CACHE}")
    asked = parser.parse_args(arguments)
    before = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(before, "blocks", _part(read_cases(asked.cache))), encoding="utf-8")
    return 0


def only(case: Case, blocks: Sequence[str]) -> Case:
    """The same case where candidates read these blocks alone."""
    from leaven.learn.blending import parted

    kept = [name for name in case.test if parted(name)[1] in blocks]
    left_out = {name: case.left_out[name] for name in kept}
    return replace(case, left_out=left_out, test={name: case.test[name] for name in kept})


def _part(cases: list[Case]) -> str:
    """The table and what it says."""
    numbers = sorted({case.labels for case in cases})
    rows = []
    for kind, called in _CALLED.items():
        own = [case for case in cases if case.modality == kind]
        blocks = _blocks(own)
        for count in range(1, len(blocks) + 1):
            told = [called if count == 1 else "", ", ".join(b or "own" for b in blocks[:count])]
            for labels in numbers:
                now = _right(own, blocks[:count], labels)
                if count == 1:
                    told += [f"{100 * mean(now):.1f}" if now else "–", ""]
                    continue
                gain = [100 * (a - b) for a, b in zip(now, _right(own, [""], labels), strict=True)]
                spread = f" ± {stdev(gain) / len(gain) ** 0.5:.1f}" if len(gain) > 1 else ""
                told += [f"{100 * mean(now):.1f}", f"{mean(gain):+.1f}{spread} (n {len(gain)})"]
            rows.append(told)
    head = ["records", "blocks"]
    for labels in numbers:
        head += [f"{labels} a class", "gain"]
    seeds = ", ".join(map(str, sorted({case.seed for case in cases})))
    reading = (
        "Test records that the blend names rightly in %, mean over cases, and the points gained "
        f"over its own features alone ± standard error; seeds {seeds}, a case is a set and a seed. "
        "No estimate of the classes' shares is used."
    )
    made = f"Made on {machine()['cpu']}, commit {commit() or 'none'}."
    return "\n\n".join([reading, table(head, rows, 2), made])


def _blocks(cases: list[Case]) -> list[str]:
    from leaven.learn.blending import parted

    return list(dict.fromkeys(parted(name)[1] for case in cases for name in case.test))


def _right(cases: list[Case], blocks: Sequence[str], labels: int) -> list[float]:
    """Of each case with so many labels the share that the blend of these blocks names rightly."""
    fewer = [only(case, blocks) for case in cases]
    return [
        case.right(blended(case, prior_of(case, [one for one in fewer if one.set != case.set])))
        for case in fewer
        if case.labels == labels
    ]


if __name__ == "__main__":
    sys.exit(main())
