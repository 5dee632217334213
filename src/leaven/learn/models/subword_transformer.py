"""A transformer of the Hugging Face family for texts, to be trained further."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leaven.core.errors import MissingExtraError
from leaven.data.arrays import Batch
from leaven.data.modality import Spec
from leaven.data.words import MASK
from leaven.learn.encoder import ENCODERS, SequenceEncoder

__all__ = ["SubwordTransformer"]


class SubwordTransformer(SequenceEncoder):
    """The model of a configuration of the library, pooled as its sentence encoder is.

    Tokens are its tokeniser's numbers and one, 0 for nothing; larger ones (hashed words, where
    there is no tokeniser) are taken modulo its vocabulary. The special tokens that it wants
    before and after a text are put there when a view enters, so that no view drops them. By
    itself it begins from random weights; `leaven.learn.subwords` gives it those of a folder.
    Of a sentence encoder's steps the last, unit length, is left out: a head learns little from
    numbers that small.
    """

    name = "subword-transformer"
    modality = "text"
    summary = "a transformer of the Hugging Face family, named by its folder"
    listed = False
    mixed = True
    rate = 0.05  # of pretrained weights much is lost at the rate of new ones

    def __init__(
        self,
        model: dict[str, Any],
        before: list[int],
        after: list[int],
        mask: int,
        pooled: str = "mean",
    ) -> None:
        super().__init__(model=model, before=before, after=after, mask=mask, pooled=pooled)
        self.model = _built(model)
        self.before, self.after, self.mask, self.pooled = before, after, mask, pooled
        self.words = int(self.model.get_input_embeddings().num_embeddings)
        self.width = int(self.model.config.hidden_size)

    @classmethod
    def configure(cls, spec: Spec) -> dict[str, Any]:
        """A small one with random weights, for records that no tokeniser has read."""
        model = {
            "model_type": "bert",
            "vocab_size": 8192,
            "hidden_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 128,
            "max_position_embeddings": spec["length"] + 2,
        }
        return {"model": model, "before": [2], "after": [3], "mask": 4}

    def enter(self, batch: Batch) -> Tensor:
        """(batch, longest, width + 1) tokens' vectors, and last whether there is a token."""
        tokens = batch["tokens"]
        count = (tokens > 0).sum(1, keepdim=True)
        tokens = tokens[:, : int(count.max())].long()
        ids = torch.where(tokens == MASK, self.mask, (tokens - 1).clamp(min=0) % self.words)
        n, before, after = len(ids), len(self.before), len(self.after)
        room = ids.new_zeros(n, after)
        ids = torch.cat([ids.new_tensor(self.before).expand(n, -1), ids, room], 1)
        place = torch.arange(ids.shape[1], device=ids.device)
        for number, special in enumerate(self.after):
            ids = torch.where(place == before + count + number, special, ids)
        there = place < (before + count + after).clamp(min=1)
        vectors = self.model.get_input_embeddings()(ids)
        return torch.cat([vectors, there.unsqueeze(-1).to(vectors.dtype)], -1)

    def states(self, entered: Tensor, causal: bool = False) -> Tensor:
        """(batch, places, width) of each token."""
        vectors, there = entered[..., :-1], entered[..., -1] > 0
        mask = there
        if causal:
            length = there.shape[1]
            past = torch.ones(length, length, dtype=torch.bool, device=there.device).tril()
            seen = (past & there[:, None])[:, None]
            # Of a mask of four axes the models add what they are given.
            mask = torch.zeros_like(seen, dtype=vectors.dtype).masked_fill(~seen, -1e4)
        states: Tensor = self.model(
            inputs_embeds=vectors, attention_mask=mask if causal else mask.long()
        ).last_hidden_state
        return states

    def pool(self, states: Tensor, entered: Tensor) -> Tensor:
        """(batch, width) the first token's state (`cls`), or the mean."""
        if self.pooled == "cls":
            return states[:, 0].float()
        return super().pool(states, entered)

    def layers(self) -> list[nn.Module]:
        """The word vectors, then the blocks: the longest list of modules."""
        lists = [module for module in self.model.modules() if isinstance(module, nn.ModuleList)]
        blocks = max(lists, key=len, default=nn.ModuleList())
        return [self.model.get_input_embeddings(), *blocks]


def _built(config: dict[str, Any]) -> Any:
    """The model of a configuration, with random weights."""
    try:
        from transformers import AutoConfig, AutoModel
    except ImportError as absent:
        raise MissingExtraError("text", "a transformer of the Hugging Face family") from absent
    model = AutoModel.from_config(AutoConfig.for_model(**config), trust_remote_code=False)
    # Its pooling layer is for another purpose, and would be trained for nothing.
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model


ENCODERS.add(SubwordTransformer.name, SubwordTransformer)
