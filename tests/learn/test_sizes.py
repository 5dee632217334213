"""Encoders by size: the rungs that each kind of records has, and which of them is picked."""

from __future__ import annotations

import numpy as np
import pytest

from leaven.core.errors import SettingError
from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.encoder import ENCODERS, Encoder, SequenceEncoder, listed
from leaven.learn.plan import plan
from leaven.learn.sizes import AUTO, SIZES, fitting, named, rungs, sized, weights


@pytest.mark.parametrize("modality", list(MODALITIES))
def test_each_modality_has_a_base_and_no_rung_twice(modality: str):
    found = [ENCODERS[name].size for name in listed(modality) if ENCODERS[name].size]
    assert "base" in found
    assert set(found) <= set(SIZES)
    assert len(found) == len(set(found)), rungs(modality)
    assert list(rungs(modality).values()) == [sized(modality, size) for size in rungs(modality)]


def test_no_encoder_bears_the_name_of_a_size():
    assert not {*SIZES, AUTO} & set(ENCODERS)


def test_a_rung_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(SettingError, match=r"embedding records have: base \(mlp\)"):
        sized("embedding", "large")


def test_a_name_is_left_as_it_is():
    assert named("wrn-28-2", "image", 10, 10) == ("wrn-28-2", "")
    assert named("tiny", "image", 10, 10) == ("small-convnet", "")
    assert named(AUTO, "image", 10, 10)[0] == "small-convnet"


@pytest.mark.parametrize(
    ("labels", "records", "size"),
    [
        (10, 500, "tiny"),
        (99, 4_999, "tiny"),
        (100, 500, "base"),
        (10, 5_000, "base"),
        (1_999, 10**6, "base"),
        (10**5, 49_999, "base"),
        (2_000, 50_000, "large"),
    ],
)
def test_labels_and_records_pick_the_rung(labels: int, records: int, size: str):
    name, why = fitting("text", labels, records)
    assert name == sized("text", size)
    assert f"the {size} encoder" in why
    assert f"{labels:,} labels among {records:,} records" in why
    assert fitting("embedding", labels, records)[0] == "mlp"  # it has one rung alone


def test_a_pretext_is_given_an_encoder_that_it_can_train():
    assert named(AUTO, "text", 0, 100, SequenceEncoder)[0] == "text-transformer"
    assert "tiny" not in rungs("text", SequenceEncoder)
    assert all(not ENCODERS[name].ready for name in rungs("tabular", Encoder).values())
    with pytest.raises(SettingError, match="text records have: base"):
        named("tiny", "text", 0, 100, SequenceEncoder)


def test_weights_are_counted_and_not_told():
    from leaven.learn.models.mlp import MLP

    built = MLP(384)
    assert weights("mlp") == sum(p.numel() for p in built.parameters())
    counted = {name: weights(name) for name in listed()}
    known = {name: n for name, n in counted.items() if n is not None}
    assert {ENCODERS[name].modality for name in known} == set(MODALITIES)
    assert [name for name, n in known.items() if n == 0] == [
        name for name in known if ENCODERS[name].ready
    ]


def _pictures(labelled: int) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 255, (labelled + 30, 8, 8), dtype=np.uint8)
    return Dataset.from_arrays(pixels, [i % 2 for i in range(labelled)] + [-1] * 30)


def test_the_plan_resolves_sizes_and_says_why():
    few, more = _pictures(20), _pictures(120)
    for size, name in rungs("image").items():
        chosen = plan(Recipe(method="fixmatch", encoder=size), few, False)
        assert chosen.recipe.encoder == name
    chosen = plan(Recipe(method="fixmatch", encoder=AUTO), few, False)
    assert chosen.recipe.encoder == sized("image", "tiny")
    assert "20 labels among 50 records" in chosen.reason
    assert plan(Recipe(method="fixmatch", encoder=AUTO), more, False).recipe.encoder == sized(
        "image", "base"
    )


def test_a_method_that_trains_nothing_takes_its_own_encoder_for_auto():
    chosen = plan(Recipe(method="label-spreading", encoder=AUTO), _pictures(20), False)
    assert chosen.recipe.encoder == "patch-dictionary"
    assert "labels among" not in chosen.reason
    with pytest.raises(SettingError, match="need no training"):
        plan(Recipe(method="label-spreading", encoder="base"), _pictures(20), False)
