"""Silences: nobody is told of some alerts for a time, by a person, for a reason."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from leaven.core.errors import DataError, SettingError
from leaven.store import audit
from leaven.store.alert_tables import alert_silences
from leaven.store.store import Store

__all__ = ["Silence", "end_silence", "silence", "silences"]

_LONGEST = 31 * 86_400.0


@dataclass(frozen=True)
class Silence:
    """Of which alerts nobody is told: None for a service or objective stands for all."""

    id: int
    service: str | None
    slo: str | None
    begins: float
    ends: float
    person: str
    reason: str

    def covers(self, service: str, slo: str) -> bool:
        """Whether an alert of this service and objective is silenced."""
        return self.service in (None, service) and self.slo in (None, slo)


def silences(connection: Connection, now: float) -> list[Silence]:
    """Those that hold."""
    query = select(alert_silences).where(
        alert_silences.c.begins <= now, alert_silences.c.ends > now
    )
    return [Silence(*row) for row in connection.execute(query.order_by(alert_silences.c.id))]


def silence(
    store: Store,
    service: str | None,
    slo: str | None,
    *,
    seconds: float,
    by: str,
    reason: str,
    now: float,
) -> Silence:
    """Begin one. SettingError without a reason, or for a time that is none or over a month."""
    if not reason.strip():
        raise SettingError("reason", "why nobody is to be told", reason)
    if not by.strip():
        raise SettingError("by", "the name of who silences", by)
    if not 0 < seconds <= _LONGEST:
        raise SettingError("for", "a time of 31 d at most", f"{seconds:g} s")
    row = {
        "service": service, "slo": slo, "begins": now, "ends": now + seconds,
        "person": by.strip(), "reason": reason.strip(),
    }  # fmt: skip
    with store.write() as connection:
        made = connection.execute(insert(alert_silences).values(row).returning(alert_silences))
        found = Silence(*made.one())
        audit.note(connection, found.person, "alerts.silenced", service or "", row, at=now)
    return found


def end_silence(store: Store, number: int, *, by: str, now: float) -> Silence:
    """End one now. DataError where it does not hold."""
    with store.write() as connection:
        holds = [one for one in silences(connection, now) if one.id == number]
        if not holds:
            raise DataError(f"No silence {number} holds. Look at leaven slo alerts.")
        mine = alert_silences.c.id == number
        connection.execute(update(alert_silences).where(mine).values(ends=now))
        told = {"silence": number}
        audit.note(connection, by, "alerts.unsilenced", holds[0].service or "", told, at=now)
    return holds[0]
