"""The figures behind advice as a table: each with its uncertainty and what it says."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

from leaven.core.wording import count, many, percent, records
from leaven.learn.measured import SMOOTH, SURE, Measured

__all__ = ["Evidence", "evidence"]


@dataclass(frozen=True)
class Evidence:
    """One figure: its 95 % interval and p where it has them, on n records, and what it says.

    `verdict` is `good`, `alarm`, `note` (worth knowing) or `unsure` (too few records to tell).
    """

    name: str
    said: str
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    n: int | None = None


def evidence(found: Measured) -> list[Evidence]:
    """The table of figures, in the order of a reader's questions."""
    told = []
    if (apart := found.apart) is not None:
        verdict = "alarm" if found.shifted else "good"
        said = "alike as far as a classifier can tell"
        if found.shifted:
            said = "they differ within classes"
        elif 2 * apart.p < SURE:
            verdict, said = "note", "they differ, too little to matter"
        elif found.apart_as_drawn is not None and found.apart_as_drawn.p < SURE:
            verdict, said = "note", "alike but for the shares of their classes"
        told.append(
            Evidence("labelled against unlabelled", said, verdict, apart.value, apart.low,
                     apart.high, apart.p, apart.n)
        )  # fmt: skip
    if (kernel := found.discrepancy) is not None:
        sure = 2 * kernel.p < SURE
        verdict = ("alarm" if found.shifted else "note") if sure else "good"
        said = "the densities differ" if sure else "no difference of densities is shown"
        told.append(
            Evidence("kernel distance (MMD²)", said, verdict, kernel.value, p=kernel.p, n=kernel.n)
        )
    if found.columns:
        differing = found.differing
        worst = found.columns[0]
        kind = "component" if worst.name.startswith("component ") else "column"
        said = f"none of {many(len(found.columns), kind, kind + 's')} differs"
        if differing:
            shown = ", ".join(c.name for c in differing[:3])
            said = f"{count(len(differing))} of {count(len(found.columns))} {kind}s differ: {shown}"
        verdict = ("alarm" if found.shifted else "note") if differing else "good"
        told.append(Evidence(f"{kind} by {kind}", said, verdict, worst.distance, p=worst.adjusted))
    if (near := found.neighbours) is not None and (smooth := found.smooth) is not None:
        said = f"nearest labels agree; chance {percent(found.chance, 0)}"
        p = binomtest(
            round(near.value * near.n), near.n, found.chance, alternative="greater"
        ).pvalue
        verdict = "note" if smooth < SMOOTH else "good" if p < 0.05 else "unsure"
        told.append(
            Evidence("smoothness", said, verdict, near.value, near.low, near.high, float(p), near.n)
        )
    if (clusters := found.clusters) is not None:
        good = clusters.p < 0.05 and clusters.left < 0.95 * clusters.expected
        said = (
            f"{clusters.clusters} clusters leave less spread than in one cloud "
            f"({percent(clusters.expected, 0)})"
            if good
            else f"no clusters are shown (one cloud would leave {percent(clusters.expected, 0)})"
        )
        told.append(
            Evidence("clusters", said, "good" if good else "note", clusters.left, p=clusters.p,
                     n=clusters.n)
        )  # fmt: skip
    if found.cluster_agreement is not None:
        value, chance, p, pairs = found.cluster_agreement
        verdict = "good" if p < 0.05 else "note" if pairs >= 30 else "unsure"
        said = f"pairs of labels in one cluster agree; chance {percent(chance, 0)}"
        told.append(Evidence("labels in clusters", said, verdict, value, p=p, n=pairs))
    if (bare := found.bare) is not None:
        said = "no region of the pool lacks labels beyond chance"
        if found.regions:
            said = "of the pool has no labels nearby, beyond chance"
        told.append(
            Evidence("coverage", said, "alarm" if found.regions else "good", bare.value, bare.low,
                     bare.high, min((r.p for r in found.regions), default=None), bare.n)
        )  # fmt: skip
    if len(found.counts) > 1:
        told += _labels(found)
    repeated, across, n = found.copies
    if n:
        said = (
            f"of {records(n)} (nearly) repeat another; {count(across)} unlabelled ones a labelled"
        )
        told.append(
            Evidence("near-copies", said, "note" if repeated > 0.05 * n else "good", repeated / n,
                     n=n)
        )  # fmt: skip
    return told


def _labels(found: Measured) -> list[Evidence]:
    """Wrong labels and the shares of classes."""
    told = []
    if found.noise is None:
        said = "too few labels a class to tell"
        told.append(Evidence("wrong labels", said, "unsure", n=found.labelled))
    else:
        rate = found.noise.rate
        said = "differ from what a model says where it is surest"
        verdict = "alarm" if found.noisy else "good"
        if found.doubtful:
            verdict, said = "unsure", said + "; classes overlap, so this is no proof"
        told.append(
            Evidence("wrong labels", said, verdict, rate.value, rate.low, rate.high, n=rate.n)
        )
    most, least = max(found.counts.values()), min(found.counts.values())
    said = f"labels a class, from {count(least)} to {count(most)}"
    shares = found.pool_shares
    if shares and found.apart_as_drawn is not None and found.apart_as_drawn.p < SURE:
        largest = max(shares, key=lambda c: shares[c])
        said += (
            f"; in the pool {largest!r} seems to be {percent(shares[largest], 0)}, among the "
            f"labels {percent(found.counts[largest] / found.labelled, 0)}"
        )
    verdict = "alarm" if found.skewed or found.few else "good"
    told.append(Evidence("class balance", said, verdict, n=found.labelled))
    return told
