"""Peers that have an environment of their own: another interpreter runs their file.

What a package pins may not go with what Leaven needs. A variable of the environment names that
package's interpreter; arrays go there and come back by files.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["answer", "ask"]

_REPOSITORY = Path(__file__).resolve().parents[1]


def ask(variable: str, module: str, **job: Any) -> Any:
    """What `module`, run by the interpreter that `variable` names, answers to these arrays.

    RuntimeError with the last line that it wrote where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="leaven-peer-") as folder:
        asked, said = Path(folder) / "asked.npz", Path(folder) / "said.npy"
        np.savez(asked, **job)
        command = [os.environ[variable], "-m", module, str(asked), str(said)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_REPOSITORY)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return np.load(said, allow_pickle=False)


def answer(to: Callable[..., Any]) -> None:
    """The other side: give `to` the arrays by name, and write what it returns."""
    asked, said = map(Path, sys.argv[1:])
    with np.load(asked, allow_pickle=False) as job:
        np.save(said, np.asarray(to(**{name: job[name] for name in job.files})))
