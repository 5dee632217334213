"""What the dashboards show: four numbers with their promise, trend and words, and charts.

Three boards of one log: what it is worth (executive), what is wrong now (on-call), and where it
comes from (debug).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from leaven.core.wording import count, decimal, many, percent, points, span
from leaven.evaluate.intervals import wilson
from leaven.evaluate.report.clean import clean
from leaven.evaluate.report.svg import responsive
from leaven.operate.metrics.looking import Group, Period, groups, over_time, quantile
from leaven.operate.objectives.checking import known_alerts, last_looks
from leaven.operate.objectives.indicator import INDICATORS
from leaven.serve.dashboard_charts import Line, Mark, columns, moment, rows, trend
from leaven.store.store import Store

__all__ = ["BOARDS", "Board", "Number", "Now", "board", "promises"]

#: Paths of the boards, and what they are called.
BOARDS = (("executive", "Executive"), ("on-call", "On call"), ("debug", "Debug"))
_QUICK = 0.5  # seconds of a request that is quick, a bound of a bucket
_NAMES = 12  # rows of a chart
_DAY = 86_400.0
_RECORDS = "/dashboards/predictions"


@dataclass(frozen=True)
class Number:
    """One of four: its name, value, what is promised and how it went before, and its state.

    `state` is good, alarm or calm, said by `word`. `href` leads to what is behind it.
    """

    title: str
    value: str
    notes: tuple[str, ...]
    state: str = "calm"
    word: str = ""
    href: str = ""


@dataclass(frozen=True)
class Now:
    """What the server knows itself, from its counters, since it began.

    `problems` are sentences on what is wrong.
    """

    asked: int
    failed: int
    waiting: int
    dropped: int
    backlog: int
    batch: float | None
    models: Sequence[str]
    problems: Sequence[str]


@dataclass(frozen=True)
class Board:
    """A page: its finding, numbers, charts with titles that say what they show, and tables."""

    finding: str
    numbers: Sequence[Number]
    charts: Sequence[dict[str, Any]]
    alerts: Sequence[dict[str, Any]]
    models: Sequence[dict[str, Any]]


def promises(store: Store, service: str) -> dict[str, float]:
    """The target of each indicator: as the last look at the objectives had it, else the usual."""
    usual = {name: one.target for name, one in INDICATORS.items() if one.target is not None}
    seen = {
        one["indicator"]: one["target"]
        for one in last_looks(store)
        if one["service"] == service and one["target"] is not None
    }
    return {**usual, **seen}


def board(name: str, store: Store, service: str, period: Period, now: Now) -> Board:
    """The page of that name."""
    look = _Look(store, service, period, promises(store, service))
    return {"executive": _executive, "on-call": _on_call, "debug": _debug}[name](look, now)


class _Look:
    """The log over a period and the one before, and links to its records."""

    def __init__(
        self, store: Store, service: str, period: Period, promised: dict[str, float]
    ) -> None:
        self.store, self.service, self.period, self.promised = store, service, period, promised
        self.slots = over_time(store, service, period)
        self.all = _together(self.slots)
        self.before = _together(over_time(store, service, period.before))

    def href(self, slot: int | None = None, **more: object) -> str:
        """Where the records are: of a slot or of the whole period."""
        since, until = self.period.since, self.period.until
        if slot is not None:
            since, until = self.period.ends(slot)
        return f"{_RECORDS}?{urlencode({'since': f'{since:.3f}', 'until': f'{until:.3f}', **more})}"

    def marks(
        self,
        says: Callable[[Group], str],
        value: Callable[[Group], float],
        part: Callable[[Group], float] = lambda _: 0.0,
        **more: object,
    ) -> list[Mark]:
        """A mark a slot."""
        found = []
        for i, one in enumerate(self.slots):
            since, until = self.period.ends(i)
            days = f"{moment(since, long=True)}, " if self.period.until - since > _DAY else ""
            told = f"{days}{moment(since)} to {moment(until)} UTC: {says(one)}"
            found.append(Mark("", value(one), part(one), told, self.href(i, **more)))
        return found

    def over_time(self, label: str, marks: Sequence[Mark]) -> Markup:
        """Columns of the slots."""
        ends = self.period.since, self.period.until
        return responsive(lambda width: columns(marks, *ends, label, width))

    def trend(self, label: str, lines: Sequence[Line], marks: Sequence[Mark], **how: Any) -> Markup:
        """Lines over the slots."""
        ends = self.period.since, self.period.until
        return responsive(lambda width: trend(lines, marks, *ends, label, width, **how))


def _executive(look: _Look, _: Now) -> Board:
    seen = look.all
    numbers = [_answered(look), _without(look), _quick(look), _right(look)]
    finding = "Nothing was asked in this time"
    if seen.answered:
        finding = f"{count(seen.answered)} records answered"
        if seen.reviewed:
            finding += f", {count(seen.reviewed)} of them passed on to people"
    charts = [_how_much(look), _to_people(look), _how_right(look), _classes(look)]
    return Board(finding, numbers, [one for one in charts if one], (), ())


def _on_call(look: _Look, now: Now) -> Board:
    alerts = [
        {
            "severity": one["severity"], "slo": clean(one["slo"], 80),
            "sentence": clean(one["finding"].get("sentence", ""), 400),
            "command": clean(one["finding"].get("command", ""), 200),
            "runbook": clean(one["finding"].get("runbook", ""), 500),
        }
        for one in known_alerts(look.store, most=100)
        if one["service"] == look.service
    ]  # fmt: skip
    wrong = [*now.problems]
    finding = "Nothing is known to be wrong"
    if wrong or alerts:
        finding = " ".join(
            [*([f"{many(len(alerts), 'alert stands', 'alerts stand')}."] if alerts else []), *wrong]
        )
    numbers = [
        _failed(look, now),
        _quick(look),
        _against("Wait for people", now.backlog, look.promised.get("backlog")),
        _against("Predictions lost", now.dropped, 0.0, note="since the server began"),
    ]
    charts = [_how_long(look), _slow(look), _how_much(look)]
    return Board(finding, numbers, [one for one in charts if one], alerts, ())


def _debug(look: _Look, now: Now) -> Board:
    middle = quantile(look.all.times, 0.5)
    late = quantile(look.all.times, 0.99)
    numbers = [
        _answered(look),
        Number("Half are answered within", _ms(middle), (f"99 % within {_ms(late)}",),
               href=look.href()),
        Number("Records at once", decimal(now.batch), ("a model is asked, on average",)),
        Number("Models loaded", count(len(now.models)),
               tuple(clean(one, 60) for one in now.models[:2])),
    ]  # fmt: skip
    models = [
        _model(look, one) for one in groups(look.store, look.service, look.period, "model")[:_NAMES]
    ]
    charts = [_certainty(look), _classes(look), _how_long(look)]
    finding = f"{many(len(models), 'model', 'models')} answered in this time"
    return Board(finding, numbers, [one for one in charts if one], (), models)


def _answered(look: _Look) -> Number:
    now, before = look.all.answered, look.before.answered
    went = f"{count(before) if before else 'none'} in the time before"
    return Number("Records answered", count(now), (went,), href=look.href())


def _without(look: _Look) -> Number:
    """Answered without a person."""
    seen, before = look.all, look.before
    return _share(
        "Without a person", seen.answered - seen.reviewed, seen.answered,
        look.promised.get("abstaining"), before.answered - before.reviewed, before.answered,
        look.href(route="review"),
    )  # fmt: skip


def _quick(look: _Look) -> Number:
    slow, n = look.all.slow(_QUICK)
    slow_before, n_before = look.before.slow(_QUICK)
    return _share(
        f"Within {_QUICK:g} s", n - slow, n, look.promised.get("latency"),
        n_before - slow_before, n_before, look.href(slow=_QUICK),
    )  # fmt: skip


def _right(look: _Look) -> Number:
    seen, before = look.all, look.before
    target = look.promised.get("audited-accuracy", look.promised.get("accuracy"))
    return _share(
        "Right, where truth came", seen.right, seen.known, target, before.right, before.known,
        look.href(truth="known"),
    )  # fmt: skip


def _failed(look: _Look, now: Now) -> Number:
    good = now.asked - now.failed
    told = _share("Requests answered", good, now.asked, look.promised.get("errors"), 0, 0, "")
    return Number(
        told.title, told.value, (*told.notes, "since the server began"), told.state, told.word
    )


def _share(
    title: str, good: float, n: float, target: float | None, before: float, n_before: float,
    href: str,
) -> Number:  # fmt: skip
    """A share with its interval, held against what is promised."""
    if not n:
        return Number(title, "–", ("nothing to tell it by",), href=href)
    low, high = (float(end) for end in wilson(good, n))
    notes = [f"{span(low, high)}, n {count(n)}"]
    if n_before:
        notes.append(f"{points(good / n - before / n_before)} points against before")
    state, word = "calm", ""
    if target is not None:
        notes.insert(0, f"at least {percent(target)} promised")
        state, word = "calm", "cannot be told yet"
        if high < target:
            state, word = "alarm", "below what is promised"
        elif low >= target or (good / n >= target and n >= 1000):
            state, word = "good", "as promised"
    return Number(title, percent(good / n), tuple(notes), state, word, href)


def _against(title: str, value: float, most: float | None, note: str = "") -> Number:
    """A count, of which there is a most."""
    notes = tuple(one for one in (note,) if one)
    if most is None:
        return Number(title, count(value), notes)
    notes = (f"at most {count(most)} promised", *notes) if most else ("none promised", *notes)
    if value > most:
        return Number(title, count(value), notes, "alarm", "more than promised")
    return Number(title, count(value), notes, "good", "as promised")


def _how_much(look: _Look) -> dict[str, Any] | None:
    if not look.all.answered:
        return None
    busiest = max(range(len(look.slots)), key=lambda i: look.slots[i].answered)
    since, until = look.period.ends(busiest)
    title = (
        f"Most was asked from {moment(since)} to {moment(until)} UTC: "
        f"{count(look.slots[busiest].answered)} records"
    )

    def says(one: Group) -> str:
        return f"{count(one.answered)} answered, {count(one.reviewed)} passed on"

    marks = look.marks(says, lambda one: one.answered, lambda one: one.reviewed)
    key = [("ours", "answered"), ("people", "of them passed on to people")]
    return _chart(title, look.over_time(title, marks), key)


def _to_people(look: _Look) -> dict[str, Any] | None:
    if not look.all.reviewed:
        return None
    share = look.all.reviewed / look.all.answered
    title = f"{percent(share)} were too unsure and went to people"
    shares = [one.reviewed / one.answered if one.answered else None for one in look.slots]
    target = look.promised.get("abstaining")

    def says(one: Group) -> str:
        return f"{count(one.reviewed)} of {count(one.answered)} passed on"

    marks = look.marks(says, lambda one: one.answered, route="review")
    lines = [Line("unsure", "people", shares)]
    promised = None if target is None else 1 - target
    drawn = look.trend(title, lines, marks, show=_whole, promised=promised)
    return _chart(title, drawn)


def _how_right(look: _Look) -> dict[str, Any] | None:
    seen = look.all
    if not seen.known:
        return None
    low, high = (float(end) for end in wilson(seen.right, seen.known))
    title = (
        f"{count(seen.right)} of {count(seen.known)} were right, where truth came back "
        f"({span(low, high)})"
    )

    def says(one: Group) -> str:
        return f"{count(one.right)} of {count(one.known)} right"

    marks = look.marks(says, lambda one: float(one.known), truth="known")
    shares = [one.right / one.known if one.known else None for one in look.slots]
    lines = [Line("right", "ours", shares)]
    return _chart(title, look.trend(title, lines, marks, show=_whole, high=1.0))


def _classes(look: _Look) -> dict[str, Any] | None:
    found = groups(look.store, look.service, look.period, "label")
    if not found:
        return None
    first = found[0]
    share = first.answered / look.all.answered if look.all.answered else None
    title = f"“{clean(str(first.key[0]), 40)}” is the commonest answer: {percent(share)}"
    marks = [
        Mark(
            clean(str(one.key[0]), 80), one.answered, one.reviewed,
            f"{clean(str(one.key[0]), 80)}: {count(one.answered)}, "
            f"{count(one.reviewed)} passed on"
            + (f", {count(one.right)} of {count(one.known)} right" if one.known else ""),
            look.href(label=one.key[0]),
        )
        for one in found[:_NAMES]
    ]  # fmt: skip
    note = f"and {count(len(found) - _NAMES)} more classes" if len(found) > _NAMES else ""
    key = [("ours", "answered"), ("people", "of them passed on to people")]
    return _chart(title, responsive(lambda width: rows(marks, title, width)), key, note)


def _certainty(look: _Look) -> dict[str, Any] | None:
    found = sorted(groups(look.store, look.service, look.period, "certainty"), key=_first)
    if not found:
        return None
    known, right = sum(one.known for one in found), sum(one.right for one in found)
    title = "How sure the model was"
    if known:
        title = f"{count(right)} of {count(known)} known ones were right; how sure it was"
    marks = []
    for one in found:
        low = one.key[0] / 10
        name = f"{percent(low, 0)} to {percent(low + 0.1, 0)}"
        says = f"{name}: {count(one.answered)}"
        if one.known:
            says += f", {count(one.right)} of {count(one.known)} right"
        href = look.href(low=f"{low:.1f}", high=f"{low + 0.1:.1f}")
        marks.append(Mark(name, one.answered, one.reviewed, says, href))
    return _chart(title, responsive(lambda width: rows(marks, title, width)))


def _how_long(look: _Look) -> dict[str, Any] | None:
    if (late := quantile(look.all.times, 0.99)) is None:
        return None
    title = f"99 % were answered within {_ms(late)}"
    lines = [
        Line(name, kind, [_thousand(quantile(one.times, level)) for one in look.slots])
        for name, kind, level in (("half", "ours", 0.5), ("99 %", "people", 0.99))
    ]

    def says(one: Group) -> str:
        return f"half within {_ms(quantile(one.times, 0.5))}, 99 % {_ms(quantile(one.times, 0.99))}"

    marks = look.marks(says, lambda one: sum(one.times))
    drawn = look.trend(title, lines, marks, show=lambda value: f"{decimal(value, 0)} ms")
    return _chart(title, drawn, note="From the checked request to its answer, by buckets.")


def _slow(look: _Look) -> dict[str, Any] | None:
    slow, n = look.all.slow(_QUICK)
    if not slow:
        return None
    title = f"{count(slow)} of {count(n)} took over {_QUICK:g} s"

    def says(one: Group) -> str:
        return f"{count(one.slow(_QUICK)[0])} took over {_QUICK:g} s"

    marks = look.marks(says, lambda one: one.slow(_QUICK)[0], slow=_QUICK)
    return _chart(title, look.over_time(title, marks))


def _model(look: _Look, one: Group) -> dict[str, Any]:
    run, digest, place = one.key
    agreed = "–"
    if one.compared:
        agreed = f"{percent(one.agreed / one.compared)} of {count(one.compared)}"
    return {
        "run": clean(run, 80), "version": digest[:12], "place": place,
        "answered": count(one.answered),
        "reviewed": percent(one.reviewed / one.answered if one.answered else None),
        "middle": _ms(quantile(one.times, 0.5)), "late": _ms(quantile(one.times, 0.99)),
        "right": f"{count(one.right)} of {count(one.known)}" if one.known else "–",
        "agreed": agreed,
        "href": look.href(run=run, place=place),
    }  # fmt: skip


def _chart(
    title: str, chart: Markup, key: Sequence[tuple[str, str]] = (), note: str = ""
) -> dict[str, Any]:
    return {"title": title, "chart": chart, "key": key, "note": note}


def _together(slots: Sequence[Group]) -> Group:
    """All slots as one."""
    times = tuple(map(sum, zip(*(one.times for one in slots), strict=True)))
    return Group(
        (), sum(one.rows for one in slots), sum(one.answered for one in slots),
        sum(one.reviewed for one in slots), times, sum(one.known for one in slots),
        sum(one.right for one in slots), sum(one.compared for one in slots),
        sum(one.agreed for one in slots),
    )  # fmt: skip


def _first(one: Group) -> int:
    return int(one.key[0])


def _thousand(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{decimal(1000 * seconds, 0 if seconds >= 0.01 else 1)} ms"


def _whole(value: float | None) -> str:
    return percent(value, 0)
