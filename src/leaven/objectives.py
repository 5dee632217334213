"""The verbs for what is promised of services: check it, tell people, show, and silence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

__all__ = ["alerts", "check", "silence", "status", "unsilence", "watch"]

_NONE = "Nothing was released yet"


def check(
    service: str | None = None,
    *,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Look once: measure what is promised, open and close alerts, and tell people.

    Parameters
    ----------
    service : named as the data; all of the store if not given.
    config : a TOML file with [[slo]], [[route]] and [alerts], see
        `leaven.operate.objectives.config.Objectives`; by default `leaven.toml`, if it is there.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.

    Returns `findings`, `alerts` that are open, `sent`, the messages that routes took now, and
    `waiting`, what they have not taken. Raises DataError where nothing was released.
    """
    return next(watch(service, config=config, store=store, every=0.0, times=1))


def watch(
    service: str | None = None,
    *,
    config: str | Path | None = None,
    store: str | Path | None = None,
    every: float = 60.0,
    times: int | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """`check` again and again, `every` so many seconds, `times` or for ever.

    A look that fails because the store cannot be reached gives `problem`, and is made again; the
    first one must not fail.
    """
    from leaven.core.errors import StoreError
    from leaven.operate.objectives.checking import check as look
    from leaven.operate.objectives.config import Objectives
    from leaven.operate.releases import named_service, services
    from leaven.store.store import store_at

    told = Objectives.read(config)
    kept = store_at(store, _NONE)
    number = 0
    while True:
        number += 1
        try:
            names = services(kept) if service is None else [named_service(kept, service)]
            findings, sent = look(kept, names, told)
            yield {"findings": [one.told() for one in findings], "sent": sent, **_standing(kept)}
        except StoreError as failed:
            if number == 1:
                raise
            yield {"findings": [], "sent": 0, "alerts": [], "waiting": [], "problem": str(failed)}
        if number == times:
            return
        sleep(every)


def status(service: str | None = None, *, store: str | Path | None = None) -> dict[str, Any]:
    """What the last look found, without another: `findings`, `alerts` and `waiting` as of `check`,
    and the `silences` that hold."""
    from leaven.operate.objectives.checking import last_looks
    from leaven.operate.objectives.silences import silences
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    kept = store_at(store, _NONE)
    name = None if service is None else named_service(kept, service)
    found = [one for one in last_looks(kept) if name in (None, one["service"])]
    told = _standing(kept)
    told["alerts"] = [one for one in told["alerts"] if name in (None, one["service"])]
    with kept.read() as connection:
        quiet = [asdict(one) for one in silences(connection, time.time())]
    return {"findings": found, **told, "silences": quiet}


def alerts(
    *, closed: bool = False, most: int = 100, store: str | Path | None = None
) -> list[dict[str, Any]]:
    """Alerts that are open, the oldest first, or with `closed` all, the latest first.

    Each has `id`, `service`, `dataset`, `slo`, `severity`, when it `began`, was `opened`, `closed`
    and last `told` (seconds since 1970, None where it was not), and the latest `finding`.
    """
    from leaven.core.errors import SettingError
    from leaven.operate.objectives.checking import known_alerts
    from leaven.store.store import store_at

    if not 1 <= most <= 10_000:
        raise SettingError("most", "a number from 1 to 10 000", most)
    return known_alerts(store_at(store, _NONE), closed=closed, most=most)


def silence(
    service: str | None = None,
    slo: str | None = None,
    *,
    lasts: str,
    by: str,
    reason: str,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Let nobody be told of alerts for a time; they open and close all the same.

    Parameters
    ----------
    service, slo : of this service, of this objective; of all if not given.
    lasts : for how long, `30m`, `4h` or `2d`; a month at most.

    Returns the silence, with the `id` that ends it. Raises SettingError without a reason,
    UnknownNameError for a service, or an objective, that no look has seen.
    """
    from leaven.core.errors import UnknownNameError
    from leaven.operate.objectives import silences
    from leaven.operate.objectives.checking import last_looks
    from leaven.operate.objectives.config import seconds
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    kept = store_at(store, _NONE)
    if service is not None:
        named_service(kept, service)
    known = {one["slo"] for one in last_looks(kept)}
    if slo is not None and slo not in known:
        raise UnknownNameError("objective", slo, known)
    made = silences.silence(
        kept, service, slo, seconds=seconds(lasts), by=by, reason=reason, now=time.time()
    )
    return asdict(made)


def unsilence(number: int, *, by: str, store: str | Path | None = None) -> dict[str, Any]:
    """End a silence before its time. DataError where it does not hold."""
    from leaven.operate.objectives.silences import end_silence
    from leaven.store.store import store_at

    return asdict(end_silence(store_at(store, _NONE), number, by=by, now=time.time()))


def _standing(store: Any) -> dict[str, Any]:
    from leaven.operate.objectives.checking import known_alerts
    from leaven.operate.objectives.outbox import waiting

    return {
        "alerts": known_alerts(store, most=10_000),
        "waiting": [asdict(one) for one in waiting(store)],
    }
