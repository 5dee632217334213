"""Small problems and records for the tests of learning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from leaven.learn.encoder import Encoder
from leaven.learn.models.mel_cnn import MelCNN
from leaven.learn.models.small_convnet import SmallConvNet
from leaven.learn.models.tcn import TCN
from leaven.learn.models.text_transformer import TextTransformer


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These networks are too small for more, and threads that wait would only hold each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text transformer's table has room for the words of made texts, and not for 20,000.

    Its optimiser moves every row at every step, which is half of the work on short texts.
    """
    _configured(monkeypatch, TextTransformer, words=500)


@pytest.fixture
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders of a third of the width: enough for made records of four kinds."""
    _configured(monkeypatch, TextTransformer, words=500, width=64, layers=1)
    _configured(monkeypatch, SmallConvNet, widths=[16, 32, 64])
    _configured(monkeypatch, MelCNN, widths=[16, 32, 48, 64])
    _configured(monkeypatch, TCN, blocks=5, hidden=16, width=64)


def _configured(monkeypatch: pytest.MonkeyPatch, kind: type[Encoder], **settings: Any) -> None:
    """Networks of this kind have these settings, whatever the records."""
    plain = kind.configure.__func__  # type: ignore[attr-defined]
    small = classmethod(lambda kind, spec: plain(kind, spec) | settings)
    monkeypatch.setattr(kind, "configure", small)
