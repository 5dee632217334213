"""Rewriters by name: what `leaven fit --rewrite` may say, and how it becomes an array."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leaven.core.errors import SettingError
from leaven.data.dataset import Dataset
from leaven.data.modalities.text import Text
from leaven.data.modality import Spec
from leaven.data.rewriting import ContextRewriter, Rewriter
from leaven.learn.masked_model import MaskedModelRewriter

__all__ = ["Rewriting", "find_rewriter", "name_of"]

#: (records, spec) → (n, times, length) codes of rewritten texts.
Rewriting = Callable[[Dataset, Spec], npt.NDArray[np.int32]]

_TIMES = 2  # rewritings of each text; a strong view begins with one of them or the original
_FUNCTION = re.compile(r"[\w.]+:\w+")
_WANTED = "'context', the folder of a masked language model, or MODULE:FUNCTION"


def name_of(rewrite: str | Rewriter) -> str:
    """How a recipe names what was asked for: MODULE:FUNCTION for a function.

    >>> name_of("context"), name_of(name_of)
    ('context', 'leaven.learn.rewriters:name_of')
    """
    if isinstance(rewrite, str):
        return rewrite
    kind = rewrite if hasattr(rewrite, "__qualname__") else type(rewrite)
    return f"{kind.__module__}:{kind.__qualname__}"


def find_rewriter(
    rewrite: str | Rewriter, modality: str, extracted: bool, seed: int
) -> Rewriting | None:
    """What rewrites a set's texts; None where nothing is asked for.

    Raises SettingError for a name that stands for nothing, for records that are no texts, and
    for features of a frozen extractor, which has read the texts before any view is drawn.
    """
    if not rewrite:
        return None
    known = None if rewrite == "context" else _rewriter(rewrite, seed)
    if modality != "text":
        raise SettingError(
            "rewrite", "left out, for these records are not of modality text", modality
        )
    if extracted:
        raise SettingError("rewrite", "left out where --encoder is a frozen extractor", rewrite)

    def rewriting(dataset: Dataset, spec: Spec) -> npt.NDArray[np.int32]:
        texts = dataset.records[spec["column"]].to_pylist()
        return Text().rewrite(dataset, spec, known or ContextRewriter(texts, seed=seed), _TIMES)

    return rewriting


def _rewriter(rewrite: str | Rewriter, seed: int) -> Rewriter:
    if not isinstance(rewrite, str):
        return rewrite
    if Path(rewrite).is_dir():
        return MaskedModelRewriter(Path(rewrite), seed=seed)
    if not _FUNCTION.fullmatch(rewrite):
        raise SettingError("rewrite", _WANTED, rewrite)
    module, _, function = rewrite.partition(":")
    try:
        found: Rewriter = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as missing:
        wanted = f"{_WANTED} that can be imported ({missing})"
        raise SettingError("rewrite", wanted, rewrite) from None
    return found
