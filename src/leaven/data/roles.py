"""What a caller says about the columns of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaven.data.dataset import Column

__all__ = ["Roles"]


@dataclass(frozen=True)
class Roles:
    """What the caller says about the columns; see `Dataset.read`."""

    label: str | bool | None = None
    modality: str | None = None
    id: str | None = None
    group: str | None = None
    time: str | None = None
    columns: Sequence[Column] | None = None
    audit: str | None = None
