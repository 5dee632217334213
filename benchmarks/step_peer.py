"""Steps the way the field's reference toolkits take them: the peers of `benchmarks.step`.

One is FixMatch's, one SimCLR's. Views are made picture by picture with Pillow. FixMatch's labelled,
weak and strong views go through the network in one pass with gradients, SimCLR's two views one
after the other; single precision, channels first, SGD with momentum (FixMatch's is Nesterov's, and
it keeps an averaged copy). The toolkits spread the pictures over processes, whose cost of passing
them on is not counted here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn

__all__ = ["Peer", "PlainResNet", "PlainWideResNet", "PretextPeer"]

Pixels = npt.NDArray[np.uint8]
Picture = Image.Image
Timed = Callable[[str], AbstractContextManager[None]]


class Peer:
    """Network, optimiser and average; `step` takes one step on records as they are stored."""

    def __init__(self, classes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self.network = PlainWideResNet(classes).to(device).train()
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), 0.03, momentum=0.9, nesterov=True, weight_decay=5e-4
        )
        self.random = np.random.default_rng(0)
        self.device = device

    def step(self, labelled: Pixels, targets: Tensor, unlabelled: Pixels, timed: Timed) -> float:
        """One step on (l, 32, 32, 3) and (u, 32, 32, 3) pixels; the loss.

        `timed` is entered for each part of the step, by its name.
        """
        with timed("views"):
            views = [weak(picture, self.random) for picture in labelled]
            views += [weak(picture, self.random) for picture in unlabelled]
            views += [strong(picture, self.random) for picture in unlabelled]
            batch = torch.from_numpy(np.stack(views)).to(self.device)
        with timed("network"):
            outputs = self.network(batch).split([len(labelled), len(unlabelled), len(unlabelled)])
            guess = outputs[1].detach().softmax(-1)
            confident = (guess.max(-1).values >= 0.95).float()
            distance = F.cross_entropy(outputs[2], guess.argmax(-1), reduction="none")
            loss = F.cross_entropy(outputs[0], targets) + (confident * distance).mean()
            loss.backward()
        with timed("optimiser"):
            self.optimiser.step()
            self.optimiser.zero_grad()
            with torch.no_grad():
                pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
                for mean, weights in pairs:
                    mean.mul_(0.999).add_(weights, alpha=0.001)
        return loss.item()


class PretextPeer:
    """ResNet-18 with a projector; `step` takes one step of SimCLR on records as they are stored."""

    def __init__(self, device: torch.device) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(
            PlainResNet(),
            nn.Linear(512, 512, bias=False),
            nn.BatchNorm1d(512),
            nn.ReLU(),
            nn.Linear(512, 128, bias=False),
        )
        self.network.to(device).train()
        self.optimiser = torch.optim.SGD(
            self.network.parameters(), 0.06, momentum=0.9, weight_decay=5e-4
        )
        self.random = np.random.default_rng(0)
        self.device = device

    def step(self, pixels: Pixels, timed: Timed) -> float:
        """One step on (u, 32, 32, 3) pixels; the loss. `timed` is entered for each part."""
        with timed("views"):
            views = [
                torch.from_numpy(np.stack([cut_out(p, self.random) for p in pixels]))
                for _ in range(2)
            ]
        with timed("network"):
            one, other = (self.network(view.to(self.device)) for view in views)
            both = F.normalize(torch.cat([one, other]), dim=1)
            logits = both @ both.T / 0.2
            logits.fill_diagonal_(-torch.inf)
            partner = torch.arange(len(both), device=self.device).roll(len(pixels))
            loss = F.cross_entropy(logits, partner)
            loss.backward()
        with timed("optimiser"):
            self.optimiser.step()
            self.optimiser.zero_grad()
        return loss.item()


class PlainResNet(nn.Module):
    """ResNet-18 with batch normalisation from torch's own layers, and a 3×3 stem, as for CIFAR."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 64, 3, 1), nn.ReLU())
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nn.ModuleList(
            _PlainBasic(before, after) for before, after in pairwise(widths)
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 512) features of (n, 3, h, w)."""
        maps = self.stem(pixels)
        for block in self.blocks:
            maps = block(maps)
        mean: Tensor = maps.mean((2, 3))
        return mean


class _PlainBasic(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        stride = 1 if before == after else 2
        self.body = nn.Sequential(
            _convolution(before, after, 3, stride), nn.ReLU(), _convolution(after, after, 3, 1)
        )
        wider = before != after
        self.shortcut = _convolution(before, after, 1, stride) if wider else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.body(maps) + self.shortcut(maps))


def _convolution(before: int, after: int, side: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after)
    )


class PlainWideResNet(nn.Module):
    """WRN-28-2 of FixMatch from torch's own layers, head included."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        widths = [16] + [32] * 4 + [64] * 4 + [128] * 4
        self.blocks = nn.ModuleList(
            _PlainBlock(before, after, 2 if place in (4, 8) else 1, place == 0)
            for place, (before, after) in enumerate(pairwise(widths))
        )
        self.last = nn.BatchNorm2d(128, eps=1e-3, momentum=1e-3)
        self.head = nn.Linear(128, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, classes) outputs of (n, 3, 32, 32)."""
        maps = self.stem(pixels)
        for block in self.blocks:
            maps = block(maps)
        output: Tensor = self.head(F.leaky_relu(self.last(maps), 0.1).mean((2, 3)))
        return output


class _PlainBlock(nn.Module):
    def __init__(self, before: int, after: int, stride: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.norm_1 = nn.BatchNorm2d(before, eps=1e-3, momentum=1e-3)
        self.norm_2 = nn.BatchNorm2d(after, eps=1e-3, momentum=1e-3)
        self.conv_1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv_2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        wider = before != after
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if wider else None

    def forward(self, maps: Tensor) -> Tensor:
        active = F.leaky_relu(self.norm_1(maps), 0.1)
        kept = active if self.first else maps
        if self.shortcut is not None:
            kept = self.shortcut(kept)
        inner = F.leaky_relu(self.norm_2(self.conv_1(active)), 0.1)
        added: Tensor = kept + self.conv_2(inner)
        return added


def weak(picture: Pixels, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(3, h, w) about [-1, 1]: moved by up to an eighth, mirrored half of the time."""
    return _floats(_moved(picture, random))


