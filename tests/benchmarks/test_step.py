"""The step benchmark counts parts that add up, and its peer computes what ours computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import step
from benchmarks.step_peer import (
    Peer,
    PlainResNet,
    PlainWideResNet,
    PretextPeer,
    cut_out,
    strong,
    weak,
)
from leaven.data.arrays import Arrays
from leaven.learn.models.wide_resnet import WideResNet


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_parts_are_of_each_turn_and_add_up_to_the_step():
    given = step.problem("small-convnet", labelled=2, ratio=2, side=32, steps=50)
    plain = Arrays.batch
    found = step.measure(given, "fixmatch", turns=2, warm=1)
    assert Arrays.batch is plain
    assert set(found["ours"]) == {"step", "views", "data", "network", "optimiser", "system"}
    assert set(found["peer"]) == {"step", "views", "network", "optimiser", "system"}
    for costs in found.values():
        assert {len(turns) for turns in costs.values()} == {2}
        parts = sum(
            np.array(turns) for part, turns in costs.items() if part not in ("step", "system")
        )
        np.testing.assert_allclose(parts, costs["step"])
        assert all(min(turns) > 0 for part, turns in costs.items() if part != "system")


def test_a_pretext_s_parts_are_counted_alike():
    given = step.without_labels("small-convnet", batch=4, side=16, steps=50)
    found = step.measure(given, "simclr", turns=1, warm=1)
    assert set(found["ours"]) == {"step", "views", "data", "network", "optimiser", "system"}
    assert set(found["peer"]) == {"step", "views", "network", "optimiser", "system"}
    assert all(found[who]["views"][0] > 0 for who in found)


def test_a_part_within_a_part_is_counted_once(monkeypatch: pytest.MonkeyPatch):
    ticks = iter(range(100))
    monkeypatch.setattr(step, "_now", lambda: float(next(ticks)))
    clock = step.Clock()
    inner = clock.watch("inner", lambda: None)
    clock.watch("outer", inner)()
    inner()
    assert clock.spent == {"outer": 1.0, "inner": 1.0}


def test_what_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    words = "step --encoder small-convnet --turns 1 --warm 0 --labelled 2 --ratio 1 --threads 1"
    monkeypatch.setattr("sys.argv", words.split())
    step.main()
    said = capsys.readouterr().out
    assert "ours  views" in said
    assert "the peer takes" in said
    monkeypatch.setattr("sys.argv", [*words.split(), "--only", "ours"])
    step.main()
    assert "peer" not in capsys.readouterr().out
    pretext = "step --encoder small-convnet --pretext simclr --batch 4 --turns 1 --warm 0"
    monkeypatch.setattr("sys.argv", [*pretext.split(), "--threads", "1"])
    step.main()
    said = capsys.readouterr().out
    assert "simclr, small-convnet" in said
    assert "peer  views" in said
    monkeypatch.setattr("sys.argv", [*words.split(), "--profile"])
    step.main()
    assert "aten::" in capsys.readouterr().out


def test_the_peer_s_network_is_ours():
    torch.manual_seed(0)
    plain = PlainWideResNet(10).train()
    ours = WideResNet(channels=3, depth=28, widen=2).train()
    names = {
        "before": "norm_1", "between": "norm_2", "enter": "conv_1", "leave": "conv_2",
    }  # fmt: skip
    theirs = dict(plain.named_parameters())
    with torch.no_grad():
        for name, tensor in ours.named_parameters():
            parts = [names.get(part, part) for part in name.split(".")]
            tensor.copy_(theirs.pop(".".join(parts)))
        assert set(theirs) == {"head.weight", "head.bias"}
        pixels = torch.randn(4, 3, 32, 32)
        wanted = plain(pixels)
        given = plain.head(ours.represent(pixels))
    torch.testing.assert_close(given, wanted, rtol=1e-3, atol=1e-3)


def test_the_peer_s_views_keep_shape_and_range_and_differ():
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for view in (weak, strong, cut_out):
        drawn = [view(picture, random) for _ in range(60)]  # every operation among them
        assert {one.shape for one in drawn} == {(3, 32, 32)}
        assert {one.dtype for one in drawn} == {np.dtype(np.float32)}
        assert min(one.min() for one in drawn) >= -1
        assert max(one.max() for one in drawn) <= 1
        assert len({one.tobytes() for one in drawn}) > 30


def test_the_peer_learns():
    random = np.random.default_rng(0)
    targets = torch.arange(8) % 2
    pixels = np.zeros((8, 32, 32, 3), np.uint8)
    pixels[1::2] = 200
    peer = Peer(2, torch.device("cpu"))
    peer.random = random
    clock = step.Clock()
    losses = [peer.step(pixels, targets, pixels[:2], clock.timed) for _ in range(5)]
    assert losses[-1] < losses[0] / 2


def test_the_pretext_s_peer_is_resnet_18_and_learns():
    peer = PretextPeer(torch.device("cpu"))
    plain = PlainResNet()
    # He et al. 2016, table 1, with the stem of CIFAR and without the last layer.
    assert sum(p.numel() for p in plain.parameters()) == 11_168_832
    assert plain(torch.zeros(2, 3, 16, 16)).shape == (2, 512)
    pixels = np.zeros((4, 16, 16, 3), np.uint8)
    for number, picture in enumerate(pixels):
        picture[:] = 80 * number
    losses = [peer.step(pixels, step.Clock().timed) for _ in range(6)]
    assert losses[-1] < losses[0]
