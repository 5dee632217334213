"""The verbs for what serves: a released run answers requests, and old ones leave the log."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any

from leaven.core.errors import SettingError

if TYPE_CHECKING:
    from leaven.serve.models.routing import Cascade
    from leaven.store.store import Store

__all__ = ["prune", "serve"]


def serve(
    service: str | None = None,
    *,
    opened: Callable[[str], object] = print,
    store: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    abstain: float = 0.0,
    log_share: float = 1.0,
    explore: float = 0.0,
    every: float = 0.2,
    cascade: str | Path | None = None,
    guard: bool = True,
    policy: str | Path | None = None,
    mirror: float = 0.1,
    rate: float = 0.0,
    keep_days: float = 0.0,
    local_metrics: bool = False,
    prices: str | Path | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
) -> None:
    """Answer requests with what is released, and follow promotions and rollbacks as they come.

    Parameters
    ----------
    service : named as the data; the only one of the store if not given.
    opened : told the address once it can be asked.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.
    host : on any other than this machine's own, who asks needs a token (`leaven tokens new`).
    port : 0 for any free one.
    workers : processes that answer, each with the models in its own memory.
    abstain : below this probability a record goes to the review queue; 0 for never.
    log_share : the share of the predictions that is logged.
    explore : the share that is drawn at random and marked in the log, whatever the model says.
    every : seconds between two looks at the releases.
    cascade : a plan of `leaven cascade`: its larger run answers where the small one is not sure.
    guard : a canary is judged while this serves: it gets more requests, or none, by itself.
    policy : a TOML file with a table `[canary]`, see `leaven.operate.canary.policy.Policy`.
    mirror : while a canary stands, the share of the requests that both models are asked.
    rate : requests a second of one token, or without tokens of one address; 0 for any.
    keep_days : days for which predictions stay in the log, see `prune`; 0 for ever.
    local_metrics : programs on this machine read /metrics without a token. A proxy on it that does
        not say for whom it asks would let everybody do so.
    prices : a TOML file with a table `[costs]`, by which the dashboards tell money; by default
        `leaven.toml`.
    tls_cert, tls_key : PEM files of a certificate and its key.

    Raises DataError where nothing was released, SettingError for settings that cannot be used,
    RunError where several workers end as soon as they begin.
    """
    from leaven.operate.canary.policy import Policy
    from leaven.operate.costs.prices import Prices
    from leaven.operate.releases import named_service
    from leaven.serve.models.answering import Settings
    from leaven.serve.models.app import Plan
    from leaven.serve.models.limits import Limits
    from leaven.serve.models.workers import serve as serve_models
    from leaven.store.store import store_at

    shares = {"abstain": abstain, "log_share": log_share, "explore": explore, "mirror": mirror}
    for setting, share in shares.items():
        if not 0 <= share <= 1:
            raise SettingError(setting, "a share from 0 to 1", share)
    if not 0 < every <= 60:
        raise SettingError("every", "seconds, more than 0 and at most 60", every)
    if not 0 <= rate < math.inf:
        raise SettingError("rate", "requests a second, 0 for any number", rate)
    if not 0 <= keep_days < math.inf:
        raise SettingError("keep_days", "days, 0 for ever", keep_days)
    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    # Workers share what they count; the name cannot be guessed, and they make and remove it.
    counts = Path(gettempdir()) / f"leaven-counts-{token_hex(16)}" if workers > 1 else None
    settings = Settings(abstain, log_share, explore, mirror, Limits(rate=rate or math.inf))
    plan = Plan(
        kept.address, name, host, settings, every, Policy.read(policy), guard, keep_days,
        None if tls_cert is None else str(tls_cert), None if tls_key is None else str(tls_key),
        None if counts is None else str(counts), local_metrics, prices=Prices.read(prices),
    )  # fmt: skip
    if cascade is not None:
        plan = replace(plan, cascade=_cascade(kept, cascade))
    kept.close()  # each process opens its own
    serve_models(plan, opened=opened, port=port, workers=workers)


def _cascade(store: Store, path: str | Path) -> Cascade:
    """The larger run of a plan, registered, so that its files are held against what they were."""
    from leaven.evaluate.cascade import Cascade as Planned
    from leaven.operate.export.served import attach
    from leaven.operate.registry import Registry
    from leaven.serve.models.routing import Cascade

    planned = Planned.load(path)
    attach(planned.large)
    found = Registry(store).add(planned.large, person="leaven serve")
    small = str(planned.small.story["run"]["id"])
    return Cascade(small, found.run, found.digest, planned.threshold.value)


def prune(
    service: str | None = None,
    *,
    keep_days: float,
    by: str,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Remove predictions that are older than so many days from the log.

    Predictions of which truth came back stay, and the truth and the audit log do.

    Parameters
    ----------
    by : who does it; it stands in the audit log.

    Returns how many `predictions` and `failures` (requests that failed) were removed, and the time
    `before` which, in seconds since 1970. Raises LeavenError where it cannot be done.
    """
    from leaven.operate.pruning import prune as prune_log
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    return {"service": name} | asdict(prune_log(kept, name, keep_days, by=by))
