"""How soon each failure mode is seen, and how often one is seen that is not there.

    python -m benchmarks.failure_modes DATA [--seeds 22]
    python -m benchmarks.failure_modes                     # the results as tables

DATA holds folders `adult`, `ag_news` and so on, as for `benchmarks.health`, and `fashion_mnist`. A
*replay* is a store with a released run and its log: a logistic regression on 700 (or 210) labelled
records of the set, judged by 300 (90) others, and a run before it, taught by two thirds of these
labels. Of 2000 records of production the truth comes back, 800 of them drawn at random; of its
pseudo-labels 300 are audited in 6 batches. All indicators of failure modes are looked at as `leaven
slo check` does, four times.

- *clean* replays: nothing is wrong. Which of the indicators is broken at any of the looks?
- with a *fault*, one of `FAULTS`, from the first record on: after how many of them (audits, truths,
  records) does its indicator call it broken?

Where a promise of the run was wrong itself (its judged records were easier than those of
production by more than 3 points) an alarm is right; such replays are counted apart.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sqlalchemy import insert, select, update

from benchmarks.health import read as read_features
from benchmarks.machine import machine
from leaven.evaluate.intervals import wilson
from leaven.evaluate.tables import write_parquet
from leaven.label.queue import Ask, Queue
from leaven.operate.drift.columns import Names
from leaven.operate.drift.keeping import Kept, keep
from leaven.operate.drift.reference import Reference
from leaven.operate.health.frame import Frame
from leaven.operate.objectives.config import Slo
from leaven.operate.objectives.indicator import Subject
from leaven.operate.objectives.judging import judge
from leaven.operate.registry import Registry
from leaven.operate.releases import Releases
from leaven.store.prediction_tables import feedback, predictions
from leaven.store.release_tables import registered
from leaven.store.sketch_tables import sketches
from leaven.store.store import Store
from leaven.store.tables import answers, events, tasks

__all__ = ["FAULTS", "Replay", "Seen", "looks", "table"]

_RESULTS = Path(__file__).parent / "results" / "failure_modes.jsonl"
_SETS = ("adult", "ag_news", "dry_bean", "fashion_mnist", "sms_spam")
_SIZES = (300, 1000)
_PRODUCTION, _DRAWN, _AUDITS, _BATCHES, _LOOKS = 2000, 800, 300, 6, 4
_SURE, _TOLERANCE = 0.9, 0.03
_SERVICE, _RUN, _BEFORE = "replay", "run", "before"
_INDICATORS = (
    "audited-accuracy", "caused-labels", "drift", "entropy", "explored-truth", "feedback-bias",
    "feedback-mix", "held-out-gap", "leaks", "overconfidence", "pseudo-label-drift",
    "pseudo-label-mix", "pseudo-labels", "revealing",
)  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Set:
    """A set: features, classes by number, and of a table or text the columns that are counted."""

    name: str
    x: Any
    y: Ints
    columns: dict[str, Any]


@dataclass(frozen=True, eq=False)
class World:
    """All that is replayed; a fault gives it back with something changed.

    Of the records that judged, whether they were right (`held`) and how sure. Of production (n,)
    what is `said` with which `chances` (n, k), the `truth` that is told, and whether it was
    `drawn`, or is not told at all (`hidden`). Of the audits (a,) what was `named`, how `sure`, and
    what `people` say. `guesses` are the live run's of records without a label, `before` those of
    the run before; `labels` taught, of which so many were `caused`. `columns` are the values of
    the reference and of production; `findings` those of the data report.
    """

    held: Flags
    sure_held: Floats
    said: Ints
    chances: Floats
    truth: Ints
    drawn: Flags
    hidden: Flags
    named: Ints
    sure: Floats
    people: Ints
    guesses: Floats
    before: Floats
    labels: Ints
    columns: dict[str, Any] = field(default_factory=dict)
    findings: tuple[dict[str, Any], ...] = ()
    caused: int = 0


def read(folder: Path) -> Set:
    """A set of the benchmark."""
    if folder.name == "fashion_mnist":
        return _pictures(folder)
    x, y = read_features(folder)
    if not isinstance(x, np.ndarray):  # counted words: as 100 topics
        x = TruncatedSVD(100, random_state=0).fit_transform(x)
    train, test = (pq.read_table(folder / f"{part}.parquet") for part in ("train", "test"))
    table = pa.concat_tables([train, test.select(train.column_names)])
    table = table.take(np.random.default_rng(0).permutation(table.num_rows)[: len(y)])
    names = [name for name in table.column_names if name not in ("label", "label_name", "id")]
    return Set(folder.name, x, y, {name: _column(table[name]) for name in names})


def _pictures(folder: Path) -> Set:
    """Pictures as 60 principal components of their pixels; they have no columns to count."""
    with np.load(folder / "fashion_mnist.npz") as told:
        rows = np.random.default_rng(0).permutation(len(told["y_train"]))[:12_000]
        pixels = told["x_train"][rows].reshape(len(rows), -1) / 255
        y = told["y_train"][rows].astype(np.int64)
    return Set(folder.name, PCA(60, random_state=0).fit_transform(pixels), y, {})


def _column(values: pa.ChunkedArray) -> Any:
    if not pa.types.is_string(values.type) and not pa.types.is_large_string(values.type):
        return np.asarray(values.cast(pa.float64()).to_numpy(), np.float64)
    said = [str(one) for one in values.to_pylist()]
    if len(set(said)) > 200:  # a text: its length is what is counted
        return np.array([len(one) for one in said], np.float64)
    return np.array(said)


def world(of: Set, labels: int, seed: int) -> World | None:
    """A clean replay; None where the labelled records lack a class."""
    rng = np.random.default_rng(seed)
    order, k = rng.permutation(len(of.y)), int(of.y.max()) + 1
    taught, judging, rest = np.split(order, [int(labels * 0.7), labels])
    earlier = taught[: int(len(taught) / 1.5)]
    if len(np.unique(of.y[earlier])) < k:
        return None
    live, first = (LogisticRegression(max_iter=200).fit(of.x[one], of.y[one])
                   for one in (taught, earlier))  # fmt: skip
    judged = live.predict_proba(of.x[judging])
    came, unlabelled = rest[:_PRODUCTION], rest[_PRODUCTION:]
    chances = live.predict_proba(of.x[came])
    guesses, before = (one.predict_proba(of.x[unlabelled]) for one in (live, first))
    sure = np.flatnonzero(guesses.max(1) >= _SURE)
    audited = rng.permutation(sure)[:_AUDITS]
    drawn = np.zeros(len(came), bool)
    drawn[rng.permutation(len(came))[:_DRAWN]] = True
    return World(
        held=judged.argmax(1) == of.y[judging], sure_held=judged.max(1),
        said=chances.argmax(1), chances=chances, truth=of.y[came], drawn=drawn,
        hidden=np.zeros(len(came), bool), named=guesses[audited].argmax(1),
        sure=guesses[audited].max(1), people=of.y[unlabelled[audited]], guesses=guesses,
        before=before, labels=of.y[taught],
        columns={name: (of.columns[name][unlabelled], of.columns[name][came])
                 for name in of.columns},
    )  # fmt: skip


# Faults


def _spoilt_audits(clean: World, rng: np.random.Generator) -> World:
    """From the fourth batch on 20 % more of the pseudo-labels are of another class."""
    late = np.arange(len(clean.named)) >= len(clean.named) // 2
    return replace(
        clean, named=_other(clean, clean.named, late & (rng.random(len(late)) < 0.2), rng)
    )


def _swallowed(clean: World, rng: np.random.Generator) -> World:
    """The rarest class has swallowed a quarter of the others' pseudo-labels; nobody audits."""
    k, rarest = clean.guesses.shape[1], int(np.bincount(clean.labels).argmin())
    taken = np.full(k, 0.05 / (k - 1))
    taken[rarest] = 0.95
    guesses = np.where(rng.random(len(clean.guesses))[:, None] < 0.25, taken, clean.guesses)
    none = np.zeros(0, np.int64)
    return replace(clean, guesses=guesses, named=none, sure=clean.sure[:0], people=none)


