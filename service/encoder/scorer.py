"""The scorer at run time: vectors to scores, p-values, flags and topics."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import FAR, STRANGE
from detectors.features import FEATURES
from service.bundle import LEXICON, SCORER_GRAPH, WORDS_INPUT, Bundle, read_lexicon
from service.config import Compute
from service.encoder.encoder import Encoded, VectorPart
from service.encoder.session import Device, choose_device, open_session
from service.errors import ConfigError
from service.records import Scores

_CPU_ROWS = 512
_OUTPUTS = ["score", "topic", "fourier"]


class ScorerGraph:
    """One scorer.onnx in one session: raw scores, nearest topics and Fourier features, without calibration."""

    def __init__(self, directory: Path, compute: Compute) -> None:
        self.device: Device = choose_device(compute)
        self._session = open_session(directory / SCORER_GRAPH, compute, self.device)
        wants_words = any(each.name == WORDS_INPUT for each in self._session.get_inputs())
        self._lexicon = read_lexicon(directory / LEXICON) if wants_words else None

    def run(self, encoded: Encoded) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int16]]:
        """Score (B,) float32, nearest topic (B,) int32 and features (B, F) int16 of each row; B may be 0.

        Raises ValueError where the graph asks for words and ``encoded`` has no token ids.
        """
        rows = encoded.tokens.size
        score, topic, fourier = np.empty(rows, np.float32), np.empty(rows, np.int32), np.empty((rows, FEATURES), np.int16)
        words = self._lexicon.vectors(encoded.known_ids, encoded.tokens) if self._lexicon else None
        parts = encoded.parts if self.device == "cuda" else _even_parts(encoded)
        for part in parts:
            more = {} if words is None else {WORDS_INPUT: words[part.rows]}
            score[part.rows], topic[part.rows], fourier[part.rows] = self._run({"vectors": part.vectors, **more})
        return score, topic, fourier

    def _run(self, inputs: dict[str, Any]) -> list[Any]:
        if self.device == "cpu":
            return list(self._session.run(_OUTPUTS, inputs))
        binding = self._session.io_binding()
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in _OUTPUTS:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding)
        return list(binding.copy_outputs_to_cpu())


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
        score, topic, fourier = self._graph.run(encoded)
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
            fourier=fourier,
        )


def _even_parts(encoded: Encoded) -> list[VectorPart]:
    """All vectors in text order, in parts small enough that a tile of similarities stays near the processor."""
    vectors = encoded.vectors
    rows = np.arange(encoded.tokens.size)
    return [VectorPart(rows[start : start + _CPU_ROWS], vectors[start : start + _CPU_ROWS]) for start in range(0, rows.size, _CPU_ROWS)]
