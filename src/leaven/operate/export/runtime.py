"""Opening an exported model within Leaven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leaven.core.errors import MissingExtraError, RunError
from leaven.data.portable.model import Model

__all__ = ["opened"]


def opened(graph: bytes, described: Mapping[str, Any]) -> Model:
    """The model of a graph and its description.

    Raises MissingExtraError without ONNX Runtime, RunError where they are damaged.
    """
    try:
        return Model(graph, described)
    except ImportError as missing:
        raise MissingExtraError("export", "An exported model") from missing
    except Exception as broken:
        said = " ".join(str(broken).split())[:300]
        raise RunError(f"The exported model cannot be opened: {said}. Export it again.") from broken