def _shifted(clean: World, rng: np.random.Generator) -> World:
    """One column of production is another: numbers by half their spread, names by a new one."""
    name = min(clean.columns)
    before, now = clean.columns[name]
    if now.dtype.kind == "f":
        now = now + 0.5 * np.nanstd(before)
    else:
        now = np.where(rng.random(len(now)) < 0.2, "new", now)
    return replace(clean, columns=clean.columns | {name: (before, now)})


def _sharpened(clean: World, rng: np.random.Generator) -> World:
    """Logits are three times what they were: as right, and far too sure."""
    logits = 3 * np.log(np.maximum(clean.chances, 1e-12))
    sharp = np.exp(logits - logits.max(1, keepdims=True))
    return replace(clean, chances=sharp / sharp.sum(1, keepdims=True))


def _accepted(clean: World, rng: np.random.Generator) -> World:
    """Of wrong answers that nobody drew 60 % are taken as they are, and come back as truth."""
    taken = ~clean.drawn & (rng.random(len(clean.truth)) < 0.6)
    return replace(clean, truth=np.where(taken, clean.said, clean.truth))


def _selected(clean: World, rng: np.random.Generator) -> World:
    """Of the class that is answered most, truth comes back of one in five that nobody drew."""
    most = int(np.bincount(clean.said).argmax())
    gone = ~clean.drawn & (clean.said == most) & (rng.random(len(clean.said)) < 0.8)
    return replace(clean, hidden=gone)


