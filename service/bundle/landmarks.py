"""Where the topics of a bundle lie among its Fourier features: from the constants of the scorer's graph."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.features import Fourier
from service.errors import ConfigError

CENTROIDS, FREQUENCIES = "centroids", "frequencies"
"""Names of the constants, (d, K) and (d, D)."""


def read_landmarks(graph: Path) -> NDArray[np.float32]:
    """(K, F) float32, features of the K unit centroids. Raises ConfigError where the graph holds no such constants."""
    import onnx

    wanted = {}
    for constant in onnx.load(str(graph), load_external_data=False).graph.initializer:
        if constant.name in (CENTROIDS, FREQUENCIES):
            wanted[constant.name] = onnx.numpy_helper.to_array(constant)
    if len(wanted) < 2:
        raise ConfigError(f"{graph}: holds no topics; fit the bundle again")
    fourier = Fourier(np.ascontiguousarray(wanted[FREQUENCIES].T))
    return fourier.features(np.ascontiguousarray(wanted[CENTROIDS].T))
