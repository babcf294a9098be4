"""Write the scorer as an ONNX graph: nearest neighbours over tiles of the reference, density, heads, nearest topic.

Takes ``vectors`` (B, d) float32 unit, gives ``score`` (B,) float32 (higher is stranger), ``topic`` (B,) int32 (nearest centroid) and
``fourier`` (B, F) int16 (see detectors.features). The score is what detectors.scores.combine computes. Reference vectors are external data
in tiles, each with a TopK of its own whose results are merged: the whole similarity matrix of a large reference never exists, and no ONNX
file comes near protobuf's limit of 2 GB.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from detectors.features import FEATURES, Fourier
from detectors.scores import DensityKnn, Head
from detectors.sketch import FIXED_POINT
from service.bundle import REFERENCE, SCORER_GRAPH

TILE_ROWS = 16_384
_OPSET = 17
_IR_VERSION = 10
_PAGE = 4096


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.initializers.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def number(self, name: str, value: float) -> str:
        return self.constant(name, np.array(value, dtype=np.float32))

    def add(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, list(outputs), name=outputs[0], **attributes))
        return outputs[0]


def write_scorer(
    knn: DensityKnn, heads: Sequence[Head], centroids: NDArray[np.float32], fourier: Fourier, out: Path, *, tile_rows: int = TILE_ROWS
) -> None:
    """Write scorer.onnx and reference.bin into ``out``. Equal arguments give equal bytes.

    Args:
        knn: fitted on the reference.
        heads: none leaves the standardised distance alone.
        centroids: (K, d) float32, K >= 1, unit rows.
        fourier: frequencies fitted on the reference.
        out: directory.
        tile_rows: rows of one tile, at least k.
    """
    graph = _Graph()
    distance, nearest = _distance(graph, knn, out / REFERENCE, tile_rows)
    score = _standard(graph, "distance", distance, knn.standard.mean, knn.standard.deviation)
    if heads:
        share = graph.number("distance.share", 1 - sum(head.share for head in heads))
        parts = [graph.add("Mul", [score, share], "distance.part")]
        parts += [_head(graph, f"head{number}", head, nearest) for number, head in enumerate(heads)]
        score = graph.add("Sum", parts, "combined")
    graph.add("Identity", [score], "score")
    graph.constant("centroids", centroids.T)
    graph.add("MatMul", ["vectors", "centroids"], "topic.similarity")
    graph.add("ArgMax", ["topic.similarity"], "topic.index", axis=1, keepdims=0)
    graph.add("Cast", ["topic.index"], "topic", to=TensorProto.INT32)
    _features(graph, fourier)
    proto = helper.make_graph(
        graph.nodes,
        "scorer",
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", knn.reference.shape[1]])],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("topic", TensorProto.INT32, ["batch"]),
            helper.make_tensor_value_info("fourier", TensorProto.INT16, ["batch", FEATURES]),
        ],
        graph.initializers,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="tiltmeter")
    (out / SCORER_GRAPH).write_bytes(model.SerializeToString(deterministic=True))


def _standard(graph: _Graph, name: str, raw: str, mean: float, deviation: float) -> str:
    graph.add("Sub", [raw, graph.number(f"{name}.mean", mean)], f"{name}.centred")
    return graph.add("Div", [f"{name}.centred", graph.number(f"{name}.deviation", deviation)], f"{name}.standard")


def _head(graph: _Graph, name: str, head: Head, nearest: str) -> str:
    """Weighted and standardised: what is usual among the neighbours minus the prompt's own largest logit."""
    graph.constant(f"{name}.weights", head.weights)
    graph.constant(f"{name}.bias", head.bias)
    graph.add("MatMul", ["vectors", f"{name}.weights"], f"{name}.product")
    graph.add("Add", [f"{name}.product", f"{name}.bias"], f"{name}.logits")
    largest = graph.add("ReduceMax", [f"{name}.logits"], f"{name}.largest", axes=[1], keepdims=0)
    if head.expected is None:
        raw = graph.add("Neg", [largest], f"{name}.raw")
    else:
        graph.add("Gather", [graph.constant(f"{name}.expected", head.expected), nearest], f"{name}.nearest")
        graph.add("ReduceMean", [f"{name}.nearest"], f"{name}.mean_nearest", axes=[1], keepdims=0)
        graph.add("Mul", [f"{name}.mean_nearest", graph.number(f"{name}.weight", head.weight)], f"{name}.usual")
        raw = graph.add("Sub", [f"{name}.usual", largest], f"{name}.raw")
    standard = _standard(graph, name, raw, head.standard.mean, head.standard.deviation)
    return graph.add("Mul", [standard, graph.number(f"{name}.share", head.share)], f"{name}.part")


