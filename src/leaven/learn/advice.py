"""From figures of the data to advice a person can act on: the answer and its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from leaven.core.wording import count, decimal, many, percent, points, records
from leaven.learn.evidence import Evidence, evidence
from leaven.learn.label_noise import Share
from leaven.learn.measured import SMOOTH, SURE, Measured, Region
from leaven.learn.two_samples import ColumnTest

__all__ = ["Advice", "conclude"]

_FEW, _POOL, _TIMES = 10, 500, 5
_SMALLEST = 12.0  # labels that a region must let expect, for their absence to be no chance
#: Records whose ready-made features a pretraining can better; tables and embeddings are their own.
_LEARNABLE = ("image", "text", "audio", "series")
_NAMED = 5


@dataclass(frozen=True)
class Advice:
    """What to do, why, and the figures behind it.

    Attributes
    ----------
    choice : `semi-supervised`, `supervised`, `self-supervised first` or `label more`.
    reasons : sentences, what decides first.
    numbers : single figures by name. `neighbour_agreement` is the share of labelled records whose
        nearest labelled one shares their label, `chance` what the class shares alone would give,
        `separability` the area under the curve of a classifier that tells labelled from unlabelled
        records (0.5 is what one wants).
    alarms : what would harm: `shift`, `unseen classes`, `noisy labels`, `imbalance`, `few labels`.
    evidence : each figure with its uncertainty.
    columns : the columns (or components of the features) that differ, the gravest first.
    regions : parts of the pool without labels nearby.
    classes : those that want labels.
    label_next : ids of unlabelled records to label first.
    check_labels : ids of labelled records whose label is doubted, the surest doubt first.
    places : where those lie of the named records whose id is made of their content.
    """

    choice: str
    reasons: tuple[str, ...]
    numbers: dict[str, float]
    alarms: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    columns: tuple[ColumnTest, ...] = ()
    regions: tuple[Region, ...] = ()
    classes: tuple[str, ...] = ()
    label_next: tuple[str, ...] = ()
    check_labels: tuple[str, ...] = ()
    places: dict[str, str] = field(default_factory=dict)


def conclude(found: Measured) -> Advice:
    """The answer and why: harm first, then whether there is structure to learn from."""
    alarms, reasons, classes, ask = _alarms(found)
    choice, last = _choice(found, alarms)
    return Advice(
        choice=choice,
        reasons=(*reasons, *last, *_doubts(found)),
        numbers=_numbers(found),
        alarms=tuple(alarms),
        evidence=tuple(evidence(found)),
        columns=found.differing[:20],
        regions=found.regions[:10],
        classes=classes,
        label_next=ask[:20] if choice == "label more" else (),
        check_labels=found.suspects if found.noisy or found.doubtful else (),
    )


def _choice(found: Measured, alarms: list[str]) -> tuple[str, list[str]]:
    if len(found.counts) < 2:
        said = "Fewer than two classes have labels: nothing can be told apart yet."
        if found.first:
            said += " Begin with the records named below, one from the middle of each cluster."
        return "label more", [said]
    if not found.unlabelled:
        said = "Every record has a label: there is nothing for the unlabelled part to add."
        return "supervised", [said]
    if set(alarms) - {"imbalance"}:
        return "label more", []
    if "imbalance" in alarms:
        skewed = found.skewed
        assert skewed is not None
        scarce = found.counts[skewed[1]] < _FEW
        return ("label more" if scarce else "supervised"), []
    smooth, near = found.smooth, found.neighbours
    if smooth is not None and near is not None and smooth < SMOOTH:
        said = (
            f"Near records rarely share a label ({_shared(near)}; chance "
            f"{percent(found.chance, 0)}): labels will not flow well from record to record."
        )
        many_more = found.unlabelled >= max(_POOL, _TIMES * found.labelled)
        if many_more and found.modality in _LEARNABLE:
            said += (
                f" Better features come first: {count(found.unlabelled)} records without labels "
                "can teach them (`leaven pretrain`, or `--pretrain auto` in a fit)."
            )
            return "self-supervised first", [said]
        return "supervised", [said + " Expect little from the unlabelled ones."]
    if found.unlabelled < found.labelled:
        said = (
            f"{records(found.unlabelled)} without a label beside {count(found.labelled)} with one "
            "can add little."
        )
        return "supervised", [said]
    said = (
        f"{records(found.unlabelled)} without a label lie around {count(found.labelled)} with one"
    )
    if near is not None:
        said += (
            f", and near records often share a label ({_shared(near)}; chance "
            f"{percent(found.chance, 0)})"
        )
    return "semi-supervised", [said + ": the unlabelled ones can be expected to help."]


def _alarms(
    found: Measured,
) -> tuple[list[str], list[str], tuple[str, ...], tuple[str, ...]]:
    """Names, a reason each, classes that want labels, and records to label."""
    alarms, reasons = [], []
    classes: tuple[str, ...] = ()
    ask: list[str] = list(found.first)
    if len(found.counts) < 2:
        return [], [], (), tuple(ask)
    if found.regions and found.bare is not None:
        alarms.append("unseen classes")
        expected = sum(r.expected for r in found.regions)
        reasons.append(
            f"{percent(found.bare.value)} ({_ends(found.bare)}) of the unlabelled records lie in "
            f"{many(len(found.regions), 'region', 'regions')} with "
            f"{count(sum(r.labelled for r in found.regions))} labels where {count(expected)} were "
            f"to be expected (p {_p(min(r.p for r in found.regions))}): classes that no label "
            "names, or another source. Label some of them before they are taken for known ones."
        )
        # One of each region in turn, the largest region first.
        for place in range(_NAMED):
            ask += [r.examples[place] for r in found.regions if place < len(r.examples)]
    if found.shifted and found.apart is not None and found.discrepancy is not None:
        alarms.append("shift")
        where = "; ".join(
            f"{c.name}{' (' + c.said + ')' if c.said else ''}" for c in found.differing[:3]
        )
        reasons.append(
            "Labelled and unlabelled records differ, and not by their classes' shares alone: a "
            f"classifier tells them apart with an area under the curve of "
            f"{decimal(found.apart.value, 2)} (95\u202f%: {decimal(found.apart.low, 2)} to "
            f"{decimal(found.apart.high, 2)}; 0.50 is alike; p {_p(found.apart.p)})"
            + (f", most in {where}, labelled first" if where else "")
            + _outside(found)
            + ". Label unlabelled records drawn at random before trusting what they teach."
        )
        ask += found.at_random
    if found.noisy and found.noise is not None:
        alarms.append("noisy labels")
        rate, right = found.noise.rate, found.noise.precision
        said = (
            f"About {percent(rate.value, 0)} ({_ends(rate, 0)}) of the labels look wrong: so many "
            f"differ from what a model says of the {count(rate.n)} records it is surest of, "
            "without having seen their label. "
        )
        if right is not None:
            said += (
                f"Of the {count(right.n)} labels it doubts, {points(right.low, sign=False)}"
                f" to {percent(right.high)} are expected to be wrong. "
            )
        reasons.append(said + "Correct them first: pseudo-labels would spread the mistakes.")
    if skewed := found.skewed:
        alarms.append("imbalance")
        large, small, ratio, by_labels = skewed
        where = "labels" if by_labels else "unlabelled records, by a model's guess,"
        has = many(found.counts[small], "label", "labels")
        then = (
            "Label more of it." if found.counts[small] < _FEW
            else "Confident guesses would favour the large one; hold to the supervised model."
        )  # fmt: skip
        reasons.append(
            f"The {where} have {large!r} {decimal(ratio, 0)} times as often as {small!r}, which "
            f"has {has}. {then}"
        )
        classes = (small,)
    if found.few:
        alarms.append("few labels")
        classes = tuple(dict.fromkeys((*classes, *found.few)))[:20]
        shown = ", ".join(repr(name) for name in found.few[:_NAMED])
        reasons.append(
            f"{many(len(found.few), 'class has', 'classes have')} fewer than two labels, "
            f"so they cannot be checked: {shown}"
            f"{' …' if len(found.few) > _NAMED else ''}. Label at least four of each."
        )
    return alarms, reasons, classes, tuple(dict.fromkeys(ask))


def _outside(found: Measured) -> str:
    """Whether what differs is the regions without labels alone."""
    if found.apart_outside is None:
        return ""
    area = f"area {decimal(found.apart_outside.value, 2)}, p {_p(found.apart_outside.p)}"
    if found.apart_outside.p < SURE:
        return f"; they differ outside the regions without labels as well ({area})"
    return f"; outside the regions without labels they are alike ({area})"


def _doubts(found: Measured) -> list[str]:
    """What so few labels cannot tell."""
    if len(found.counts) < 2 or not found.unlabelled:
        return []
    said = []
    hidden = _SMALLEST / max(min(found.labelled, 2000), 1)
    if found.apart is None:
        said.append("under 20 records on one side say nothing of how alike the two are")
    elif not found.regions and hidden > 0.02:
        share = (
            "of any size" if hidden >= 0.5 else f"of under about {percent(hidden, 0)} of the pool"
        )
        said.append(f"a class without labels {share} would not be noticed")
    if found.noise is None:
        said.append("there are too few labels a class to say how many are wrong")
    elif found.doubtful:
        said.append(
            f"of the labels a model is surest about, {percent(found.noise.rate.value, 0)} "
            f"({_ends(found.noise.rate, 0)}) look wrong, unless classes overlap even there: look "
            "at those named below before a model learns them"
        )
    if not said:
        return []
    return [
        f"How unsure this is: with {many(found.labelled, 'label', 'labels')}, {'; '.join(said)}."
    ]


def _numbers(found: Measured) -> dict[str, float]:
    numbers: dict[str, float] = {
        "labelled": found.labelled,
        "unlabelled": found.unlabelled,
        "fewest_of_a_class": min(found.counts.values(), default=0),
    }
    if found.neighbours is not None:
        numbers |= {"neighbour_agreement": found.neighbours.value, "chance": found.chance}
    if found.apart is not None:
        numbers["separability"] = found.apart.value
    if found.discrepancy is not None:
        numbers["discrepancy"] = found.discrepancy.value
    if found.bare is not None:
        numbers["without_labels_nearby"] = found.bare.value
    if found.noise is not None:
        numbers["wrong_labels"] = found.noise.rate.value
    return {name: float(value) for name, value in numbers.items()}


def _shared(near: Share) -> str:
    return f"{percent(near.value, 0)}, {_ends(near, 0)}"


def _ends(share: Share, digits: int = 1) -> str:
    low, high = decimal(100 * share.low, digits), decimal(100 * share.high, digits)
    return f"95\u202f%: {low} to {high}"


def _p(p: float) -> str:
    """The chance as people read it.

    >>> _p(0.0025), _p(0.2)
    ('0.003', '0.20')
    """
    if p < 0.001:
        return "under 0.001"
    return decimal(p, max(2, min(3, -math.floor(math.log10(p)))))
