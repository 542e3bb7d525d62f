"""Directories of pairs as their own trainers write them, with tiny random weights over one tiny base."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer

from nla_ray.nla.model.backbone import alone
from tests.tiny import AR_TEMPLATE, AV_TEMPLATE, D_MODEL, LAYER, MARKER, tiny_checkpoint, tiny_tokenizer

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)


@dataclass(frozen=True)
class Base:
    """A tiny model, whole."""

    directory: Path

    @property
    def tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.directory)

    def model(self) -> Any:
        with alone():
            loaded = AutoModelForCausalLM.from_pretrained(
                self.directory, dtype=torch.float32, attn_implementation="eager"
            )
        return loaded.eval()


@contextmanager
def by_peft() -> Iterator[None]:
    """One model at a time, and peft may use what transformers will remove."""
    with alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def base(path: Path, *, thinking: bool = False) -> Base:
    """A tiny qwen2; with `thinking` its chat template has the option `enable_thinking`."""
    directory = tiny_checkpoint("qwen2", path, seed=1)
    if thinking:
        (directory / "chat_template.jinja").write_text(THINKING, encoding="utf-8")
    return Base(directory)


def oracle_base(path: Path) -> Base:
    """A tiny qwen2 whose tokenizer has ` ?` as one token."""
    tokenizer = tiny_tokenizer("qwen2")
    directory = tiny_checkpoint("qwen2", path, seed=1, config={"vocab_size": len(tokenizer) + 1})
    tokenizer.add_tokens([" ?"])
    tokenizer.save_pretrained(directory)
    return Base(directory)


def adapter(of: Base, path: Path, **options: Any) -> Path:
    """A random LoRA of a base as peft saves it; B is not zero, so that it changes the model."""
    given: dict[str, Any] = {"r": 4, "lora_alpha": 16, "target_modules": list(PROJECTIONS)}
    with by_peft():
        made = get_peft_model(of.model(), LoraConfig(**({"task_type": "CAUSAL_LM"} | given | options)))
    _randomise(made, seed=len(path.name))
    made.save_pretrained(path)
    return path


def merged(of: Base, adapted: Path, path: Path) -> Base:
    """The base with an adapter merged and saved, as `merge_lora_to_hf` does."""
    from peft import PeftModel

    with by_peft():
        model: Any = PeftModel.from_pretrained(of.model(), adapted).merge_and_unload()
        model.save_pretrained(path)
    of.tokenizer.save_pretrained(path)
    return Base(path)


def ids_around(of: Base, text: str, marker: str = MARKER) -> tuple[int, int, int]:
    """Marker id and its neighbours in a rendered prompt."""
    ids = of.tokenizer.encode(text, add_special_tokens=False)
    (marker_id,) = of.tokenizer.encode(marker, add_special_tokens=False)
    at = ids.index(marker_id)
    return marker_id, ids[at - 1], ids[at + 1]


def chat(of: Base, content: str, **options: Any) -> str:
    """One user turn and the beginning of the answer, as text."""
    message = [{"role": "user", "content": content}]
    return str(
        of.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True, **options)
    )


def write_meta(directory: Path, meta: dict[str, Any]) -> None:
    text = yaml.safe_dump(meta, sort_keys=False, allow_unicode=True)
    (directory / "nla_meta.yaml").write_text(text, encoding="utf-8")


def easynla_meta(of: Base) -> dict[str, Any]:
    """The sidecar of a data set, which EasyNLA copies into each checkpoint."""
    marker, left, right = ids_around(of, AV_TEMPLATE.format(injection_char=MARKER))
    suffix = of.tokenizer.encode("</text> <summary>", add_special_tokens=False)[-3:]
    return {
        "dataset_id": "tiny_av_sft_0000", "stage": "av_sft", "row_count": 100,
        "extraction": {
            "base_model": "owner/tiny", "d_model": D_MODEL, "layer_index": LAYER, "norm": "none",
            "corpus": "tiny", "corpus_slice": {"start": 0, "length": 100}, "positions_per_doc": 1,
        },
        "kind": "nla_dataset", "schema_version": 1, "keep_debug_metadata": True,
        "tokens": {
            "injection_char": MARKER, "injection_token_id": marker, "injection_left_neighbor_id": left,
            "injection_right_neighbor_id": right, "critic_suffix_ids": suffix,
        },
        "prompt_templates": {"actor": AV_TEMPLATE, "critic": AR_TEMPLATE},
        "parent_datasets": [], "created_at": "2026-07-01T00:00:00+00:00", "created_by": "stage3_build",
        "git_commit": "0000000",
    }  # fmt: skip


def easynla_av(of: Base, path: Path) -> Path:
    """An AV of its SFT: PEFT (rank-stabilised), tokenizer, the data set's sidecar."""
    adapter(of, path, use_rslora=True)
    of.tokenizer.save_pretrained(path)
    write_meta(path, easynla_meta(of))
    return path