def _features(graph: _Graph, fourier: Fourier) -> None:
    """Fixed-point features: on the device, because integers of two bytes are less to bring back than floats."""
    graph.constant("frequencies", fourier.frequencies.T)
    graph.add("MatMul", ["vectors", "frequencies"], "angles")
    graph.add("Cos", ["angles"], "cosines")
    graph.add("Sin", ["angles"], "sines")
    graph.add("Concat", ["cosines", "sines"], "features", axis=1)
    graph.add("Mul", ["features", graph.number("fixed_point", FIXED_POINT)], "features.scaled")
    graph.add("Round", ["features.scaled"], "features.rounded")
    graph.add("Cast", ["features.rounded"], "fourier", to=TensorProto.INT16)


def _distance(graph: _Graph, knn: DensityKnn, file: Path, tile_rows: int) -> tuple[str, str]:
    """Mean cosine distance to the k nearest rows minus the weighted mean of their densities; and the numbers of those rows."""
    k = graph.constant("k", np.array([knn.k], dtype=np.int64))
    similarities, indices = [], []
    with file.open("wb") as stream:
        for number, start in enumerate(_tile_starts(len(knn.reference), tile_rows, knn.k)):
            tile, stop = f"tile{number}", start[1]
            _external(graph, f"{tile}.vectors", knn.reference[start[0] : stop].T, stream, file.name)
            graph.add("MatMul", ["vectors", f"{tile}.vectors"], f"{tile}.all")
            graph.add("TopK", [f"{tile}.all", k], f"{tile}.similarity", f"{tile}.local", axis=1)
            graph.add("Add", [f"{tile}.local", graph.constant(f"{tile}.start", np.array(start[0], dtype=np.int64))], f"{tile}.index")
            similarities.append(f"{tile}.similarity")
            indices.append(f"{tile}.index")
    nearest, index = similarities[0], indices[0]
    if len(similarities) > 1:
        graph.add("Concat", similarities, "tiles.similarity", axis=1)
        graph.add("Concat", indices, "tiles.index", axis=1)
        nearest = graph.add("TopK", ["tiles.similarity", k], "nearest.similarity", "nearest.place", axis=1)
        index = graph.add("GatherElements", ["tiles.index", "nearest.place"], "nearest.index", axis=1)
    graph.add("ReduceMean", [nearest], "nearest.mean", axes=[1], keepdims=0)
    graph.add("Sub", [graph.number("one", 1), "nearest.mean"], "nearest.distance")
    graph.add("Gather", [graph.constant("density", knn.density), index], "nearest.density")
    graph.add("ReduceMean", ["nearest.density"], "density.mean", axes=[1], keepdims=0)
    graph.add("Mul", ["density.mean", graph.number("density.weight", knn.weight)], "density.part")
    return graph.add("Sub", ["nearest.distance", "density.part"], "distance.raw"), index


def _tile_starts(rows: int, tile_rows: int, k: int) -> list[tuple[int, int]]:
    """(start, stop) of each tile; a last tile of fewer than k rows joins the one before."""
    starts = list(range(0, rows, tile_rows))
    if len(starts) > 1 and rows - starts[-1] < k:
        starts.pop()
    return list(zip(starts, [*starts[1:], rows], strict=True))


def _external(graph: _Graph, name: str, value: NDArray[np.float32], stream: BinaryIO, location: str) -> None:
    data = np.ascontiguousarray(value, dtype="<f4").tobytes()
    offset = stream.tell()
    stream.write(data + b"\0" * (-len(data) % _PAGE))
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=value.shape, data_location=TensorProto.EXTERNAL)
    for key, content in (("location", location), ("offset", str(offset)), ("length", str(len(data)))):
        tensor.external_data.add(key=key, value=content)
    graph.initializers.append(tensor)
