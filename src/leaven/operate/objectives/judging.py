"""Whether what was promised of a service is kept: each objective measured and told as a finding."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from shlex import quote
from typing import Any

from leaven.core.errors import LeavenError, StoreError
from leaven.core.wording import count, decimal, duration, percent
from leaven.evaluate.intervals import wilson
from leaven.operate.objectives.burning import RULES, Rule
from leaven.operate.objectives.config import Slo
from leaven.operate.objectives.counting import Counted, Counts
from leaven.operate.objectives.indicator import (
    Figure,
    FigureIndicator,
    RequestIndicator,
    Subject,
)

__all__ = ["BROKEN", "FINE", "UNKNOWN", "UNSURE", "Finding", "judge"]

#: Shown to be broken, shown to be kept, neither, or nothing is known.
BROKEN, FINE, UNSURE, UNKNOWN = "broken", "met", "unsure", "unknown"


@dataclass(frozen=True)
class Finding:
    """What was seen of an objective at a severity.

    `value` with its interval `low` to `high`, from `n`, is held against `target`; `figure` and
    `promised` are both in words. `grace` is how many seconds it is to be broken before an alert, by
    its objective; None leaves that to `Alerting`.
    `budget` has the share of the error budget that is `left`, and the burn `rates` by window.
    """

    service: str
    dataset: str
    slo: str
    indicator: str
    severity: str
    state: str
    sentence: str
    target: float | None
    command: str
    runbook: str
    at: float
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    figure: str = ""
    promised: str = ""
    grace: float | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """What makes two findings about the same: service, objective and severity."""
        told = json.dumps([self.service, self.slo, self.severity]).encode()
        return hashlib.sha256(told).hexdigest()

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def judge(slo: Slo, subject: Subject, runbooks: str) -> list[Finding]:
    """The findings of one objective: of a figure one, of requests one a severity."""
    kind = slo.kind
    common: dict[str, Any] = {
        "service": subject.service,
        "dataset": subject.dataset,
        "slo": slo.name,
        "indicator": kind.name,
        "target": slo.target,
        "command": kind.command.format(
            service=quote(subject.service), folder=quote(subject.folder)
        ),
        "runbook": slo.runbook or f"{runbooks}{kind.name}.md",
        "at": subject.now,
    }
    if isinstance(kind, RequestIndicator):
        return _of_requests(slo, kind, subject, common)
    return [_of_figure(slo, kind, subject, common)]


def _of_figure(
    slo: Slo, kind: FigureIndicator, subject: Subject, common: dict[str, Any]
) -> Finding:
    common |= {"severity": slo.severity or kind.severity, "grace": slo.grace}
    try:
        figure = kind.measure(subject, slo.model_dump(include={"confidence", "target"}))
    except StoreError:
        raise
    except LeavenError as nothing:
        return Finding(**common, state=UNKNOWN, sentence=str(nothing))
    except Exception as failed:  # noqa: BLE001 - one indicator must not keep the others from alerts
        said = f"The indicator failed: {type(failed).__name__}: {failed}"
        return Finding(**common, state=UNKNOWN, sentence=said)
    target = slo.target if slo.target is not None else figure.target
    if target is None:
        missing = f"Give the objective '{slo.name}' a target: '{kind.name}' has none of its own."
        return Finding(**common, state=UNKNOWN, sentence=missing)
    if not all(map(math.isfinite, (figure.value, figure.low, figure.high, target))):
        return Finding(**common, state=UNKNOWN, sentence=f"{kind.said}: it is no number.")
    word, bound = _figure(kind, figure), kind.word(target)
    note = f" {figure.note}" if figure.note else ""
    n = f" of {count(figure.n)}" if figure.low != figure.high else ""
    promise = f"{'at most' if kind.most else 'at least'} {bound} is promised"
    told = common | {
        "target": target, "value": figure.value, "low": figure.low, "high": figure.high,
        "n": figure.n, "figure": word, "promised": bound,
        "sentence": f"{kind.said}: {word}{n}; {promise}.{note}",
    }  # fmt: skip
    return Finding(**told, state=kind.state(figure, target))


def _figure(kind: FigureIndicator, figure: Figure) -> str:
    value = kind.word(figure.value)
    if figure.low == figure.high:
        return value
    return f"{value} ({kind.word(figure.low)} to {kind.word(figure.high)})"


def _of_requests(
    slo: Slo, kind: RequestIndicator, subject: Subject, common: dict[str, Any]
) -> list[Finding]:
    assert slo.target is not None
    period, allowed = slo.days * 86_400, 1 - slo.target
    counts = Counts(subject.store, subject.service, kind, slo.within, max(period, RULES[-1].long))
    counts.catch_up(subject.now)
    seen = {
        span: counts.over(span, subject.now)
        for span in (*(s for rule in RULES for s in (rule.long, rule.short)), period)
    }
    whole = seen.pop(period)
    rates = {_span(span): round(one.share / allowed, 3) for span, one in sorted(seen.items())}
    left = 1 - whole.share / allowed if whole.total else 1.0
    budget = {
        "days": slo.days, "left": left, "good": whole.good, "bad": whole.bad, "rates": rates,
    }  # fmt: skip
    return [
        _burn(slo, kind, severity, seen, common | {"budget": budget})
        for severity in dict.fromkeys(rule.severity for rule in RULES)
    ]


def _burn(
    slo: Slo,
    kind: RequestIndicator,
    severity: str,
    seen: Mapping[float, Counted],
    common: dict[str, Any],
) -> Finding:
    """What the rules of one severity say."""
    assert slo.target is not None
    allowed, period = 1 - slo.target, slo.days * 86_400
    rules = [rule for rule in RULES if rule.severity == severity]

    def fires(rule: Rule) -> bool:
        needed = rule.rate(period) * allowed * (1 - 1e-9)  # a rate that is met just so fires
        long, short = seen[rule.long], seen[rule.short]
        return long.share >= needed and short.share >= needed and long.bad >= slo.least

    fired = next((rule for rule in rules if fires(rule)), None)
    known = any(seen[rule.short].total for rule in rules)
    state = BROKEN if fired else FINE if known else UNKNOWN
    told = seen[(fired or rules[0]).long]
    low, high = wilson(told.bad, told.total)
    figure: dict[str, Any] = {"promised": _promise(slo.target), "n": told.total}
    if told.total:
        word = f"{percent(told.share)} ({percent(float(low))} to {percent(float(high))})"
        figure |= {"value": told.share, "low": float(low), "high": float(high), "figure": word}
    sentence = _burn_said(slo, kind, fired or rules[0], told, common["budget"]["left"])
    if not known:
        sentence = f"No request came within {duration(max(rule.short for rule in rules))}."
    return Finding(**common, severity=severity, state=state, sentence=sentence, grace=0.0, **figure)


def _burn_said(slo: Slo, kind: RequestIndicator, rule: Rule, seen: Counted, left: float) -> str:
    assert slo.target is not None
    rate = seen.share / (1 - slo.target)
    which = kind.said.format(within=_seconds(slo.within))
    return (
        f"{count(seen.bad)} of {count(seen.total)} requests {which} in {duration(rule.long)} "
        f"({percent(seen.share, 2)}): {decimal(rate)} times what the promise of "
        f"{_promise(slo.target)} in {slo.days:g} d allows. Of the error budget "
        f"{percent(max(left, 0.0), 0)} is left."
    )


def _promise(target: float) -> str:
    """
    >>> _promise(0.999).replace("\u202f", " "), _promise(0.9).replace("\u202f", " ")
    ('99.9 %', '90 %')
    """
    return f"{100 * target:.6g}\N{NARROW NO-BREAK SPACE}%"


def _seconds(within: float | None) -> str:
    return f"{within:g}\N{NARROW NO-BREAK SPACE}s" if within is not None else ""


def _span(seconds: float) -> str:
    """The short name of a window, as in the configuration.

    >>> [_span(seconds) for seconds in (300.0, 1800.0, 3600.0, 21600.0, 259200.0)]
    ['5m', '30m', '1h', '6h', '3d']
    """
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
