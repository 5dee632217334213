"""What a fit tells Prometheus: files for the textfile collector of node-exporter.

A fit is a program that ends, so nobody can scrape it; node-exporter tells what lies in `*.prom` of
a folder (https://github.com/prometheus/node_exporter#textfile-collector). Each set of data has two
files: `leaven_fit_NAME.prom` of the last fit that ended well, and `leaven_fit_NAME.now.prom` of the
one that goes on or ended last. Each is replaced whole. The data set is the only label of a number,
and of at most 200 sets there are files.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leaven.core.errors import SettingError
from leaven.core.files import writing
from leaven.core.progress import Listener, Progress
from leaven.operate.metrics.exposition import Sample, exposition, gauge

__all__ = ["FitFiles"]

_SAID = logging.getLogger(__name__)
_EVERY = 10.0  # seconds between two writings while a fit goes on
_SETS = 200  # data sets that have files
_START = "leaven_fit_"
_STATES = ("running", "done", "failed")


class FitFiles:
    """Writes the files of one fit: a context in which it is made.

    Parameters
    ----------
    folder : that node-exporter reads; it is made where it is not there. SettingError where it
        cannot be written; what fails later is logged, and no fit ends by it.
    data : the name of the data set.
    listen : is called with each Progress besides.
    clock : seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        data: str,
        listen: Listener = lambda _: None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._data, self._listen, self._clock = data, listen, clock
        self._file = folder / f"{_START}{_plain(data)}.prom"
        self._now = self._file.with_suffix(".now.prom")
        self._done, self._written = 0.0, clock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._put(self._now, self._going("running"))
            _forget(folder)
        except OSError as failed:
            why = f"{failed.strerror}."
            raise SettingError("metrics", "a folder that can be written", str(folder), why) from (
                failed
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None:
            self._try(self._now, self._going("failed"))

    def tell(self, progress: Progress) -> None:
        """Take progress in, write it every 10 s, and pass it on."""
        if progress.total:
            self._done = min(max(progress.done / progress.total, 0.0), 1.0)
        if self._clock() >= self._written + _EVERY:
            self._written = self._clock()
            self._try(self._now, self._going("running"))
        self._listen(progress)

    def done(self, story: Mapping[str, Any]) -> None:
        """Write what the run came to."""
        self._done = 1.0
        self._try(self._file, self._made(story))
        self._try(self._now, self._going("done"))

    def _going(self, state: str) -> Iterator[Sample]:
        for name in _STATES:
            yield gauge("leaven_fit_state", float(name == state), self._data, name)
        yield gauge("leaven_fit_progress_ratio", self._done, self._data)
        yield gauge("leaven_fit_updated_timestamp_seconds", self._clock(), self._data)

    def _made(self, story: Mapping[str, Any]) -> Iterator[Sample]:
        """The figures that a run has; one whose labels are few may lack some."""
        run, verdict, cost, data = (story[name] for name in ("run", "verdict", "cost", "dataset"))
        named = [run["id"], verdict["method"], verdict["kept"], verdict["outcome"]]
        yield gauge("leaven_fit_info", 1, self._data, *map(str, named))
        yield gauge("leaven_fit_success_timestamp_seconds", self._clock(), self._data)
        metrics, base = story["metrics"], story["baseline"]["metrics"]
        pseudo = story["training"].get("pseudo_labels") or {}
        for name, value in (
            ("seconds", cost["seconds"]),
            ("cpu_seconds", cost["cpu_seconds"]),
            ("steps", sum(cost["steps"].values())),
            ("peak_memory_bytes", cost.get("peak_bytes")),
            ("records", data["records"]),
            ("labelled_records", data["labelled"]),
            ("quarantined_records", data.get("quarantined")),
            ("accuracy", _value(metrics, "accuracy")),
            ("accuracy_low", _value(metrics, "accuracy", "low")),
            ("baseline_accuracy", _value(base, "accuracy")),
            ("calibration_error", _value(metrics, "ece")),
            ("pseudo_label_coverage", pseudo.get("coverage")),
        ):
            if isinstance(value, int | float):
                yield gauge(f"leaven_fit_{name}", float(value), self._data)

    def _try(self, file: Path, samples: Iterator[Sample]) -> None:
        try:
            self._put(file, samples)
        except OSError as failed:
            _SAID.warning("The metrics of the fit were not written: %s", failed)

    def _put(self, file: Path, samples: Iterator[Sample]) -> None:
        with writing(file, plain=True) as target:
            target.write_text(exposition(list(samples)), encoding="utf-8")


def _value(metrics: Mapping[str, Any], name: str, part: str = "value") -> Any:
    return (metrics.get(name) or {}).get(part)


def _plain(name: str) -> str:
    """The name as a part of a file's, of which no two names have the same."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:60]
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return plain if plain == name else f"{plain}-{digest}"


def _forget(folder: Path) -> None:
    """Remove the files of the sets that were fitted longest ago, where there are too many."""
    going = list(folder.glob(f"{_START}*.now.prom"))
    if len(going) <= _SETS:
        return
    for old in sorted(going, key=lambda file: file.stat().st_mtime)[: len(going) - _SETS]:
        with suppress(OSError):  # another fit does the same
            old.with_name(old.name.replace(".now.prom", ".prom")).unlink(missing_ok=True)
            old.unlink(missing_ok=True)
