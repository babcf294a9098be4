"""The lexical term of a bundle, from the encoder's graph to the score."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_encoder
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

import service.fit.lexical
from detectors.lexical import Lexicon
from service.bundle import LEXICON, TOKENIZER, Bundle, read_lexicon, save_lexicon
from service.config import Compute
from service.encoder import Encoded, Encoder, Scorer
from service.errors import ConfigError
from service.fit import fit
from service.fit.encoder_files import write_encoder
from service.fit.lexical import token_table

CPU = Compute(device="cpu", threads=1)
RARE = "account"


def rows(n: int) -> list[str]:
    """Prompts of common words; four of them hold a word of their own."""
    rng = np.random.default_rng(0)
    common = [word for word in tiny_encoder.WORDS[5:] if word != RARE and word.isalpha()]
    return [" ".join(rng.choice(common, size=8)) + (f" {RARE}" if i < 4 else "") for i in range(n)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder.write(tmp_path_factory.mktemp("model") / "tiny", sentence_bert_config={"max_seq_length": 24})


def made(folder: Path, model: Path, texts: list[str]) -> Bundle:
    (folder / "set.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return fit([folder / "set.jsonl"], folder / "bundle", encoder=str(model), compute=CPU)


@pytest.fixture(scope="module")
def bundle(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return made(tmp_path_factory.mktemp("fitted"), model, rows(300))


def test_a_fitted_bundle_has_a_lexicon_of_shared_words_only(bundle: Bundle) -> None:
    assert bundle.manifest.settings.lexical_weight == 0.2
    assert LEXICON in bundle.manifest.files
    assert "lexical weight 0.2" in bundle.describe()
    tokenizer = Tokenizer.from_file(str(bundle.path / TOKENIZER))
    held = {tokenizer.id_to_token(token) for token in read_lexicon(bundle.path / LEXICON).tokens.tolist()}
    assert {"card", "help"} <= held
    assert not held & {RARE, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}


def test_words_of_one_group_only_are_not_in_it(model: Path, tmp_path: Path) -> None:
    lines = [{"text": text + (f" {RARE}" if i < 40 else ""), "user": i // 40} for i, text in enumerate(rows(400))]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    grouped = fit([tmp_path / "set.jsonl"], tmp_path / "grouped", encoder=str(model), group="user", compute=CPU)
    alone = fit([tmp_path / "set.jsonl"], tmp_path / "alone", encoder=str(model), compute=CPU)
    rare = tiny_encoder.WORDS.index(RARE)
    assert rare not in read_lexicon(grouped.path / LEXICON).tokens
    assert rare in read_lexicon(alone.path / LEXICON).tokens


def test_words_alone_move_the_score(bundle: Bundle) -> None:
    """The same vectors with the tokens of other texts give other scores."""
    encoded, scorer = Encoder.open(bundle, CPU).encode(rows(40)), Scorer.open(bundle, CPU)
    own = scorer.score(encoded).score
    lexicon = read_lexicon(bundle.path / LEXICON)
    unusual = np.where(np.isin(encoded.known_ids, lexicon.tokens), lexicon.tokens[0], encoded.known_ids).astype(np.int32)
    other = Encoded(encoded.parts, encoded.tokens, encoded.truncated, encoded.dimension, unusual)
    assert (scorer.score(other).score > own).mean() > 0.9


def test_scores_do_not_depend_on_what_else_is_in_the_batch(bundle: Bundle) -> None:
    encoder, scorer = Encoder.open(bundle, CPU), Scorer.open(bundle, CPU)
    texts = [*rows(30), "", "card", "zzz"]
    together = scorer.score(encoder.encode(texts)).score
    alone = [scorer.score(encoder.encode([text])).score[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-3)  # the tiny encoder's distances are near 0, standardised


def test_texts_without_token_ids_are_refused(bundle: Bundle) -> None:
    encoded = Encoder.open(bundle, CPU).encode(["card"])
    without = Encoded(encoded.parts, encoded.tokens, encoded.truncated, encoded.dimension)
    with pytest.raises(ValueError, match="token ids are asked for"):
        Scorer.open(bundle, CPU).score(without)


def test_an_encoder_without_a_token_table_scores_without_words(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service.fit.lexical, "token_table", lambda graph, tokens: None)
    plain = made(tmp_path, model, rows(300))
    assert plain.manifest.settings.lexical_weight == 0
    assert not (plain.path / LEXICON).exists()
    encoded = Encoder.open(plain, CPU).encode(["card", "help"])
    without = Encoded(encoded.parts, encoded.tokens, encoded.truncated, encoded.dimension)
    scorer = Scorer.open(plain, CPU)
    np.testing.assert_array_equal(scorer.score(encoded).score, scorer.score(without).score)


def test_a_bundle_that_lost_its_lexicon_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lexicon\.safetensors: not a lexicon"):
        read_lexicon(tmp_path / LEXICON)
    (tmp_path / LEXICON).write_bytes(b"broken")
    with pytest.raises(ConfigError, match=r"lexicon\.safetensors: not a lexicon"):
        read_lexicon(tmp_path / LEXICON)


def test_a_lexicon_is_read_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(9, 4)).astype(np.float16).astype(np.float32)
    written = Lexicon(np.arange(9, dtype=np.int32), table, rng.normal(size=4).astype(np.float32))
    save_lexicon(tmp_path / LEXICON, written)
    found = read_lexicon(tmp_path / LEXICON)
    for name in ("tokens", "table", "mean"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
        assert getattr(found, name).dtype == getattr(written, name).dtype


def test_the_token_table_is_the_encoders(model: Path, tmp_path: Path) -> None:
    write_encoder(str(model), tmp_path)
    found = token_table(tmp_path / "encoder.onnx", len(tiny_encoder.WORDS))
    assert found is not None
    np.testing.assert_array_equal(found, tiny_encoder.weights(0)["embeddings.word_embeddings.weight"])
    assert token_table(tmp_path / "encoder.onnx", len(tiny_encoder.WORDS) + 1) is None


def test_two_tables_that_could_be_meant_are_none(tmp_path: Path) -> None:
    tables = [numpy_helper.from_array(np.ones((30, 4), np.float32), name) for name in ("words", "types")]
    nodes = [helper.make_node("Gather", [table.name, "ids"], [f"{table.name}.found"]) for table in tables]
    nodes.append(helper.make_node("Add", ["words.found", "types.found"], ["sum"]))
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch"])]
    outputs = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["batch", 4])]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, tables)), str(tmp_path / "graph.onnx"))
    assert token_table(tmp_path / "graph.onnx", 25) is None
