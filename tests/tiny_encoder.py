"""A sentence-transformers directory with a tiny BERT of random weights, and its forward pass in plain numpy."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.special import erf

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h account balance card transfer help my what is the ##s ? .".split()  # noqa: SIM905
WIDTH, HEADS, LAYERS, WIDE, POSITIONS = 16, 2, 2, 32, 24


def write(path: Path, *, seed: int = 0, prefix: str = "", config: dict | None = None, pooling: dict | None = None, **files: object) -> Path:
    """Write the directory: ``config`` and ``pooling`` override keys, ``files`` are further JSON files by stem (modules, ...)."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "1_Pooling").mkdir(exist_ok=True)
    shape = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": WIDE}
    base = {"model_type": "bert", "hidden_act": "gelu", "layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS, **shape}
    kinds = ["Transformer", "Pooling", "Normalize"]
    modules = [
        {"idx": i, "path": "1_Pooling" if k == "Pooling" else "", "type": f"sentence_transformers.models.{k}"} for i, k in enumerate(kinds)
    ]
    contents = {
        "config": base | (config or {}),
        "modules": modules,
        "sentence_bert_config": {"max_seq_length": 12, "do_lower_case": False},
        "config_sentence_transformers": {},
        "1_Pooling/config": {"pooling_mode_mean_tokens": True} | (pooling or {}),
        "tokenizer": tokenizer(),
    }
    for name, content in (contents | files).items():
        (path / f"{name}.json").write_text(json.dumps(content))
    save_file({prefix + name: value for name, value in weights(seed).items()}, path / "model.safetensors")
    return path


def tokenizer() -> dict:
    """A WordPiece tokenizer.json."""
    special = [
        {"id": i, "special": True, "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for i, w in enumerate(WORDS[:5])
    ]
    template = [
        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": False,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template,
            "pair": [*template, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {w: {"id": w, "ids": [WORDS.index(w)], "tokens": [w]} for w in ("[CLS]", "[SEP]")},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {word: i for i, word in enumerate(WORDS)},
        },
    }


def weights(seed: int) -> dict[str, np.ndarray]:
    """Random weights under BERT's names."""
    rng = np.random.default_rng(seed)
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{name}{part}.weight": (WIDTH, WIDTH), f"{name}{part}.bias": (WIDTH,)}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{name}{part}.weight": (WIDTH,), f"{name}{part}.bias": (WIDTH,)}
        shapes |= {f"{name}intermediate.dense.weight": (WIDE, WIDTH), f"{name}intermediate.dense.bias": (WIDE,)}
        shapes |= {f"{name}output.dense.weight": (WIDTH, WIDE), f"{name}output.dense.bias": (WIDTH,)}
    return {name: rng.normal(scale=0.7, size=shape).astype(np.float32) for name, shape in shapes.items()}


def forward(ids: list[int], seed: int, activation: str, pooling: str) -> np.ndarray:
    """Unit vector of one text's token ids, by the definition (float64)."""
    w = {name: value.astype(np.float64) for name, value in weights(seed).items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    active = {
        "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
        "gelu_new": lambda x: x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2,
        "relu": lambda x: np.maximum(x, 0),
    }[activation]
    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}."
        q, k, v = (
            linear(x, f"{name}attention.self.{p}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2) for p in ("query", "key", "value")
        )
        logits = q @ k.transpose(0, 2, 1) / np.sqrt(WIDTH // HEADS)
        share = np.exp(logits - logits.max(axis=-1, keepdims=True))
        mixed = (share / share.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(x + linear(mixed, f"{name}attention.output.dense"), f"{name}attention.output.LayerNorm")
        x = norm(x + linear(active(linear(x, f"{name}intermediate.dense")), f"{name}output.dense"), f"{name}output.LayerNorm")
    pooled = x[0] if pooling == "cls" else x.mean(axis=0)
    return pooled / np.linalg.norm(pooled)
