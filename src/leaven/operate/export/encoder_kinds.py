"""The registry of encoders that can be exported: functions of decoded arrays and an encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leaven.core.registry import Registry
from leaven.operate.export.graph import Value

__all__ = ["ENCODER_GRAPHS", "Entered"]

#: Arrays of records as the modality decodes them, by name.
Entered = dict[str, Value]

#: (arrays, encoder) to features (n, width), by the name of the encoder; of an encoder of graphs
#: (`passing.Joined`, encoder) to those of the new node (1, width).
ENCODER_GRAPHS: Registry[Callable[[Any, Any], Value]] = Registry(
    "exported encoder", "leaven.operate.export.encoders", group="leaven.exported_encoders"
)
