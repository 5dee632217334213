"""Texts said otherwise reach the strong views, and only those."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import leaven
from leaven import Dataset, Recipe
from leaven.core.errors import DataError, SettingError
from leaven.data.modality import MODALITIES
from leaven.learn.rewriters import find_rewriter, name_of

TEXTS = [f"the {c} cat on the {m}" for c in ("red", "old", "big") for m in "abcdefgh"]
LABELS = ["red" if "red" in text else "other" for text in TEXTS]


def loudly(texts: list[str]) -> list[str]:
    return [f"{text} loudly" for text in texts]


def texts(labelled: bool = True) -> Dataset:
    given = [label if i % 2 == 0 else None for i, label in enumerate(LABELS)]
    return Dataset.from_arrays(TEXTS, given if labelled else None, modality="text")


def test_a_function_rewrites_every_text_twice():
    dataset = texts()
    spec = MODALITIES["text"].describe(dataset)
    rewriting = find_rewriter(loudly, "text", False, 0)
    assert rewriting is not None
    said = rewriting(dataset, spec)
    assert said.shape == (len(TEXTS), 2, spec["length"])
    plain, _ = MODALITIES["text"].decode(dataset, spec)
    words = (plain["tokens"] > 0).sum(1)
    assert ((said > 0).sum(2) == words[:, None] + 1).all()


def test_context_puts_words_that_stand_there_elsewhere():
    dataset = texts()
    spec = MODALITIES["text"].describe(dataset)
    rewriting = find_rewriter("context", "text", False, 0)
    again = find_rewriter("context", "text", False, 0)
    assert rewriting is not None
    assert again is not None
    said = rewriting(dataset, spec)
    np.testing.assert_array_equal(said, again(dataset, spec))
    plain, _ = MODALITIES["text"].decode(dataset, spec)
    tokens = plain["tokens"][:, None]
    assert (said != tokens).any()
    assert set(np.unique(said)) <= set(np.unique(tokens))


def test_nothing_asked_is_nothing_done():
    assert find_rewriter("", "image", True, 0) is None


@pytest.mark.parametrize(
    ("rewrite", "modality", "extracted", "said"),
    [
        ("contxt", "text", False, "MODULE:FUNCTION"),
        ("json:lods", "text", False, "can be imported"),
        ("no_such_module_anywhere:f", "text", False, "can be imported"),
        ("context", "image", False, "not of modality text"),
        ("context", "text", True, "frozen extractor"),
    ],
)
def test_what_cannot_rewrite_is_told(rewrite: str, modality: str, extracted: bool, said: str):
    with pytest.raises(SettingError, match=said):
        find_rewriter(rewrite, modality, extracted, 0)


def test_names_of_functions_say_where_they_are():
    assert name_of(loudly).endswith(":loudly")
    assert name_of("context") == "context"


def test_a_run_names_its_rewriter_and_depends_on_it(tmp_path: Path):
    runs = [
        leaven.fit(texts(), method="mean-teacher", budget="10steps", out=tmp_path, rewrite=how)
        for how in (None, loudly, "context")
    ]
    assert [run.story["recipe"]["rewrite"].rpartition(":")[2] for run in runs] == [
        "", "loudly", "context",
    ]  # fmt: skip
    assert len({run.folder for run in runs}) == 3
    assert "--rewrite context" in runs[2].story["run"]["command"]


def test_strong_views_begin_with_a_rewriting(tmp_path: Path):
    """FixMatch reads strong views; with everything accepted its losses differ."""
    settings = {"accept": "All"}
    losses = []
    for how in (None, loudly):
        run = leaven.fit(
            texts(), method="fixmatch", budget="10steps", out=tmp_path, rewrite=how,
            settings=settings,
        )  # fmt: skip
        losses.append(
            [p["unlabelled"] for p in run.story["training"]["history"] if "unlabelled" in p]
        )
    assert losses[0] != losses[1]


def test_a_recipe_runs_no_code(tmp_path: Path):
    """A recipe may come from elsewhere; what it names as a function must be given anew."""
    recipe = Recipe(method="fixmatch", rewrite="subprocess:call", budget="5steps")
    with pytest.raises(SettingError, match="a recipe runs no code"):
        leaven.fit(texts(), recipe=recipe, out=tmp_path)


def test_a_rewriter_that_loses_texts_is_told(tmp_path: Path):
    with pytest.raises(DataError, match="must give a list of"):
        leaven.fit(
            texts(), method="fixmatch", budget="5steps", out=tmp_path, rewrite=lambda t: t[:-1]
        )
