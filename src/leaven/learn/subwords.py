"""A text transformer from elsewhere, to be trained further: how texts enter it, and its weights."""

from __future__ import annotations

from leaven.data.dataset import Dataset
from leaven.learn.extractors.subwords import SubwordReader, read
from leaven.learn.front import Front
from leaven.learn.models.subword_transformer import SubwordTransformer
from leaven.learn.pretrained import stamp

__all__ = ["trainable"]

_WANTED = "a folder or hub name of a text encoder with safetensors weights"


def trainable(name: str, dataset: Dataset) -> tuple[Front, SubwordTransformer]:
    """The front of the dataset's texts, and the encoder with the weights of that folder.

    What of it learns is for `Training.adapt` to say. Raises SettingError as `find_extractor`
    does, and for a model with a decoder.
    """
    reader = SubwordReader.find(name)
    encoder = SubwordTransformer(**reader.description["encoder"])
    place = reader.description["name"]
    weights = read(place, stamp(place, _WANTED))[1].state_dict()
    own = encoder.model.state_dict()
    encoder.model.load_state_dict({key: weights[key].clone() for key in own})
    return Front.describe(dataset, reader), encoder
