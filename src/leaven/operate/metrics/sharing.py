"""What the workers behind one address counted, told by whichever of them is asked.

Each writes its counts to a file of a folder that all share, once a second and whenever it is asked
itself; who is asked adds up its own and the files of the others. As a worker's file is at least as
new as what it last told, counts never go back. The file of a worker that was killed stays, and with
it what it counted.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from leaven.operate.metrics.catalogue import METRICS
from leaven.operate.metrics.exposition import Sample, merged

__all__ = ["Shared"]

_EVERY = 1.0  # seconds between two writings
_LARGEST = 4 << 20  # bytes of a file that is read
_FILES = 1000  # that are read


class Shared:
    """The counts of one worker, shared with the others.

    Parameters
    ----------
    folder : where all write; each gives the same.
    own : what this worker counted so far.
    """

    def __init__(
        self, folder: Path, own: Callable[[], list[Sample]], *, every: float = _EVERY
    ) -> None:
        self._folder, self._own, self._every = folder, own, every
        self._file = folder / f"{os.getpid()}-{token_hex(8)}.json"
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._write_on, name="leaven-metrics", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write(self._own())
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the last worker that ends removes the folder."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10)
        with suppress(OSError):
            self._file.unlink(missing_ok=True)
            if not any(_lives(one) for one in self._folder.glob("*.json")):
                shutil.rmtree(self._folder)

    def samples(self) -> list[Sample]:
        """What all workers counted."""
        own = self._own()
        self._write(own)
        return merged(own, self._others())

    def _others(self) -> Iterator[tuple[list[Sample], bool]]:
        for file in sorted(self._folder.glob("*.json"))[:_FILES]:
            if file != self._file:
                yield _read(file), _lives(file)

    def _write(self, samples: list[Sample]) -> None:
        """Put them in place of what stood there, whole. Whoever serves does not fail for it."""
        made = self._file.with_suffix(".part")
        with self._lock, suppress(OSError):
            made.write_text(json.dumps(samples), encoding="utf-8")
            made.replace(self._file)

    def _write_on(self) -> None:
        while not self._ended.wait(self._every):
            self._write(self._own())


def _read(file: Path) -> list[Sample]:
    """The samples of a file; none of one that is going or that is no file of ours."""
    try:
        with file.open("rb") as opened:
            told = json.loads(opened.read(_LARGEST))
        found = [
            Sample(str(metric), str(name), tuple(map(str, labels)), str(last), float(value))
            for metric, name, labels, last, value in told
        ]
    except (OSError, ValueError, TypeError):
        return []
    return [sample for sample in found if sample.metric in METRICS]


def _lives(file: Path) -> bool:
    """Whether the worker whose file this is still runs."""
    try:
        os.kill(int(file.stem.partition("-")[0]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
