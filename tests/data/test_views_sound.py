"""Views of sounds: each operation as its words say, a batch as its records one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leaven.data.modality import MODALITIES
from leaven.data.sounds import FLOOR
from leaven.data.views.sound_ops import Cover, Crop, Gain, Hiss, Raise, Slide, Sound, Stretch

OPERATIONS: list[Any] = [
    Slide(0.3),
    Stretch(0.3),
    Raise(4),
    Gain(6),
    Hiss(),
    Cover(0.4, 2),
    Cover(0.4, 2, time=False),
    Crop(0.2, 0.8),
    Crop(0.2, 1.0, room=0.5),
]
LENGTHS = [1, 2, 7, 20, 31, 40]
SPEC = {"rate": 8000, "seconds": 0.415, "mels": 12, "frames": 40}
audio = MODALITIES["audio"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sounds(lengths: list[int] = LENGTHS, frames: int = 40, mels: int = 12) -> Sound:
    length = torch.tensor(lengths)
    mel = torch.randn((len(lengths), frames, mels), generator=rng(9)) * 2 - 4
    there = torch.arange(frames) < length[:, None]
    return Sound(torch.where(there[..., None], mel.clamp_min(FLOOR), FLOOR), length)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_batch_is_its_records_one_by_one(operation: Any) -> None:
    sound = sounds()
    kept = sound.mel.clone()
    drawn = operation.draw(sound, rng())
    together = operation.apply(sound, drawn)
    assert (sound.mel == kept).all()
    for i in range(len(LENGTHS)):
        one = Sound(sound.mel[i : i + 1], sound.length[i : i + 1])
        alone = operation.apply(one, drawn[i : i + 1])
        assert torch.equal(alone.mel[0], together.mel[i])
        assert torch.equal(alone.length[0], together.length[i])


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_padding_stays_padding(operation: Any) -> None:
    for seed in range(5):
        view = operation(sounds(), rng(seed))
        frames = view.mel.shape[1]
        assert ((view.length >= 1) & (view.length <= frames)).all()
        behind = torch.arange(frames) >= view.length[:, None]
        assert (view.mel[behind] == FLOOR).all()
        assert view.mel.isfinite().all()
        assert (view.mel >= FLOOR).all()
        assert view.mel.dtype == torch.float32
        assert view.length.dtype == torch.int64


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_records_get_parameters_of_their_own_from_the_generator(operation: Any) -> None:
    many = Sound(*(part[-1:].expand(64, *part.shape[1:]) for part in sounds()))
    view = operation(many, rng())
    assert len({row.numpy().tobytes() for row in view.mel}) > 4
    assert torch.equal(view.mel, operation(many, rng()).mel)
    assert not torch.equal(view.mel, operation(many, rng(1)).mel)


def test_slide_repeats_the_ends() -> None:
    sound = sounds([5], frames=8)
    own = sound.mel[0]
    for steps, places in ((2, [0, 0, 0, 1, 2]), (-2, [2, 3, 4, 4, 4]), (0, [0, 1, 2, 3, 4])):
        moved = Slide(0.5).apply(sound, torch.tensor([steps])).mel[0]
        assert torch.equal(moved[:5], own[places])
    drawn = Slide(0.5).draw(Sound(sound.mel.expand(500, -1, -1), sound.length.expand(500)), rng())
    assert sorted(set(drawn.tolist())) == [-2, -1, 0, 1, 2]


def test_stretch_blends_neighbours_and_changes_the_length() -> None:
    sound = sounds([20, 36])
    view = Stretch(0.5).apply(sound, torch.tensor([1.25, 0.8]))
    assert view.length.tolist() == [16, 40]  # 45 frames, of which 40 have room
    for i, rate in enumerate([1.25, 0.8]):
        for t in range(int(view.length[i])):
            low = int(np.floor(t * rate + 1e-6))
            part = t * rate - low
            last = int(sound.length[i]) - 1
            one, other = sound.mel[i, min(low, last)], sound.mel[i, min(low + 1, last)]
            assert view.mel[i, t] == pytest.approx(one + part * (other - one), abs=1e-4)


def test_raise_repeats_the_edge_bands() -> None:
    sound = sounds([3], mels=5)
    up = Raise(2).apply(sound, torch.tensor([2])).mel[0, :3]
    assert torch.equal(up, sound.mel[0, :3, [0, 0, 0, 1, 2]])
    down = Raise(2).apply(sound, torch.tensor([-1])).mel[0, :3]
    assert torch.equal(down, sound.mel[0, :3, [1, 2, 3, 4, 4]])


def test_gain_is_in_decibels_and_stops_at_the_floor() -> None:
    many = Sound(*(part[-1:].expand(4000, *part.shape[1:]) for part in sounds()))
    drawn = Gain(6).draw(many, rng())
    factors = 10 * np.log10(np.exp(drawn.numpy()))
    assert factors.min() == pytest.approx(-6, abs=0.02)
    assert factors.max() == pytest.approx(6, abs=0.02)
    softer = Gain(6).apply(
        Sound(many.mel[:1] * 0 + FLOOR + 0.5, many.length[:1]), drawn[:1] * 0 - 1
    )
    assert (softer.mel == FLOOR).all()


def test_hiss_adds_powers() -> None:
    sound = sounds([40])
    drawn = torch.full(sound.mel.shape, -1.0)
    louder = Hiss().apply(sound, drawn).mel.double().exp()
    wanted = sound.mel.double().exp() + (sound.mel.double().max() - 1).exp()
    assert torch.allclose(louder, wanted, rtol=1e-4)
    powers = Hiss(-20, -20).draw(Sound(torch.zeros(4, 400, 64), torch.full((4,), 400)), rng()).exp()
    assert float(powers.mean()) == pytest.approx(0.01, rel=0.02)  # 20 dB under one
    assert float(powers.std()) == pytest.approx(0.01, rel=0.02)  # exponential: as its mean


@pytest.mark.parametrize("time", [True, False])
def test_cover_is_specaugment(time: bool) -> None:
    sound = sounds([30] * 2000)
    size = 30 if time else 12
    drawn = Cover(0.4, time=time).draw(sound, rng())[:, 0]
    width = drawn[:, 1] - drawn[:, 0]
    most = int(size * 0.4)
    assert set(width.tolist()) == set(range(most + 1))
    assert (drawn[:, 0] >= 0).all()
    assert (drawn[:, 1] <= size).all()
    assert set(drawn[width == most][:, 0].tolist()) == set(range(size - most + 1))
    one = sounds([30])
    view = Cover(0.4, time=time).apply(one, torch.tensor([[[3, 7]]])).mel[0, :30]
    own, mean = one.mel[0, :30], one.mel[0, :30].mean()
    covered = view[3:7] if time else view[:, 3:7]
    assert torch.allclose(covered, mean.expand_as(covered), atol=1e-5)
    assert int((view != own).sum()) <= (4 * 12 if time else 4 * 30)


def test_crop_takes_a_stretch_to_the_front() -> None:
    sound = sounds([31])
    view = Crop(0.2, 0.8).apply(sound, torch.tensor([[5, 10]]))
    assert view.length.tolist() == [10]
    assert torch.equal(view.mel[0, :10], sound.mel[0, 5:15])
    half = Crop(0.2, 1.0, room=0.5)(sounds(), rng())
    assert half.mel.shape[1] == 20
    many = Sound(*(part[4:5].expand(3000, *part.shape[1:]) for part in sounds()))
    first, size = Crop(0.5, 1.0).draw(many, rng()).T
    assert (first + size <= 31).all()
    assert {0, 31} <= set((first + size).tolist()) | set(first.tolist())


def test_views_of_the_modality() -> None:
    sound = sounds()
    batch = {"mel": sound.mel.half(), "length": sound.length}
    plain = audio.plain(batch)
    assert torch.equal(plain["mel"], batch["mel"].float())
    for name in ("weak", "strong", "contrastive"):
        view = getattr(audio, name)(batch, SPEC, rng())
        assert view["mel"].shape == plain["mel"].shape
        assert not torch.equal(view["mel"], plain["mel"])
    local = audio.local(batch, SPEC, rng())
    assert local["mel"].shape == (len(LENGTHS), 20, 12)
    assert (local["length"] <= 20).all()
    weak, strong = (getattr(audio, name)(batch, SPEC, rng()) for name in ("weak", "strong"))
    changed = [float((view["mel"] - plain["mel"]).abs().mean()) for view in (weak, strong)]
    assert changed[0] < changed[1]
