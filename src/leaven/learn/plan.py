"""Which recipe: what a fit without settings does, and the reason it gives."""

from __future__ import annotations

from dataclasses import dataclass

from leaven.core.recipe import Recipe
from leaven.data.dataset import Dataset
from leaven.data.modality import MODALITIES
from leaven.learn.method import METHODS

__all__ = ["Plan", "plan"]

#: The method a modality begins with when none is asked for, and why.
_FIRST = {
    "image": ("fixmatch", "strong views of images teach what a label is worth"),
    "text": ("label-spreading", "texts of one class lie near each other in their components"),
    "tabular": ("label-spreading", "a graph of near rows needs no guess at what a view may change"),
    "embedding": ("label-spreading", "ready-made embeddings carry their classes as neighbours"),
}


@dataclass(frozen=True)
class Plan:
    """A recipe with nothing left to choose, and the sentence that says why."""

    recipe: Recipe
    reason: str


def plan(recipe: Recipe, dataset: Dataset, extracted: bool) -> Plan:
    """Fill in what the recipe leaves open: method `auto`, encoder, modality.

    `extracted` says that the encoder named is a frozen extractor, whose features are records of
    the modality `embedding`. Raises UnknownNameError for a method that does not exist.
    """
    modality = dataset.modality
    views = "embedding" if extracted else modality
    reason = f"{recipe.method} was asked for"
    method = recipe.method
    if method == "auto":
        method, why = _FIRST.get(views, ("label-spreading", "it needs nothing but neighbours"))
        reason = f"{method}: {why}"
    if METHODS[method].unlabelled and not len(dataset.unlabelled):
        reason = f"every record has a label, so there is nothing for {method} to learn more from"
        method = METHODS[method].baseline
    encoder = recipe.encoder
    if not encoder or extracted:
        encoder = METHODS[method].default_encoder(MODALITIES[views])
    return Plan(
        recipe.model_copy(update={"method": method, "encoder": encoder, "modality": modality}),
        reason,
    )
