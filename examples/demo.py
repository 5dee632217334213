"""The main job on two real problems, as a user would type it, in about three minutes.

    python examples/demo.py [--seconds 75] [--out runs/demo]

Each fit sees a handful of labels a class. Then both of its models, the one that ships and the one
it was compared with, meet test records that nothing has seen, so that what the run says can be
checked.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from digits import write_digits

from leaven import Run
from leaven.core.wording import count, percent, span

HERE = Path(os.path.relpath(Path(__file__).parent))


@dataclass(frozen=True)
class Problem:
    """Records to fit, and test records with their true labels by id."""

    title: str
    data: Path
    test: Path
    truth: Mapping[str, str]
    options: tuple[str, ...] = ()


def texts() -> Problem:
    """Banking77, bundled: 8 labelled texts of each of 77 intents."""
    test = HERE / "banking77" / "test.csv"
    with test.open(encoding="utf-8", newline="") as file:
        truth = {row["id"]: row["intent"] for row in csv.DictReader(file)}
    title = "Questions of bank customers: 77 intents, 8 labelled texts each; the rest has no label"
    return Problem(title, HERE / "banking77" / "intents.csv", test, truth, ("--label", "intent"))


def images(folder: Path) -> Problem:
    """Handwritten digits, written below `folder`: 4 labelled images of each of ten classes."""
    truth = write_digits(folder)
    title = "Handwritten digits: 10 classes, 4 labelled images each; the rest has no label"
    return Problem(title, folder / "train", folder / "test.csv", truth)


def fit(problem: Problem, seconds: int, out: Path) -> Run:
    """Show and run `leaven fit`."""
    arguments = ["fit", str(problem.data), *problem.options]
    arguments += ["--budget", f"{seconds}s", "--out", str(out)]
    print(f"\n{problem.title}\n\n$ leaven {shlex.join(arguments)}\n", flush=True)
    done = subprocess.run([sys.executable, "-m", "leaven", *arguments])
    if done.returncode:
        sys.exit(done.returncode)
    mine = out.glob(f"{problem.data.stem}-*/run.json")  # a second demo finds the first one's runs
    newest = max(mine, key=lambda file: file.stat().st_mtime)
    return Run.load(newest.parent)


def check(run: Run, problem: Problem) -> list[str]:
    """The true accuracy of both models beside what the run says of the one that ships."""
    verdict, said = run.verdict, run.metrics["accuracy"]
    other = verdict.baseline if verdict.kept == verdict.method else verdict.method
    test = run.dataset(problem.test)
    right = {}
    for name, predictor in ((verdict.kept, run.predictor), (other, run.compared)):
        seen, probabilities = predictor.predict(test)
        answers = [run.classes[best] for best in probabilities.argmax(1)]
        hits = [problem.truth[i] == answer for i, answer in zip(seen.ids, answers, strict=True)]
        right[name + " (kept)" * (name == verdict.kept)] = sum(hits) / len(hits)
    return [
        problem.title,
        f"  {verdict.sentence}",
        f"  The run expects an accuracy of {percent(said.value)} ({span(said.low, said.high)}).",
        f"  True accuracy on {count(len(test))} test records that nothing has seen: "
        + ", ".join(f"{name} {percent(share)}" for name, share in right.items()),
        f"  Report: {run.folder / 'report.html'}",
    ]


def main() -> None:
    """Fit both problems, then say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=75, help="time for each of the two fits")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where runs are kept")
    options = parser.parse_args()
    problems = [texts(), images(options.out / "digits-png")]
    told = [check(fit(p, options.seconds, options.out), p) for p in problems]
    print("\nWhat came of it\n")
    print("\n\n".join("\n".join(lines) for lines in told))


if __name__ == "__main__":
    main()
