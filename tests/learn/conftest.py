"""Small problems and records for the tests of learning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

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
    plain = TextTransformer.configure.__func__  # type: ignore[attr-defined]
    small = classmethod(lambda kind, spec: plain(kind, spec) | {"words": 500})
    monkeypatch.setattr(TextTransformer, "configure", small)
