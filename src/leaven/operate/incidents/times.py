"""How long a fault stood before it was noticed, and how long until it was mended.

To detect: from when the fault began to when it was noticed. To mend: from the opening of the
incident to the step after which what was promised was kept again, or to its closing. Each time
says how it was made, for none of them is measured by a clock that knows the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select

from leaven.core.errors import DataError, LeavenError
from leaven.core.wording import count, many
from leaven.operate.incidents.incident import DONE, UNDONE, Act, Incident
from leaven.operate.incidents.step import STEPS
from leaven.operate.objectives.episodes import settling
from leaven.operate.objectives.indicator import INDICATORS, RequestIndicator
from leaven.operate.objectives.judging import BROKEN
from leaven.store.alert_tables import alerts, slo_counts, slo_looks
from leaven.store.store import Store

__all__ = ["Times", "alert_of", "closing", "day", "since_of", "times_of"]

_MINUTE, _DAY = 60, 86_400.0
_GAP = 30  # minutes without a bad request, before which it was another fault
_LEVEL, _TOLERANCE = 0.025, 0.03  # as `leaven health` looks at truths


@dataclass(frozen=True)
class Times:
    """Seconds since 1970, None where nothing is known; each `…_how` says how it was made."""

    began: float | None
    began_how: str
    detected: float
    detected_how: str
    opened: float
    mended: float | None
    mended_how: str
    closed: float | None

    @property
    def to_detect(self) -> float | None:
        """Seconds; None where nobody knows when the fault began."""
        return None if self.began is None else max(self.detected - self.began, 0.0)

    @property
    def to_mend(self) -> float | None:
        """Seconds; None while it is not mended."""
        return None if self.mended is None else max(self.mended - self.opened, 0.0)

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self) | {"to_detect": self.to_detect, "to_mend": self.to_mend}


def since_of(store: Store, incident: Incident) -> float:
    """From when on answers may be wrong: the fault's beginning, or a day before the opening."""
    began = times_of(store, incident).began
    return incident.opened - _DAY if began is None else min(began, incident.opened)


def alert_of(store: Store, number: int, service: str) -> dict[str, Any]:
    """An alert as it is now, with when it `first` went wrong, and `how` that is known.

    Raises DataError for one that is not there, or of another service.
    """
    with store.read() as connection:
        row = connection.execute(select(alerts).where(alerts.c.id == number)).mappings().first()
    if row is None:
        raise DataError(f"There is no alert {number}. Look at leaven slo alerts --all.")
    if row["service"] != service:
        raise DataError(f"Alert {number} is of '{row['service']}', not of '{service}'.")
    told = dict(row)
    told["first"], told["how"] = _first(store, told)
    return told


def times_of(store: Store, incident: Incident, settle: float = 900.0) -> Times:
    """The times of an incident, as far as they are known.

    Parameters
    ----------
    settle : seconds for which a figure must be fine before its alert closes, by the configuration.
    """
    if incident.closed is not None and "times" in incident.closed.told:
        kept = incident.closed.told["times"]
        return Times(**{name: kept[name] for name in Times.__dataclass_fields__})
    alert, opened = incident.alert, incident.opened
    began, began_how = incident.since, f"as {incident.by} said"
    if began is None and alert is not None:
        began, began_how = alert["first"], alert["how"]
    if began is None:
        began_how = "nobody knows"
    detected, how = opened, "the incident was opened; no alert told of it"
    if alert is not None:
        detected, how = alert["opened"], f"alert {alert['id']} ({alert['slo']}) opened"
    mended, mended_how = _mended(store, incident, settle)
    return Times(began, began_how, detected, how, opened, mended, mended_how, None)


def closing(store: Store, incident: Incident, by: str, now: float, settle: float) -> dict[str, Any]:
    """The times as plain values, as they are once this person closes it: that mends it where
    nothing else was seen to."""
    times = times_of(store, incident, settle)
    if times.mended is None:
        times = replace(times, mended=now, mended_how=f"{by} closed the incident")
    return replace(times, closed=now).told()


def _first(store: Store, alert: Mapping[str, Any]) -> tuple[float, str]:
    name = str(alert["finding"].get("indicator", ""))
    found: tuple[float, str] | None = None
    try:
        if name in INDICATORS and isinstance(INDICATORS[name], RequestIndicator):
            found = _bad_requests(store, alert, name)
        elif name == "audited-accuracy":
            found = _wrong_answers(store, alert)
    except LeavenError:
        found = None
    return found or (
        alert["began"],
        f"the figure was first seen to be broken (alert {alert['id']})",
    )


