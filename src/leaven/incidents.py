"""The verbs for incidents: open, list, show, steps, do, note, close, report."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import LeavenError, SettingError, StoreError
from leaven.core.progress import Listener

if TYPE_CHECKING:
    from leaven.operate.incidents.incident import Incident, Incidents
    from leaven.operate.incidents.step import Scene
    from leaven.store.store import Store

__all__ = ["close", "do", "every", "note", "open_incident", "outlook", "report", "show", "steps"]

_NONE = "Nothing was released yet"
_FOLDER = "incidents"


def open_incident(
    service: str,
    *,
    reason: str,
    by: str,
    alert: int | None = None,
    since: str | float | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Open an incident and freeze the evidence; of a service whose incident is open, that one.

    It may be killed at any moment; the same call goes on, and freezes what is not frozen yet.

    Parameters
    ----------
    alert : the number of the alert that told of it, as `leaven slo alerts` has it.
    since : when the fault began: a time (`2026-03-01 04:30`, UTC where no other is said), how long
        ago (`90m`, `2h`), or seconds since 1970.
    out : where evidence goes, by default `incidents` beside the store, and in `runs` where that is
        no file.
    config : a TOML file to be kept, by default `leaven.toml`.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.

    Returns `new`, `problem` ("" where the evidence is frozen) and what `show` does. Raises
    LeavenError for a service or alert that is not there, StoreError where nothing can be kept.
    """
    from leaven.operate.incidents.evidence import freeze
    from leaven.operate.incidents.incident import Incidents
    from leaven.operate.incidents.parts import Site
    from leaven.operate.incidents.times import alert_of, since_of
    from leaven.operate.objectives.config import FILE
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    kept = store_at(store, _NONE)
    name = named_service(kept, service)
    now = time.time()
    told = None if alert is None else alert_of(kept, alert, name)
    began = None if since is None else _time(since, now)
    root = _root(store, out)
    incidents = Incidents(kept)
    incident, new = incidents.open(
        name, by=by, reason=reason, since=began, alert=told,
        folder=lambda number, at: str(root / _called(number, name, at)),
    )  # fmt: skip
    problem = ""
    if incident.evidence is None:
        site = Site(
            kept, incident, Path(FILE if config is None else config), since_of(kept, incident), now
        )
        try:
            frozen = freeze(site, Path(incident.folder) / "evidence")
            said = f"{frozen['files']} files, manifest {frozen['digest']}"
            incident = incidents.freeze(incident.number, by=by, reason=said, told=frozen)
        except StoreError:
            raise
        except (LeavenError, OSError) as failed:
            problem = f"The evidence could not be frozen: {failed} Call again once that is mended."
    return {"new": new, "problem": problem} | _told(kept, incident, config)


def every(
    *, closed: bool = False, store: str | Path | None = None, config: str | Path | None = None
) -> list[dict[str, Any]]:
    """The incidents that are open, or with `closed` all, the latest first, each as of `show`."""
    found = _incidents(store)
    mine = [one for one in found.all() if closed or one.closed is None]
    return [_told(found.store, one, config, check=False) for one in mine]


def show(
    number: int, *, store: str | Path | None = None, config: str | Path | None = None
) -> dict[str, Any]:
    """What is known of an incident, see `leaven.operate.incidents.told.told`.

    Raises UnknownNameError where there is none of this number.
    """
    found = _incidents(store)
    return _told(found.store, found.get(number), config)


def steps(number: int, *, store: str | Path | None = None) -> list[dict[str, Any]]:
    """The checklist of an incident, see `leaven.operate.incidents.told.checklist`."""
    from leaven.operate.incidents.step import typed_store
    from leaven.operate.incidents.told import checklist

    found = _incidents(store)
    return checklist(found.get(number), None if store is None else typed_store(found.store))


def outlook(
    number: int,
    step: str,
    *,
    settings: Mapping[str, Any] | None = None,
    by: str = "?",
    store: str | Path | None = None,
) -> dict[str, Any]:
    """What a step would change: `says`, sentences, and `already`, why nothing is left to do.

    Nothing is done. Parameters and errors as of `do`.
    """
    from leaven.operate.incidents.doing import outlook as look

    plan = look(_scene(number, settings, by, store, None), step)
    return {"says": list(plan.says), "already": plan.already}


def do(
    number: int,
    step: str,
    *,
    settings: Mapping[str, Any] | None = None,
    by: str,
    store: str | Path | None = None,
    progress: Listener | None = None,
) -> dict[str, Any]:
    """Do a step of the checklist. It may be killed at any moment; the same call goes on.

    Parameters
    ----------
    settings : of the step, see `steps`. A step with the same settings is done once.

    Returns the act: `step`, `state`, `by`, `reason`, `result` and so on, and `now`, whether it was
    done by this call. Raises LeavenError where it cannot be done, which is kept where it was begun.
    """
    from leaven.operate.incidents.doing import do as act
    from leaven.operate.incidents.told import act_told

    done, now = act(_scene(number, settings, by, store, progress), step)
    return act_told(done) | {"now": now}


