"""Make the encoder's part of a bundle: encoder.onnx, tokenizer.json and the settings that go with them."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.bundle import ENCODER_GRAPH, TOKENIZER, EncoderSettings
from service.errors import ConfigError
from service.fit.bert import BertShape, build_bert
from service.fit.sentence_transformer import ModelDirectory, NotBuildable, TextRules, resolve, text_rules

_ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}
_PROTOBUF_LIMIT = 1_900_000_000


def write_encoder(encoder: str, out: Path) -> EncoderSettings:
    """Write the encoder's files into ``out``: built from the weights where the architecture is known, else through torch's exporter.

    Raises:
        ConfigError: the encoder cannot be found, or is neither buildable nor exportable here; names what is not known.
    """
    model = resolve(encoder)
    try:
        return _build(model, out)
    except NotBuildable as unknown:
        from service.fit.export import export_encoder

        return export_encoder(model, out, reason=str(unknown))


def _build(model: ModelDirectory, out: Path) -> EncoderSettings:
    rules = text_rules(model)
    shape = _shape(model, rules)
    tokenizer = model.path / TOKENIZER
    if not tokenizer.is_file():
        raise NotBuildable(f"{tokenizer}: absent (a fast tokenizer is needed)")
    weights = _weights(model)
    try:
        graph = build_bert(weights, shape)
    except KeyError as missing:
        raise NotBuildable(f"{model.path}: weight {missing} is absent") from None
    (out / ENCODER_GRAPH).write_bytes(graph.SerializeToString(deterministic=True))
    shutil.copyfile(tokenizer, out / TOKENIZER)
    return EncoderSettings(
        id=model.id,
        revision=model.revision,
        source="built",
        dimension=int(weights["embeddings.LayerNorm.weight"].shape[0]),
        max_length=rules.max_length,
        pooling=rules.pooling,
        prompt=rules.prompt,
        lower_case=rules.lower_case,
    )


def _shape(model: ModelDirectory, rules: TextRules) -> BertShape:
    """What config.json says, refused by name where the builder does not know it."""
    path, config = model.path / "config.json", model.json("config.json")
    if not config:
        raise ConfigError(f"{path}: absent; not a sentence-transformers model directory")

    def known(key: str, found: object, accepted: Mapping[str, str] | tuple[object, ...]) -> None:
        if found not in accepted:
            raise NotBuildable(f"{path}: {key} {found!r}")

    known("model_type", config.get("model_type"), ("bert",))
    known("hidden_act", config.get("hidden_act", "gelu"), _ACTIVATIONS)
    known("position_embedding_type", config.get("position_embedding_type", "absolute"), ("absolute", None))
    known("is_decoder", config.get("is_decoder", False), (False,))
    if rules.pooling not in ("mean", "cls"):
        raise NotBuildable(f"{model.path}: pooling {rules.pooling!r}")
    return BertShape(
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=_ACTIVATIONS[config.get("hidden_act", "gelu")],
        pooling=rules.pooling,
        max_length=rules.max_length,
    )


def _weights(model: ModelDirectory) -> dict[str, NDArray[np.generic]]:
    """All weights as float32, under their names without the ``bert.`` that some checkpoints put in front."""
    from safetensors import safe_open

    path = model.path / "model.safetensors"
    if not path.is_file():
        raise NotBuildable(f"{path}: absent (weights in one safetensors file are needed)")
    if path.stat().st_size > _PROTOBUF_LIMIT:
        raise NotBuildable(f"{path}: larger than an ONNX file may be (2 GB)")
    weights: dict[str, NDArray[np.generic]] = {}
    with safe_open(str(path), framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping
            try:
                weights[name.removeprefix("bert.")] = file.get_tensor(name)
            except (TypeError, AttributeError):
                raise NotBuildable(f"{path}: weight type of {name!r} (bfloat16?)") from None
    return weights