def easynla_rl(of: Base, path: Path) -> Path:
    """An AV of its RL: PEFT alone in `iter_000100`, the sidecar one level up."""
    adapter(of, path / "iter_000100", use_rslora=True, r=2)
    write_meta(path, easynla_meta(of))
    return path / "iter_000100"


class Critic(nn.Module):
    """Its reconstructor as its trainer holds it: a cut causal LM and a head, LoRA put in place."""

    def __init__(self, of: Base, *, blocks: int, strip: bool) -> None:
        super().__init__()
        self.backbone = of.model()
        self.backbone.model.layers = self.backbone.model.layers[:blocks]
        if strip:
            self.backbone.model.norm = nn.Identity()
        self.backbone.lm_head = nn.Identity()
        config = LoraConfig(
            r=4, lora_alpha=16, use_rslora=True, bias="none", task_type="CAUSAL_LM",
            target_modules=list(PROJECTIONS),
        )  # fmt: skip
        inject_adapter_in_model(config, self.backbone)
        self.value_head = nn.Linear(D_MODEL, D_MODEL, bias=False)
        _randomise(self, seed=7)

    @torch.no_grad()
    def read(self, ids: list[int]) -> torch.Tensor:
        """The vector of one prompt [d], by the head on the last token."""
        hidden_BTD = self.backbone.model(input_ids=torch.tensor([ids]), use_cache=False)[0]
        vector: torch.Tensor = self.value_head(hidden_BTD[0, -1])
        return vector


def easynla_ar(of: Base, path: Path, *, stripped: bool | None, blocks: int = LAYER + 1) -> Critic:
    """An AR of its SFT; `stripped` None leaves the word out, as before June 2026 (the norm was kept)."""
    critic = Critic(of, blocks=blocks, strip=bool(stripped))
    path.mkdir(parents=True)
    saved = {
        name: parameter.detach().contiguous()
        for name, parameter in critic.named_parameters()
        if "lora_" in name or name.startswith("value_head")
    }
    save_file(saved, path / "ar_lora_value_head.safetensors")
    meta = {
        "ar_num_layers": blocks, "lora_r": 4, "lora_alpha": 16, "quant": None,
        "target_modules": list(PROJECTIONS),
    }  # fmt: skip
    if stripped is not None:
        meta["final_norm_stripped"] = stripped
    (path / "ar_meta.json").write_text(json.dumps(meta, indent=2))
    of.tokenizer.save_pretrained(path)
    write_meta(path, easynla_meta(of))
    return critic


