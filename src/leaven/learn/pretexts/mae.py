"""MAE: a masked autoencoder, which sees a quarter of a picture's patches and tells the others.

He et al. 2022, arXiv:2111.06377, section 3: patches are masked at random, three of four in each
record; the encoder is given those that are left and nothing in the place of the others, so it does
a quarter of the work; a light decoder sees its states, a learnt vector in the place of each masked
patch, and positions, and tells the pixels of the masked patches, each patch normalised by its own
mean and deviation (table 1d).

- The decoder has two layers of width 96, in the paper eight of 512: with them it would cost more
  than the small encoder.
- What is masked is the weak view; in the paper a random part of the picture.
- There is no class token, see the encoder; the vectors for masked patches are as in the paper.

Use it with a vision transformer on pictures that have structure at the size of some patches, and
where views that leave the class as it is are hard to name: it needs none. A step is cheap, and it
wants many.

It fails in short trainings: its features are good to train on, and poor as they are, for a head
alone or for neighbours (section 4.1 and figure 9). It asks for a vision transformer; pictures of
one patch have nothing to mask and raise SettingError.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leaven.core.errors import SettingError
from leaven.data.views.draws import uniform
from leaven.learn.choices.choice import within
from leaven.learn.method import Problem
from leaven.learn.models.vit import AttentionBlock, VisionTransformer
from leaven.learn.network import Network
from leaven.learn.objective import VIEWS, Loss, Moment
from leaven.learn.patches import sine_positions
from leaven.learn.pretext import PRETEXTS, Pretext, PretextObjective

_HEAD = 32  # width of a head of the decoder


@dataclass(frozen=True)
class MaskedAutoencoder(PretextObjective):
    """The error of the masked patches, told from the visible ones.

        loss = mean over masked patches (u, p) of ‖d(f(visible of x_u))_p - t_up‖² / D
        t_up = (x_up - mean x_up) / √(var x_up + 10⁻⁶)

    x_up are the D numbers of patch p as they have entered. `masked` is the share of the patches
    of each record; at least one stays and at least one goes. The decoder d has `layers` layers of
    `width`, a multiple of 32.
    """

    masked: float = 0.75
    width: int = 96
    layers: int = 2
    view: str = "weak"

    def __post_init__(self) -> None:
        within("masked of mae", self.masked, 0.05, 0.95)
        within("layers of mae", self.layers, 1, 24)
        if self.width < _HEAD or self.width % _HEAD:
            raise SettingError("width of mae", f"a multiple of {_HEAD}", self.width)
        if self.view not in VIEWS:
            raise SettingError("view of mae", f"one of {', '.join(VIEWS)}", self.view)

    def state(self, problem: Problem, network: Network) -> nn.Module:
        """The decoder; SettingError where a picture is a single patch."""
        encoder, spec = _of(network), problem.spec
        rows, columns = (-(-spec[side] // encoder.patch) for side in ("height", "width"))
        if rows * columns < 2:
            got = f"{spec['height']}×{spec['width']} pixels"
            wanted = f"of pictures of several patches of {encoder.patch} pixels for mae"
            raise SettingError("pretext", wanted, got)
        pixels = spec["channels"] * encoder.patch**2
        return _Decoder(encoder.width, self.width, self.layers, pixels, rows, columns)

    def loss(self, now: Moment) -> Loss:
        """See the class."""
        draw, encoder = now.draw, _of(now.network)
        entered = now.network.enter(draw.unlabelled(self.view))
        patches = encoder.patches(entered)
        visible, hidden = split(len(patches), patches.shape[1], self.masked, draw.rng)
        with now.precision():
            positions = encoder.positions(entered.shape[2], entered.shape[3])
            states = encoder.states(at(patches, visible), positions[visible])
            told = now.state(states, visible, hidden).float()
        return Loss({"pixels": (told - normalised(at(patches, hidden))).square().mean()})


def split(count: int, patches: int, share: float, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """(count, v) and (count, m) which patches are visible and masked, of each record as many."""
    visible = min(max(int(patches * (1 - share)), 1), patches - 1)
    order = uniform((count, patches), rng).argsort(1)
    return order[:, :visible], order[:, visible:]


def at(patches: Tensor, places: Tensor) -> Tensor:
    """(n, k, d) those of the patches (n, p, d) that stand at places (n, k)."""
    return patches.gather(1, places.unsqueeze(-1).expand(-1, -1, patches.shape[-1]))


def normalised(patches: Tensor) -> Tensor:
    """Each patch (…, d) less its mean, by its deviation."""
    centred = patches - patches.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def _of(network: Network) -> VisionTransformer:
    """Its encoder, which is of the kind that the pretext asks for."""
    assert isinstance(network.encoder, VisionTransformer)
    return network.encoder


class _Decoder(nn.Module):
    """From the states of visible patches to the pixels of the masked ones."""

    positions: Tensor

    def __init__(
        self, inputs: int, width: int, layers: int, pixels: int, rows: int, columns: int
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.mask = nn.Parameter(0.02 * torch.randn(width))
        self.register_buffer("positions", sine_positions(rows, columns, width), persistent=False)
        self.blocks = nn.ModuleList([AttentionBlock(width, width // _HEAD) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, pixels)

    def forward(self, states: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """(n, m, pixels) of the masked patches."""
        shown = self.enter(states) + self.positions[visible]
        masked = self.mask + self.positions[hidden]
        both = torch.cat([shown, masked.to(shown.dtype)], 1)
        for block in self.blocks:
            both = block(both)
        told: Tensor = self.leave(self.norm(both[:, visible.shape[1] :]))
        return told


PRETEXTS.add(
    "mae",
    Pretext(
        name="mae",
        summary="see a quarter of a picture's patches and tell the pixels of the others",
        paper="He et al. 2022, arXiv:2111.06377",
        family="masked",
        objective=MaskedAutoencoder(),
        modalities=("image",),
        asks=VisionTransformer,
        encoders={"image": "vit-mini"},
    ),
)
