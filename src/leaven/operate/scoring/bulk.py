"""A file or folder of any size scored in bounded memory, part by part, and resumed after a kill.

One thread reads, others convert, decode and ask the model, and the first writes in order. Each
record of the data has one row in the result: one that cannot be read has empty cells there, and
its reason in the list of rejected records beside it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import torch

from leaven import __version__
from leaven.core.errors import DataError, SettingError
from leaven.core.progress import Listener, Progress
from leaven.data.dataset import Dataset, Finding
from leaven.data.pieces import Piece, Reading, read_piece, whole_piece
from leaven.data.raw import Raw
from leaven.data.readers import parts
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.tables import write_table
from leaven.operate.scoring.answering import Answering, answer
from leaven.operate.scoring.numbering import Numbering
from leaven.operate.scoring.parts import Parts
from leaven.operate.scoring.rows import Draft, Sums, draft

__all__ = ["Scored", "score_file"]

_THREADS = 4  # at most, where nobody says how many


@dataclass(frozen=True)
class Scored:
    """What was written: one row a record.

    `records` counts those that could be read and `rejected` the others, which are listed beside
    the result; `predictions` counts the answers by class; `resumed` are the records that an
    earlier call had answered. `metrics` are measured where records came with labels.
    """

    out: str
    records: int
    rejected: int
    resumed: int
    mean_confidence: float | None
    predictions: dict[str, int]
    findings: tuple[Finding, ...]
    metrics: dict[str, Estimate]


def score_file(
    answering: Answering,
    data: str | os.PathLike[str],
    out: Path,
    *,
    label: str | None = None,
    id: str | None = None,
    workers: int | None = None,
    listen: Listener = lambda _: None,
) -> Scored:
    """Ask about every record of `data` and write the answers to `out`, by its ending.

    Parameters
    ----------
    label, id : columns of the true labels, and of the records' ids.
    workers : threads that convert and ask; by default one a core, four at most.

    What a killed call has made is used by the next one of the same data, model and settings, and
    the result is the same to the last bit. Raises DataError where the data cannot be read, RunError
    where another process makes the same file.
    """
    _check_out(out, os.fspath(data))
    if workers is not None and workers < 1:
        raise SettingError("workers", "at least 1", workers)
    count = workers or min(_THREADS, os.cpu_count() or 1)
    source, reading = os.fspath(data), answering.reading(label, id)
    sums, numbering = Sums(), Numbering()
    with _shared(count), Parts(out, _plan(answering, source, reading)) as made:
        for number, told in enumerate(made.done):
            arrays = made.arrays(number)
            numbering.add(arrays["used"].astype(np.uint64))
            sums.add(told, arrays)
        resumed = sums.records

        def work(number: int, part: Raw | Piece) -> Draft:
            piece = part if isinstance(part, Piece) else read_piece(part, reading)
            return draft(answer(answering, piece), answering.classes, number)

        clock = _Clock()
        for share, one in _in_order(_source(source, reading), len(made.done), work, count):
            part = one.numbered(numbering, sums.cut)
            made.add(part)
            sums.add(made.done[-1], part.arrays)
            listen(clock.progress(share, sums.records + sums.rejected))
        if not sums.records and not sums.rejected:
            raise DataError(f"{source} holds no records.")
        listen(Progress("joining the parts"))
        made.join()
    return Scored(
        str(out),
        sums.records,
        sums.rejected,
        resumed,
        sums.mean_confidence,
        dict(sums.counts.most_common()),
        sums.findings,
        sums.metrics(),
    )


def _check_out(out: Path, source: str) -> None:
    """Raise SettingError for a result that could not be written, before any work is done."""
    write_table(None, out)
    if out.is_dir():
        raise SettingError("out", "a file", f"{out}, a folder")
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise SettingError("out", "another file than the data", str(out))


def _source(source: str, reading: Reading) -> Iterator[Raw | Piece]:
    """The data part by part; a graph, or series with a row a step, as one."""
    steps = reading.modality == "series" and reading.id is not None
    if reading.modality != "graph" and not steps:
        yield from parts(source, series=reading.modality == "series")
        return
    yield whole_piece(
        Dataset.read(
            source,
            label=reading.label or False,
            id=reading.id,
            modality=reading.modality,
            columns=reading.columns,
        )
    )


def _in_order(
    source: Iterator[Raw | Piece],
    done: int,
    work: Callable[[int, Raw | Piece], Draft],
    workers: int,
) -> Iterator[tuple[float | None, Draft]]:
    """Drafts of the parts after those that are done, a few of them ahead of whoever asks."""
    line: deque[tuple[float | None, Future[Draft]]] = deque()
    with ThreadPoolExecutor(workers, "leaven-score") as pool:
        try:
            for number, part in enumerate(source):
                if number >= done:
                    line.append((part.share, pool.submit(work, number, part)))
                if len(line) > workers:
                    share, first = line.popleft()
                    yield share, first.result()
            while line:
                share, first = line.popleft()
                yield share, first.result()
        finally:
            for _, waiting in line:
                waiting.cancel()


class _Clock:
    """How far the work is, and how long the rest will take at the pace so far."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._first: float | None = None

    def progress(self, share: float | None, records: int) -> Progress:
        """After `share` of the data, which is None where nobody knows."""
        message = f"{records:,} records".replace(",", " ")
        if share is None:
            return Progress("scoring the records", message=message)
        now = time.monotonic()
        if self._first is None:
            self._first, self._since = share, now
        done = share - self._first
        left = (now - self._since) * (1 - share) / done if done > 0 else None
        return Progress("scoring the records", share, 1.0, left, message=message)


@contextmanager
def _shared(workers: int) -> Iterator[None]:
    """The cores are shared between the threads that ask: each has its part for its sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // workers))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _plan(answering: Answering, source: str, reading: Reading) -> dict[str, Any]:
    """What decides the result: model, data, and how these are read."""
    return {
        "leaven": __version__,
        "model": answering.digest,
        "data": _fingerprint(source),
        "label": reading.label,
        "id": reading.id,
        "threads": torch.get_num_threads(),
    }


def _fingerprint(source: str) -> str:
    """By which data are known to be those of before: names, sizes and times of the files."""
    told = hashlib.sha256()
    if "://" in source:
        filesystem, path = fsspec.url_to_fs(source)
        try:
            about = filesystem.info(path)
        except (OSError, ValueError):
            about = {}  # the reader says what is wrong
        named = ("size", "ETag", "etag", "LastModified", "mtime", "created")
        told.update(repr([source, *(about.get(name) for name in named)]).encode())
        return told.hexdigest()
    root = Path(source)
    told.update(str(root.absolute()).encode("utf-8", "surrogateescape"))
    for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
        if file.is_file():
            at = file.stat()
            told.update(
                f"{file}\0{at.st_size}\0{at.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
            )
    return told.hexdigest()
