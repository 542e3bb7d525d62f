"""What an adapter's files say: its configuration, checked for what is honoured, and its tensors' headers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.view import CONFIG_NAME, WEIGHTS_NAME
from nla_ray.nla.model.weights import SafetensorsDir

# What decides nothing about the merged weights, or is only said to make them.
_WITHOUT_EFFECT = frozenset(
    (
        *("auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "inference_mode"),
        *(
            "init_lora_weights",
            "loftq_config",
            "lora_dropout",
            "lora_ga_config",
            "megatron_core",
            "peft_type",
        ),
        *("peft_version", "qalora_group_size", "revision", "runtime_config", "task_type"),
    )
)
# What they mean is applied by peft.
_HONOURED = frozenset(
    (
        *("alpha_pattern", "bias", "exclude_modules", "fan_in_fan_out", "layers_pattern"),
        *("layers_to_transform", "lora_alpha", "lora_bias", "modules_to_save", "r", "rank_pattern"),
        *("target_modules", "use_dora", "use_rslora"),
    )
)
# These starts change nothing of the base; the others (PiSSA, OLoRA, CorDA, LoftQ) train over a changed one.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
_PICKLE = "adapter_model.bin"


@dataclass(frozen=True)
class AdapterFiles:
    """One adapter: `config` as it is written, and its tensors."""

    directory: Path
    config: dict[str, Any]
    tensors: SafetensorsDir


def open_adapter(directory: Path) -> AdapterFiles:
    """Read configuration and headers. Raises CheckpointError for what is not LoRA as it is merged here."""
    config = read_config(directory)
    file = directory / CONFIG_NAME
    if config.get("peft_type") != "LORA":
        raise CheckpointError.field(
            file,
            "peft_type",
            config.get("peft_type"),
            "only LORA is merged; merge it and name the outcome",
        )
    for name in sorted(config.keys() - _WITHOUT_EFFECT - _HONOURED):
        if config[name] not in (None, False, [], {}):
            raise CheckpointError.field(
                file,
                name,
                config[name],
                "LoRA with this is not merged here; merge it and name the outcome",
            )
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        raise CheckpointError.field(
            file,
            "init_lora_weights",
            config["init_lora_weights"],
            "it was trained over a changed base, which its files do not hold; convert it with peft "
            "(path_initial_model_for_weight_conversion) or merge it where it was trained",
        )
    if not (directory / WEIGHTS_NAME).exists() and (directory / _PICKLE).exists():
        raise CheckpointError(
            f"{directory}: its weights are a pickle ({_PICKLE}), which can run code when loaded; save it "
            "again with a current peft, which writes safetensors"
        )
    return AdapterFiles(directory, config, SafetensorsDir(directory, file=WEIGHTS_NAME))


def read_config(directory: Path) -> dict[str, Any]:
    """`adapter_config.json` as a mapping. Raises CheckpointError for anything else."""
    file = directory / CONFIG_NAME
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot be read as JSON: {type(error).__name__}: {error}") from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file}: found a {type(config).__name__}; a JSON object was expected")
    return config
