"""Encoders beyond BERT go through torch's exporter; runs where the extra ``export`` is installed."""

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_encoder

from service.config import Compute
from service.encoder import Encoder
from service.fit.encoder_files import write_encoder
from service.fit.lexical import token_table

TEXTS = ["", "my card", "what is my balance ?", "help", "a b c d e f g h a b c d e f g h a b c d", "unknown words here"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_an_exported_encoder_gives_the_librarys_vectors(tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers", reason="extra 'export' is not installed")
    import torch
    from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    base = tmp_path / "base"
    config = DistilBertConfig(vocab_size=len(tiny_encoder.WORDS), dim=16, n_heads=2, n_layers=2, hidden_dim=32, max_position_embeddings=24)
    DistilBertModel(config).save_pretrained(base)
    (tmp_path / "tokenizer.json").write_text(json.dumps(tiny_encoder.tokenizer()))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), model_max_length=16, **special).save_pretrained(base)
    modules = library.sentence_transformer.modules
    model = library.SentenceTransformer(modules=[modules.Transformer(str(base)), modules.Pooling(16, "mean")], device="cpu")
    model.save(str(tmp_path / "model"))
    settings = write_encoder(str(tmp_path / "model"), tmp_path)
    assert (settings.source, settings.dimension, settings.max_length) == ("exported", 16, 16)
    vectors = Encoder(tmp_path, settings, Compute(device="cpu", threads=1)).encode(TEXTS).vectors
    expected = model.encode(TEXTS, normalize_embeddings=True)
    assert (vectors * expected).sum(axis=1).min() > 0.99999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    table = token_table(tmp_path / "encoder.onnx", len(tiny_encoder.WORDS))
    np.testing.assert_array_equal(table, model[0].auto_model.embeddings.word_embeddings.weight.detach().numpy())