def _none_drawn(clean: World, rng: np.random.Generator) -> World:
    """Nothing is drawn at random."""
    return replace(clean, drawn=np.zeros(len(clean.drawn), bool))


def _taught(clean: World, rng: np.random.Generator) -> World:
    """A twentieth of the labels is what the service had brought about."""
    return replace(clean, caused=max(len(clean.labels) // 20, 1))


def _leaked(clean: World, rng: np.random.Generator) -> World:
    """A value that gives the label away judges, and is not there in production."""
    held = clean.held | (rng.random(len(clean.held)) < 0.9)
    return replace(clean, held=held, sure_held=np.maximum(clean.sure_held, 0.97))


def _revealed(clean: World, rng: np.random.Generator) -> World:
    """A column told the label alone, and half of the records of production do not have it."""
    n = len(clean.guesses)
    told = (rng.normal(size=n), rng.normal(size=len(clean.said)))
    told[1][rng.random(len(told[1])) < 0.5] = np.nan
    finding = {"name": "revealing-column", "severity": "warning", "examples": ["told"],
               "message": "Column 'told' alone predicts 99 % of the labels."}  # fmt: skip
    return replace(clean, columns=clean.columns | {"told": told}, findings=(finding,))


def _other(clean: World, named: Ints, moved: Flags, rng: np.random.Generator) -> Ints:
    k = clean.chances.shape[1]
    return np.where(moved, (named + rng.integers(1, k, len(named))) % k, named)


Fault = Callable[[World, np.random.Generator], World]

#: Of each fault the mode, the indicator that is to see it, and what is counted until it does.
FAULTS: dict[str, tuple[str, str, str, Fault]] = {
    "later audits worse": ("F1", "pseudo-label-drift", "audits", _spoilt_audits),
    "one class grows": ("F1", "pseudo-label-mix", "", _swallowed),
    "a column shifts": ("F2", "drift", "records", _shifted),
    "too sure": ("F3", "overconfidence", "drawn", _sharpened),
    "too sure (entropy)": ("F3", "entropy", "records", _sharpened),
    "answers come back as truth": ("F4", "feedback-bias", "truths", _accepted),
    "truth of some classes": ("F4", "feedback-mix", "truths", _selected),
    "nothing drawn": ("F4", "explored-truth", "truths", _none_drawn),
    "caused labels teach": ("F4", "caused-labels", "", _taught),
    "a leak in what judges": ("F6", "held-out-gap", "drawn", _leaked),
    "a column of afterwards": ("F6", "revealing", "records", _revealed),
}


# A store


class Replay:
    """A store with the runs of a world and what came so far, in a folder of its own."""

    def __init__(self, home: Path, template: Path, of: World) -> None:
        shutil.copy(template, home / "leaven.db")
        self.of, self.home, self.store = of, home, Store(home / "leaven.db")
        self.began = 1_700_000_000.0
        self._frame = self._run(_BEFORE, of.before) or self._run(_RUN, of.guesses)
        releases = Releases(self.store, _SERVICE, clock=lambda: self.began)
        for run in (_BEFORE, _RUN):
            found = Registry(self.store).get(run)
            releases.release(found, by="ann", seen=releases.state(), override="replayed")
        self._queue = Queue.made(self.store, _SERVICE, classes=self._names, modality="tabular")
        self._came = self._audited = 0
        if of.caused:
            self._caused()

    @property
    def _names(self) -> list[str]:
        return [f"c{i}" for i in range(self.of.chances.shape[1])]

    def _run(self, run: str, guesses: Floats) -> Frame | None:
        """Register a run with the files that indicators read; its frame, where it is live."""
        of, folder, names = self.of, self.home / run, np.array(self._names)
        folder.mkdir()
        said = np.where(of.held, "c0", "c1")
        evidence = {"label": ["c0"] * len(said), "kept": said, "kept confidence": of.sure_held}
        write_parquet(pa.table(evidence), folder / "evidence.parquet")
        table = {"prediction": names[guesses.argmax(1)], "confidence": guesses.max(1)}
        table |= {f"p_{name}": guesses[:, i] for i, name in enumerate(names)}
        write_parquet(pa.table(table), folder / "predictions.parquet")
        labels = {"id": [f"l{i}" for i in range(len(of.labels))], "label": names[of.labels],
                  "content": [f"l{i}" for i in range(len(of.labels))],
                  "origin": ["given"] * len(of.labels), "by": ["ann"] * len(of.labels)}  # fmt: skip
        write_parquet(pa.table(labels), folder / "labels.parquet")
        created = "2023-11-14T22:13:21+00:00"  # a second after it all begins
        story = {"run": {"created": created}, "dataset": {"findings": list(of.findings)}}
        (folder / "run.json").write_text(json.dumps(story))
        n, right = len(of.held), int(of.held.sum())
        low, high = (float(end) for end in wilson(right, n))
        metric = {"value": right / n, "low": low, "high": high, "n": n}
        told = {
            "metrics": {"accuracy": metric}, "verdict": {"kept": "kept", "outcome": "better"},
            "dataset": {"name": _SERVICE, "classes": self._names, "modality": "tabular"},
        }  # fmt: skip
        row = {"run": run, "digest": run * 4, "folder": str(folder), "at": 0.0, "person": "ann"}
        with self.store.write() as connection:
            connection.execute(insert(registered).values(**row, told=told))
        if run == _BEFORE or not of.columns:
            return None
        reference = Reference.of({name: _values(a) for name, (a, _) in of.columns.items()})
        keep(folder / "reference.drift", Kept(reference, {}))
        return Frame(reference)

    def go_on(self, share: float, *, audits: bool) -> None:
        """Let come what comes until this share of all, with or without audits."""
        until = int(len(self.of.said) * share)
        self._answer(range(self._came, until))
        self._came = until
        until = int(len(self.of.named) * share) if audits else 0
        self._audit(range(self._audited, until))
        self._audited = until

    def look(self, *names: str) -> dict[str, str]:
        """The state of each of these indicators now."""
        now = self.began + self._came + 1
        told = Registry(self.store).get(_RUN).told
        subject = Subject(self.store, _SERVICE, _SERVICE, _RUN, str(self.home / _RUN), told, now)
        slos = [Slo(name=name, indicator=name) for name in names]
        return {slo.name: judge(slo, subject, "")[0].state for slo in slos}

    def counted(self, what: str) -> int:
        """How many records, truths, truths drawn at random, or audits came so far."""
        mine = slice(0, self._came)
        told = ~self.of.hidden[mine]
        return {
            "records": self._came, "truths": int(told.sum()),
            "drawn": int((told & self.of.drawn[mine]).sum()), "audits": self._audited, "": 0,
        }[what]  # fmt: skip

    def _answer(self, rows: range) -> None:
        of, names, said, told = self.of, self._names, [], []
        for i in rows:
            name, at = f"n{i}", self.began + i + 1
            chances = of.chances[i].round(6).tolist()
            said.append({
                "name": name, "request": name, "service": _SERVICE, "at": at, "run": _RUN,
                "digest": _RUN * 4, "place": "live", "content": name, "label": names[of.said[i]],
                "probability": float(of.chances[i].max()), "probabilities": chances,
                "route": "answer", "explored": bool(of.drawn[i]), "logged": 1.0, "agrees": None,
            })  # fmt: skip
            if not of.hidden[i]:
                told.append(_truth(name, names[of.truth[i]], at, caused=False))
        with self.store.write() as connection:
            connection.execute(insert(predictions), said)
            connection.execute(insert(feedback), told)
            if self._frame is not None:
                mine = {name: _values(now[rows.start : rows.stop])
                        for name, (_, now) in of.columns.items()}  # fmt: skip
                hour = self._frame.count(mine)
                row = {
                    "service": _SERVICE, "digest": _RUN * 4, "hour": int(self.began // 3600),
                    "process": f"p{rows.start}", "n": hour.n, "strange": hour.strange,
                    "counts": self._frame.told(hour),
                }  # fmt: skip
                connection.execute(insert(sketches).values(**row))

    def _audit(self, rows: range) -> None:
        of, names = self.of, self._names
        each = max(len(of.named) // _BATCHES, 1)
        asks = [
            Ask(record=f"a{i}", content=f"a{i}", kind="audit", batch=f"audit {i // each + 1}",
                priority=-float(i),
                origin={"run": _RUN, "named": names[of.named[i]], "confidence": float(of.sure[i]),
                        "at_least": _SURE, "coverage": 0.5, "strategy": "audit"})
            for i in rows
        ]  # fmt: skip
        self._queue.add(asks)
        with self.store.write() as connection:  # at once: each answer alone would be most of it
            wait = select(tasks.c.id, tasks.c.record).where(tasks.c.missing > 0)
            open_ = {row.record: row.id for row in connection.execute(wait)}
            for i in rows:
                said = {"task": open_[f"a{i}"], "person": "ann", "label": names[of.people[i]]}
                more = {"queue": self._queue.id, "kind": "answered", "at": self.began + i}
                event = connection.execute(insert(events).values(**said | more))
                row = said | {"final": False, "event": event.inserted_primary_key[0]}
                connection.execute(insert(answers).values(**row))
            connection.execute(update(tasks).values(missing=0))

    def _caused(self) -> None:
        """What was told as caused of contents that then taught, before the run was made."""
        names, rows = self._names, []
        for i in range(self.of.caused):
            rows.append(_truth(f"x{i}", names[self.of.labels[i]], self.began, caused=True)
                        | {"content": f"l{i}"})  # fmt: skip
        with self.store.write() as connection:
            connection.execute(insert(feedback), rows)


def _values(column: Any) -> Any:
    return column if column.dtype.kind == "f" else Names.of(column.tolist())


def _truth(name: str, label: str, at: float, *, caused: bool) -> dict[str, Any]:
    return {"service": _SERVICE, "prediction": name, "content": name, "label": label,
            "caused": caused, "origin": "production", "person": "ann", "at": at}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """At which of the looks, from 1, an indicator was first broken, None where it never was; what
    had come by then, and what came in all, by what its fault is counted in."""

    at: int | None
    after: int
    total: int


def looks(of: World, template: Path, *names: str) -> dict[str, Seen]:
    """What each of these indicators was at all looks."""
    first: dict[str, tuple[int, int]] = {}
    units = {indicator: what for _, indicator, what, _ in FAULTS.values()}
    with tempfile.TemporaryDirectory(dir=template.parent) as home:
        replay = Replay(Path(home), template, of)
        for number in range(1, _LOOKS + 1):
            replay.go_on(number / _LOOKS, audits=any("pseudo" in name for name in names))
            open_ = [name for name in names if name not in first]
            for name, state in replay.look(*open_).items():
                if state == "broken":
                    first[name] = number, replay.counted(units.get(name, ""))
        total = {name: replay.counted(units.get(name, "")) for name in names}
        replay.store.close()
    return {name: Seen(*first.get(name, (None, 0)), total[name]) for name in names}


def _points(data: Path, seeds: int, faulty: int, template: Path) -> Iterator[dict[str, Any]]:
    sets = [read(data / name) for name in _SETS]
    for seed in range(seeds):
        for of in sets:
            for labels in _SIZES:
                clean = world(of, labels, seed)
                if clean is not None:
                    common = {"set": of.name, "labels": labels, "seed": seed}
                    for point in _replayed(clean, seed, seed < faulty, template):
                        yield common | point


def _replayed(clean: World, seed: int, faulty: bool, template: Path) -> Iterator[dict[str, Any]]:
    """The clean replay, and one with each fault that its records can have."""
    lost = float(clean.held.mean() - (clean.said == clean.truth).mean())
    began = time.process_time()
    found = looks(clean, template, *_INDICATORS)
    broken = {name: seen.at for name, seen in found.items() if seen.at is not None}
    cpu = round(time.process_time() - began, 2)
    none = np.zeros(0, np.int64)
    bare = replace(clean, named=none, sure=clean.sure[:0], people=none)
    seen = looks(bare, template, "pseudo-label-mix")["pseudo-label-mix"]
    yield {"fault": "", "lost": round(lost, 4), "broken": broken, "unaudited": seen.at,
           "cpu_seconds": cpu}  # fmt: skip
    for fault, (_, indicator, what, spoil) in FAULTS.items():
        if not faulty or (indicator == "drift" and not clean.columns):
            continue
        spoilt = spoil(clean, np.random.default_rng(seed))
        seen = looks(spoilt, template, indicator)[indicator]
        yield {"fault": fault, "counts": what} | asdict(seen)


def table(points: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The results as two tables in Markdown: faults, and clean replays."""
    yield "| mode | fault | alert | seen | after: median (range) |"
    yield "| --- | --- | --- | --- | --- |"
    for fault, (mode, indicator, what, _) in FAULTS.items():
        mine = [one for one in points if one.get("fault") == fault]
        # Of later audits the fault begins in the middle; without audits there is nothing to see.
        before = {id(one): one["total"] // 2 if what == "audits" else 0 for one in mine}
        mine = [one for one in mine if what != "audits" or one["total"] == _AUDITS]
        after = sorted(one["after"] - before[id(one)] for one in mine if one["at"] is not None)
        said = "at once"
        if what and after:
            said = f"{after[len(after) // 2]} {what} ({after[0]} to {after[-1]})"
        yield f"| {mode} | {fault} | `{indicator}` | {len(after)} of {len(mine)} | {said} |"
    clean = [one for one in points if one.get("fault") == ""]
    kept = [one for one in clean if one["lost"] <= _TOLERANCE]
    yield ""
    yield f"| alert | of {len(clean)} clean replays | of the {len(kept)} whose promise held |"
    yield "| --- | --- | --- |"
    for name in _INDICATORS:
        counts = (sum(name in one["broken"] for one in side) for side in (clean, kept))
        yield f"| `{name}` | " + " | ".join(map(str, counts)) + " |"
    bare = (sum(one["unaudited"] is not None for one in side) for side in (clean, kept))
    yield "| `pseudo-label-mix`, nothing audited | " + " | ".join(map(str, bare)) + " |"
    none = (sum(not one["broken"] for one in side) for side in (clean, kept))
    yield "| none | " + " | ".join(map(str, none)) + " |"


def main() -> None:
    """Measure all, and add a line each to the results; or tell what they come to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="tells the results if not given")
    parser.add_argument("--seeds", type=int, default=22)
    parser.add_argument("--faulty", type=int, default=3, help="seeds with faults as well")
    parser.add_argument("--home", type=Path, help="where stores are made: best where memory is")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    args = parser.parse_args()
    if args.data is None:
        lines = args.out.read_text(encoding="utf-8").splitlines()
        print("\n".join(table([json.loads(line) for line in lines])))
        return
    with tempfile.TemporaryDirectory(dir=args.home) as home, args.out.open("a") as file:
        template = Path(home) / "leaven.db"
        Store(template).close()
        file.write(json.dumps({"machine": machine()}) + "\n")
        for point in _points(args.data, args.seeds, args.faulty, template):
            print(line := json.dumps(point), flush=True)
            file.write(line + "\n")


if __name__ == "__main__":
    main()
