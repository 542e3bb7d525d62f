"""Load a decoder stack: the first blocks of any supported checkpoint, without reading what is not needed."""

from __future__ import annotations

import copy
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig
from transformers.utils import logging as hf_logging

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.weights import SafetensorsDir

SUPPORTED = ("qwen2", "qwen3", "llama", "gemma2", "gemma3", "gemma3_text", "mistral")
"""`model_type` values whose block outputs are tested against the full model."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_LOADING = threading.RLock()

# A multimodal wrapper stores its text part under one of these prefixes (old and new layout).
_KEY_MAPPING = {
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.language_model\.": "model.",
}


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The part of a configuration that describes the decoder stack: a wrapper's text part, else all of it."""
    return config.get_text_config(decoder=True)


def load_config(directory: str | Path, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The text configuration of a checkpoint directory.

    Raises CheckpointError when there is no readable `config.json`, for an adapter, or when the architecture
    is not in SUPPORTED (code that a checkpoint brings along is used only with `trust_remote_code`).
    """
    file = Path(directory) / "config.json"
    if (adapter := file.with_name("adapter_config.json")).exists():
        raise CheckpointError(
            f"{adapter}: adapters (LoRA) are not loaded, and without it this is another model: merge it into "
            "its base model, save that and name it; where it is merged already, remove this file"
        )
    if not file.is_file():
        raise CheckpointError(f"{directory}: no config.json; {_instead_of(file.parent)}")
    _check_architecture(file, trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(file.parent, trust_remote_code=trust_remote_code)
    # A config class validates in its own ways, and may be a program from the checkpoint.
    except Exception as error:
        raise CheckpointError(
            f"{file}: {_brief(error)}; it belongs to no model that can be loaded"
        ) from error
    return text_config(config)


def _instead_of(directory: Path) -> str:
    named = sorted(path.name for path in directory.glob("*.gguf"))
    if named:
        return f"these are GGUF files: name one of them, as {directory}#{named[0]}"
    return "give a model directory in Hugging Face format"


def _check_architecture(file: Path, trust_remote_code: bool) -> None:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        found, remote = raw.get("model_type"), "auto_map" in raw
    except (ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{file}: not a JSON object: {_brief(error)}") from error
    if found in SUPPORTED or (remote and trust_remote_code):
        return
    supported = f"supported architectures: {', '.join(SUPPORTED)}"
    if remote:
        supported += "; it brings its own code, which runs only with trust_remote_code"
    raise CheckpointError.field(file, "model_type", found, supported)


def load_backbone(
    directory: str | Path,
    *,
    layers: int | None,
    final_norm: bool,
    dtype: torch.dtype,
    device: str | torch.device,
    attention: str = "sdpa",
    trust_remote_code: bool = False,
) -> nn.Module:
    """The decoder stack (`...Model`) with the embedding and blocks 0..layers-1, in evaluation mode.

    Weights of later blocks, of an lm_head of any shape and of a vision tower are never read. Without
    `final_norm` the norm after the last block is the identity, so that `last_hidden_state` is the output of
    block `layers`-1: transformers would fill the norm that a reconstructor's directory lacks with ones.
    Raises CheckpointError for pickled weights, a missing tensor, a wrong shape, more layers than there are.
    """
    config = load_config(directory, trust_remote_code=trust_remote_code)
    if layers is not None:
        config = cut_config(config, layers, directory)
    allowed = frozenset() if final_norm else frozenset({"norm.weight"})
    model = _load(AutoModel, directory, config, dtype, device, attention, trust_remote_code, allowed)
    if not isinstance(getattr(model, "layers", None), nn.ModuleList) or not hasattr(model, "norm"):
        raise CheckpointError(
            f"{directory}: {type(model).__name__} lacks `layers` or `norm`; it cannot be cut at a block"
        )
    if not final_norm:
        model.norm = nn.Identity()
    return model


def load_causal_lm(
    directory: str | Path,
    *,
    dtype: torch.dtype,
    device: str | torch.device,
    attention: str = "sdpa",
    trust_remote_code: bool = False,
) -> nn.Module:
    """The whole text model with its lm_head (`...ForCausalLM`), in evaluation mode; errors as above."""
    config = load_config(directory, trust_remote_code=trust_remote_code)
    return _load(
        AutoModelForCausalLM, directory, config, dtype, device, attention, trust_remote_code, frozenset()
    )


def cut_config(config: PreTrainedConfig, layers: int, source: object) -> PreTrainedConfig:
    """A copy of the configuration with `layers` blocks; per-layer lists such as `layer_types` are cut too."""
    blocks = config.num_hidden_layers
    if not 1 <= layers <= blocks:
        raise CheckpointError(
            f"{source}: {layers} blocks asked for, the model has {blocks}; allowed 1..{blocks}"
        )
    config = copy.deepcopy(config)
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == blocks and name.startswith("layer"):
            setattr(config, name, value[:layers])
    config.num_hidden_layers = layers
    return config


def _load(
    factory: Any,
    directory: str | Path,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    device: str | torch.device,
    attention: str,
    trust_remote_code: bool,
    allowed_missing: frozenset[str],
) -> nn.Module:
    directory = Path(directory)
    SafetensorsDir(directory)
    try:
        with alone():
            model, report = factory.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                attn_implementation=_attention_for(config, attention),
                use_safetensors=True,
                local_files_only=True,
                key_mapping=_KEY_MAPPING,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=trust_remote_code,
            )
        model = model.eval().requires_grad_(False).to(device)
    # Sizes that no model can have, quantization, a full device: each fails in its own way.
    except Exception as error:
        raise CheckpointError(
            f"{directory}: cannot be loaded: {type(error).__name__}: {_brief(error)}"
        ) from error
    _check_report(directory, report, allowed_missing)
    return model  # type: ignore[no-any-return]


def _attention_for(config: PreTrainedConfig, attention: str) -> str:
    """Gemma-2 caps its attention scores, which torch's fused attention cannot."""
    return "eager" if attention == "sdpa" and config.model_type == "gemma2" else attention


def _check_report(directory: Path, report: dict[str, Any], allowed_missing: frozenset[str]) -> None:
    missing = sorted(set(report["missing_keys"]) - allowed_missing)
    if missing:
        raise CheckpointError(
            f"{directory}: {len(missing)} tensors are missing, the first is {missing[0]}; "
            "the checkpoint is incomplete or of another architecture than its config.json says"
        )
    mismatched = sorted(report["mismatched_keys"])
    if mismatched:
        name, found, wanted = mismatched[0]
        raise CheckpointError(
            f"{directory}: tensor {name} has shape {list(found)}, config.json asks for {list(wanted)}; "
            "the config belongs to another checkpoint"
        )


@contextmanager
def alone() -> Iterator[None]:
    """One model at a time, without transformers' reports and bars; what a load report says is checked here.

    While transformers builds a model it replaces functions of its own and of torch for the whole
    process (tying and drawing of weights): two threads at once leave tied weights without data, for good.
    """
    with _LOADING, _quiet():
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity(logging.CRITICAL)
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _brief(error: BaseException) -> str:
    """The first sentence of a library's message, which may run over many lines."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    return " ".join(text.split())[:300]
