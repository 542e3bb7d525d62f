"""Load a decoder stack: the first blocks of any supported checkpoint, without reading what is not needed."""

from __future__ import annotations

import copy
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as hf_logging

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.view import bottom_of, layers_of, views_on
from nla_ray.nla.model.blocks.cut import block_output, check_cut, cut_config, cuts_alike, skeleton
from nla_ray.nla.model.blocks.stack import BLOCK, NORMS, TEXT_PART, find_stack
from nla_ray.nla.model.files.quantised import check as check_quantised
from nla_ray.nla.model.files.weights import SafetensorsDir
from nla_ray.nla.model.ranks import shared_out
from nla_ray.nla.sidecar.dialects.seen import ADAPTER_CONFIG

if TYPE_CHECKING:
    from nla_ray.nla.model.adapters.merge import Adapter

TESTED = (
    "qwen2", "qwen3", "qwen3_moe", "qwen3_next", "qwen3_5_text", "qwen3_5_moe_text", "llama", "mistral",
    "mixtral", "gemma2", "gemma3_text", "gemma4_text", "gpt_oss", "glm4_moe", "deepseek_v3", "nemotron_h",
    "olmo3", "phi3", "smollm3", "gpt_neox", "gpt2",
)  # fmt: skip
"""`model_type` values (of the text part) whose first blocks alone are tested against the full model."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

_WANTED = f"a decoder-only language model of transformers is needed; tested are {', '.join(TESTED)}"

_LOADING = threading.RLock()


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The part of a configuration that describes the decoder stack: a wrapper's text part, else all of it."""
    return config.get_text_config(decoder=True)


def context_of(config: PreTrainedConfig) -> int | None:
    """Tokens that a model was made for, the scaling of its positions counted; None where nothing tells."""
    found = getattr(text_config(config), "max_position_embeddings", None)
    return int(found) if found else None


