"""The verb for Prometheus and Grafana: rules, alerts, their tests, and dashboards in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

__all__ = ["prometheus"]


def prometheus(
    folder: str | Path,
    *,
    config: str | Path | None = None,
    targets: Sequence[str] = ("127.0.0.1:8080",),
) -> dict[str, Any]:
    """Write rules, their tests, a configuration and dashboards for what is promised.

    Parameters
    ----------
    folder : where they go. Files are written anew, but `prometheus.yml` only where there is none.
    config : a TOML file with [[slo]] and [alerts], see
        `leaven.operate.objectives.config.Objectives`; by default `leaven.toml`, if it is there.
    targets : servers to scrape, as HOST:PORT.

    Returns `folder`, and the paths that were `written` and `kept`. Raises SettingError for what
    cannot be used.
    """
    from leaven.operate.metrics.folder import write
    from leaven.operate.objectives.config import Objectives

    told = write(Path(folder), Objectives.read(config), targets)
    return {"folder": str(folder)} | asdict(told)
