"""The verb for what serves: a released run answers requests."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from leaven.core.errors import SettingError

__all__ = ["serve"]


def serve(
    service: str | None = None,
    *,
    opened: Callable[[str], object] = print,
    store: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    abstain: float = 0.0,
    log_share: float = 1.0,
    explore: float = 0.0,
    every: float = 0.2,
    guard: bool = True,
    policy: str | Path | None = None,
    mirror: float = 0.1,
    rate: float = 0.0,
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
    abstain : below this probability a record goes to the review queue; 0 for never.
    log_share : the share of the predictions that is logged.
    explore : the share that is drawn at random and marked in the log, whatever the model says.
    every : seconds between two looks at the releases.
    guard : a canary is judged while this serves: it gets more requests, or none, by itself.
    policy : a TOML file with a table `[canary]`, see `leaven.operate.canary.policy.Policy`.
    mirror : while a canary stands, the share of the requests that both models are asked.
    rate : requests a second of one token, or without tokens of one address; 0 for any.
    tls_cert, tls_key : PEM files of a certificate and its key.

    Raises DataError where nothing was released, SettingError for settings that cannot be used.
    """
    from leaven.operate.canary.guard import Guard
    from leaven.operate.canary.policy import Policy
    from leaven.operate.releases import named_service
    from leaven.serve.models.answering import Settings
    from leaven.serve.models.app import serve as serve_models
    from leaven.serve.models.guarding import GuardWatch
    from leaven.serve.models.limits import Limits
    from leaven.store.store import store_at

    shares = {"abstain": abstain, "log_share": log_share, "explore": explore, "mirror": mirror}
    for setting, share in shares.items():
        if not 0 <= share <= 1:
            raise SettingError(setting, "a share from 0 to 1", share)
    if not 0 < every <= 60:
        raise SettingError("every", "seconds, more than 0 and at most 60", every)
    if not 0 <= rate < math.inf:
        raise SettingError("rate", "requests a second, 0 for any number", rate)
    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    settings = Settings(abstain, log_share, explore, mirror, Limits(rate=rate or math.inf))
    judged_by = Policy.read(policy)
    watch = GuardWatch(Guard(kept, name, judged_by)) if guard else None
    serve_models(
        kept, name, opened=opened, host=host, port=port, settings=settings,
        every=every, guard=watch, tls_cert=tls_cert, tls_key=tls_key,
    )  # fmt: skip
