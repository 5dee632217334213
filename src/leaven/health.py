"""The verb that says how good a service is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["health"]


def health(
    service: str | None = None,
    *,
    hours: float = 24.0,
    tolerance: float = 0.03,
    level: float = 0.05,
    least: float = 0.03,
    records: Any = None,
    report: str | Path | None = None,
    store: str | Path | None = None,
) -> dict[str, Any]:
    """How good the live run of a service is now: without labels, and by those that came back.

    Parameters
    ----------
    service : named as the data; the only one of the store if not given.
    hours : its answers of so many hours are held against what its run promised. Truths count over
        the whole life of the run.
    tolerance : by how much the accuracy may be less than promised.
    level : the probability of a false alarm by truth, ever, while the promise is kept.
    least : the share of records that must lie elsewhere for a column to count as shifted.
    records : new records, a file, folder or data frame: of up to 2000 of them two views each are
        asked about, and of as many of the run's own, which must be at hand. It loads torch.
    report : write a page with plots over time to this file.
    store : a file or URL, see `Store`; by default `runs/leaven.db`.

    Returns `service`, `run`, `digest`, `at`, `since`, `verdict` (good, alarm or cannot be told),
    `sentence`, and `signals`, each as `leaven.operate.health.signal.Signal`. Raises DataError where
    nothing is live, SettingError for settings out of range.
    """
    from leaven.operate.health.examining import examine
    from leaven.operate.releases import named_service
    from leaven.store.store import store_at

    kept = store_at(store, "Nothing was released yet")
    name = named_service(kept, service)
    found = examine(
        kept, name, hours=hours, tolerance=tolerance, level=level, least=least, new=records
    )
    told = found.told()
    if report is not None:
        import leaven
        from leaven.core.files import write_bytes
        from leaven.operate.health.history import periods
        from leaven.operate.health.page import rendered

        path = Path(report)
        path.parent.mkdir(parents=True, exist_ok=True)
        page = rendered(found, periods(kept, found), leaven.__version__)
        write_bytes(path, page.encode())
        told["report"] = str(path)
    return told
