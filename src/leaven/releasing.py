"""The verbs for what serves: release, promote, rollback, retire, releases."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.evaluate.run import Run
    from leaven.operate.releases import Releases
    from leaven.store.store import Store

__all__ = ["new_keys", "promote", "release", "releases", "retire", "rollback"]


def release(
    run: Run | str | Path,
    *,
    by: str,
    canary: float | None = None,
    shadow: bool = False,
    override: str = "",
    service: str | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Register a run, and let it serve.

    Where the extra `export` is installed and the model has an exported form (see `export`), that is
    written beside the model and is what `serve` answers by. Where the run's records are at hand,
    their reference for drift is kept beside the run.

    Parameters
    ----------
    by : who decides; it stands in the history.
    canary : the share of the requests that it answers, beside the live run; live at once without.
    shadow : it is asked beside the live run, and nobody hears it.
    override : why a run may serve that was not shown to be better than its baseline.
    service : by default named as the run's data.
    store : a file or URL, see `Store`; by default `leaven.db` beside the run.

    Returns the state, see `leaven.operate.releases.State`. Raises LeavenError where it is refused.
    """
    from leaven.label.place import place_of
    from leaven.operate.export.served import attach
    from leaven.operate.health.reference import keep_reference
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases

    place = place_of(run, store)
    opened = place.with_run()
    attach(opened)  # before its files are counted, so that the manifest covers it
    keep_reference(opened)
    asked = Releases(place.store, service or place.name)
    seen = asked.state()
    found = Registry(place.store).add(opened, person=by)
    told = asked.release(found, by=by, seen=seen, canary=canary, shadow=shadow, override=override)
    return asdict(told)


def releases(store: str | Path | None = None, service: str | None = None) -> list[dict[str, Any]]:
    """Each service of a store: its `state`, its `history`, and the `runs` that it knows.

    By default the store `runs/leaven.db`. Raises DataError where there is none.
    """
    from leaven.operate.registry import Registry
    from leaven.operate.releases import Releases, named_service, services

    kept = _kept(store)
    names = services(kept) if service is None else [named_service(kept, service)]
    registry = {(one.run, one.digest): one for one in Registry(kept).all()}
    told = []
    for name in names:
        found = Releases(kept, name)
        history = found.history()
        known = {(one.run, one.digest) for one in history} & registry.keys()
        told.append(
            {
                "service": name,
                "state": asdict(found.state()),
                "history": [asdict(one) for one in history],
                "runs": [
                    {"run": one.run, "digest": one.digest, "at": one.at, **one.told}
                    for one in (registry[key] for key in sorted(known))
                ],
            }
        )
    return told


def promote(
    service: str | None = None, *, by: str, reason: str = "", store: str | Path | None = None
) -> dict[str, Any]:
    """Make the canary live."""
    found = _found(service, store)
    return asdict(found.promote(by=by, seen=found.state(), reason=reason))


def rollback(
    service: str | None = None, *, by: str, reason: str = "", store: str | Path | None = None
) -> dict[str, Any]:
    """Take back the canary, or where there is none the live run for the one before it."""
    found = _found(service, store)
    return asdict(found.rollback(by=by, seen=found.state(), reason=reason))


def retire(
    run: str,
    service: str | None = None,
    *,
    by: str,
    reason: str = "",
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Take a canary or shadow away."""
    found = _found(service, store)
    return asdict(found.retire(run, by=by, seen=found.state(), reason=reason))


def new_keys() -> tuple[str, str]:
    """A private key to sign models with, and the public one by which they are known."""
    from leaven.core.signing import new_key

    return new_key()


def _found(service: str | None, store: str | Path | None) -> Releases:
    """The service of this name, or the only one."""
    from leaven.operate.releases import Releases, named_service

    kept = _kept(store)
    return Releases(kept, named_service(kept, service))


def _kept(store: str | Path | None) -> Store:
    from leaven.store.store import store_at

    return store_at(store, "Nothing was released yet")
