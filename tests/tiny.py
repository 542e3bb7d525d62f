"""Tiny random-weight checkpoints of every supported family, and an NLA pair on top of them, for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from nla_ray.nla.model.backbone import alone
from nla_ray.nla.model.blocks.cut import cut_config, cuts_alike
from tests import architectures

FAMILIES = ("qwen2", "qwen3", "llama", "gemma2", "gemma3", "gemma3_mm", "mistral")
MARKER = "㈎"
D_MODEL, BLOCKS, LAYER = 32, 4, 2
AR_SEED = 3
AV_TEMPLATE = (
    "Explain the vector of a language model between these tags: <concept>{injection_char}</concept>\n"
    "Answer in <explanation> tags."
)
AR_TEMPLATE = "Summary of the following text: <text>{explanation}</text> <summary>"

_BOS = {
    "llama": "<|begin_of_text|>",
    "mistral": "<s>",
    "gemma2": "<bos>",
    "gemma3": "<bos>",
    "gemma3_mm": "<bos>",
    "gemma4": "<bos>",
}
_CHATML = (
    "{{ bos_token or '' }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEXT = [
    "the model said that it was true and that the other one is not the thing they had in mind",
    "<concept> </concept> <explanation>text</explanation> <text> </text> <summary>",
    MARKER,
    "system user assistant",
] * 20


def tiny_tokenizer(family: str, *, marker: bool = True) -> PreTrainedTokenizerFast:
    """Byte-level BPE with ChatML tokens and the family's BOS; `marker=False` leaves the marker in pieces."""
    bos = _BOS.get(family)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *([bos] if bos else [])]
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator([text for text in _TEXT if marker or text != MARKER], trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, core.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=core,
        bos_token=bos,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=_CHATML,
        model_max_length=4096,
    )


def tiny_checkpoint(
    family: str, path: Path, *, seed: int = 0, marker: bool = True, config: Mapping[str, Any] | None = None
) -> Path:
    """Save a random causal LM with its tokenizer as safetensors; `config` overrides text fields.

    Norm weights and biases are random too, so that a norm too many or a bias forgotten shows.
    """
    tokenizer = tiny_tokenizer(family, marker=marker)
    stops = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    fields = _fields(family) | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    fields |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": stops} | dict(config or {})
    if "hidden_size_per_layer_input" in fields:
        fields["vocab_size_per_layer_input"] = len(tokenizer)
    torch.manual_seed(seed)
    model = _build(family, fields)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if re.search(r"norm|ln_|bias$|sinks$", name):
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.generation_config.eos_token_id = stops
    with alone():
        model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def tiny_nla(path: Path, family: str = "qwen2", layer: int = LAYER) -> tuple[Path, Path, Path]:
    """Save (target, AV, AR) of one family under `path`, K = `layer`, sidecars in the released dialect."""
    target = tiny_checkpoint(family, path / "target", seed=1)
    av = tiny_checkpoint(family, path / "av", seed=2)
    ar = tiny_checkpoint(family, path / "ar", seed=AR_SEED)
    _make_reconstructor(ar, family, layer)
    tokenizer = tiny_tokenizer(family)
    _write_sidecar(av, "av", tokenizer, layer)
    _write_sidecar(ar, "ar", tokenizer, layer)
    return target, av, ar


def _fields(family: str) -> dict[str, Any]:
    if family in architectures.ARCHITECTURES:
        return architectures.fields(family)
    common: dict[str, Any] = {
        "hidden_size": D_MODEL,
        "intermediate_size": 48,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "initializer_range": 0.15,
    }
    if family not in ("qwen2", "llama"):
        common["head_dim"] = 8
    if family.startswith("gemma3"):
        common["sliding_window_pattern"] = 2
    if family.startswith("gemma") or family == "mistral":
        common["sliding_window"] = 8
    if family.startswith("gemma"):
        common["query_pre_attn_scalar"] = 8
    return common


def _build(family: str, fields: dict[str, Any]) -> transformers.PreTrainedModel:
    if family == "gemma3_mm":
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        vision |= {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
        wrapped = transformers.Gemma3Config(text_config=fields, vision_config=vision)
        return transformers.Gemma3ForConditionalGeneration(wrapped)
    if family in architectures.ARCHITECTURES:
        config = getattr(transformers, architectures.ARCHITECTURES[family][0])(**fields)
        built: transformers.PreTrainedModel = transformers.AutoModelForCausalLM.from_config(config)
        return built
    names = {"qwen2": "Qwen2", "qwen3": "Qwen3", "llama": "Llama", "gemma2": "Gemma2", "mistral": "Mistral"}
    name = names.get(family, "Gemma3")
    kind = "Gemma3Text" if name == "Gemma3" else name
    config = getattr(transformers, f"{kind}Config")(**fields)
    model: transformers.PreTrainedModel = getattr(transformers, f"{name}ForCausalLM")(config)
    return model


def _make_reconstructor(directory: Path, family: str, layer: int) -> None:
    """Cut a checkpoint to blocks 0..K without norm and lm_head, and add an almost-identity value head."""
    config_file = directory / "config.json"
    config = json.loads(config_file.read_text())
    if family in architectures.ARCHITECTURES:
        whole = transformers.AutoConfig.from_pretrained(directory)
        cut = cut_config(whole, layer + 1, directory)
        if cuts_alike(whole, cut):
            cut.save_pretrained(directory)
    else:
        text = config["text_config"] if family == "gemma3_mm" else config
        text["num_hidden_layers"] = layer + 1
        if "layer_types" in text:
            text["layer_types"] = text["layer_types"][: layer + 1]
        config_file.write_text(json.dumps(config))
    weights = load_file(directory / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if _is_backbone(name, layer)}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})
    noise = torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(4))
    head = torch.eye(D_MODEL) + 0.05 * noise
    save_file({"weight": head}, directory / "value_head.safetensors")


def _is_backbone(name: str, layer: int) -> bool:
    block = re.search(r"(?<!encoder\.)(?:layers|h)\.(\d+)\.", name)
    if block is not None:
        return int(block.group(1)) <= layer
    above = r"lm_head|embed_out|vision|projector|(?:^|\.)(?:norm|norm_f|ln_f|final_layer_norm)\."
    return re.search(above, name) is None


def _write_sidecar(directory: Path, role: str, tokenizer: PreTrainedTokenizerFast, layer: int) -> None:
    message = [{"role": "user", "content": AV_TEMPLATE.format(injection_char=MARKER)}]
    text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.encode(text, add_special_tokens=False)
    (marker_id,) = tokenizer.encode(MARKER, add_special_tokens=False)
    slot = ids.index(marker_id)
    meta = {
        "kind": "nla_model",
        "schema_version": 2,
        "stage": "sl",
        "role": role,
        "d_model": D_MODEL,
        "extraction_layer_index": layer,
        "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE},
        "extraction": {
            "d_model": D_MODEL,
            "layer_index": layer,
            "norm": "none",
            "injection_scale": 12.0 if role == "av" else None,
            "mse_scale": D_MODEL**0.5,
        },
        "tokens": {
            "injection_char": MARKER,
            "injection_token_id": marker_id,
            "injection_left_neighbor_id": ids[slot - 1],
            "injection_right_neighbor_id": ids[slot + 1],
            "critic_suffix_ids": tokenizer.encode("</text> <summary>", add_special_tokens=False)[-3:],
        },
    }
    if role == "ar":
        meta["critic"] = {"extraction_layer_index": layer}
    (directory / "nla_meta.yaml").write_text(yaml.safe_dump(meta, allow_unicode=True), encoding="utf-8")
