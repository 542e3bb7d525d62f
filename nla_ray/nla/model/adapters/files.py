"""What an adapter's files say: its configuration, checked for what is honoured, and its tensors' headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, WEIGHTS_NAME, require_weights
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.nla.sidecar.dialects.seen import is_number

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
SWITCHES = ("fan_in_fan_out", "lora_bias", "use_dora", "use_rslora")
"""What of a configuration is true or false, and peft is told."""

_NEEDED = ("r", "lora_alpha")
_PLAIN = re.compile(r"[\w.-]*")


@dataclass(frozen=True)
class AdapterFiles:
    """One adapter: `config` as it is written, and its tensors."""

    directory: Path
    config: dict[str, Any]
    tensors: SafetensorsDir


def open_adapter(directory: Path) -> AdapterFiles:
    """Read configuration and headers. Raises CheckpointError for what is not LoRA as it is merged here."""
    config = read_config(directory)
    _check_method(directory / CONFIG_NAME, config)
    for name, (kind, wanted) in _kinds().items():
        value = config.get(name)
        if not (value is None and name not in _NEEDED) and not kind(value):
            raise CheckpointError.field(directory / CONFIG_NAME, name, value, f"{wanted} was expected")
    require_weights(directory)
    return AdapterFiles(directory, config, SafetensorsDir(directory, file=WEIGHTS_NAME))


def _check_method(file: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        remedy = "only LORA is merged; merge it and name the outcome"
        raise CheckpointError.field(file, "peft_type", config.get("peft_type"), remedy)
    for name in sorted(config.keys() - _WITHOUT_EFFECT - _HONOURED):
        if config[name] not in (None, False, [], {}):
            remedy = "LoRA with this is not merged here; merge it and name the outcome"
            raise CheckpointError.field(file, name, config[name], remedy)
    if config.get("init_lora_weights") not in _PLAIN_STARTS:
        raise CheckpointError.field(
            file,
            "init_lora_weights",
            config["init_lora_weights"],
            "it was trained over a changed base, which its files do not hold; convert it with peft "
            "(path_initial_model_for_weight_conversion) or merge it where it was trained",
        )


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


def _kinds() -> dict[str, tuple[Callable[[Any], bool], str]]:
    """What each untrusted value may be, in code and in words."""
    modules = "names of modules, or a regular expression"
    return {
        "r": (lambda value: type(value) is int and value > 0, "a whole number above 0"),
        "lora_alpha": (is_number, "a number"),
        "rank_pattern": (_are_numbers, "a mapping of module names to numbers"),
        "alpha_pattern": (_are_numbers, "a mapping of module names to numbers"),
        "target_modules": (lambda value: isinstance(value, str) or _are_names(value), modules),
        "exclude_modules": (lambda value: isinstance(value, str) or _are_names(value), modules),
        # peft puts these into regular expressions.
        "modules_to_save": (_are_plain, "a list of module names"),
        "layers_pattern": (lambda value: _are_plain([value] if isinstance(value, str) else value), "names"),
        "bias": (lambda value: value in ("none", "all", "lora_only"), "none, all or lora_only"),
        **{name: (lambda value: isinstance(value, bool), "true or false") for name in SWITCHES},
    }


def _are_numbers(value: object) -> bool:
    return isinstance(value, dict) and all(is_number(one) for one in value.values())


def _are_plain(value: object) -> bool:
    return _are_names(value) and all(_PLAIN.fullmatch(one) for one in cast(list[str], value))


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
