"""Answers to one piece of the data as rows of a result, and what the pieces are summed up by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from leaven.data.assemble import slipped
from leaven.data.checks import unseen_finding
from leaven.data.dataset import Finding
from leaven.data.raw import Refused, quarantine
from leaven.evaluate.intervals import Estimate
from leaven.evaluate.metrics import measure
from leaven.evaluate.tables import predictions_table
from leaven.operate.scoring.answering import Answers
from leaven.operate.scoring.numbering import Keys, Numbering, keys_of
from leaven.operate.scoring.parts import Part

__all__ = ["MEASURED", "Draft", "Sums", "draft"]

#: Labelled records by which figures are measured, at most; of more, so many are drawn by chance.
MEASURED = 50_000
_NAMES = 1000  # labels that no class has, of which the names are kept

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Draft:
    """The rows of a piece, but for what hangs on the pieces before.

    `ids` (m,) with their `keys` may occur elsewhere too; `rows` has all other columns. `truths`
    are (n,) positions of true classes, `said` (n, k) the probabilities of these records, and
    `chances` (n,) uniform in [0, 1), by which some are drawn to measure with.
    """

    ids: list[str]
    keys: Keys
    given: bool
    rows: pa.Table
    rejected: list[Refused]
    at: list[int]
    truths: npt.NDArray[np.int64]
    said: Floats
    chances: Floats
    told: dict[str, Any]

    def numbered(self, numbering: Numbering, cut: float) -> Part:
        """The part of the result, its ids made unique among those before.

        `cut` is the chance under which a labelled record is kept to measure with.
        """
        ids, used = numbering.unique(self.ids, self.keys, self.given)
        rows = self.rows.add_column(0, "id", pa.array(ids, pa.string()))
        rejected = quarantine(self.rejected)
        named = [ids[at] if at >= 0 else None for at in self.at]
        own = pa.array(
            [one or other for one, other in zip(named, rejected["id"].to_pylist(), strict=True)],
            pa.string(),
        )
        rejected = rejected.set_column(0, rejected.schema.field("id"), own)
        arrays: dict[str, npt.NDArray[np.generic]] = {"used": used}
        kept = self.chances < cut
        if kept.any():
            arrays |= {
                "truths": self.truths[kept],
                "said": np.ascontiguousarray(self.said[kept]),
                "chances": self.chances[kept],
            }
        return Part(rows, rejected, arrays, self.told)


def draft(answers: Answers, classes: tuple[str, ...], number: int) -> Draft:
    """The rows of piece `number`: one a record, in order, empty where it could not be read."""
    piece, places, found = answers.piece, answers.places, answers.probabilities
    m = len(piece)
    ids = list(piece.ids)
    for place, content in zip(places.tolist(), answers.kept.content.tolist(), strict=True):
        ids[place] = ids[place] or content[:16]
    for place in range(m) if len(places) < m else ():
        row = "" if piece.files else f"#{piece.rows[place]}"
        ids[place] = ids[place] or f"{piece.sources[place]}{row}"
    where = np.full(m, -1, np.int64)
    where[places] = np.arange(len(places))
    rows = predictions_table(np.zeros(len(places), np.str_), found, classes).drop_columns(["id"])
    if len(places) < m:
        rows = rows.take(pa.array(where, mask=where < 0))
    bad = sorted(answers.refused)
    rejected: list[Refused] = [
        (piece.sources[at], int(piece.rows[at]), *answers.refused[at]) for at in bad
    ]
    truths = _targets(answers.kept.labels.to_pylist(), classes)
    known = truths >= 0
    unseen = Counter(
        name
        for name, target in zip(answers.kept.labels.to_pylist(), truths, strict=True)
        if name is not None and target < 0
    )
    guesses = Counter(found.argmax(1).tolist() if len(places) else [])
    told = {
        "records": len(places),
        "labelled": int(known.sum()),
        "confidence": float(found.max(1).sum()) if len(places) else 0.0,
        "counts": {classes[at]: n for at, n in sorted(guesses.items())},
        "unseen": [sum(unseen.values()), [name for name, _ in unseen.most_common(_NAMES)]],
        "slips": piece.slips,
        "findings": [asdict(one) for one in piece.findings],
    }
    return Draft(
        ids,
        keys_of(ids),
        any(piece.ids),
        rows,
        [*rejected, *piece.stray],
        [*bad, *(-1 for _ in piece.stray)],
        truths[known],
        found[known],
        np.random.default_rng((0, number)).random(int(known.sum())),
        told,
    )


def _targets(labels: Sequence[str | None], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    place: dict[str | None, int] = {name: i for i, name in enumerate(classes)}
    return np.array([place.get(name, -1) for name in labels], np.int64)


class Sums:
    """What all parts come to, in memory that does not grow with their records."""

    def __init__(self) -> None:
        self.records = self.rejected = self.labelled = 0
        self.counts: Counter[str] = Counter()
        self._confidence = 0.0
        self._unseen: tuple[int, dict[str, None]] = (0, {})
        self._slips: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._findings: dict[str, Finding] = {}
        self._sample: list[dict[str, npt.NDArray[Any]]] = []

    def add(self, told: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Count a part that is done."""
        self.records += told["records"]
        self.rejected += told["rejected"]
        self.labelled += told["labelled"]
        self.counts.update(told["counts"])
        self._confidence += told["confidence"]
        more, names = told["unseen"]
        known = self._unseen[1] | dict.fromkeys(names)
        self._unseen = (self._unseen[0] + more, dict(list(known.items())[:_NAMES]))
        for column, (count, shown) in told["slips"].items():
            before, there = self._slips.get(column, (0, ()))
            self._slips[column] = (before + count, (*there, *shown)[:5])
        for one in told["findings"]:
            finding = Finding(**one | {"examples": tuple(one["examples"])})
            self._findings.setdefault(finding.message, finding)
        if "truths" in arrays:
            self._sample.append({name: arrays[name] for name in ("truths", "said", "chances")})
            if sum(len(one["truths"]) for one in self._sample) > 2 * MEASURED:
                self._sample = [self._drawn()]

    @property
    def cut(self) -> float:
        """The chance under which further labelled records may still be drawn."""
        return 2 * MEASURED / max(self.labelled, MEASURED)

    @property
    def mean_confidence(self) -> float | None:
        """Over all records that were read."""
        return self._confidence / self.records if self.records else None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, of all parts together."""
        found = [*self._findings.values(), *slipped(self._slips)]
        count, names = self._unseen
        if count:
            found.append(unseen_finding(list(names), count))
        return tuple(found)

    def metrics(self) -> dict[str, Estimate]:
        """Figures on the labelled records, or on `MEASURED` of them that are drawn by chance."""
        if not self._sample:
            return {}
        drawn = self._drawn()
        return measure(drawn["said"], drawn["truths"])

    def _drawn(self) -> dict[str, npt.NDArray[Any]]:
        joined = {
            name: np.concatenate([one[name] for one in self._sample]) for name in self._sample[0]
        }
        if len(joined["chances"]) <= MEASURED:
            return joined
        lowest = np.sort(np.argpartition(joined["chances"], MEASURED)[:MEASURED])
        return {name: values[lowest] for name, values in joined.items()}
