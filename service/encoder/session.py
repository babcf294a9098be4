"""Open ONNX Runtime sessions on the device that was asked for."""

import ctypes
import logging
import os
from pathlib import Path
from typing import Literal

import onnxruntime

from service.config import Compute
from service.errors import ConfigError

Device = Literal["cpu", "cuda"]

_log = logging.getLogger(__name__)
_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_SEVERITY_FATAL = 4


def available_cores() -> int:
    """Cores this process may use: its affinity, and its cgroup's CPU quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def choose_device(compute: Compute) -> Device:
    """The device a session will run on.

    Raises:
        ConfigError: ``compute.device`` is ``cuda`` and no GPU can be used; says what is missing.
    """
    if compute.device == "cpu":
        return "cpu"
    problem = _cuda_problem()
    if problem is None:
        return "cuda"
    if compute.device == "cuda":
        raise ConfigError(f"compute.device: cuda was asked for, but {problem}; expected a usable GPU, or device: cpu")
    return "cpu"


def open_session(graph: Path, compute: Compute, device: Device) -> onnxruntime.InferenceSession:
    """Open one graph, without spinning threads and without a silent fall back.

    Raises:
        ConfigError: the GPU was there but the session did not start on it, or the graph cannot be loaded.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = compute.threads or available_cores()
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _SEVERITY_FATAL
    # TensorFloat-32 would cost three digits of every cosine.
    providers = [(_CUDA, {"use_tf32": "0"})] if device == "cuda" else [_CPU]
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=providers)
    except Exception as error:  # ONNX Runtime has a class of its own for every status code
        raise ConfigError(f"{graph}: cannot be opened on {device} ({type(error).__name__}: {error})") from error
    if device == "cuda" and session.get_providers()[0] != _CUDA:
        raise ConfigError(
            f"compute.device: {graph.name} did not start on the GPU although the driver is there; are the CUDA libraries "
            "installed (extra 'gpu')?"
        )
    _log.info("%s runs on %s with %d threads", graph.name, device, options.intra_op_num_threads)
    return session


def _cuda_problem() -> str | None:
    """Why no GPU can be used, or None."""
    if _CUDA not in onnxruntime.get_available_providers():
        return "this onnxruntime has no CUDA provider (install onnxruntime-gpu)"
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver was found (libcuda.so.1)"
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return "the NVIDIA driver sees no GPU"
    try:
        onnxruntime.preload_dlls()
    except OSError as error:
        return f"the CUDA libraries cannot be loaded (extra 'gpu'): {error}"
    return None
