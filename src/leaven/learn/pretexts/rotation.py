"""Rotation: by how many quarter turns was the picture turned?

Gidaris et al. 2018, arXiv:1803.07728, section 3: to name the turn, one of four, a network must see
what stands upright. Each record is shown in all four turns within one batch, which is better than
one at random (section 4.1), so a step costs four passes. Quarter turns move pixels and interpolate
nothing, so the turn leaves no trace of its own.

- What is turned is the weak view: cut and mirrored in the paper.
- The head is a single matrix on the encoder's features. In the paper it is the last layers of the
  network, thrown away where features of an earlier layer are used; here the features are the last.

Use it on photographs, where there is an up and a down, and time is short: a batch need not be
large, and no view has to be chosen.

It fails where nothing stands upright: cells, aerial pictures, textures; and where a turned picture
is another thing, as with digits, for what tells 6 from 9 is what it is told to tell apart. It
takes square pictures only, since an oblong one would tell its turn by its shape: others raise
SettingError.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.learn.method import Problem
from leaven.learn.network import Network
from leaven.learn.objective import VIEWS, Loss, Moment
from leaven.learn.pixels import PixelEncoder
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective
from leaven.learn.rotation import rotation_head, turned

_TURNS = 4


@dataclass(frozen=True)
class Rotation(PretextObjective):
    """The cross-entropy of the turn, over all four turns of each record.

    loss = mean_u ¼ Σ_k CE(h(f(turned(x_u, k))), k)        k = 0, …, 3 quarter turns
    """

    view: str = "weak"

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise SettingError("view of rotation", f"one of {', '.join(VIEWS)}", self.view)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The head `turns`; SettingError unless the pictures are square."""
        head = rotation_head(problem, network)
        if head is None:
            got = f"{problem.spec['height']}×{problem.spec['width']} pixels"
            raise SettingError("pretext", "of square pictures for rotation", got, "Take simclr.")
        return nn.ModuleDict({"turns": head})

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        entered = now.network.enter(now.draw.unlabelled(self.view))
        turns = torch.arange(_TURNS, device=entered.device).repeat_interleave(len(entered))
        seen = now.network(turned(entered.repeat(_TURNS, 1, 1, 1), turns))
        with now.precision():
            named: Tensor = now.state["turns"](seen).float()
        right = (named.detach().argmax(-1) == turns).float().mean()
        return Loss({"rotation": F.cross_entropy(named, turns)}, {"accuracy": right})


PRETEXTS.add(
    "rotation",
    Pretext(
        name="rotation",
        summary="name by how many quarter turns a picture was turned",
        paper="Gidaris et al. 2018, arXiv:1803.07728",
        family="predictive",
        objective=Rotation(),
        modalities=("image",),
        asks=PixelEncoder,
        trained_by={"pretrain_batch": 64},
    ),
)
