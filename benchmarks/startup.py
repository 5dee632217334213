"""How long the first answer takes: `leaven --help` and `import leaven`, beside a bare interpreter.

    python -m benchmarks.startup [--runs 9]

Goals: the help within 0.3 s, the import within 0.2 s, on two idle cores. Each is a fresh process;
the commands take turns, so that a machine that slows down slows all of them, and the median is
told with its ratio to the bare interpreter of the same run.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import leaven": ["-c", "import leaven"],
    "leaven --help": ["-m", "leaven", "--help"],
    "import sklearn (a peer)": ["-c", "import sklearn"],
    "import torch (a peer)": ["-c", "import torch"],
}


def main() -> None:
    """Take turns, then tell the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, words in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            if turn:  # the first fills the disk cache
                took[name].append(time.perf_counter() - began)
    bare = statistics.median(took["python -c pass"])
    for name, seconds in took.items():
        middle = statistics.median(seconds)
        print(
            f"{name:25} {middle:6.3f} s  {middle / bare:5.1f} x  "
            f"({min(seconds):.3f} to {max(seconds):.3f}, n {runs})"
        )


if __name__ == "__main__":
    main()
