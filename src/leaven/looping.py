"""The verbs for the loop: run, status, trigger, approve and refuse, pause and resume."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.core.errors import LeavenError, SettingError
from leaven.core.progress import Listener

if TYPE_CHECKING:
    from leaven.evaluate.run import Run
    from leaven.operate.loop.journal import Journal, Standing
    from leaven.operate.loop.loop import Loop
    from leaven.operate.loop.policy import Policy
    from leaven.store.store import Store

__all__ = ["decide", "outlook", "pause", "resume", "run", "status", "trigger"]


def run(
    config: str | Path | None = None,
    *,
    store: str | Path | None = None,
    every: float | None = None,
    told: Callable[[dict[str, Any]], None] | None = None,
    progress: Listener | None = None,
) -> list[dict[str, Any]]:
    """Go on with the loop until it has to wait.

    It may be killed at any moment; the same call goes on, and does nothing twice. Where another
    process goes on with it, nothing is done.

    Parameters
    ----------
    config : a TOML file with a table `[loop]`, see `leaven.operate.loop.policy.Policy`, and perhaps
        `[canary]`; by default `leaven.toml`.
    store : a file or URL, see `Store`; by default `leaven.db` in the policy's folder of runs.
    every : look again after so many seconds, until Ctrl-C; what a person must mend is told then,
        and tried again.
    told : is called with each step, a dict of `cycle`, `state`, `outcome` ("" where it waits) and
        `reason`.

    Returns the steps. Raises SettingError for a policy that cannot be used, StoreError where a
    result could not be kept.
    """
    if every is not None and not 1 <= every <= 86_400:
        raise SettingError("every", "seconds from 1 to 86400", every)
    loop, tell = _loop(config, store, progress), told or (lambda _: None)
    steps: list[dict[str, Any]] = []
    while True:
        try:
            for step in loop.run():
                steps.append(asdict(step))
                tell(steps[-1])
        except LeavenError as wrong:
            if every is None:
                raise
            tell({"cycle": 0, "state": "", "outcome": "", "reason": str(wrong)})
        if every is None:
            return steps
        steps.clear()  # they were told, and would grow without end
        time.sleep(every)


def outlook(config: str | Path | None = None, *, store: str | Path | None = None) -> dict[str, Any]:
    """What `run` would do now, and why: `says`, `triggers`, `holds`, `state`, `cycle`.

    Nothing is done and nothing kept. Parameters and errors as of `run`.
    """
    found = _loop(config, store, None).outlook()
    return {
        "service": found.standing.service,
        "state": found.standing.state,
        "cycle": found.standing.cycle,
        "says": found.says,
        "holds": list(found.holds),
        "triggers": [
            {"name": one.name, "fires": one.fires, "says": one.says} for one in found.triggers
        ],
    }


def status(
    service: str | None = None,
    *,
    config: str | Path | None = None,
    store: str | Path | None = None,
    report: str | Path | None = None,
) -> dict[str, Any]:
    """Where the loop stands, why, what comes next, and what it waits for.

    Parameters
    ----------
    service : by default that of `config`, or the only one that has a loop.
    config : see `run`; without one, and without `leaven.toml`, the store says which there are.
    store : a file or URL, see `Store`; by default that of `config`, or `runs/leaven.db`.
    report : write a page with the picture of it to this file.

    See `leaven.operate.loop.told.told`. Raises DataError where there is no loop.
    """
    from leaven.operate.loop.told import told

    found = told(_journal(service, config, store))
    if report is not None:
        found["report"] = str(_written(found, Path(report)))
    return found


def trigger(
    service: str | None = None,
    *,
    by: str,
    reason: str = "",
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Begin a cycle by hand, with the next `run`; parameters as of `status`.

    The time between two cycles is not waited for; the caps hold.
    """
    return _said(_journal(service, config, store).trigger(by, reason))


def decide(
    service: str | None = None,
    *,
    approve: bool,
    by: str,
    reason: str = "",
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Approve or refuse the change that waits for a person; DataError where none does."""
    return _said(_journal(service, config, store).decide(by, reason, approve=approve))


def pause(
    service: str | None = None,
    *,
    by: str,
    reason: str = "",
    labelling: bool = False,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """The loop does nothing until `resume`; with `labelling`, it goes on without automatic labels.

    A fit that goes on is not stopped, but its result is not used. A canary stays, and is judged by
    who else guards it.
    """
    journal = _journal(service, config, store)
    return _said(journal.pause("labelling" if labelling else "loop", by, reason))


def resume(
    service: str | None = None,
    *,
    by: str,
    reason: str = "",
    labelling: bool = False,
    config: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Let go on what was paused; DataError where it was not."""
    journal = _journal(service, config, store)
    return _said(journal.resume("labelling" if labelling else "loop", by, reason))


def _loop(config: str | Path | None, store: str | Path | None, progress: Listener | None) -> Loop:
    from leaven.operate.costs.prices import Prices
    from leaven.operate.loop.loop import Loop
    from leaven.operate.loop.policy import Policy

    policy, canary = Policy.read(config)
    prices = Prices.read(config, needed=False)
    kept = _store(policy, store)
    return Loop(kept, policy.named, policy, _fit, canary=canary, prices=prices, listen=progress)


def _fit(data: Any, **how: Any) -> Run:
    """As `fit`, which loads torch, so late."""
    from leaven.api import fit

    return fit(data, **how)


def _journal(service: str | None, config: str | Path | None, store: str | Path | None) -> Journal:
    """The journal of a service: that of the policy where there is one, or one that has a loop."""
    from leaven.operate.loop.journal import Journal
    from leaven.operate.loop.policy import FILE, Policy
    from leaven.operate.loop.told import named_loop
    from leaven.store.store import store_at

    if config is None and not Path(FILE).is_file():
        kept = store_at(store, "There is no loop yet")
        return Journal(kept, named_loop(kept, service))
    policy, _ = Policy.read(config)
    kept = _store(policy, store)
    asked = policy.named if service in (None, policy.named) else named_loop(kept, service)
    return Journal(kept, asked)


def _store(policy: Policy, store: str | Path | None) -> Store:
    """The store that is named, or that beside the policy's runs, made where there is none."""
    from leaven.store.store import STORE, Store

    address = str(Path(policy.runs) / STORE if store is None else store)
    if "://" not in address:
        Path(address).parent.mkdir(parents=True, exist_ok=True)
    return Store(address)


def _said(standing: Standing) -> dict[str, Any]:
    """What stands after a person's word."""
    return {
        "service": standing.service,
        "cycle": standing.cycle,
        "state": standing.state,
        "paused": sorted(standing.paused),
        "wish": standing.wish is not None,
        "decision": None if standing.decision is None else standing.decision.kind,
    }


def _written(found: dict[str, Any], path: Path) -> Path:
    import leaven
    from leaven.evaluate.folder import write_page
    from leaven.operate.loop.page import rendered

    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return write_page(rendered(found, created=now, leaven=leaven.__version__), path.parent, path)
