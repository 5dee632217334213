"""A page with sounds: seen, heard, told in words, and nothing else let in."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.evaluate.report import render
from leaven.evaluate.report.clean import clean_shown


def shown(seconds: float = 0.2) -> dict:
    time = np.arange(int(16_000 * seconds)) / 16_000
    sound = np.random.default_rng(0).normal(0, 0.1, len(time)) + np.sin(3_000 * time)
    dataset = Dataset.from_arrays([sound], modality="audio")
    return MODALITIES["audio"].show(dataset, 0)


def page(records: list[dict]) -> str:
    cards = [
        {"id": str(i), "prediction": "a", "confidence": 0.6, "shown": record}
        for i, record in enumerate(records)
    ]
    return render({"run": {"id": "r"}}, {"uncertain": cards[:24], "mistakes": cards[24:]})


def test_a_sound_is_seen_heard_and_told():
    record = shown()
    source = page([record])
    assert f'src="data:image/png;base64,{record["png"]}"' in source
    assert f'<audio controls preload="none" src="data:audio/wav;base64,{record["wav"]}"' in source
    assert source.count(record["text"]) == 2  # in words, and in the picture's stead
    assert "media-src data:;" in source
    assert "script" not in source


def test_thirty_long_records_stay_under_six_megabytes():
    assert len(page([shown(9.0)] * 30)) < 6e6


def a_png() -> str:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 90).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "wav",
    [
        "",
        '"><script>alert(1)</script>',
        'UklGR"><script>',
        base64.b64encode(b"MP3 or whatever").decode(),
        "UklGR" + "A" * 200_000,
    ],
)
def test_what_is_no_sound_is_not_embedded(wav: str):
    assert clean_shown({"kind": "audio", "png": a_png(), "wav": wav}) == {"kind": "none"}


def test_a_spectrogram_that_is_none_is_not_embedded():
    record = shown() | {"png": "javascript:alert(1)"}
    assert clean_shown(record) == {"kind": "none"}
    hostile = clean_shown(shown() | {"text": "<b>\x00" + "x" * 500})
    assert "\x00" not in hostile["text"]
    assert len(hostile["text"]) < 150