def kameshkanna_av(of: Base, path: Path) -> Path:
    """An AV of nla-train: PEFT, and a sidecar without `kind`."""
    marker, left, right = ids_around(of, AV_TEMPLATE.format(injection_char=MARKER))
    adapter(of, path, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    meta = {
        "schema_version": 2, "role": "av", "d_model": D_MODEL, "extraction_layer_index": LAYER,
        "extraction": {"injection_scale": 11.5},
        "tokens": {
            "injection_char": MARKER, "injection_token_id": marker, "injection_left_neighbor_id": left,
            "injection_right_neighbor_id": right,
        },
        "prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE},
    }  # fmt: skip
    write_meta(path, meta)
    return path


def kameshkanna_ar(of: Base, path: Path) -> Path:
    """An AR of nla-train: LoRA of a module that holds the model as its `backbone`; the head is not saved."""
    adapter(of, path, task_type="FEATURE_EXTRACTION")
    file = path / "adapter_model.safetensors"
    prefix = "base_model.model."
    wrapped = {name.replace(prefix, f"{prefix}backbone.", 1): one for name, one in load_file(file).items()}
    save_file(wrapped, file)
    return path


RAW_TEMPLATE = "Explain the vector of a language model: <concept>{injection_char}</concept>"


def in_wrapper(adapted: Path, modules: str) -> None:
    """Give an adapter the names that it has where it was trained in the multimodal wrapper, as a pattern."""
    file = adapted / "adapter_model.safetensors"
    tensors = {
        name.replace("model.model.layers.", "model.model.language_model.layers."): one
        for name, one in load_file(file).items()
    }
    save_file(tensors, file)
    config = json.loads((adapted / "adapter_config.json").read_text())
    config["target_modules"] = rf".*model\.language_model\.layers\.\d+\.(self_attn|mlp)\.({modules})"
    (adapted / "adapter_config.json").write_text(json.dumps(config))


def out_of_wrapper(adapted: Path, path: Path) -> None:
    """A copy of such an adapter by the names of the text model alone."""
    shutil.copytree(adapted, path)
    file = path / "adapter_model.safetensors"
    save_file({name.replace("language_model.", ""): one for name, one in load_file(file).items()}, file)
    config = json.loads((path / "adapter_config.json").read_text())
    config["target_modules"] = config["target_modules"].replace(r"language_model\.", "")
    (path / "adapter_config.json").write_text(json.dumps(config))


def gemma_ar(of: Base, path: Path, blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """An AR of the gemma-4-E2B pair: PEFT of the attention, and a pickled head with a bias; its sidecar."""
    adapter(of, path, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
    in_wrapper(path, "q_proj|k_proj|v_proj|o_proj")
    generator = torch.Generator().manual_seed(blocks)
    weight, bias = (
        torch.randn(D_MODEL, D_MODEL, generator=generator),
        torch.randn(D_MODEL, generator=generator),
    )
    torch.save({"weight": weight, "bias": bias}, path / "linear_head.pt")
    meta = {
        "kind": "nla_model", "role": "critic", "version": "v0.0.1", "base_model": "owner/tiny",
        "extraction": {"d_model": D_MODEL, "layer": LAYER, "mse_scale": "sqrt_d_model"},
    }  # fmt: skip
    write_meta(path, meta)
    return weight, bias


def gemma_av(of: Base, path: Path) -> Path:
    """An AV of the gemma-4-E2B pair: PEFT; the sidecar has neither templates nor the marker's character."""
    marker, left, right = ids_around(of, RAW_TEMPLATE.format(injection_char=MARKER))
    adapter(of, path)
    in_wrapper(path, "|".join(PROJECTIONS))
    meta = {
        "kind": "nla_model", "role": "actor", "version": "v0.0.1", "base_model": "owner/tiny",
        "extraction": {
            "d_model": D_MODEL, "layer": LAYER, "injection_scale": "sqrt_d_model",
            "mse_scale": "sqrt_d_model",
        },
        "tokens": {
            "injection_token_id": marker, "injection_left_neighbor_id": left,
            "injection_right_neighbor_id": right,
        },
        "av_lora": {"r": 4, "alpha": 16},
        "training": {"injection_scale": "sqrt_d_model", "max_length": 384},
    }  # fmt: skip
    write_meta(path, meta)
    return path


DEPTHS = [4, 10, 17, 25, 32, 40, 47, 55, 63, 71, 80, 90, 96]
SINGLE_TEMPLATE = "Here is the vector:\n\n<concept>{injection_char}</concept>\n\nPlease.\n\n<explanation>"
DEPTH_TEMPLATE = (
    "Here is the vector from depth {depth_pct}% of the network:\n\n<concept>{injection_char}</concept>\n\n"
    "Please provide an explanation.\n\n<explanation>"
)


def at_home_av(of: Base, path: Path, blocks: int) -> Path:
    """A universal AV of nla-at-home: PEFT, the depth in its prompt, no neighbours, no layer."""
    (marker,) = of.tokenizer.encode(MARKER, add_special_tokens=False)
    adapter(of, path)
    meta = {
        "kind": "nla_model", "schema_version": 2, "role": "av", "variant": "universal", "stage": "sft",
        "d_model": D_MODEL, "n_layers": blocks, "extraction": {"injection_scale": 150.0},
        "tokens": {"injection_char": MARKER, "injection_token_id": marker},
        "prompt_templates": {"av": DEPTH_TEMPLATE}, "depth_percentages": DEPTHS,
        "training": {
            "method": "lora_sft", "injection_mode": "normalize", "chat_template": True,
            "corpus": "nla-at-home",
        },
    }  # fmt: skip
    write_meta(path, meta)
    return path


def at_home_single(of: Base, path: Path) -> Path:
    """An AV of one layer of nla-at-home: PEFT and tokenizer; K, no neighbours, no word of a corpus."""
    (marker,) = of.tokenizer.encode(MARKER, add_special_tokens=False)
    adapter(of, path, r=4, lora_alpha=64)
    of.tokenizer.save_pretrained(path)
    meta = {
        "kind": "nla_model", "schema_version": 2, "role": "av", "stage": "sft", "d_model": D_MODEL,
        "extraction_layer_index": LAYER, "extraction": {"injection_scale": 150.0},
        "tokens": {"injection_char": MARKER, "injection_token_id": marker},
        "prompt_templates": {"av": SINGLE_TEMPLATE, "ar": AR_TEMPLATE},
        "training": {
            "method": "lora_sft", "injection_mode": "normalize", "chat_template": True, "lora_r": 4,
            "lr": 8e-6, "epochs": 5, "best_val_loss": 1.5,
        },
    }  # fmt: skip
    write_meta(path, meta)
    return path


def at_home_ar(
    of: Base, path: Path, blocks: int, heads: tuple[int, ...], **training: Any
) -> dict[int, torch.Tensor]:
    """A universal AR of its second kind: PEFT of the whole model, and a head for each of some blocks."""
    adapter(of, path)
    made = {
        block: torch.randn(D_MODEL, D_MODEL, generator=torch.Generator().manual_seed(block))
        for block in heads
    }
    save_file({f"value_head.{k}.weight": head for k, head in made.items()}, path / "value_heads.safetensors")
    meta = {
        "kind": "nla_model", "schema_version": 2, "role": "ar", "variant": "universal", "stage": "sl",
        "d_model": D_MODEL, "n_layers": blocks,
        "extraction": {"injection_scale": None, "mse_scale": D_MODEL**0.5},
        "prompt_templates": {"ar": AR_TEMPLATE}, "depth_percentages": DEPTHS,
        "training": {"method": "lora_sl"} | training,
    }  # fmt: skip
    write_meta(path, meta)
    return made


def megatron_ar(released: Path, path: Path) -> Path:
    """A copy of a released AR with the keys that the reference adds for Megatron, under an index."""
    shutil.copytree(released, path)
    file, compat = "model.safetensors", "model-megatron-compat.safetensors"
    added = {"model.norm.weight": torch.ones(D_MODEL), "lm_head.weight": torch.eye(D_MODEL)}
    save_file(added, path / compat)
    places = dict.fromkeys(load_file(path / file), file) | dict.fromkeys(added, compat)
    index = {"metadata": {}, "weight_map": places}
    (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    return path


@torch.no_grad()
def _randomise(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "lora_" in name or name.startswith("value_head"):
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
