"""The encoder at run time: texts to unit vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from service.bundle import ENCODER_GRAPH, TOKENIZER, Bundle, EncoderSettings, encoder_digest, sha256
from service.config import Compute
from service.encoder.session import Device, available_cores, choose_device, open_session
from service.encoder.tokens import TextTokenizer, batches, pad

_CPU_TOKENS = 4096
"""Larger batches leave the processor's cache."""


@dataclass(frozen=True, slots=True)
class VectorPart:
    """Vectors of some rows: ``rows`` (b,) int64 and ``vectors`` (b, d) float32 unit, a numpy array or an OrtValue on the GPU."""

    rows: NDArray[np.int64]
    vectors: Any


@dataclass(frozen=True, slots=True)
class Encoded:
    """B encoded texts.

    Attributes:
        parts: the vectors; together they hold every row once.
        tokens: (B,) int32, special tokens included, after truncation.
        truncated: (B,) bool.
        dimension: length d of a vector.
        ids: all tokens, one text after the other, int32; None where nobody asks for words.
    """

    parts: Sequence[VectorPart]
    tokens: NDArray[np.int32]
    truncated: NDArray[np.bool_]
    dimension: int
    ids: NDArray[np.int32] | None = None

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(B, d) float32 unit vectors in the order of the texts, on the host."""
        out = np.empty((self.tokens.size, self.dimension), dtype=np.float32)
        for part in self.parts:
            out[part.rows] = part.vectors if isinstance(part.vectors, np.ndarray) else part.vectors.numpy()
        return out

    @property
    def known_ids(self) -> NDArray[np.int32]:
        """``ids``. Raises ValueError where these texts were encoded without."""
        if self.ids is None:
            raise ValueError("token ids are asked for, and these texts were encoded without")
        return self.ids

    def ids_of(self, rows: NDArray[np.int64]) -> NDArray[np.int32] | None:
        """``ids`` of these rows alone."""
        if self.ids is None:
            return None
        lengths = self.tokens[rows].astype(np.int64)
        begin = np.cumsum(self.tokens, dtype=np.int64)[rows] - np.cumsum(lengths)
        return self.ids[np.repeat(begin, lengths) + np.arange(lengths.sum())]


class Encoder:
    """Tokenizer and encoder graph in one session; used by one thread at a time.

    Attributes:
        digest: bundles with this encoder digest may use it.
        dimension: length d of a vector.
        device: ``cpu`` or ``cuda``, where it really runs.
        threads: threads of the graph on CPU.
    """

    def __init__(self, directory: Path, settings: EncoderSettings, compute: Compute) -> None:
        files = {name: sha256(directory / name) for name in (ENCODER_GRAPH, TOKENIZER)}
        self.digest = encoder_digest(files, settings)
        self.dimension = settings.dimension
        self.device: Device = choose_device(compute)
        self.threads = compute.threads or available_cores()
        self._budget = compute.tokens_per_batch if self.device == "cuda" else min(compute.tokens_per_batch, _CPU_TOKENS)
        self._tokenizer = TextTokenizer(directory / TOKENIZER, settings, self.threads)
        self._session = open_session(directory / ENCODER_GRAPH, compute, self.device)

    @classmethod
    def open(cls, bundle: Bundle, compute: Compute) -> "Encoder":
        """Open the encoder of a checked bundle. Raises ConfigError when the device asked for cannot be used."""
        return cls(bundle.path, bundle.manifest.encoder, compute)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode B texts in batches of similar length within the token budget; B may be 0. Vectors stay on the device."""
        tokens = self._tokenizer.encode(texts)
        parts = []
        for rows in batches(tokens.lengths, self._budget):
            ids = pad(tokens.ids, rows, tokens.lengths, self._tokenizer.padding)
            parts.append(VectorPart(rows, self._run(ids, tokens.lengths[rows])))
        flat = np.fromiter(chain.from_iterable(tokens.ids), np.int32, count=int(tokens.lengths.sum()))
        return Encoded(parts, tokens.lengths, tokens.truncated, self.dimension, flat)

    def _run(self, ids: NDArray[np.int32], lengths: NDArray[np.int32]) -> Any:
        if self.device == "cpu":
            return self._session.run(["vectors"], {"input_ids": ids, "lengths": lengths})[0]
        binding: onnxruntime.IOBinding = self._session.io_binding()
        binding.bind_cpu_input("input_ids", ids)
        binding.bind_cpu_input("lengths", lengths)
        binding.bind_output("vectors", "cuda")
        self._session.run_with_iobinding(binding)
        return binding.get_outputs()[0]
