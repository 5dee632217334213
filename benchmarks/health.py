"""How many truths show that labels came to mean something else, and how often an alarm is false.

    python -m benchmarks.health DATA [--fits 40]

DATA holds folders `adult`, `ag_news` and so on with `train.parquet` and `test.parquet`, each with a
column `label`. A fit is a logistic regression on 700 (or 210) labelled records, judged by 300 (90)
others; all others, 12 000 at most, are its production. Of each fit:

- a *clean* replay of 3000 truths, and whether it raised an alarm;
- the truths until the alarm where 20 % of the labels are others (drawn evenly) from the first truth
  on (*fresh*), and after 500 clean truths (*later*);
- whether the interval of the estimated accuracy of 1000 records, without a label, holds the share
  of them that was right.

The settings are those of `leaven health`: a tolerance of 3 points, 5 % of false alarms by truth.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from leaven.operate.health.auditing import watched
from leaven.operate.health.calibrated import Calibration

__all__ = ["measure"]

_RESULTS = Path(__file__).parent / "results" / "health.jsonl"
_SETS = ("adult", "ag_news", "dry_bean", "pendigits", "sms_spam")
_SIZES = (300, 1000)
_TOLERANCE, _LEVEL = 0.03, 0.05
_RECORDS, _CLEAN, _BEFORE, _AFTER, _WINDOW = 12_000, 3000, 500, 700, 1000
_FLIPPED = 0.2

Floats = npt.NDArray[np.float64]


def read(folder: Path) -> tuple[Any, npt.NDArray[np.int64]]:
    """Features and classes of a shuffled sample of a set."""
    train, test = (pq.read_table(folder / f"{part}.parquet") for part in ("train", "test"))
    table = pa.concat_tables([train, test.select(train.column_names)])
    table = table.take(np.random.default_rng(0).permutation(table.num_rows)[:_RECORDS])
    _, y = np.unique(np.array(list(map(str, table["label"].to_pylist()))), return_inverse=True)
    if "text" in table.column_names:
        words = TfidfVectorizer(min_df=2, max_features=20_000)
        return words.fit_transform(table["text"].to_pylist()), y
    columns = [table[name] for name in table.column_names if name not in ("label", "id")]
    return np.hstack([_encoded(column) for column in columns]), y


def _encoded(column: pa.ChunkedArray) -> Floats:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        cells = np.array([[str(cell)] for cell in column.to_pylist()])
        found = OneHotEncoder(sparse_output=False, max_categories=30).fit_transform(cells)
        return np.asarray(found, np.float64)
    numbers = np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)[:, None]
    mean, spread = np.nanmean(numbers), np.nanstd(numbers)
    return np.asarray(np.nan_to_num((numbers - mean) / (spread + 1e-9)), np.float64)


def measure(x: Any, y: npt.NDArray[np.int64], n: int, seed: int) -> dict[str, Any] | None:
    """One fit, replayed; None where its labelled records lack a class."""
    rng = np.random.default_rng(seed)
    order, k = rng.permutation(len(y)), int(y.max()) + 1
    taught, judging, later = np.split(order, [int(n * 0.7), n])
    if len(np.unique(y[taught])) < k:
        return None
    model = LogisticRegression(max_iter=200).fit(x[taught], y[taught])
    judged, said = (model.predict_proba(x[rows]) for rows in (judging, later))
    right = judged.argmax(1) == y[judging]
    calibration, promised = Calibration.of(judged.max(1), right), float(right.mean())
    sure, guess, truth = said.max(1), said.argmax(1), y[later]

    def alarm(rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> float:
        hits = guess[rows] == labels
        least = np.full(len(rows), promised - _TOLERANCE)
        each = np.clip(calibration.expected(sure[rows]) - _TOLERANCE, 0, 1)
        found = [watched(hits, p, _LEVEL / 2).alarm for p in (least, each)]
        return min((one for one in found if one is not None), default=math.inf)

    def flipped(clean: int) -> float:
        rows = rng.permutation(len(later))[: clean + _AFTER]
        moved = (rng.random(len(rows)) < _FLIPPED) & (np.arange(len(rows)) >= clean)
        others = (truth[rows] + rng.integers(1, k, len(rows))) % k
        return alarm(rows, np.where(moved, others, truth[rows])) - clean

    rows = rng.permutation(len(later))[:_CLEAN]
    window = rng.permutation(len(later))[:_WINDOW]
    estimate = calibration.estimate(sure[window])
    return {
        "promised": promised,
        "accuracy": float((guess == truth).mean()),
        "clean": alarm(rows, truth[rows]),
        "fresh": flipped(0),
        "later": flipped(_BEFORE),
        "held": bool(estimate.low <= (guess[window] == truth[window]).mean() <= estimate.high),
    }


def _points(data: Path, fits: int) -> Iterator[dict[str, Any]]:
    for name in _SETS:
        x, y = read(data / name)
        for n in _SIZES:
            found = [one for seed in range(fits) if (one := measure(x, y, n, seed)) is not None]
            kept = [one for one in found if one["accuracy"] >= one["promised"] - _TOLERANCE]
            later = [one["later"] for one in found if one["later"] > 0]
            yield {
                "set": name, "labelled": n, "fits": len(found),
                "accuracy": round(float(np.mean([one["accuracy"] for one in found])), 3),
                "alarms": sum(one["clean"] < math.inf for one in found),
                "kept": len(kept), "alarms_kept": sum(one["clean"] < math.inf for one in kept),
                "fresh": _told([one["fresh"] for one in found]), "later": _told(later),
                "held": sum(one["held"] for one in found),
            }  # fmt: skip


def _told(needed: list[float]) -> dict[str, Any]:
    """Median, 95 % quantile (None: not within 700) and how many needed at most 200."""
    ends = np.quantile(needed, [0.5, 0.95], method="inverted_cdf").tolist()
    median, most = (int(end) if math.isfinite(end) else None for end in ends)
    return {"median": median, "95 %": most, "n": len(needed),
            "within 200": sum(one <= 200 for one in needed)}  # fmt: skip


def main() -> None:
    """Measure all, and add a line each to the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--fits", type=int, default=40)
    args = parser.parse_args()
    with _RESULTS.open("a", encoding="utf-8") as file:
        for point in _points(args.data, args.fits):
            print(json.dumps(point), flush=True)
            file.write(json.dumps(point) + "\n")


if __name__ == "__main__":
    main()
