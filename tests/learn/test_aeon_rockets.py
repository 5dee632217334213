"""aeon's family as frozen encoders: what is learnt survives as text."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from leaven.core.errors import MissingExtraError, SettingError, UnknownNameError
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.aeon_rockets import AeonRocket
from leaven.learn.extractor import find_extractor, open_extractor

THERE = importlib.util.find_spec("aeon") is not None
needs_aeon = pytest.mark.skipif(not THERE, reason="aeon is not installed")


def made(channels: int = 2, steps: int = 30) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset.from_arrays(rng.normal(size=(20, channels, steps)), modality="series")


def test_other_names_are_told():
    with pytest.raises(UnknownNameError, match="minirocket"):
        AeonRocket.find("aeon/minirockets")


def test_names_of_aeon_are_for_series():
    with pytest.raises(SettingError, match="text"):
        find_extractor("aeon/minirocket", "text")


@pytest.mark.skipif(THERE, reason="aeon is installed")
def test_without_aeon_the_extra_is_named():
    with pytest.raises(MissingExtraError, match="aeon/minirocket needs the extra 'series'"):
        find_extractor("aeon/minirocket", "series")


@needs_aeon
@pytest.mark.parametrize("name", ["aeon/minirocket", "aeon/rocket", "aeon/multirocket"])
def test_what_was_learnt_is_in_the_description(name: str):
    dataset = made()
    spec = MODALITIES["series"].describe(dataset)
    found = find_extractor(name, "series")
    assert found is not None
    fitted = found.prepared(dataset, spec)
    again = open_extractor(json.loads(json.dumps(fitted.description)))
    features = fitted.extract(dataset, spec)
    assert features.shape == (20, fitted.description["width"])
    np.testing.assert_allclose((features**2).sum() / 20, 1, atol=0.4)
    rows = np.arange(5, 9)
    np.testing.assert_array_equal(again.extract(dataset.select(rows), spec), features[rows])


@needs_aeon
def test_series_that_are_too_short_are_told():
    dataset = made(1, 6)
    with pytest.raises(SettingError, match="6 steps"):
        AeonRocket.find("aeon/minirocket").prepared(dataset, MODALITIES["series"].describe(dataset))