def load_config(directory: str | Path, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """The text configuration of a checkpoint directory.

    Raises CheckpointError when there is no readable `config.json`, for an adapter, or when transformers has
    no decoder-only model of its architecture (code of the checkpoint runs only with `trust_remote_code`).
    """
    file = Path(directory) / "config.json"
    if layers_of(directory) is None and (adapter := file.with_name(ADAPTER_CONFIG)).exists():
        raise CheckpointError(
            f"{adapter}: an adapter (LoRA), and without it this is another model: name it with its base, "
            "ADAPTER on BASE; where it is merged already, remove this file"
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
    text = text_config(config)
    known = trust_remote_code or text.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    sizes = all(hasattr(text, name) for name in ("num_hidden_layers", "hidden_size", "vocab_size"))
    if text.is_encoder_decoder or not known or not sizes:
        raise CheckpointError.field(file, "model_type", text.model_type, _WANTED)
    return text


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
    if found in CONFIG_MAPPING or (remote and trust_remote_code):
        return
    wanted = _WANTED
    if remote:
        wanted += "; it brings its own code, which runs only with trust_remote_code"
    raise CheckpointError.field(file, "model_type", found, wanted)


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

    Weights of an lm_head of any shape and of a vision tower are never read, nor are those of later blocks
    where a model of fewer blocks is the lower part of the whole one (`cuts_alike`) and the architecture is in
    TESTED; any other is loaded whole, and cut once its block is proven to give `hidden_states`. Without
    `final_norm` the norm after the last block is the identity, so that `last_hidden_state` is the output of
    block `layers`-1: transformers would fill the norm that a reconstructor's directory lacks with ones.
    Raises CheckpointError for pickled weights, a missing tensor, a wrong shape, more layers than there are, a
    model without a decoder stack, or one whose cut stack does not give what its last block gives.
    """
    config = load_config(directory, trust_remote_code=trust_remote_code)
    blocks = config.num_hidden_layers if layers is None else layers
    refuse_stackless(config, directory, trust_remote_code=trust_remote_code)
    loaded = _loaded_config(config, blocks, directory, trust_remote_code)
    how = _Loading(dtype, torch.device(device), attention, trust_remote_code)
    model = _load(AutoModel, directory, loaded, how, lambda name: _spared(name, blocks, final_norm))
    stack, wanted = find_stack(model, directory), None
    if len(stack.blocks) > blocks:
        wanted = block_output(stack, blocks - 1, directory)
        stack.cut(blocks)
    if not final_norm:
        stack.end_at_block()
        check_cut(stack, wanted, directory)
    return model


def refuse_stackless(config: PreTrainedConfig, source: object, *, trust_remote_code: bool = False) -> None:
    """Raise CheckpointError for an architecture without a decoder stack, before any weights are read."""
    if config.model_type in TESTED:
        return
    try:
        with alone():
            model = skeleton(config, trust_remote_code=trust_remote_code)
    # A configuration that no model can be built of: each family fails in its own way.
    except Exception as error:
        raise CheckpointError(
            f"{source}: {config.model_type}: cannot be built: {type(error).__name__}: {_brief(error)}"
        ) from error
    find_stack(model, source)


def kept_whole(config: PreTrainedConfig, blocks: int, source: object) -> bool:
    """Whether `blocks` are fewer than all, and no configuration describes them but that of the whole model.

    A reconstructor of such a family says the whole configuration, and need not have the weights above.
    """
    if blocks >= config.num_hidden_layers:
        return False
    with alone():
        return not cuts_alike(config, cut_config(config, blocks, source))


def _loaded_config(
    config: PreTrainedConfig, blocks: int, source: object, trust_remote_code: bool
) -> PreTrainedConfig:
    """That of `blocks` blocks where its model is known to be the lower part of the whole, else the whole."""
    cut = cut_config(config, blocks, source)
    foreign = trust_remote_code and hasattr(config, "auto_map")
    if blocks == config.num_hidden_layers or config.model_type not in TESTED or foreign:
        return config
    return config if kept_whole(config, blocks, source) else cut


def _spared(name: str, blocks: int, final_norm: bool) -> bool:
    """Whether a tensor of the bare decoder may be missing: of a block that is cut off, of a norm left out."""
    block = BLOCK.search(name)
    if block is not None:
        return int(block.group(1)) >= blocks
    return not final_norm and any(part in NORMS for part in name.split(".")[:-1])


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
    refuse_stackless(config, directory, trust_remote_code=trust_remote_code)
    how = _Loading(dtype, torch.device(device), attention, trust_remote_code)
    return _load(AutoModelForCausalLM, directory, config, how, lambda _: False)


@dataclass(frozen=True)
class _Loading:
    """In which type a model is loaded, onto what, with which attention, and whether its own code may run."""

    dtype: torch.dtype
    device: torch.device
    attention: str
    trust_remote_code: bool


def _load(
    factory: Any,
    directory: str | Path,
    config: PreTrainedConfig,
    how: _Loading,
    spared: Callable[[str], bool],
) -> nn.Module:
    view, directory = Path(directory), bottom_of(directory)
    quantised = check_quantised(directory, SafetensorsDir(directory), how.device)
    if view != directory:
        if quantised is not None:
            quantised.refuse_adapter(view, how.device)
        check_adapters(factory, view, config, trust_remote_code=how.trust_remote_code)
    placed = shared_out(config, view)
    if quantised is not None:
        placed |= quantised.loading(config, how.device)
    try:
        with alone():
            model, report = factory.from_pretrained(
                directory,
                config=config,
                dtype=how.dtype,
                attn_implementation=_attention_for(config, how.attention),
                use_safetensors=True,
                local_files_only=True,
                key_mapping=TEXT_PART,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                trust_remote_code=how.trust_remote_code,
                **placed,
            )
        model = model.eval().requires_grad_(False)
        model = model if "device_map" in placed else model.to(how.device)
    # Sizes that no model can have, quantization, a full device: each fails in its own way.
    except Exception as error:
        raise CheckpointError(
            f"{directory}: cannot be loaded: {type(error).__name__}: {_brief(error)}"
        ) from error
    _check_report(directory, report, spared)
    if view != directory:
        merge_adapters(model, view, trust_remote_code=how.trust_remote_code)
    return model  # type: ignore[no-any-return]


def check_adapters(
    factory: Any, view: Path, config: PreTrainedConfig, *, trust_remote_code: bool = False
) -> None:
    """Raise CheckpointError where an adapter does not fit `factory`'s model of its base; reads no weights."""
    try:
        with torch.device("meta"), alone():
            model = factory.from_config(copy.deepcopy(config), trust_remote_code=trust_remote_code)
    # As in loading.
    except Exception as error:
        raise CheckpointError(f"{view}: cannot be built: {type(error).__name__}: {_brief(error)}") from error
    for _ in adapters_of(view, model, trust_remote_code=trust_remote_code):
        pass


def merge_adapters(model: nn.Module, view: Path, *, trust_remote_code: bool = False) -> None:
    """Merge the adapters of a view into its base, from the lowest up. Raises CheckpointError."""
    for adapter in adapters_of(view, model, trust_remote_code=trust_remote_code):
        adapter.merge(model)


def adapters_of(view: str | Path, model: nn.Module, *, trust_remote_code: bool = False) -> Iterator[Adapter]:
    """The adapters of a view, from the lowest up, for a model with all or the first blocks of its base.

    A directory that is no view has none. Raises CheckpointError for one that does not fit.
    """
    if layers_of(view) is None:
        return
    # peft takes seconds to load.
    from nla_ray.nla.model.adapters.merge import attach

    blocks = load_config(bottom_of(view), trust_remote_code=trust_remote_code).num_hidden_layers
    for one in views_on(view):
        with alone():
            adapter = attach(model, one, blocks=blocks)
        yield adapter


def _attention_for(config: PreTrainedConfig, attention: str) -> str | None:
    """Gemma-2 caps its attention scores, which torch's fused attention cannot; others say so themselves."""
    if attention != "sdpa":
        return attention
    return "eager" if config.model_type == "gemma2" else None


def _check_report(directory: Path, report: dict[str, Any], spared: Callable[[str], bool]) -> None:
    missing = sorted(name for name in report["missing_keys"] if not spared(name))
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
