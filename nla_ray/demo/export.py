"""The demo pair on disk: target, AV and AR as directories in the released dialect, and the demo corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from nla_ray.demo.autoencoder import Prompt, Reconstructing, ar_ids
from nla_ray.demo.dataset import Encoded
from nla_ray.demo.target import LAYER
from nla_ray.demo.tokenizer import AR_TEMPLATE, AV_TEMPLATE, MARKER
from nla_ray.nla.backbone import quiet
from nla_ray.nla.sidecar import Marker, Role, Sidecar
from nla_ray.nla.sidecar_write import write_sidecar
from nla_ray.nla.weights import HEAD_NAME


def av_prompt(tokenizer: PreTrainedTokenizerFast, scale: float) -> Prompt:
    """The AV's prompt under the demo tokenizer; vectors are rescaled to norm `scale`."""
    message = [{"role": "user", "content": AV_TEMPLATE.format(injection_char=MARKER)}]
    text = tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.encode(str(text), add_special_tokens=False)
    return Prompt(tuple(ids), ids.index(tokenizer.convert_tokens_to_ids(MARKER)), scale)


def save_causal_lm(directory: Path, model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Weights, configuration and tokenizer of the target or the AV, in the model's type."""
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    with quiet():
        model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def save_ar(directory: Path, model: Reconstructing, tokenizer: PreTrainedTokenizerFast) -> None:
    """Blocks 0..K and the embedding as a causal LM without norm and head, beside them the value head."""
    directory.mkdir(parents=True, exist_ok=True)
    config = model.backbone.config
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(directory)
    config.dtype = model.head.weight.dtype
    weights = {f"model.{name}": tensor.contiguous() for name, tensor in model.backbone.state_dict().items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    save_file({"weight": model.head.weight.detach().contiguous()}, directory / HEAD_NAME)
    tokenizer.save_pretrained(directory)


def save_sidecar(
    directory: Path,
    role: Role,
    prompt: Prompt,
    tokenizer: PreTrainedTokenizerFast,
    provenance: Mapping[str, Any],
) -> None:
    """The sidecar of the AV or the AR; `provenance` holds the keys that are not the contract's."""
    width = int(provenance["d_model"])
    ids, slot = prompt.ids, prompt.slot
    tail = ar_ids(["A"], tokenizer)[0][-4:]
    sidecar = Sidecar(
        role=role, d_model=width, layer=LAYER, av_template=AV_TEMPLATE, ar_template=AR_TEMPLATE,
        injection_scale=prompt.scale if role == "av" else None, mse_scale=width**0.5,
        marker=Marker(MARKER, ids[slot], ids[slot - 1], ids[slot + 1]), ar_suffix_ids=tuple(tail),
        extra={"stage": "sl", "extraction": {"norm": "none"}, **provenance},
    )  # fmt: skip
    write_sidecar(directory, sidecar)


def write_corpus(path: Path, encoded: Sequence[Encoded]) -> None:
    """Documents as JSON lines (`id`, `messages` or `text`) with their truth.

    `shown` and `evident` say from which token on each planted property has been stated, and is plain;
    `statements` where each statement begins.
    """
    with path.open("w", encoding="utf-8") as lines:
        for doc in encoded:
            document = doc.document
            content = (
                {"text": document.text} if document.prompt is None else {"messages": document.messages()}
            )
            truth = {name: getattr(document, name) for name in ("topic", "item", "mood", "safety", "theme")}
            where = {
                "shown": doc.shown_from(),
                "evident": doc.evident_from(),
                "statements": doc.statements_from(),
            }
            row = {"id": document.doc_id, **content, "truth": truth | where}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def quantile_norm(vectors: torch.Tensor, share: float = 0.75) -> float:
    """The norm that `share` of the vectors [N, D] do not exceed: the published choice of injection scale."""
    return round(float(vectors.norm(dim=1).quantile(share)), 3)
