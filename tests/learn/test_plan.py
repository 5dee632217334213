"""What a fit without settings chooses, and why it says so."""

from __future__ import annotations

import numpy as np
import pytest

from leaven.core.errors import SettingError, UnknownNameError
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.learn.plan import plan


def texts(labelled: int, unlabelled: int = 50) -> Dataset:
    words = [f"text number {i} of many" for i in range(labelled + unlabelled)]
    return Dataset.from_arrays(words, [i % 2 for i in range(labelled)] + [-1] * unlabelled)


def pictures(labelled: int) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 255, (labelled + 30, 8, 8), dtype=np.uint8)
    return Dataset.from_arrays(pixels, [i % 2 for i in range(labelled)] + [-1] * 30)


def nodes(labelled: int) -> Dataset:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(labelled + 30, 4))
    edges = rng.integers(0, labelled + 30, (2, 90))
    return Dataset.from_arrays(features, [i % 2 for i in range(labelled)] + [-1] * 30, edges=edges)


def test_records_that_stand_alone_get_a_blend_on_frozen_features():
    text, image = plan(Recipe(), texts(40), False), plan(Recipe(), pictures(40), False)
    assert (text.recipe.method, text.recipe.encoder) == ("blend", "ngram-components")
    assert (image.recipe.method, image.recipe.encoder) == ("blend", "image-blocks")
    assert text.steps == image.steps == 0
    assert "several methods" in text.reason


def test_texts_get_no_network_however_many_labels():
    many = plan(Recipe(), texts(400), False)
    assert (many.recipe.method, many.recipe.encoder) == ("blend", "ngram-components")
    alone = plan(Recipe(), texts(100, unlabelled=0), False)
    assert alone.recipe.method == "supervised-blend"


def test_on_graphs_a_network_is_chosen_where_labels_and_steps_are_enough():
    few, many = plan(Recipe(), nodes(10), False), plan(Recipe(), nodes(40), False)
    assert (few.recipe.method, few.steps) == ("correct-smooth", 0)
    assert many.recipe.method == "grand"
    assert many.steps > 0
    plain = plan(Recipe(), nodes(40), False, plain=True)
    assert (plain.recipe.method, plain.steps) == ("correct-smooth", 0)


def test_what_is_asked_for_is_done_whatever_the_budget():
    chosen = plan(Recipe(method="mean-teacher", encoder="text-transformer"), texts(10), False)
    assert chosen.recipe.method == "mean-teacher"
    assert chosen.recipe.encoder == "text-transformer"
    assert chosen.steps == 0
    assert "asked" in chosen.reason


def test_features_of_an_extractor_are_embeddings():
    chosen = plan(Recipe(encoder="some/encoder"), texts(300), True)
    assert chosen.recipe.method == "blend"
    assert chosen.recipe.encoder == "embedding-blocks"


def test_without_unlabelled_records_the_supervised_counterpart_is_left():
    for asked, left in (("label-spreading", "logistic"), ("fixmatch", "supervised")):
        chosen = plan(Recipe(method=asked), texts(40, unlabelled=0), False)
        assert chosen.recipe.method == left
        assert "every record has a label" in chosen.reason


def test_a_method_that_trains_nothing_refuses_an_untrained_encoder():
    with pytest.raises(SettingError, match="need no training.*ngram-components"):
        plan(Recipe(method="label-spreading", encoder="text-transformer"), texts(40), False)


def test_an_unknown_method_is_named():
    with pytest.raises(UnknownNameError, match="Did you mean 'fixmatch'"):
        plan(Recipe(method="fixmach"), texts(10), False)
