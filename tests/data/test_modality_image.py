"""Pictures of every sort come out in one shape; what is no picture says why."""

from __future__ import annotations

import base64
import io
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from PIL import Image

from leaven.core.errors import DataError, SettingError
from leaven.data.arrays import Batch
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.data.pictures import MOST_PIXELS, Unreadable, fit, look, read
from leaven.data.views.learned import Steering
from leaven.learn.contracts import BrokenContract, check_modality

Make = Callable[..., Dataset]
image = MODALITIES["image"]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(height: int, width: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def encoded(picture: Image.Image, form: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def png(array: npt.NDArray[np.generic]) -> bytes:
    return encoded(Image.fromarray(array))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def decode_one(
    make: Make, data: bytes, channels: int, height: int, width: int
) -> npt.NDArray[np.generic]:
    spec = {"channels": channels, "height": height, "width": width}
    arrays, rejected = image.decode(make("image", image=("image", [data])), spec)
    assert rejected == []
    return arrays["pixels"][0]


def test_pixels_from_files_are_exact(make_dataset: Make, tmp_path: Path) -> None:
    pictures = [noise(10, 12) // (i + 1) for i in range(200)]
    (tmp_path / "sub").mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "sub" / f"{i}.png")
    names = [f"sub/{i}.png" for i in range(200)]
    for values in (names, pa.array(names).dictionary_encode(), pa.array(names, pa.large_string())):
        data = make_dataset("image", tmp_path, image=("image", values))
        spec = image.describe(data)
        assert spec == {"channels": 3, "height": 10, "width": 12}
        arrays, rejected = image.decode(data, spec)
        assert rejected == []
        assert arrays["pixels"].dtype == np.uint8
        assert (arrays["pixels"] == np.stack(pictures).transpose(0, 3, 1, 2)).all()


def test_grey_is_one_channel_however_it_is_stored(make_dataset: Make) -> None:
    grey = noise(9, 9, 1)
    as_rgb = png(np.repeat(grey[..., None], 3, 2))
    data = make_dataset("image", image=("image", [png(grey), as_rgb]))
    spec = image.describe(data)
    assert spec["channels"] == 1
    assert (image.decode(data, spec)[0]["pixels"][:, 0] == grey).all()
    mixed = make_dataset("image", image=("image", [png(grey), png(noise(9, 9))]))
    assert image.describe(mixed)["channels"] == 3


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(64, 20)] * 3, (64, 20)),
        ([(200, 100)] * 3, (96, 48)),
        ([(400, 4)] * 3, (96, 8)),
        ([(2, 2)] * 3, (8, 8)),
        ([(40, 30), (30, 40), (41, 20)], (40, 40)),
        ([(300, 500), (640, 480), (1000, 20)], (96, 96)),
    ],
)
def test_described_size(
    make_dataset: Make, sizes: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    pictures = [png(np.zeros(size, np.uint8)) for size in sizes]
    data = make_dataset("image", image=("image", pictures))
    spec = image.describe(data)
    assert (spec["height"], spec["width"]) == expected
    arrays, rejected = image.decode(data, spec)
    assert rejected == []
    assert arrays["pixels"].shape == (3, 1, *expected)


def test_fit_keeps_the_whole_picture_and_repeats_its_edge() -> None:
    picture = np.zeros((20, 40), np.uint8)
    picture[:10] = 200
    fitted = fit(Image.fromarray(picture), 1, 16, 16)[0]
    assert fitted.shape == (16, 16)
    assert (fitted[:7] == 200).all()
    assert (fitted[9:] == 0).all()
    assert fit(Image.fromarray(picture[:1]), 3, 5, 7).shape == (3, 5, 7)


def test_modes_come_out_as_a_person_sees_them(make_dataset: Make) -> None:
    half = np.zeros((8, 8, 4), np.uint8)
    half[:, :4] = (255, 0, 0, 255)
    over_white = np.full((3, 8, 8), 255, np.uint8)
    over_white[1:, :, :4] = 0
    rgba = Image.fromarray(half)
    palette = rgba.convert("RGB").quantize(4)
    transparent = Image.new("P", (8, 8), 0)
    transparent.putpalette([9, 9, 9, 255, 0, 0])
    transparent.paste(1, (0, 0, 4, 8))
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    gif = encoded(frames[0], "gif", save_all=True, append_images=frames[1:])

    assert (decode_one(make_dataset, encoded(rgba), 3, 8, 8) == over_white).all()
    assert (
        decode_one(make_dataset, encoded(transparent, transparency=0), 3, 8, 8) == over_white
    ).all()
    red_black = over_white.copy()
    red_black[0, :, 4:] = red_black[1:, :, 4:] = 0
    assert (decode_one(make_dataset, encoded(palette), 3, 8, 8) == red_black).all()
    assert (decode_one(make_dataset, png(ramp), 1, 8, 8) == np.rint(ramp / 257)).all()
    red = decode_one(make_dataset, encoded(cmyk, "tiff"), 3, 8, 8)
    assert (red == np.array([255, 0, 0])[:, None, None]).all()
    assert (decode_one(make_dataset, gif, 3, 8, 8) == red).all()
    checks = (np.indices((8, 8)).sum(0) % 2).astype(bool)
    assert (decode_one(make_dataset, png(checks), 1, 8, 8) == checks * 255).all()
    floats = encoded(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "tiff")
    assert (decode_one(make_dataset, floats, 1, 8, 8) == 128).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    picture = Image.fromarray(noise(6, 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, exif=exif)
    upright = read(data, None, 96)
    # Undo each orientation by its meaning in the standard: where row 0 and column 0 are.
    array = np.asarray(picture)
    expected = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.transpose(1, 0, 2),
        6: array.transpose(1, 0, 2)[:, ::-1],
        7: array.transpose(1, 0, 2)[::-1, ::-1],
        8: array.transpose(1, 0, 2)[::-1],
    }[orientation]
    assert (np.asarray(upright) == expected).all()
    seen = look(data, None)
    assert (seen.width, seen.height) == upright.size


def test_a_large_jpeg_is_read_reduced_and_described_in_full() -> None:
    data = encoded(Image.new("RGB", (2000, 1000), "orange"), "jpeg")
    assert max(read(data, None, 32).size) <= 500
    assert (look(data, None).width, look(data, None).height) == (2000, 1000)


def test_unreadable_files_are_rejected_with_their_reason(
    make_dataset: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    good = png(noise(16, 16))
    files = {
        "good.png": good,
        "cut.png": good[: len(good) // 2],
        "cut.jpg": encoded(Image.fromarray(noise(64, 64)), "jpeg")[:900],
        "notes.txt": b"not a picture",
        "empty.png": b"",
        "bomb.png": bomb(8000, 8000),
        "huge.png": bomb(60_000, 60_000),
        "post.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (tmp_path / "secret.png").write_bytes(good)
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "good.png").write_bytes(b"not this one")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere" / "deep")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    expected = {
        "cut.png": "undecodable image",
        "cut.jpg": "undecodable image",
        "notes.txt": "not an image",
        "empty.png": "empty file",
        "bomb.png": "too large",
        "huge.png": "too large",
        "post.eps": "not an image",
        "linked/../../secret.png": "outside the folder",
        "../secret.png": "outside the folder",
        "/etc/passwd": "outside the folder",
        "absent.png": "missing file",
        "folder.png": "missing file",
        "pipe.png": "missing file",
        "nul\0.png": "missing file",
        "": "missing file",
    }
    names = [*expected, None, "good.png", "link.png", "linked/../good.png"]
    data = make_dataset("image", folder, image=("image", pa.array(names)))
    arrays, rejected = image.decode(data, {"channels": 3, "height": 16, "width": 16})
    assert {names[i]: reason for i, reason, _ in rejected} == expected | {None: "missing image"}
    assert all(detail for _, _, detail in rejected)
    assert not arrays["pixels"][:-3].any()
    assert (arrays["pixels"][-3:] == noise(16, 16).transpose(2, 0, 1)).all()


def test_the_bound_holds_before_decoding() -> None:
    with pytest.raises(Unreadable, match=f"at most {MOST_PIXELS}"):
        read(bomb(50_001, 1000), None, 96)


def test_describe_looks_past_broken_pictures(make_dataset: Make) -> None:
    data = make_dataset("image", image=("image", [b"broken", png(noise(20, 20)), None]))
    assert image.describe(data) == {"channels": 3, "height": 20, "width": 20}
    broken = make_dataset("image", image=("image", [b"broken", b"too"]))
    with pytest.raises(DataError, match="none of the 2 pictures looked at can be read.*not an im"):
        image.describe(broken)


def test_views(make_dataset: Make) -> None:
    for channels in (1, 3):
        array = noise(16, 20, channels)
        data = make_dataset("image", image=("image", [png(array)] * 64))
        spec = image.describe(data)
        batch = image.decode(data, spec)[0].batch(np.arange(64))
        plain = image.plain(batch)["pixels"]
        assert torch.equal((plain * 255).round().to(torch.uint8), batch["pixels"])
        for view in (image.weak, image.strong):
            pixels = view(batch, spec, rng())["pixels"]
            assert pixels.shape == (64, channels, 16, 20)
            assert pixels.dtype == torch.float32
            assert pixels.min() >= 0
            assert pixels.max() <= 1
            assert torch.equal(pixels, view(batch, spec, rng())["pixels"])
            assert not torch.equal(pixels, view(batch, spec, rng(1))["pixels"])
        assert len(image.strong(batch, spec, rng())["pixels"].unique(dim=0)) > 60


def test_only_colour_pictures_are_mirrored(make_dataset: Make) -> None:
    for channels, mirrored in ((1, 0.0), (3, 0.5)):
        # Brighter to the right; a shift of an eighth cannot turn that round.
        ramp = np.tile(np.arange(0, 240, 12, dtype=np.uint8), (16, 1))
        array = ramp if channels == 1 else np.stack([ramp, ramp, ramp // 2], 2)
        data = make_dataset("image", image=("image", [png(array)] * 600))
        spec = image.describe(data)
        assert spec["channels"] == channels
        batch = image.decode(data, spec)[0].batch(np.arange(600))
        weak = image.weak(batch, spec, rng())["pixels"]
        turned = weak[..., :10].mean((1, 2, 3)) > weak[..., 10:].mean((1, 2, 3))
        assert abs(turned.float().mean().item() - mirrored) < 0.07


def test_steered_views(make_dataset: Make) -> None:
    for channels, operations in ((1, 13), (3, 14)):
        # Brighter to the right; strong views of it lie far from it, mild ones do not.
        ramp = np.tile(np.arange(0, 240, 12, dtype=np.uint8), (16, 1))
        array = ramp if channels == 1 else np.stack([ramp, ramp, ramp // 2], 2)
        data = make_dataset("image", image=("image", [png(array)] * 96))
        spec = image.describe(data)
        batch = image.decode(data, spec)[0].batch(np.arange(96))
        assert image.dials(spec) == (operations, 17)
        rates = torch.ones(operations, 17)
        view, drawn = image.steered(batch, spec, rng(), rates)
        assert view["pixels"].shape == batch["pixels"].shape
        assert view["pixels"].min() >= 0
        assert view["pixels"].max() <= 1
        assert drawn.which.shape == drawn.bin.shape == (96, 2)
        # Of rotations only those by the middle bin, which turn by less than two degrees.
        rates[8] = 0.0
        rates[8, 8] = 1.0
        _, drawn = image.steered(batch, spec, rng(1), rates)
        assert (drawn.bin[drawn.which == 8] == 8).all()
        assert len(drawn.bin[drawn.which == 3].unique()) > 3
        learnt = drawn.learn(rates, torch.zeros(96))
        assert learnt[8, 8] < 1
        assert learnt.shape == image.dials(spec)


def test_a_modality_without_dials_refuses_to_be_steered() -> None:
    text = MODALITIES["text"]
    assert text.dials({"column": "body", "length": 8}) is None
    with pytest.raises(SettingError, match="strong view can be steered: image. Got 'text'"):
        text.steered({}, {}, rng(), None)


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        ("deaf", "'steering obeys': bins of rate zero are drawn"),
        ("one for all", "'one parameter a record'"),
        ("tells another", "'steering obeys': it draws outside its"),
    ],
)
def test_faulty_steering_is_caught(
    monkeypatch: pytest.MonkeyPatch, make_dataset: Make, fault: str, caught: str
) -> None:
    steered = type(image).steered

    def faulty(
        self: Any, batch: Batch, spec: Any, rng: torch.Generator, rates: torch.Tensor | None
    ) -> tuple[Batch, Steering]:
        view, drawn = steered(self, batch, spec, rng, None if fault == "deaf" else rates)
        if fault == "one for all":
            view = {"pixels": view["pixels"][:1].expand_as(view["pixels"])}
        if fault == "tells another" and rates is None:
            drawn = replace(drawn, bin=drawn.bin + 1)
        return view, drawn

    monkeypatch.setattr(type(image), "steered", faulty)
    data = make_dataset("image", image=("image", [png(noise(16, 16))] * 24))
    with pytest.raises(BrokenContract, match=caught):
        check_modality("image", data)


def test_show(make_dataset: Make, tmp_path: Path) -> None:
    Image.fromarray(noise(300, 200)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no")
    data = make_dataset("image", tmp_path, image=("image", ["a.png", "b.png"]))
    shown = image.show(data, 0)
    assert shown["kind"] == "image"
    assert Image.open(io.BytesIO(base64.b64decode(shown["png"]))).size == (85, 128)
    with pytest.raises(DataError, match="position 1 cannot be shown. not an image"):
        image.show(data, 1)


def test_errors_say_what_to_do(make_dataset: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="says no folder"):
        image.describe(make_dataset("image", image=("image", ["a.png"])))
    with pytest.raises(DataError, match=r"The columns are: a \(numeric\)"):
        image.describe(make_dataset("image", a=("numeric", [1])))
    with pytest.raises(DataError, match="Got int64"):
        image.describe(make_dataset("image", image=("image", [1])))
