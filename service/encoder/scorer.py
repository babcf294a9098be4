"""The scorer at run time: vectors to scores, p-values, flags and topics."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import FAR, STRANGE
from service.bundle import SCORER_GRAPH, Bundle
from service.config import Compute
from service.encoder.encoder import Encoded, VectorPart
from service.encoder.session import Device, choose_device, open_session
from service.errors import ConfigError
from service.records import Scores

_CPU_ROWS = 512


class ScorerGraph:
    """One scorer.onnx in one session: raw scores and nearest topics, without calibration."""

    def __init__(self, directory: Path, compute: Compute) -> None:
        self.device: Device = choose_device(compute)
        self._session = open_session(directory / SCORER_GRAPH, compute, self.device)

    def run(self, encoded: Encoded) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Score (B,) float32 and nearest topic (B,) int32 of each row; B may be 0."""
        score = np.empty(encoded.tokens.size, dtype=np.float32)
        topic = np.empty(encoded.tokens.size, dtype=np.int32)
        parts = encoded.parts if self.device == "cuda" else _even_parts(encoded)
        for part in parts:
            score[part.rows], topic[part.rows] = self._run(part.vectors)
        return score, topic

    def _run(self, vectors: Any) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        if self.device == "cpu":
            score, topic = self._session.run(["score", "topic"], {"vectors": vectors})
            return score, topic
        binding = self._session.io_binding()
        if isinstance(vectors, np.ndarray):
            binding.bind_cpu_input("vectors", vectors)
        else:
            binding.bind_ortvalue_input("vectors", vectors)
        binding.bind_output("score", "cpu")
        binding.bind_output("topic", "cpu")
        self._session.run_with_iobinding(binding)
        score, topic = binding.copy_outputs_to_cpu()
        return score, topic


class Scorer:
    """The scorer graph of one bundle and its calibration."""

    def __init__(self, bundle: Bundle, compute: Compute) -> None:
        self._graph = ScorerGraph(bundle.path, compute)
        self._calibration = bundle.calibration
        self._dimension = bundle.manifest.encoder.dimension
        self.device: Device = self._graph.device

    @classmethod
    def open(cls, bundle: Bundle, compute: Compute) -> "Scorer":
        """Open the scorer of a checked bundle. Raises ConfigError when the device asked for cannot be used."""
        return cls(bundle, compute)

    def score(self, encoded: Encoded) -> Scores:
        """Scores of B encoded prompts; B may be 0. Raises ConfigError for vectors of another encoder's dimension."""
        if encoded.dimension != self._dimension:
            raise ConfigError(f"the bundle's scorer takes vectors of {self._dimension} dimensions, this encoder gives {encoded.dimension}")
        score, topic = self._graph.run(encoded)
        p_value = self._calibration.p_values(score)
        far = p_value <= np.float32(FAR)
        return Scores(
            score=score,
            p_value=p_value,
            strange=p_value <= np.float32(STRANGE),
            far=far,
            topic=np.where(far, np.int32(-1), topic),
            tokens=encoded.tokens,
            truncated=encoded.truncated,
        )


def _even_parts(encoded: Encoded) -> list[VectorPart]:
    """All vectors in text order, in parts small enough that a tile of similarities stays near the processor."""
    vectors = encoded.vectors
    rows = np.arange(encoded.tokens.size)
    return [VectorPart(rows[start : start + _CPU_ROWS], vectors[start : start + _CPU_ROWS]) for start in range(0, rows.size, _CPU_ROWS)]