def strong(picture: Pixels, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """As `weak`, then two random operations and a grey square of up to half the side."""
    image = Image.fromarray(_moved(picture, random))
    for operation in random.integers(len(_OPERATIONS), size=2):
        image = _OPERATIONS[operation](image, float(random.random()))
    pixels = np.array(image)
    side = int(random.uniform(0, 0.5) * len(pixels))
    top, left = random.integers(len(pixels), size=2) - side // 2
    pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 127
    return _floats(pixels)


def cut_out(picture: Pixels, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """(3, h, w) about [-1, 1]: a fifth to all of it, mirrored half of the time, in other light."""
    side = len(picture)
    area, slant = random.uniform(0.2, 1), np.exp(random.uniform(-1, 1) * np.log(4 / 3))
    width, height = (min(side, round(side * np.sqrt(area * s))) for s in (slant, 1 / slant))
    left, top = random.integers(side - width + 1), random.integers(side - height + 1)
    image = Image.fromarray(picture).resize(
        (side, side), Image.Resampling.BILINEAR, (left, top, left + width, top + height)
    )
    if random.random() < 0.5:
        image = ImageOps.mirror(image)
    if random.random() < 0.8:
        for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = kind(image).enhance(random.uniform(0.6, 1.4))
    if random.random() < 0.2:
        image = ImageOps.grayscale(image).convert("RGB")
    return _floats(np.array(image))


def _moved(picture: Pixels, random: np.random.Generator) -> Pixels:
    reach = len(picture) // 8
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    top, left = random.integers(2 * reach + 1, size=2)
    moved = padded[top : top + len(picture), left : left + len(picture)]
    return np.ascontiguousarray(moved[:, ::-1] if random.random() < 0.5 else moved)


def _floats(pixels: Pixels) -> npt.NDArray[np.float32]:
    return (pixels.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)


def _enhanced(kind: type[ImageEnhance._Enhance]) -> Callable[[Picture, float], Picture]:
    return lambda image, share: kind(image).enhance(0.05 + 0.9 * share)


def _mapped(
    entries: Callable[[float], tuple[float, ...]],
) -> Callable[[Picture, float], Picture]:
    return lambda image, share: image.transform(
        image.size, Image.Transform.AFFINE, entries(2 * share - 1)
    )


#: The fourteen of FixMatch's table 12, each by a picture and a magnitude in [0, 1].
_OPERATIONS: tuple[Callable[[Picture, float], Picture], ...] = (
    lambda image, _: image,
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, _: ImageOps.equalize(image),
    lambda image, share: ImageOps.posterize(image, 4 + int(4 * share)),
    lambda image, share: ImageOps.solarize(image, int(256 * share)),
    lambda image, share: image.rotate(60 * share - 30),
    _enhanced(ImageEnhance.Brightness),
    _enhanced(ImageEnhance.Color),
    _enhanced(ImageEnhance.Contrast),
    _enhanced(ImageEnhance.Sharpness),
    _mapped(lambda way: (1, 0.3 * way, 0, 0, 1, 0)),
    _mapped(lambda way: (1, 0, 0, 0.3 * way, 1, 0)),
    _mapped(lambda way: (1, 0, 9.6 * way, 0, 1, 0)),
    _mapped(lambda way: (1, 0, 0, 0, 1, 9.6 * way)),
)
