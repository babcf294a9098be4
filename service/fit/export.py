"""Encoders that the builder does not know: through sentence-transformers and torch's exporter (extra ``export``)."""

from pathlib import Path
from typing import Any

import numpy as np

from service.bundle import ENCODER_GRAPH, TOKENIZER, EncoderSettings
from service.errors import ConfigError
from service.fit.sentence_transformer import ModelDirectory

_OPSET = 18


def export_encoder(model: ModelDirectory, out: Path, *, reason: str) -> EncoderSettings:
    """Export the whole pipeline (transformer, pooling, further modules) behind the inputs that the built graph has.

    Raises:
        ConfigError: the extra is not installed, or the model's tokenizer is not a fast one.
    """
    encoder = _load(model, reason)
    tokenizer = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise ConfigError(f"encoder {model.id!r}: its tokenizer has no fast form (tokenizer.json)")
    _write_graph(encoder, out / ENCODER_GRAPH)
    tokenizer.save(str(out / TOKENIZER))
    prompts = getattr(encoder, "prompts", {}) or {}
    return EncoderSettings(
        id=model.id,
        revision=model.revision,
        source="exported",
        dimension=int(np.asarray(encoder.encode([""], show_progress_bar=False)).shape[1]),
        max_length=int(encoder.max_seq_length or 512),
        pooling="exported",
        prompt=str(prompts.get(encoder.default_prompt_name, "")) if encoder.default_prompt_name else "",
        lower_case=False,
    )


def _load(model: ModelDirectory, reason: str) -> Any:
    """The model as a SentenceTransformer on the CPU."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise ConfigError(
            f"encoder {model.id!r} cannot be built without torch, for the builder does not know: {reason}. "
            "Install the extra 'export' (pip install 'tiltmeter[export]') or choose an encoder of the BERT family"
        ) from None
    return SentenceTransformer(str(model.path), device="cpu").eval()


def _write_graph(encoder: Any, path: Path) -> None:
    """Trace token ids and lengths to unit vectors."""
    import torch

    class Wrapped(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, lengths: Any) -> Any:
            mask = (torch.arange(input_ids.shape[1])[None, :] < lengths[:, None]).long()
            features = self.encoder({"input_ids": input_ids.long(), "attention_mask": mask})
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=1)

    example = (torch.ones((2, 8), dtype=torch.int32), torch.tensor([8, 5], dtype=torch.int32))
    torch.onnx.export(
        Wrapped(),
        example,
        str(path),
        input_names=["input_ids", "lengths"],
        output_names=["vectors"],
        dynamic_axes={"input_ids": {0: "batch", 1: "tokens"}, "lengths": {0: "batch"}, "vectors": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
