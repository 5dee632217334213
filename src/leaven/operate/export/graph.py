"""Writing ONNX graphs so that they read like arithmetic. The only module that imports onnx."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from leaven.core.errors import MissingExtraError
from leaven.data.portable.model import runtime

__all__ = ["MOST_BYTES", "OPSET", "Graph", "Value", "quantised", "version"]

#: Operators are those of this opset, which ONNX Runtime reads from 1.18 on.
OPSET = 20
#: Numbers of more do not fit into one file.
MOST_BYTES = 2**31 - 2**20
_FORMAT = 9  # of the file, the one that belongs to the opset
_TREES = 3  # the opset of ai.onnx.ml that decision trees are of
_WORTH = 4096  # numbers from which on a constant is worth bringing to 8 bits
_EXACT = "exact"  # how the name of a node begins that is never

Constant = npt.ArrayLike | torch.Tensor


class Value:
    """A tensor that a graph computes. Arithmetic on it adds nodes; numbers count as float32.

    `shape` is known of inputs alone.
    """

    def __init__(self, graph: Graph, name: str, shape: tuple[int | str, ...] = ()) -> None:
        self.graph, self.name, self.shape = graph, name, shape

    def __add__(self, other: Value | Constant) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Value | Constant) -> Value:
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Value | Constant) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Value | Constant) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Value | Constant) -> Value:
        return self.graph.op("MatMul", self, other)

    def cast(self, kind: npt.DTypeLike) -> Value:
        """The same numbers as another type."""
        code = _onnx().helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self.graph.op("Cast", self, to=code)

    def sum(self, *axes: int, keep: bool = False) -> Value:
        """Over these axes."""
        return self.graph.reduced("ReduceSum", self, axes, keep)

    def mean(self, *axes: int, keep: bool = False) -> Value:
        """Over these axes."""
        return self.graph.reduced("ReduceMean", self, axes, keep)

    def max(self, *axes: int, keep: bool = False) -> Value:
        """Over these axes."""
        return self.graph.reduced("ReduceMax", self, axes, keep)

    def min(self, *axes: int, keep: bool = False) -> Value:
        """Over these axes."""
        return self.graph.reduced("ReduceMin", self, axes, keep)

    def reshape(self, *shape: int) -> Value:
        """Of another shape: 0 keeps an axis as it is, -1 is what remains."""
        return self.graph.op("Reshape", self, np.array(shape, np.int64))

    def transpose(self, *order: int) -> Value:
        """With its axes in another order."""
        return self.graph.op("Transpose", self, perm=list(order))

    def unsqueeze(self, *axes: int) -> Value:
        """With new axes of length one."""
        return self.graph.op("Unsqueeze", self, np.array(axes, np.int64))

    def squeeze(self, *axes: int) -> Value:
        """Without these axes of length one."""
        return self.graph.op("Squeeze", self, np.array(axes, np.int64))

    def cut(self, axis: int, start: int, end: int | None = None, step: int = 1) -> Value:
        """The part of an axis from `start` to before `end`."""
        last = np.iinfo(np.int64).max if end is None else end
        bounds = (np.array([one], np.int64) for one in (start, last, axis, step))
        return self.graph.op("Slice", self, *bounds)

    def take(self, places: Value | Constant, axis: int = 0, *, exact: bool = False) -> Value:
        """The entries at these places of an axis; `exact` ones in every form of the graph."""
        return self.graph.op("Gather", self, places, exact=exact, axis=axis)

    def clip(self, low: float | None = None, high: float | None = None) -> Value:
        """No less than `low`, no more than `high`."""
        found = self if low is None else self.graph.op("Max", self, np.float32(low))
        return found if high is None else self.graph.op("Min", found, np.float32(high))

    def unit(self, axis: int = -1) -> Value:
        """Of length one along an axis, nearly zero where it is, as torch has it."""
        length = self.graph.reduced("ReduceL2", self, (axis,), True)
        return self / length.clip(1e-12)

    def softmax(self, axis: int = -1) -> Value:
        """Shares of sum one."""
        return self.graph.op("Softmax", self, axis=axis)

    def apply(self, kind: str) -> Value:
        """An operator of one input: Exp, Log, Sqrt, Relu …"""
        return self.graph.op(kind, self)


class Graph:
    """Nodes and constants, in the order in which they were added."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._inputs: list[Any] = []
        self._count = 0

    def input(self, name: str, kind: npt.DTypeLike, shape: Sequence[int | str]) -> Value:
        """A tensor that is given; an axis with a name may have any length."""
        code = _onnx().helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self._inputs.append(_onnx().helper.make_tensor_value_info(name, code, list(shape)))
        return Value(self, name, tuple(shape))

    def constant(self, told: Constant) -> Value:
        """Numbers that are part of the graph, equal ones once; floats become float32."""
        array = told.detach().cpu().numpy() if isinstance(told, torch.Tensor) else np.asarray(told)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        array = np.array(array, order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name = f"c{len(self._constants)}"
            self._arrays[name] = array
        return Value(self, self._constants[key])

    def op(
        self,
        kind: str,
        *inputs: Value | Constant | None,
        domain: str = "",
        exact: bool = False,
        **attributes: Any,
    ) -> Value:
        """A node of one output; what is no Value becomes a constant, None is an input left out."""
        return self.ops(kind, 1, *inputs, domain=domain, exact=exact, **attributes)[0]

    def ops(
        self,
        kind: str,
        outputs: int,
        *inputs: Value | Constant | None,
        domain: str = "",
        exact: bool = False,
        **attributes: Any,
    ) -> list[Value]:
        """A node of several outputs."""
        names = []
        for one in inputs:
            value = one if one is None or isinstance(one, Value) else self.constant(one)
            names.append("" if value is None else value.name)
        while names and not names[-1]:
            names.pop()
        made = [f"v{self._count + i}" for i in range(outputs)]
        name = f"{_EXACT if exact else 'n'}{self._count}"
        self._count += outputs
        self._nodes.append(
            _onnx().helper.make_node(kind, names, made, name=name, domain=domain, **attributes)
        )
        return [Value(self, name) for name in made]

    def concat(self, *parts: Value | Constant, axis: int) -> Value:
        """Side by side along an axis."""
        return (
            parts[0]
            if len(parts) == 1 and isinstance(parts[0], Value)
            else self.op("Concat", *parts, axis=axis)
        )

    def reduced(self, kind: str, value: Value, axes: Sequence[int], keep: bool) -> Value:
        """A reduction over these axes."""
        return self.op(kind, value, np.array(axes, np.int64), keepdims=int(keep))

    def where(self, condition: Value, yes: Value | Constant, no: Value | Constant) -> Value:
        """Numbers of the one where the condition holds, else of the other."""
        return self.op("Where", condition, yes, no)

    def joined(self, made: Any, inputs: Mapping[str, Value]) -> list[Value]:
        """The outputs of another graph, a ModelProto of the same opset, whose inputs are given.

        Raises ValueError for one of operators that are not ONNX's own.
        """
        onnx = _onnx()
        foreign = sorted({node.domain for node in made.graph.node} - {""})
        opset = {one.domain: one.version for one in made.opset_import}[""]
        if foreign or made.functions or opset != OPSET:
            raise ValueError(f"it needs operators of {', '.join(foreign) or f'opset {opset}'}")
        prefix = f"t{self._count}."
        self._count += 1
        own = onnx.compose.add_prefix_graph(made.graph, prefix)
        for name, value in inputs.items():
            self._nodes.append(onnx.helper.make_node("Identity", [value.name], [prefix + name]))
        for array in own.initializer:
            self._arrays[array.name] = onnx.numpy_helper.to_array(array)
        for node in own.node:
            node.ClearField("doc_string")  # which line of Python it comes from, with paths
            del node.metadata_props[:]
            self._nodes.append(node)
        return [Value(self, output.name) for output in own.output]

    def model(self, output: Value, name: str, shape: Sequence[int | str]) -> bytes:
        """The file: `output` is called `name`.

        Raises ValueError for a graph that is too large for one file (2 GB).
        """
        onnx = _onnx()
        self._nodes.append(onnx.helper.make_node("Identity", [output.name], [name]))
        told = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(shape))
        arrays = [onnx.numpy_helper.from_array(a, n) for n, a in self._arrays.items()]
        if sum(array.nbytes for array in self._arrays.values()) >= MOST_BYTES:
            raise ValueError("it has more than 2 GB of numbers")
        graph = onnx.helper.make_graph(self._nodes, "leaven", self._inputs, [told], arrays)
        opsets = [
            onnx.helper.make_opsetid("", OPSET),
            onnx.helper.make_opsetid("ai.onnx.ml", _TREES),
        ]
        made = onnx.helper.make_model(
            graph, opset_imports=opsets, ir_version=_FORMAT, producer_name="leaven"
        )
        onnx.checker.check_model(made)
        found: bytes = made.SerializeToString()
        return found


