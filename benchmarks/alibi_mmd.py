"""alibi-detect's online MMD (MMDDriftOnline, PyTorch) on mean embeddings of windows, run by an interpreter of its own.

Its releases after 0.11.4 are licensed for other than production use only, it asks for older libraries than ours, and it brings torch: so it
is no dependency, and nothing of it is imported here. :func:`statistics` writes the windows to a file and runs this very file with the given
interpreter, where it imports nothing of Tiltmeter.

An instance is the mean embedding of a window: fed prompt by prompt it would take 200 times as long. Test windows of 15, reference 1,000
windows. Expected run time 1,440, one false alarm a day, with ten times as many permutations, as its documentation asks: one in 90 days
would need 1.3 million of them, with 10 GB of indices.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW, RUN_TIME, PERMUTATIONS = 15, 1440, 14_400


def statistics(
    python: Path, reference: NDArray[np.float32], streams: Sequence[NDArray[np.float32]], seed: int
) -> tuple[float, list[NDArray[np.float64]]]:
    """Its threshold once the test window is full, and its statistic after each instance of each stream, (W, d) to (W,).

    Raises:
        subprocess.CalledProcessError: the other environment cannot do it; what it said is on standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(given, reference=reference, seed=seed, length=[len(stream) for stream in streams], fed=np.concatenate(streams))
        subprocess.run([str(python), __file__, str(given), str(found)], check=True)
        with np.load(found) as told:
            ends = np.cumsum([len(stream) for stream in streams])[:-1]
            return float(told["threshold"]), np.split(told["statistic"], ends)


def main() -> int:
    """Read windows, write statistics: the part that runs in the other environment."""
    import torch
    from alibi_detect.cd import MMDDriftOnline

    with np.load(sys.argv[1]) as given:
        torch.manual_seed(int(given["seed"]))
        torch.set_num_threads(1)
        detector = MMDDriftOnline(
            given["reference"], RUN_TIME, WINDOW, backend="pytorch", n_bootstraps=PERMUTATIONS, device="cpu", verbose=False
        )
        parts = np.split(given["fed"], np.cumsum(given["length"])[:-1])
    statistic = []
    for part in parts:
        detector.reset_state()
        statistic += [detector.score(instance) for instance in part]
    np.savez(sys.argv[2], threshold=float(detector.thresholds[-1]), statistic=statistic)
    return 0


if __name__ == "__main__":
    sys.exit(main())