def note(number: int, text: str, *, by: str, store: str | Path | None = None) -> dict[str, Any]:
    """Keep what somebody found or thought; also of a closed incident. Returns as `show`."""
    found = _incidents(store)
    return _told(found.store, found.note(number, text, by=by), None)


def close(
    number: int,
    *,
    reason: str,
    by: str,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Close an incident; its times are kept as they are now. DataError where it is closed."""
    from leaven.operate.incidents.times import closing

    found = _incidents(store)
    incident = found.get(number)
    times = closing(found.store, incident, by, time.time(), _settle(config))
    closed = found.close(number, by=by, reason=reason, told={"times": times})
    return _told(found.store, closed, config)


def report(
    number: int,
    out: str | Path,
    *,
    runbook: bool = False,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> Path:
    """Write the postmortem, or with `runbook` what to do the next time, from the records.

    Parameters
    ----------
    out : a page (`.html`) or Markdown (`.md`); a runbook is Markdown.

    Raises SettingError for another ending.
    """
    import leaven
    from leaven.evaluate.folder import write_page
    from leaven.operate.incidents.page import rendered
    from leaven.operate.incidents.step import typed_store
    from leaven.operate.incidents.writing import postmortem
    from leaven.operate.incidents.writing import runbook as written

    path = Path(out)
    endings = (".md",) if runbook else (".html", ".md")
    if path.suffix not in endings:
        raise SettingError("out", f"a file that ends in {' or '.join(endings)}", str(out))
    found = _incidents(store)
    incident = found.get(number)
    known = _told(found.store, incident, config)
    shown = None if store is None else typed_store(found.store)
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    if runbook:
        text = written(known, shown)
    elif path.suffix == ".md":
        text = postmortem(known, found.history(number), shown, created)
    else:
        text = rendered(known, found.history(number), shown, created, leaven.__version__)
    return write_page(text, path.parent, path)


def _incidents(store: str | Path | None) -> Incidents:
    from leaven.operate.incidents.incident import Incidents
    from leaven.store.store import store_at

    return Incidents(store_at(store, _NONE))


def _told(
    store: Store, incident: Incident, config: str | Path | None, *, check: bool = True
) -> dict[str, Any]:
    from leaven.operate.incidents.times import times_of
    from leaven.operate.incidents.told import told

    return told(store, incident, times_of(store, incident, _settle(config)), check=check)


def _settle(config: str | Path | None) -> float:
    """How long a figure is to be fine before its alert closes; by default where no file says."""
    from leaven.operate.objectives.config import Alerting, Objectives

    try:
        return Objectives.read(config).alerts.settle
    except LeavenError:  # a file that is broken keeps nobody from an incident
        return Alerting().settle


def _scene(
    number: int,
    settings: Mapping[str, Any] | None,
    by: str,
    store: str | Path | None,
    progress: Listener | None,
) -> Scene:
    from leaven.operate.incidents.step import Scene

    found = _incidents(store)
    told = dict(settings or {})
    return Scene(found.store, found.get(number), by, told, _fit, time.time, progress)


def _fit(data: Any, **how: Any) -> Any:
    """As `fit`, which loads torch, so late."""
    from leaven.api import fit

    return fit(data, **how)


def _root(store: str | Path | None, out: str | Path | None) -> Path:
    """Where evidence goes."""
    from leaven.store.store import RUNS

    if out is not None:
        return Path(out).resolve()
    beside = Path(RUNS) if store is None or "://" in str(store) else Path(store).parent
    return (beside / _FOLDER).resolve()


def _called(number: int, service: str, at: float) -> str:
    """A folder's name that no incident of another store has."""
    mark = hashlib.sha256(f"{service} {at}".encode()).hexdigest()[:6]
    return f"{number:04d}-{mark}"


def _time(told: str | float, now: float) -> float:
    """Seconds since 1970, which are past."""
    from leaven.operate.objectives.config import seconds

    wanted = "a past time, as '2026-03-01 04:30' (UTC), or how long ago, as 90m or 2h"
    at: float
    if isinstance(told, int | float):
        at = float(told)
    else:
        try:
            at = now - seconds(told)
        except SettingError:
            try:
                read = datetime.fromisoformat(told.strip())
            except ValueError:
                raise SettingError("since", wanted, told) from None
            at = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    if not 0 < at <= now:
        raise SettingError("since", wanted, told)
    return at
