"""What came in held against the reference, column by column: how far, and whether it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from leaven.core.errors import SettingError
from leaven.core.wording import percent, records
from leaven.operate.drift import distances
from leaven.operate.drift.reference import Reference, Sketch
from leaven.operate.drift.sketch import Categories, Counts, Floats, Numbers
from leaven.operate.drift.testing import (
    SAME,
    SHIFTED,
    UNSURE,
    chance,
    corrected,
    expected_noise,
    hardest,
    level_of,
    reach,
)

__all__ = ["LEAST", "Shift", "compare"]

#: A difference that moves less than this share of the records does not matter by default.
LEAST = 0.03
#: Records on each side under which a slice is not looked at.
_FEWEST = 30


@dataclass(frozen=True)
class Shift:
    """One column, of all records or of one slice.

    `effect` is the largest gap of the two distribution functions (numbers), or the share of records
    that would have to be others (categories), in [0, 1], with its 95 % interval; `p` bounds the
    chance of it where no difference matters, corrected over all that was looked at. `verdict` is
    shifted, same or unsure; `detectable` is the least effect that so many records could have shown.
    `measures` are distances by name: psi, kl, js; wasserstein (in the column's unit) and ks_p for
    numbers, cramer_v and chi2_p for categories. `said` puts the difference in words.
    """

    column: str
    slice: str
    kind: str
    reference: int
    n: int
    effect: float
    low: float
    high: float
    p: float
    verdict: str
    detectable: float
    measures: dict[str, float]
    said: str


#: A column before all are judged together, and the records of both sides that it weighs.
_Found = tuple[Shift, tuple[float, float]]


def compare(
    reference: Reference,
    came: Sketch,
    *,
    least: float = LEAST,
    level: float = 0.05,
    look: int = 1,
) -> list[Shift]:
    """Each column's shift, the gravest first.

    Parameters
    ----------
    came : on the reference's grids, see `Reference.sketch`.
    least : the effect from which on a difference matters, in [0, 1).
    level : the share of false findings that is accepted among all, over all looks together.
    look : how many times this reference was looked at, this one included.

    Where the reference has seasons, what came is held against the reference's records in the same
    mix of seasons, so far as it has any of a season. Slices are compared where both sides have 30
    records of them.
    """
    if not 0 <= least < 1:
        raise SettingError("least", "a share in [0, 1)", least)
    allowed = level_of(look, level)
    found = [*_whole(reference, came, least), *_sliced(reference, came, least)]
    chances = corrected([shift.p for shift, _ in found])
    first = allowed / hardest(len(found))  # what the smallest p-value of all has to be under
    judged = [
        replace(
            shift,
            p=p,
            verdict=SHIFTED if p <= allowed else SAME if shift.high < least else UNSURE,
            detectable=min(shift.detectable + reach(*sizes, first), 1.0),
        )
        for (shift, sizes), p in zip(found, chances, strict=True)
    ]
    gravity = {SHIFTED: 0, UNSURE: 1, SAME: 2}
    return sorted(judged, key=lambda s: (gravity[s.verdict], -s.low, -s.effect, s.column, s.slice))


def _whole(reference: Reference, came: Sketch, least: float) -> Iterator[_Found]:
    for name, grid in reference.grids.items():
        p, q = reference.own.counts[name], came.counts[name]
        if not p.sum() or not q.sum():
            continue
        if reference.seasons:
            expected, seen, effective = _in_season(reference, came, name)
            if not seen.sum():
                continue
            yield _shift(name, "", grid, p, q, (expected, seen), effective, least)
        else:
            yield _shift(name, "", grid, p, q, (p, q), float(p.sum()), least)


def _in_season(reference: Reference, came: Sketch, name: str) -> tuple[Floats, Counts, float]:
    """The shares that the reference lets expect in this mix of seasons, what was seen in them, and
    the number of records that the expectation is worth (Kish)."""
    known = (reference.own.season_sizes > 0) & (came.season_sizes > 0)
    seen = came.seasons[name][known].sum(0)
    sizes = reference.own.season_sizes[known].astype(float)
    weights = came.season_sizes[known] / max(int(came.season_sizes[known].sum()), 1)
    expected = (reference.own.seasons[name][known] * (weights / sizes)[:, None]).sum(0)
    noise = float((weights**2 / sizes).sum())
    return expected, seen, 1 / noise if noise else 0.0


def _sliced(reference: Reference, came: Sketch, least: float) -> Iterator[_Found]:
    enough = np.minimum(reference.own.slice_sizes, came.slice_sizes) >= _FEWEST
    for part in np.flatnonzero(enough).tolist():
        for name, grid in reference.grids.items():
            p, q = reference.own.slices[name][part], came.slices[name][part]
            yield _shift(name, reference.slices[part], grid, p, q, (p, q), float(p.sum()), least)


def _shift(
    column: str,
    part: str,
    grid: Numbers | Categories,
    p: Counts,
    q: Counts,
    tested: tuple[Counts | Floats, Counts],
    effective: float,
    least: float,
) -> _Found:
    """One column's effect, from what is tested, and all measures of the counts p and q."""
    expected, seen = tested
    n, m = effective, float(seen.sum())
    if isinstance(grid, Numbers):
        effect, noise = distances.kolmogorov_smirnov(expected, seen), 0.0
    else:
        effect = distances.total_variation(expected, seen)
        noise = expected_noise(expected / expected.sum(), seen / seen.sum(), n, m)
    measures = _measures(grid, p, q)
    said = _numbers_said(grid, p, q) if isinstance(grid, Numbers) else _names_said(grid, p, q)
    wide = reach(n, m)
    shift = Shift(
        column, part, "numbers" if isinstance(grid, Numbers) else "categories",
        int(p.sum()), int(q.sum()), effect,
        max(effect - noise - wide, 0.0), min(effect + wide, 1.0),
        chance(effect, least, n, m, noise), UNSURE, least + noise, measures, said,
    )  # fmt: skip
    return shift, (n, m)


def _measures(grid: Numbers | Categories, p: Counts, q: Counts) -> dict[str, float]:
    known, came = p[1:], q[1:]
    whole = isinstance(grid, Numbers) and len(p) == grid.cells
    found: dict[str, float] = {}
    if isinstance(grid, Categories):
        a, b = _without_empty(p, q)
        v, p_value = distances.chi_square(p, q)
        found |= {"cramer_v": v, "chi2_p": p_value}
    else:
        a, b = distances.grouped(p, q)
        if known.sum() and came.sum():
            gap = distances.kolmogorov_smirnov(known, came)
            found["ks_p"] = chance(gap, 0.0, float(known.sum()), float(came.sum()))
            if whole:
                found["wasserstein"] = distances.wasserstein(known, came, grid.worth)
    return found | {
        "psi": distances.population_stability(a, b),
        "kl": distances.kullback_leibler(a, b),
        "js": distances.jensen_shannon(a, b),
    }


def _without_empty(p: Counts, q: Counts) -> tuple[Counts, Counts]:
    some = (p + q) > 0
    return p[some], q[some]


def _numbers_said(grid: Numbers, p: Counts, q: Counts) -> str:
    """The medians where they moved, else the values up to which the shares differ most."""
    words = []
    if len(p) == grid.cells and p[1:].any() and q[1:].any():  # of a slice only bins are known
        before, after = grid.quantile(p, 0.5), grid.quantile(q, 0.5)
        if abs(after - before) > 0.05 * grid.scale:
            words.append(f"median {before:.4g} → {after:.4g}")
        else:
            shares = [np.cumsum(side[1:]) / side[1:].sum() for side in (p, q)]
            most = int(np.abs(shares[0] - shares[1]).argmax())
            moved = f"{percent(float(shares[0][most]))} → {percent(float(shares[1][most]))}"
            words.append(f"at most {grid.worth[most]:.4g}: {moved}")
    gaps = [float(side[0] / side.sum()) for side in (p, q)]
    if max(gaps) > 0 and abs(gaps[0] - gaps[1]) > 0.001:
        words.append(f"missing {percent(gaps[0])} → {percent(gaps[1])}")
    return ", ".join(words)


def _names_said(grid: Categories, p: Counts, q: Counts) -> str:
    shares = np.stack([p / p.sum(), q / q.sum()])
    most = int(np.abs(shares[0] - shares[1]).argmax())
    words = [f"{grid.cell_names[most]}: {percent(shares[0, most])} → {percent(shares[1, most])}"]
    if q[-1] and most != len(q) - 1:
        words.append(f"{records(int(q[-1]))} of categories not seen before")
    return ", ".join(words)
