"""Write a BERT encoder as a fused ONNX graph, node by node, from its weights: no torch involved.

The graph takes ``input_ids`` (B, L) int32, padded on the right, and ``lengths`` (B,) int32, and gives ``vectors`` (B, d) float32 of unit
length.
Fused operators are ONNX Runtime's contrib set (com.microsoft: Attention, SkipLayerNormalization, BiasGelu). Architecture: Devlin et al.
2019, post-norm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 10
FUSED = "com.microsoft"

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BertShape:
    """What the graph needs to know besides the weights.

    ``pooling`` is ``mean`` or ``cls``, ``activation`` ``gelu``, ``gelu_tanh`` or ``relu``.
    """

    layers: int
    heads: int
    epsilon: float
    activation: str
    pooling: str
    max_length: int


class _Graph:
    """Nodes and initialisers in the order they are added, so that equal input gives equal bytes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output


def build_bert(weights: Mapping[str, NDArray[np.generic]], shape: BertShape) -> onnx.ModelProto:
    """Return the whole encoder: embeddings, layers, pooling, normalisation to unit length.

    Raises:
        KeyError: a weight that the architecture needs is absent; the message is its name.
    """
    graph = _Graph()
    hidden = _embeddings(graph, weights, shape)
    for layer in range(shape.layers):
        hidden = _layer(graph, weights, shape, layer, hidden)
    pooled = _mean(graph, shape, hidden) if shape.pooling == "mean" else _first(graph, hidden)
    graph.add("LpNormalization", [pooled], "vectors", axis=1, p=2)
    dimension = weights["embeddings.LayerNorm.weight"].shape[0]
    proto = helper.make_graph(
        graph.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT32, ["batch", "tokens"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", dimension])],
        graph.initializers,
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tiltmeter")


def _float(weights: Mapping[str, NDArray[np.generic]], name: str) -> Array:
    return np.asarray(weights[name], dtype=np.float32)


def _embeddings(graph: _Graph, weights: Mapping[str, NDArray[np.generic]], shape: BertShape) -> str:
    words = graph.constant("word_embeddings", _float(weights, "embeddings.word_embeddings.weight"))
    # Prompts are one segment, so the embedding of segment 0 is added to the positions once, here.
    positions = _float(weights, "embeddings.position_embeddings.weight") + _float(weights, "embeddings.token_type_embeddings.weight")[0]
    graph.constant("position_embeddings", positions[: shape.max_length])
    graph.constant("zero", np.zeros(1, dtype=np.int64))
    graph.add("Shape", ["input_ids"], "token_count", start=1, end=2)
    # A Range and Gather pair here is rewritten by ONNX Runtime into a broken Slice; 1-D starts and ends are safe.
    graph.add("Slice", ["position_embeddings", "zero", "token_count", "zero"], "positions")
    graph.add("Gather", [words, "input_ids"], "words")
    graph.add("Add", ["words", "positions"], "embedded")
    scale = graph.constant("embeddings.scale", _float(weights, "embeddings.LayerNorm.weight"))
    shift = graph.constant("embeddings.shift", _float(weights, "embeddings.LayerNorm.bias"))
    return graph.add("LayerNormalization", ["embedded", scale, shift], "hidden", axis=-1, epsilon=shape.epsilon)


def _layer(graph: _Graph, weights: Mapping[str, NDArray[np.generic]], shape: BertShape, layer: int, hidden: str) -> str:
    source, name = f"encoder.layer.{layer}.", f"layer{layer}."

    def linear(part: str) -> tuple[str, str]:
        weight = graph.constant(f"{name}{part}.weight", _float(weights, f"{source}{part}.weight").T)
        return weight, graph.constant(f"{name}{part}.bias", _float(weights, f"{source}{part}.bias"))

    def norm(part: str, inputs: list[str], bias: str, output: str) -> str:
        scale = graph.constant(f"{name}{part}.scale", _float(weights, f"{source}{part}.weight"))
        shift = graph.constant(f"{name}{part}.shift", _float(weights, f"{source}{part}.bias"))
        return graph.add("SkipLayerNormalization", [*inputs, scale, shift, bias], output, FUSED, epsilon=shape.epsilon)

    projections = [f"{source}attention.self.{part}" for part in ("query", "key", "value")]
    qkv_weight = graph.constant(f"{name}qkv.weight", np.concatenate([_float(weights, f"{p}.weight").T for p in projections], axis=1))
    qkv_bias = graph.constant(f"{name}qkv.bias", np.concatenate([_float(weights, f"{p}.bias") for p in projections]))
    attended = graph.add("Attention", [hidden, qkv_weight, qkv_bias, "lengths"], f"{name}attended", FUSED, num_heads=shape.heads)
    weight, bias = linear("attention.output.dense")
    projected = graph.add("MatMul", [attended, weight], f"{name}projected")
    middle = norm("attention.output.LayerNorm", [projected, hidden], bias, f"{name}middle")
    weight, bias = linear("intermediate.dense")
    wide = graph.add("MatMul", [middle, weight], f"{name}wide")
    active = _activation(graph, shape.activation, wide, bias, f"{name}active")
    weight, bias = linear("output.dense")
    narrow = graph.add("MatMul", [active, weight], f"{name}narrow")
    return norm("output.LayerNorm", [narrow, middle], bias, f"{name}hidden")


def _activation(graph: _Graph, activation: str, values: str, bias: str, output: str) -> str:
    if activation == "gelu":
        return graph.add("BiasGelu", [values, bias], output, FUSED)
    if activation == "gelu_tanh":
        return graph.add("FastGelu", [values, bias], output, FUSED)
    return graph.add("Relu", [graph.add("Add", [values, bias], f"{output}.biased")], output)


def _mean(graph: _Graph, shape: BertShape, hidden: str) -> str:
    """Mean over the tokens that are not padding."""
    graph.constant("indices", np.arange(shape.max_length, dtype=np.int32))
    graph.constant("one", np.ones(1, dtype=np.int64))
    graph.constant("two", np.full(1, 2, dtype=np.int64))
    graph.add("Slice", ["indices", "zero", "token_count", "zero"], "index")
    graph.add("Unsqueeze", ["lengths", "one"], "length_column")
    graph.add("Less", ["index", "length_column"], "kept")
    graph.add("Cast", ["kept"], "mask", to=TensorProto.FLOAT)
    graph.add("Unsqueeze", ["mask", "two"], "mask_column")
    graph.add("Mul", [hidden, "mask_column"], "kept_hidden")
    graph.add("ReduceSum", ["kept_hidden", "one"], "summed", keepdims=0)
    graph.add("Cast", ["length_column"], "length_float", to=TensorProto.FLOAT)
    return graph.add("Div", ["summed", "length_float"], "pooled")


def _first(graph: _Graph, hidden: str) -> str:
    graph.constant("first", np.zeros((), dtype=np.int64))
    return graph.add("Gather", [hidden, "first"], "pooled", axis=1)
