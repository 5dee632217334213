"""Networks that others have written as nodes of a graph: followed by torch, as it runs them.

torch.export follows a module and says where an axis that is to be free is not; torch's exporter
(extra `export`, for it needs onnxscript) makes nodes of what it has found. The rest of a model is
written by hand, see `graph.py`: this is for encoders from elsewhere, of which there are too many.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from leaven.core.errors import MissingExtraError
from leaven.operate.export.graph import MOST_BYTES, OPSET, Graph, Value
from leaven.operate.export.layers import unsupported

__all__ = ["traced"]

#: torch.export keeps what it is about in the process, as do the loggers and the stream below.
_ALONE = threading.Lock()
#: Loggers that tell of steps which are none of the user's business.
_LOUD = ("torch", "torch.__trace", "onnxscript", "onnx_ir")


def traced(
    graph: Graph,
    module: nn.Module,
    inputs: Mapping[str, Value],
    example: Mapping[str, Tensor],
    dynamic: Mapping[str, Mapping[int, str]],
    name: str = "",
) -> Value:
    """What a module makes of values, as nodes of a graph.

    Parameters
    ----------
    module : takes tensors by name and returns one of float32, or several as a tuple, of which the
        first is meant. It is brought to the processor, single precision and evaluation mode.
    inputs : its arguments.
    example : a tensor for each, by which the module is followed once; at least two long on axes
        that vary. What it has of Python's `if` is decided by it.
    dynamic : axes of any length by the names of arguments; all others are as in the example.
    name : of the encoder, for errors; by default the module's type.

    Raises SettingError, which names the encoder, for one that cannot be followed: with a branch
    that hangs on the data, an axis that is not free, an operation without a form in ONNX, or more
    than 2 GB of numbers; MissingExtraError without onnxscript.
    """
    name = name or type(module).__name__
    if find_spec("onnxscript") is None:
        raise MissingExtraError("export", f"A graph of the encoder '{name}'")
    ready = module.cpu().float().eval().requires_grad_(False)
    if sum(one.nbytes for one in ready.state_dict().values()) >= MOST_BYTES:
        raise unsupported("encoder", f"{name}, which has more than 2 GB of numbers")
    free = torch.export.Dim.DYNAMIC  # an error where the module wants it to be of one length
    shapes = {one: dict.fromkeys(dynamic.get(one, {}), free) for one in inputs}
    try:
        with _ALONE, _quiet(), torch.no_grad():
            followed = torch.export.export(
                ready, (), {one: example[one] for one in inputs}, dynamic_shapes=shapes,
                strict=False,
            )  # fmt: skip
            made = torch.onnx.export(
                followed, input_names=list(inputs), opset_version=OPSET, dynamo=True, verbose=False
            )
        assert made is not None
        return graph.joined(made.model_proto, inputs)[0]
    except Exception as failed:
        said = f"{name}, which cannot be traced: {_reason(failed)}"
        raise unsupported("encoder", said) from failed


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks, which tell its developers of each step."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [one.level for one in loggers]
    try:
        for one in loggers:
            one.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _reason(failed: BaseException) -> str:
    """The first line of what it was at bottom: the exporter wraps it in pages of advice."""
    cause: Any = failed
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__)[:200]
