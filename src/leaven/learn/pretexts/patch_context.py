"""Patch context: where does this patch stand beside that one?

Doersch et al. 2015, arXiv:1505.05192, section 3: of the patch in the middle and one of its eight
neighbours, both seen by the same encoder, it is told which neighbour it is. Shortcuts are closed
as in section 3.1: between patches there is a gap, half as wide as a patch on average; each stands
anywhere within its cell; and each is normalised by itself.

- The paper draws the middle anywhere in large pictures. Ours are small: the middle is that of the
  picture, and its neighbours fill the rest.
- `neighbours` of the eight are asked for in each record and step, so that the middle is encoded
  once for all of them; in the paper one.
- Patches of small pictures are enlarged to half the picture. The paper's colour dropping is left
  out: it is against the fringes of lenses, which pictures of some dozen pixels do not show.

Use it on photographs of things with parts; a step costs less than jigsaw's.

It fails where a picture is the same everywhere, as textures are, and on small pictures, whose
patches show little. Below 12 pixels a side it raises SettingError.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.views.draws import uniform
from leaven.learn.choices.choice import within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import VIEWS, Loss, Moment
from leaven.learn.patches import CELLS, cut_tiles, shown_tiles, tile_shape
from leaven.learn.pixels import PixelEncoder
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

_MIDDLE = CELLS // 2
_NEIGHBOURS = CELLS - 1
_HIDDEN = 256


@dataclass(frozen=True)
class PatchContext(PretextObjective):
    """The cross-entropy of a neighbour's place.

    loss = mean_u mean_k CE(h(f(middle(x_u)), f(neighbour(x_u, k))), k)     k drawn of 0, …, 7

    Neighbours are numbered row by row from the upper left. `gap` is the share of a cell that its
    patch leaves free.
    """

    neighbours: int = 4
    gap: float = 1 / 3
    view: str = "plain"

    def __post_init__(self) -> None:
        within("neighbours of patch-context", self.neighbours, 1, _NEIGHBOURS)
        within("gap of patch-context", self.gap, 0, 0.6)
        if self.view not in VIEWS:
            raise SettingError("view of patch-context", f"one of {', '.join(VIEWS)}", self.view)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The head `names` the place; SettingError where pictures are too small for patches."""
        tile_shape(problem.spec, self.gap)
        names = nn.Sequential(
            nn.Linear(2 * network.encoder.width, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, _NEIGHBOURS),
        )
        return nn.ModuleDict({"names": names})

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, k = now.draw, self.neighbours
        entered = now.network.enter(draw.unlabelled(self.view))
        n = len(entered)
        place = uniform((n, _NEIGHBOURS), draw.rng).argsort(1)[:, :k]
        shape = tile_shape(draw.spec, self.gap)
        tiles = cut_tiles(entered, cells_of(place), shape, draw.rng)
        seen = now.network(shown_tiles(tiles, draw.spec)).reshape(n, k + 1, -1)
        pairs = torch.cat([seen[:, :1].expand(-1, k, -1), seen[:, 1:]], -1)
        with now.precision():
            named: Tensor = now.state["names"](pairs).float().flatten(0, 1)
        told = place.flatten()
        right = (named.detach().argmax(-1) == told).float().mean()
        return Loss({"place": F.cross_entropy(named, told)}, {"accuracy": right})


def cells_of(place: Tensor) -> Tensor:
    """(n, k + 1) the cells of the middle and of the neighbours `place` (n, k)."""
    middle = torch.full_like(place[:, :1], _MIDDLE)
    return torch.cat([middle, place + (place >= _MIDDLE)], 1)


PRETEXTS.add(
    "patch-context",
    Pretext(
        name="patch-context",
        summary="name where a patch stands beside the one in the middle",
        paper="Doersch et al. 2015, arXiv:1505.05192",
        family="predictive",
        objective=PatchContext(),
        modalities=("image",),
        asks=PixelEncoder,
        trained_by={"pretrain_batch": 64},
    ),
)
