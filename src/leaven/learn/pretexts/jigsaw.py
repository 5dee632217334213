"""Jigsaw: nine tiles of a picture in a wrong order; which order is it?

Noroozi & Favaro 2016, arXiv:1603.09246, section 3: a picture is cut into three times three tiles,
each of which goes through the same encoder, and their features side by side must name the order,
one of a fixed set. Orders of the set differ in as many places as can be (algorithm 1), or two tiles
would be enough to name it. Three shortcuts are closed as in section 3.3: tiles stand anywhere
within their cells, so that their edges do not meet; each is normalised by itself; and each picture
is shown in orders drawn anew.

- The set has 64 orders, in the paper up to 1,000: a training of a thousand steps tells so many.
- The paper adds up the distances to the orders chosen so far; here the smallest of them counts
  first, then their sum, so that no two are near. The first is the right order, not a random one.
- Tiles of small pictures are enlarged to half the picture. The paper's colour dropping is left out:
  it is against the fringes of lenses, which pictures of some dozen pixels do not show.

Use it on photographs of one thing with parts in a fixed layout, faces for one.

It fails where a picture is the same everywhere, as textures are, and on small pictures: tiles of
less than 12 pixels show little. Below 12 pixels a side it raises SettingError.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.choices.choice import within
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import VIEWS, Loss, Moment
from leaven.learn.patches import CELLS, cut_tiles, shown_tiles, tile_shape
from leaven.learn.pixels import PixelEncoder
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

_HIDDEN = 256


@dataclass(frozen=True)
class Jigsaw(PretextObjective):
    """The cross-entropy of the order in which the tiles are shown.

    loss = mean_u CE(h(f(tile(x_u, π_k(1))), …, f(tile(x_u, π_k(9)))), k)     k uniform of `orders`

    `gap` is the share of a cell that its tile leaves free, 11 of 75 pixels in the paper.
    """

    orders: int = 64
    gap: float = 0.15
    view: str = "plain"

    def __post_init__(self) -> None:
        within("orders of jigsaw", self.orders, 2, 1000)
        within("gap of jigsaw", self.gap, 0, 0.6)
        if self.view not in VIEWS:
            raise SettingError("view of jigsaw", f"one of {', '.join(VIEWS)}", self.view)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The head `names` the order; SettingError where pictures are too small for tiles."""
        tile_shape(problem.spec, self.gap)
        names = nn.Sequential(
            nn.Linear(CELLS * network.encoder.width, _HIDDEN),
            nn.LayerNorm(_HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, self.orders),
        )
        kept = nn.ModuleDict({"names": names})
        kept.register_buffer("orders", torch.from_numpy(apart(self.orders)), persistent=False)
        return kept

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, kept = now.draw, now.state
        entered = now.network.enter(draw.unlabelled(self.view))
        n = len(entered)
        order = torch.randint(self.orders, (n,), generator=draw.rng, device=entered.device)
        shape = tile_shape(draw.spec, self.gap)
        tiles = cut_tiles(entered, kept.orders[order], shape, draw.rng)
        seen = now.network(shown_tiles(tiles, draw.spec))
        with now.precision():
            named: Tensor = kept["names"](seen.reshape(n, -1)).float()
        right = (named.detach().argmax(-1) == order).float().mean()
        return Loss({"order": F.cross_entropy(named, order)}, {"accuracy": right})


@lru_cache(maxsize=4)
def apart(count: int) -> npt.NDArray[np.int64]:
    """(count, 9) orders of nine tiles that differ in many places, chosen one after the other.

    Each is the one whose smallest Hamming distance to those before is largest; of several that
    whose distances add up to most; of several the first in the order of the dictionary.
    """
    every = np.array(list(permutations(range(CELLS))), np.int8).T.copy()  # (9, all orders)
    chosen = [0]
    least, total = np.full(every.shape[1], CELLS), np.zeros(every.shape[1], np.int64)
    while len(chosen) < count:
        differ = (every != every[:, chosen[-1:]]).sum(0)
        np.minimum(least, differ, out=least)
        total += differ
        chosen.append(int(np.argmax(least * (CELLS * count + 1) + total)))
    return every[:, chosen].T.astype(np.int64)


PRETEXTS.add(
    "jigsaw",
    Pretext(
        name="jigsaw",
        summary="name the order in which nine tiles of a picture are shown",
        paper="Noroozi & Favaro 2016, arXiv:1603.09246",
        family="predictive",
        objective=Jigsaw(),
        modalities=("image",),
        asks=PixelEncoder,
        trained_by={"pretrain_batch": 64},
    ),
)
