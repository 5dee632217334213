"""The folder that `leaven prometheus` writes: rules and their tests, what to scrape, dashboards.

leaven.rules.yml, leaven.rules.test.yml   rules, and tests for `promtool test rules`
prometheus.yml                            a configuration to begin with; yours once it is there
grafana/dashboards/*.json                 the dashboards
grafana/provisioning/dashboards/          where they are
kubernetes/                               the same for the Prometheus Operator
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaven.core.errors import SettingError
from leaven.operate.kubernetes.text import as_yaml
from leaven.operate.metrics.grafana import BOARDS, board_json, dashboard_provider
from leaven.operate.metrics.rule_tests import rule_tests
from leaven.operate.metrics.rules import rules
from leaven.operate.objectives.config import Objectives

__all__ = ["Written", "write"]

_RULES, _TESTS, _CONFIG = "leaven.rules.yml", "leaven.rules.test.yml", "prometheus.yml"
_HEAD = "# Written by leaven prometheus, which writes it anew.\n"
_YOURS = "# Written once by leaven prometheus. It is yours now.\n"


@dataclass(frozen=True)
class Written:
    """Paths within the folder: `written` anew, and `kept` as the user has them."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def write(folder: Path, told: Objectives, targets: Sequence[str]) -> Written:
    """Write all of it for these promises.

    Parameters
    ----------
    targets : servers to scrape, as `HOST:PORT`.

    Raises SettingError for a folder that cannot be written, or a target that is none.
    """
    for target in targets:
        host, sign, port = target.rpartition(":")
        if not (host and sign and port.isdecimal() and "/" not in host):
            raise SettingError("target", "HOST:PORT, as 127.0.0.1:8080", target)
    found = rules(told)
    files = {
        _RULES: _HEAD + as_yaml(found),
        _TESTS: _HEAD + as_yaml(rule_tests(told, _RULES)),
        "grafana/provisioning/dashboards/leaven.yml": _HEAD + as_yaml(dashboard_provider()),
        "kubernetes/prometheusrule.yaml": _HEAD + as_yaml(_rule_resource(found)),
        "kubernetes/servicemonitor.yaml": _HEAD + as_yaml(_MONITOR),
    }
    files |= {f"grafana/dashboards/{board.name}.json": board_json(board) for board in BOARDS}
    kept = (_CONFIG,) if (folder / _CONFIG).exists() else ()
    if not kept:
        files[_CONFIG] = _YOURS + as_yaml(_configuration(targets))
    try:
        for path, text in files.items():
            _put(folder / path, text)
    except OSError as failed:
        raise SettingError(
            "folder", "one that can be written", str(folder), f"{failed.strerror}."
        ) from failed
    return Written(tuple(sorted(files)), kept)


def _configuration(targets: Sequence[str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "30s"},
        "rule_files": [_RULES],
        "scrape_configs": [
            {"job_name": "leaven", "static_configs": [{"targets": list(targets)}]},
        ],
    }


def _rule_resource(found: dict[str, Any]) -> dict[str, Any]:
    """The rules for the Prometheus Operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "leaven", "labels": _LABELS},
        "spec": found,
    }


_LABELS = {"app.kubernetes.io/part-of": "leaven"}
_SERVERS = {
    "app.kubernetes.io/component": "serve",
    "app.kubernetes.io/managed-by": "leaven-k8s",
}
#: Scrapes the servers that `leaven k8s` writes, with the token of a viewer from a Secret.
_MONITOR: dict[str, Any] = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "ServiceMonitor",
    "metadata": {"name": "leaven", "labels": _LABELS},
    "spec": {
        "selector": {"matchLabels": _SERVERS},
        "endpoints": [
            {
                "port": "http",
                "path": "/metrics",
                "interval": "15s",
                "relabelings": [{"targetLabel": "job", "replacement": "leaven"}],
                "authorization": {"credentials": {"name": "leaven", "key": "metrics-token"}},
            }
        ],
    },
}


def _put(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    made = file.with_name(f".{file.name}.part")
    made.write_text(text, encoding="utf-8")
    os.replace(made, file)
