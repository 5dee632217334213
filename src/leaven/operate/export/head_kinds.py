"""The registry of heads that can be exported: functions of features and a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaven.core.registry import Registry
from leaven.learn.head import Head
from leaven.operate.export.graph import Value
from leaven.operate.export.layers import unsupported

__all__ = ["HEAD_GRAPHS", "headed"]

#: (features (n, width), head) to outputs (n, k), by the kind of the head.
HEAD_GRAPHS: Registry[Callable[[Value, Any], Value]] = Registry(
    "exported head", "leaven.operate.export.heads", group="leaven.exported_heads"
)


def headed(features: Value, head: Head) -> Value:
    """(n, k) outputs of features; SettingError for a head that has no exported form."""
    if head.kind not in HEAD_GRAPHS:
        raise unsupported("head", head.kind)
    return HEAD_GRAPHS[head.kind](features, head)
