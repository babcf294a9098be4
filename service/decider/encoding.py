"""Arrays and sketches as JSON values: base64 of little-endian bytes with type and shape, no pickle."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import State
from detectors.sketch import Sketch


def encode_array(array: NDArray[Any]) -> list[Any]:
    """``[type, shape, base64]``; structured types by their description."""
    return [np.lib.format.dtype_to_descr(array.dtype), list(array.shape), b64encode(np.ascontiguousarray(array).tobytes()).decode()]


def decode_array(value: list[Any]) -> NDArray[Any]:
    """Inverse of :func:`encode_array`; the array is writable. Raises ValueError or TypeError for what is none."""
    descr, shape, data = value
    return np.frombuffer(b64decode(data), dtype=np.lib.format.descr_to_dtype(_tuples(descr))).reshape(shape).copy()


def encode_state(state: State) -> dict[str, list[Any]]:
    """A detector's arrays by name."""
    return {name: encode_array(np.asarray(array)) for name, array in state.items()}


def decode_state(value: Mapping[str, list[Any]]) -> State:
    """Inverse of :func:`encode_state`."""
    return {name: decode_array(array) for name, array in value.items()}


def encode_packed(value: Any) -> str:
    """A JSON value, compressed: for what is large and changes seldom."""
    return b64encode(zlib.compress(json.dumps(value, separators=(",", ":")).encode(), 1)).decode()


def decode_packed(value: str) -> Any:
    """Inverse of :func:`encode_packed`. Raises ValueError, TypeError or zlib.error for what is none."""
    return json.loads(zlib.decompress(b64decode(value)))


_TABLES = ("histogram", "topics", "lengths", "languages", "fourier", "words")


def encode_sketch(sketch: Sketch) -> list[Any]:
    """Six integers, then lists of integers."""
    numbers = [sketch.n, sketch.strange, sketch.far, sketch.truncated, sketch.tokens, sketch.characters]
    return [[int(number) for number in numbers], *(getattr(sketch, name).tolist() for name in _TABLES)]


def decode_sketch(value: list[Any]) -> Sketch:
    """Inverse of :func:`encode_sketch`."""
    numbers, *tables = value
    n, strange, far, truncated, tokens, characters = numbers
    return Sketch(n, strange, far, truncated, tokens, characters, *(np.array(table, np.int64) for table in tables))


def _tuples(descr: Any) -> Any:
    """JSON turns the tuples of a structured type's description into lists; numpy wants them back."""
    if not isinstance(descr, list):
        return descr
    return [(field[0], field[1], *(tuple(shape) for shape in field[2:])) for field in descr]
