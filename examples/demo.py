"""The main job on two real problems, as a user would type it, in about three minutes.

    python examples/demo.py [--seconds 75] [--out runs/demo]

Each fit sees a handful of labels a class. Then each model meets test records that nothing has
seen, so that what its run says of its accuracy can be checked.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from digits import write_digits

import leaven

HERE = Path(os.path.relpath(Path(__file__).parent))


def fit(data: Path, seconds: int, out: Path, *options: str) -> Path:
    """Show and run `leaven fit`; the folder of the run that it made."""
    arguments = ["fit", str(data), *options, "--budget", f"{seconds}s", "--out", str(out)]
    print(f"\n$ leaven {shlex.join(arguments)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "leaven", *arguments])
    if done.returncode:
        sys.exit(done.returncode)
    newest = max(out.glob("*/run.json"), key=lambda file: file.stat().st_mtime)
    return newest.parent


def score(run: Path, test: Path, truth: Mapping[str, str]) -> None:
    """Set the accuracy on `test` beside what the run says; `truth` maps ids to labels."""
    table = leaven.predict(run, test)
    answers = zip(table["id"].to_pylist(), table["prediction"].to_pylist(), strict=True)
    right = sum(truth[name] == answer for name, answer in answers) / len(table)
    said = leaven.Run.load(run).story["metrics"]["accuracy"]
    print(
        f"Checked: {100 * right:.1f} % right on {len(table):,} test records that nothing has "
        f"seen. The run says {100 * said['value']:.1f} % "
        f"(95 %: {100 * said['low']:.1f} to {100 * said['high']:.1f})."
    )


def texts(seconds: int, out: Path) -> None:
    """Banking77: 77 intents, 8 labelled texts each, 9,358 without a label."""
    folder = HERE / "banking77"
    run = fit(folder / "intents.csv", seconds, out / "banking77", "--label", "intent")
    with (folder / "test.csv").open(encoding="utf-8", newline="") as file:
        truth = {row["id"]: row["intent"] for row in csv.DictReader(file)}
    score(run, folder / "test.csv", truth)


def images(seconds: int, out: Path) -> None:
    """Handwritten digits: ten classes, 4 labelled images each, 1,357 without a label."""
    pictures = out / "digits-png"
    truth = write_digits(pictures)
    run = fit(pictures / "train", seconds, out / "digits")
    score(run, pictures / "test.csv", truth)


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=75, help="time for each of the two fits")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="where runs are kept")
    options = parser.parse_args()
    texts(options.seconds, options.out)
    images(options.seconds, options.out)


if __name__ == "__main__":
    main()
