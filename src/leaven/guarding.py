"""The verbs for a canary that is judged, and for the truth that comes back from production."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from leaven.operate.canary.guard import Look

__all__ = ["feedback", "guard", "status"]


def status(
    service: str | None = None,
    *,
    policy: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """What is known of a canary, what is missing, and what the guard would do. Nothing is decided.

    Parameters
    ----------
    service : named as the data; the only one of the store if not given.
    policy, changes : see `leaven.operate.canary.policy.Policy.read`; by default the policy by which
        the guard looked last.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.

    Returns `service`, `look` (None without a canary, else as `leaven.operate.canary.guard.Look`)
    and `looks`, the last of each earlier step. Raises DataError where nothing was released.
    """
    return _told(service, policy, changes, store, act=False)


def guard(
    service: str | None = None,
    *,
    policy: str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """Look once at the canary, and let it go on, or back, where the evidence says so.

    Parameters and result are those of `status`, but for the default policy, which is `Policy()`.
    The decision was made when this returns.
    """
    return _told(service, policy, changes, store, act=True)


def feedback(
    service: str | None = None,
    out: str | Path | None = None,
    *,
    by: str,
    store: str | Path | None = None,
) -> tuple[pa.Table, int]:
    """The truth that came back, one row a content, and of how many contents it is ambiguous.

    Written to `out` as CSV, Parquet or JSON Lines by its ending, which the audit log notes as done
    by `by`. `leaven fit DATA --answers FILE` reads it and leaves out what the model's own action
    caused. The columns are those of `leaven.operate.production_labels`.
    """
    from leaven.evaluate.tables import write_table
    from leaven.operate.production_labels import production_labels
    from leaven.operate.releases import named_service
    from leaven.store.audit import AuditLog
    from leaven.store.store import store_at

    if out is not None:
        write_table(None, Path(out))
    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    table, ambiguous = production_labels(kept, name)
    if out is not None:
        told = {"file": Path(out).name, "labels": table.num_rows}
        AuditLog(kept).add(by, "labels.exported", name, told)
        write_table(table, Path(out))
    return table, ambiguous


def _told(
    service: str | None,
    policy: str | Path | None,
    changes: Mapping[str, Any] | None,
    store: str | Path | None,
    *,
    act: bool,
) -> dict[str, Any]:
    from leaven.operate.canary.guard import Guard, looks
    from leaven.operate.canary.policy import Policy
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    given = act or policy is not None or changes
    chosen = Policy.read(policy, changes) if given else None
    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    look: Look | None = Guard(kept, name, chosen).look(act=act)
    return {
        "service": name,
        "look": None if look is None else look.told(),
        "looks": looks(kept, name),
    }
