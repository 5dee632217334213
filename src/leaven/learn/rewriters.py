"""Rewriters by name: what `leaven fit --rewrite` may say."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from leaven.core.errors import SettingError
from leaven.data.rewriting import ContextRewriter, Rewriter
from leaven.learn.masked_model import MaskedModelRewriter

__all__ = ["name_of", "rewriter_of"]

_FUNCTION = re.compile(r"[\w.]+:\w+")
_WANTED = "'context', the folder of a masked language model, or MODULE:FUNCTION"


def name_of(rewrite: str | Rewriter) -> str:
    """How a recipe names what was asked for: MODULE:FUNCTION for a function."""
    if isinstance(rewrite, str):
        return rewrite
    kind = rewrite if hasattr(rewrite, "__qualname__") else type(rewrite)
    return f"{kind.__module__}:{kind.__qualname__}"


def rewriter_of(
    rewrite: str | Rewriter, texts: Callable[[], Iterable[str | None]], seed: int
) -> Rewriter:
    """The rewriter itself. `texts` gives the texts that `context` is learnt from.

    Raises SettingError for a name that stands for nothing.
    """
    if not isinstance(rewrite, str):
        return rewrite
    if rewrite == "context":
        return ContextRewriter(texts(), seed=seed)
    if Path(rewrite).is_dir():
        return MaskedModelRewriter(Path(rewrite), seed=seed)
    if not _FUNCTION.fullmatch(rewrite):
        raise SettingError("rewrite", _WANTED, rewrite)
    module, _, function = rewrite.partition(":")
    try:
        found: Rewriter = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as missing:
        raise SettingError(
            "rewrite", f"{_WANTED} that can be imported ({missing})", rewrite
        ) from None
    return found
