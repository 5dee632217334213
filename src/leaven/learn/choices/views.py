"""Which views of a record are to agree."""

from __future__ import annotations

from dataclasses import dataclass

from leaven.core.errors import SettingError
from leaven.data.arrays import Batch
from leaven.learn.choices.choice import part, within
from leaven.learn.choices.joint import Views
from leaven.learn.objective import VIEWS, Draw

__all__ = ["MultiCrop", "Pair"]


@part("views")
@dataclass(frozen=True)
class Pair(Views):
    """Two views of each record, by their names.

    SimCLR (Chen et al. 2020, section 2.1) draws both alike; SCARF (Bahri et al. 2022, algorithm 1)
    leaves one as it is; SimCSE (Gao et al. 2021, section 3) leaves both, and lets dropout differ.
    """

    first: str = "contrastive"
    second: str = "contrastive"

    def __post_init__(self) -> None:
        for name in (self.first, self.second):
            if name not in VIEWS:
                raise SettingError("view of Pair", f"one of {', '.join(VIEWS)}", name)

    def __call__(self, draw: Draw) -> list[Batch]:
        """Two views."""
        return [draw.unlabelled(self.first), draw.unlabelled(self.second)]


@part("views")
@dataclass(frozen=True)
class MultiCrop(Views):
    """Two whole views and some of small parts, which only the online side sees.

    Caron et al. 2020 (SwAV), section 3.3.
    """

    parts: int = 4

    def __post_init__(self) -> None:
        within("parts of MultiCrop", self.parts, 0, 32)

    def __call__(self, draw: Draw) -> list[Batch]:
        """Two views and the parts."""
        whole = [draw.unlabelled("contrastive") for _ in range(2)]
        return whole + [draw.unlabelled("local") for _ in range(self.parts)]
