"""When to stop labelling: what the next labels cost and save, and four rules that say stop.

Each rule answers by itself, with the figures that it looked at and what to do. None sees the
records that judge a run: whoever stops by these would otherwise stop at a lucky moment.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.core.wording import THIN, count, decimal, many, money, percent
from leaven.evaluate.intervals import Estimate
from leaven.label.trust.agreement import cohen_kappa
from leaven.label.trust.gate import Verdict

__all__ = [
    "Advice", "Price", "Worth", "audited_precision", "budget_spent", "forecast_below_price",
    "stability", "worth",
]  # fmt: skip


@dataclass(frozen=True)
class Price:
    """What labels and errors cost, in one currency.

    Attributes
    ----------
    label : of one label.
    error : of one wrong decision of the model.
    decisions : how many decisions the model will make, over which errors are counted; by default
        a thousand.
    budget : what may be spent on labels in all; None for no limit.
    currency : the name that stands behind amounts.

    >>> Price(label=0.5, error=2.0, decisions=10_000, budget=100).affords(spent=80.2)
    39
    """

    label: float
    error: float = 0.0
    decisions: int = 1000
    budget: float | None = None
    currency: str = ""

    def __post_init__(self) -> None:
        for name in ("label", "error", "decisions", "budget"):
            value = getattr(self, name)
            if name == "budget" and value is None:
                continue
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise SettingError(name, "a number, at least 0", value)

    def affords(self, spent: float = 0.0) -> int | None:
        """How many more labels the budget buys when so much is spent; None for no limit."""
        _not_negative("spent", spent)
        if self.budget is None or not self.label:
            return None
        # What is a label but for rounding is one.
        return max(0, math.floor((self.budget - spent) / self.label + 1e-9))

    def said(self, amount: float) -> str:
        """An amount as people read it.

        >>> Price(1, currency="EUR").said(1234.5).replace(THIN, " "), Price(1).said(0.25)
        ('1 234 EUR', '0.25')
        """
        return money(amount, self.currency)


@dataclass(frozen=True)
class Worth:
    """What the next labels cost, and what they save by fewer errors.

    `gain` is in accuracy, a share; `saved` and `net` (what is saved less the cost) are in money,
    each with the ends of its 95 % interval. `pays_from` is the number of decisions from which the
    expected gain is worth its cost, None where it never is. All three are None where no gain could
    be forecast. `outcome` is `go on`, `perhaps`, `stop` or `unknown`.
    """

    labels: int
    cost: float
    gain: Estimate | None
    saved: Estimate | None
    net: Estimate | None
    pays_from: int | None
    outcome: str
    sentence: str


def worth(expected: Estimate | None, ahead: int, price: Price) -> Worth:
    """Whether `ahead` more labels are worth their price.

    `expected` is the expected gain in accuracy, as `leaven.evaluate.curves.grow` and
    `leaven.evaluate.forecast.forecast` give it. What it saves is the gain times decisions times
    the price of an error. `stop` where even the upper end saves less than the labels cost,
    `perhaps` where the middle does.

    >>> euro = Price(label=0.4, error=5, decisions=10_000, currency="EUR")
    >>> told = worth(Estimate(0.01, 0.004, 0.02, 200), 50, euro)
    >>> told.outcome, told.cost, round(told.net.value), told.pays_from
    ('go on', 20.0, 480, 400)
    """
    if ahead < 1:
        raise SettingError("ahead", "a number of labels, at least 1", ahead)
    cost = ahead * price.label
    bill = f"The next {many(ahead, 'label costs', 'labels cost')} {price.said(cost)}"
    if ahead == 1:
        bill = f"The next label costs {price.said(cost)}"
    if expected is None or not math.isfinite(expected.value):
        said = f"{bill}. What they bring cannot be forecast yet: label on."
        return Worth(ahead, cost, None, None, None, None, "unknown", said)
    scale = price.decisions * price.error
    saved = _scaled(expected, scale, 0.0)
    net = _scaled(expected, scale, -cost)
    each = expected.value * price.error
    from_here = cost / each if each > 0 else math.inf
    pays_from = math.ceil(from_here - 1e-9) if math.isfinite(from_here) else None
    said = (
        f"{bill}, and save about {price.said(saved.value)} (95{THIN}%: {price.said(saved.low)} to "
        f"{price.said(saved.high)}) by fewer errors in {count(price.decisions)} decisions."
    )
    if saved.high < cost:
        outcome, advice = "stop", "They are not worth their price: stop."
    elif saved.value < cost:
        outcome, advice = "perhaps", "They are probably not worth their price."
    else:
        outcome, advice = "go on", "They are worth their price: label on."
    if outcome != "go on" and pays_from is not None:
        advice += f" They would be from {count(pays_from)} decisions on."
    return Worth(ahead, cost, expected, saved, net, pays_from, outcome, f"{said} {advice}")


@dataclass(frozen=True)
class Advice:
    """What one rule says: whether to stop, by which figures, and what to do."""

    rule: str
    stop: bool
    sentence: str
    todo: str


def stability(
    rounds: Sequence[npt.ArrayLike], *, at_least: float = 0.99, window: int = 3
) -> Advice:
    """Stop when the model's answers no longer change (Bloodgood & Vijay-Shanker 2009).

    Parameters
    ----------
    rounds : of each round of labelling, oldest first, the (n,) classes that its model names for
        the same unlabelled records, the stop set. The paper takes 2000 records.
    at_least : Cohen's kappa of each round with the one before, on average over the last `window`
        pairs. The defaults are the paper's.

    Where the models name one class only, kappa is undefined and nothing is stable.
    """
    if not 0 < at_least <= 1:
        raise SettingError("at_least", "a kappa in (0, 1]", at_least)
    if window < 1:
        raise SettingError("window", "a number of pairs of rounds, at least 1", window)
    said = [np.asarray(round_) for round_ in rounds]
    if len(said) <= window:
        return Advice(
            "stability", False,
            f"{many(len(said), 'round is', 'rounds are')} too few: it takes {count(window + 1)}.",
            "Label on.",
        )  # fmt: skip
    last = said[-window - 1 :]
    kappas = [cohen_kappa(before, after, resamples=1).value for before, after in pairwise(last)]
    mean = float(np.mean(kappas))
    n = count(len(last[-1]))
    if math.isnan(mean):
        return Advice(
            "stability", False,
            f"Two rounds named one class only of all {n} records: their agreement says nothing.",
            "Label on, and look whether the stop set holds every class.",
        )  # fmt: skip
    figures = (
        f"The answers on {n} records agree from round to round with a kappa of {decimal(mean, 3)} "
        f"on average over the last {many(window, 'pair', 'pairs')}"
    )
    if mean >= at_least:
        return Advice(
            "stability", True, f"{figures}, {decimal(at_least, 3)} or more.",
            "Stop: more labels of this kind change little. If the model is not good enough, look "
            "for records of another kind.",
        )  # fmt: skip
    return Advice("stability", False, f"{figures}, under {decimal(at_least, 3)}.", "Label on.")


def forecast_below_price(told: Worth) -> Advice:
    """Stop when even the upper end of what the next labels save is under what they cost."""
    stop = told.outcome == "stop"
    todo = "Stop, unless the model will decide more often than was said." if stop else "Label on."
    return Advice("forecast below price", stop, told.sentence, todo)


def budget_spent(price: Price, spent: float) -> Advice:
    """Stop when the budget does not buy one more label.

    >>> budget_spent(Price(label=2, budget=10), spent=9).sentence
    'Spent are 9.00 of 10.00: enough for 0 more labels.'
    """
    left = price.affords(spent)
    if price.budget is None:
        return Advice(
            "budget spent", False, f"Spent are {price.said(spent)}; no budget is set.", "Label on."
        )
    figures = f"Spent are {price.said(spent)} of {price.said(price.budget)}"
    if left is None:
        return Advice("budget spent", False, f"{figures}; labels cost nothing.", "Label on.")
    figures += f": enough for {many(left, 'more label', 'more labels')}."
    todo = "Label on." if left else "Stop, or raise the budget."
    return Advice("budget spent", left < 1, figures, todo)


def audited_precision(verdicts: Sequence[Verdict], target: float) -> Advice:
    """Stop when audits show that the pseudo-labels of every class reach `target`.

    `verdicts` are those of `leaven.label.trust.gate.Gate.judge`, whose target may not be lower.
    """
    if not 0 < target < 1:
        raise SettingError("target", "a share in (0, 1)", target)
    reached = [v for v in verdicts if v.accepts and v.low >= target]
    goal = f"a precision of {percent(target)}"
    figures = (
        f"Audits show {goal} for {count(len(reached))} of "
        f"{many(len(verdicts), 'class', 'classes')}."
    )
    if verdicts and len(reached) == len(verdicts):
        lowest = min(v.low for v in verdicts)
        return Advice(
            "audited precision", True, f"{figures} The lowest bound is {percent(lowest)}.",
            "Stop: let the model label the rest, and go on auditing a sample.",
        )  # fmt: skip
    waiting = [v for v in verdicts if not (v.accepts and v.low >= target)]
    listed = " ".join(v.sentence for v in waiting[:3])
    return Advice(
        "audited precision", False, f"{figures} {listed}".rstrip(),
        "Label and audit records of the classes that are left.",
    )  # fmt: skip


def _scaled(figure: Estimate, scale: float, added: float) -> Estimate:
    value, low, high = (scale * end + added for end in (figure.value, figure.low, figure.high))
    return Estimate(value, low, high, figure.n)


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise SettingError(name, "an amount, at least 0", value)