def _bad_requests(store: Store, alert: Mapping[str, Any], name: str) -> tuple[float, str] | None:
    """The first bad minute from which on no half an hour was without one, until the alert."""
    last = int(alert["opened"] // _MINUTE)
    mine = slo_counts.c.what.like(f"{name}%")
    query = (
        select(slo_counts.c.minute, func.max(slo_counts.c.bad))
        .where(slo_counts.c.service == alert["service"], mine)
        .where(slo_counts.c.bad > 0, slo_counts.c.minute.between(last - 3 * 1440, last))
        .group_by(slo_counts.c.minute)
        .order_by(slo_counts.c.minute.desc())
    )
    first, bad = last, 0
    with store.read() as connection:
        for minute, number in connection.execute(query):
            if first - minute > _GAP:
                break
            first, bad = int(minute), bad + int(number)
    if not bad:
        return None
    said = many(bad, "bad request", "bad requests")
    return float(first * _MINUTE), f"the first of {said} before alert {alert['id']}"


def _wrong_answers(store: Store, alert: Mapping[str, Any]) -> tuple[float, str] | None:
    """The truth from which on those before the alert speak most against what was promised."""
    from leaven.operate.health.auditing import watched
    from leaven.operate.health.reading import truths
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases, folded

    service = str(alert["service"])
    history = [one for one in Releases(store, service).history() if one.at <= alert["opened"]]
    live = folded(service, history).live
    if live is None:
        return None
    told = Registry(store).get(live.run, live.digest).told
    promised = float(told["metrics"]["accuracy"]["value"]) - _TOLERANCE
    seen = truths(store, service, live.digest)
    right = seen.right[seen.at <= alert["opened"]]
    since = watched(right, np.full(len(right), max(promised, 0.0)), _LEVEL).since
    if since is None:
        return None
    wrong = int((~right[since - 1 :]).sum())
    said = f"{count(wrong)} of the {count(len(right) - since + 1)} truths from then on"
    return float(seen.at[since - 1]), f"{said} until alert {alert['id']} contradict the answers"


def _mended(store: Store, incident: Incident, settle: float) -> tuple[float | None, str]:
    """By the alert, where there is one; who closes the incident says it else."""
    fine = None if incident.alert is None else _fine(store, incident.alert, settle)
    if fine is not None and fine >= incident.opened:
        step = _before(incident, fine)
        alert = f"alert {incident.alert['id'] if incident.alert else ''}"
        if step is not None and step.ended is not None:
            return step.ended, f"'{step.step}' was done, after which {alert} was seen to be fine"
        return fine, f"{alert} was seen to be fine again, before any step that mends"
    return None, "not yet"


def _fine(store: Store, alert: Mapping[str, Any], settle: float) -> float | None:
    """Since when what the alert is about is seen not to be broken; None while it is."""
    mark = alert["fingerprint"]
    with store.read() as connection:
        now = connection.execute(select(alerts).where(alerts.c.id == alert["id"])).one_or_none()
        look = connection.execute(select(slo_looks).where(slo_looks.c.fingerprint == mark))
        seen = look.one_or_none()
        if now is None:
            return None
        day = select(func.count()).where(
            alerts.c.fingerprint == mark, alerts.c.opened >= (now.closed or 0.0) - _DAY
        )
        episodes = int(connection.execute(day).scalar_one())
    if now.closed is None:
        return None if seen is None or seen.fine is None else float(seen.fine)
    if now.finding.get("state") == BROKEN:  # nobody looked at it any more
        return None
    # It closed once it had been fine for so long.
    return max(float(now.closed) - settling(settle, episodes), float(now.opened))


def _before(incident: Incident, fine: float) -> Act | None:
    """The last step that may have mended it and was done before it was fine."""
    done = [
        act
        for act in incident.acts
        if act.state in (DONE, UNDONE) and act.step in STEPS and STEPS[act.step].mends
        and act.ended is not None and act.ended <= fine
    ]  # fmt: skip
    return max(done, key=lambda act: act.ended or 0.0) if done else None


def day(at: float | None) -> str:
    """A time as people read it; "" for none."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
