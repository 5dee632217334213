"""Views of sounds, on their log-mel: moves, stretches, gains, noise, masks and crops.

Every operation says `draw(sound, rng)`, one parameter a record (of noise, a cell), and
`apply(sound, drawn)`, which is a pure function: a batch and its records one by one give the same
frames. Padding stays padding: frames behind a record's length have the floor everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from leaven.data.sounds import FLOOR
from leaven.data.views.draws import uniform

__all__ = ["Cover", "Crop", "Gain", "Hiss", "Raise", "Slide", "Sound", "Stretch"]


class Sound(NamedTuple):
    """A batch: (n, frames, mels) float32 log-mel, and (n,) int64 frames that are there."""

    mel: torch.Tensor
    length: torch.Tensor


@dataclass(frozen=True)
class Slide:
    """Move in time by up to `share` of the record's length each way; its ends are repeated."""

    share: float

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n,) whole frames that the record begins later."""
        reach = (sound.length * self.share).floor()
        return ((2 * reach + 1) * uniform((len(sound.length),), rng)).floor().sub_(reach).long()

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """Frame t comes from t - drawn, within the record."""
        place = torch.arange(sound.mel.shape[1], device=drawn.device) - drawn[:, None]
        return _kept(_frames(sound, place), sound.length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Stretch:
    """Slower or faster by up to `share`, the pitch unchanged; frames between frames are blended.

    A record that becomes longer than there is room loses its end.
    """

    share: float

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n,) frames that one frame of the view steps through."""
        return uniform((len(sound.length),), rng, 1 - self.share, 1 + self.share)

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """Frame t comes from t · drawn, between its neighbours."""
        frames = sound.mel.shape[1]
        place = torch.arange(frames, device=drawn.device) * drawn[:, None]
        low = place.floor()
        blend = (place - low)[..., None]
        low = low.long()
        mel = torch.lerp(_frames(sound, low), _frames(sound, low + 1), blend)
        length = (sound.length / drawn).round().long().clamp(1, frames)
        return _kept(mel, length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Raise:
    """Up or down the mel scale by up to `bands`, as another voice would be; edges are repeated."""

    bands: int

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n,) whole bands upwards."""
        steps = 2 * self.bands + 1
        return (uniform((len(sound.length),), rng) * steps).floor().long() - self.bands

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """Band m comes from m - drawn."""
        n, frames, mels = sound.mel.shape
        place = torch.arange(mels, device=drawn.device) - drawn[:, None]
        place = place.clamp(0, mels - 1)[:, None].expand(n, frames, mels)
        return Sound(sound.mel.gather(2, place), sound.length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Gain:
    """Louder or softer by up to `decibels`."""

    decibels: float

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n,) what is added to logarithms of power; ten decibels are a factor of ten."""
        reach = self.decibels / 10 * 2.302585092994046
        return uniform((len(sound.length),), rng, -reach, reach)

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """The records at their loudness, not under the floor."""
        louder = (sound.mel + drawn[:, None, None]).clamp_min(FLOOR)
        return _kept(louder, sound.length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Hiss:
    """White noise beneath, `quiet` to `loud` decibels relative to the record's loudest cell.

    A cell's power is exponentially distributed, as that of noise in a bin is; the sum of both
    powers is what a microphone hears, up to the phase between them.
    """

    quiet: float = -70.0
    loud: float = -30.0

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n, frames, mels) logarithms of the noise's power, relative to the loudest cell."""
        level = uniform((len(sound.length),), rng, self.quiet, self.loud) / 10 * 2.302585092994046
        power = -torch.log1p(-uniform(tuple(sound.mel.shape), rng))
        return level[:, None, None] + power.clamp_min(1e-4).log()

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """The sum of both powers."""
        loudest = sound.mel.amax((1, 2), keepdim=True)
        return _kept(torch.logaddexp(sound.mel, drawn + loudest), sound.length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Cover:
    """Cover a stretch of time, or of the mel scale: up to `share` of it, `count` times.

    SpecAugment (Park et al. 2019, arXiv:1904.08779, section 2): the width is uniform from zero to
    the largest, the start uniform where it still fits. What is covered becomes the record's mean
    over what is there, which is their zero after the mean has been taken off.
    """

    share: float
    count: int = 1
    time: bool = True

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n, count, 2) the first frame or band that is covered, and the one after the last."""
        size = sound.length if self.time else torch.full_like(sound.length, sound.mel.shape[2])
        draw = uniform((len(size), self.count, 2), rng)
        width = (draw[..., 0] * ((size * self.share).floor()[:, None] + 1)).floor()
        first = (draw[..., 1] * (size[:, None] - width + 1)).floor()
        return torch.stack([first, first + width], -1).long()

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """The records with their stretches covered."""
        size = sound.mel.shape[1 if self.time else 2]
        place = torch.arange(size, device=drawn.device)
        inside = ((place >= drawn[..., :1]) & (place < drawn[..., 1:])).any(1)  # (n, size)
        hole = inside[:, :, None] if self.time else inside[:, None]
        there = _there(sound)
        cells = sound.length[:, None, None] * sound.mel.shape[2]
        mean = (sound.mel * there).sum((1, 2), keepdim=True) / cells
        return _kept(torch.where(hole, mean, sound.mel), sound.length)

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


@dataclass(frozen=True)
class Crop:
    """A stretch of `low` to `high` of the record's length, moved to the front.

    With `room` below one the view has only that share of the frames, and no stretch is longer.
    """

    low: float
    high: float
    room: float = 1.0

    def draw(self, sound: Sound, rng: torch.Generator) -> torch.Tensor:
        """(n, 2) the first frame, and the number of frames."""
        draw = uniform((len(sound.length), 2), rng)
        share = self.low + (self.high - self.low) * draw[:, 0]
        size = (sound.length * share).round().clamp(1, self._room(sound))
        first = (draw[:, 1] * (sound.length - size + 1)).floor()
        return torch.stack([first, size], 1).long()

    def apply(self, sound: Sound, drawn: torch.Tensor) -> Sound:
        """The stretches, each from its first frame."""
        place = torch.arange(self._room(sound), device=drawn.device) + drawn[:, :1]
        return _kept(_frames(sound, place), drawn[:, 1])

    def _room(self, sound: Sound) -> int:
        """Frames of the view."""
        return max(1, round(self.room * sound.mel.shape[1]))

    def __call__(self, sound: Sound, rng: torch.Generator) -> Sound:
        """Draw and apply."""
        return self.apply(sound, self.draw(sound, rng))


def _frames(sound: Sound, place: torch.Tensor) -> torch.Tensor:
    """(n, places, mels) the frames at `place` (n, places), the nearest that is there."""
    last = (sound.length - 1).clamp_min(0)[:, None]
    within = torch.minimum(place.clamp_min(0), last)
    return sound.mel.gather(1, within[..., None].expand(*place.shape, sound.mel.shape[2]))


def _there(sound: Sound) -> torch.Tensor:
    """(n, frames, 1) whether a frame is there."""
    frames = torch.arange(sound.mel.shape[1], device=sound.length.device)
    return (frames < sound.length[:, None])[..., None]


def _kept(mel: torch.Tensor, length: torch.Tensor) -> Sound:
    """The frames that are there, and the floor behind them."""
    there = _there(Sound(mel, length))
    return Sound(torch.where(there, mel, torch.full_like(mel[:1, :1, :1], FLOOR)), length)