def quantised(graph: bytes) -> bytes:
    """The same graph with the large constants of products, convolutions and look-ups in 8 bits.

    Dynamic quantisation: what flows through a product is brought to 8 bits as it comes, each tensor
    by its own range, and needs no records beforehand. Constants below 4,096 numbers stay as they
    are, for they save nothing, and those of nodes that were made `exact`.
    """
    onnx = _onnx()
    try:
        runtime()
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as missing:
        raise MissingExtraError("export", "A model in 8 bits") from missing
    made = onnx.load_model_from_string(graph)
    nodes = _large(made)
    if not nodes:
        return graph
    root = logging.getLogger()
    root.addFilter(_quiet)  # it recommends a step that is not for graphs like these
    try:
        with tempfile.TemporaryDirectory(prefix="leaven-") as folder:
            small = Path(folder) / "small.onnx"
            quantize_dynamic(
                made, small, per_channel=True, weight_type=QuantType.QInt8, nodes_to_quantize=nodes
            )
            return small.read_bytes()
    finally:
        root.removeFilter(_quiet)


def _large(made: Any) -> list[str]:
    """Names of the nodes whose constants are worth it."""
    numbers = {
        one.name: math.prod(one.dims)
        for one in made.graph.initializer
        if one.data_type == _onnx().TensorProto.FLOAT
    }
    return [
        node.name
        for node in made.graph.node
        if node.op_type in ("MatMul", "Conv", "Gather")
        and not node.name.startswith(_EXACT)
        and max((numbers.get(name, 0) for name in node.input), default=0) >= _WORTH
    ]


def _quiet(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Please consider to run pre-processing")


def version() -> str:
    """Of the onnx package."""
    return str(_onnx().__version__)


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as missing:
        raise MissingExtraError("export", "An ONNX graph") from missing
    return onnx
