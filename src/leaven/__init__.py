"""Leaven: a few labels raise the whole dataset.

    import leaven

    run = leaven.fit("tickets.csv", budget="5m")
    print(run.verdict.sentence)

Importing this module loads neither torch nor NumPy; a name loads what it needs when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leaven.api import Run, check, choices, compare, curve, distil, fit, methods, predict
    from leaven.core.budget import Budget
    from leaven.core.recipe import Recipe
    from leaven.data.dataset import Dataset

__version__ = "0.1.0"

__all__ = [
    "Budget",
    "Dataset",
    "Recipe",
    "Run",
    "__version__",
    "check",
    "choices",
    "compare",
    "curve",
    "distil",
    "fit",
    "methods",
    "predict",
]

_HOMES = {
    "Budget": "leaven.core.budget",
    "Dataset": "leaven.data.dataset",
    "Recipe": "leaven.core.recipe",
    "Run": "leaven.api",
    "check": "leaven.api",
    "choices": "leaven.api",
    "compare": "leaven.api",
    "curve": "leaven.api",
    "distil": "leaven.api",
    "fit": "leaven.api",
    "methods": "leaven.api",
    "predict": "leaven.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'leaven' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
