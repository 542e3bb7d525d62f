"""The two models while they train: float32 weights, plain attention, the vector put in by one pure function.

The verbalizer (AV) is a whole causal LM; the reconstructor (AR) is blocks 0..K without a final norm, with a
linear head that starts as the identity. Shapes: B rows, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase

from nla_ray.errors import CheckpointError
from nla_ray.nla.injection import injecting
from nla_ray.nla.model.adapters.view import bottom_of, layers_of
from nla_ray.nla.model.backbone import load_backbone, load_causal_lm, load_config
from nla_ray.nla.model.blocks.stack import find_stack, looks_up_tokens
from nla_ray.nla.model.files.weights import SafetensorsDir, read_mean
from nla_ray.nla.model.heads.head import open_value_head
from nla_ray.nla.model.stops import stop_ids
from nla_ray.nla.prompt import AvPrompt, ar_prompt_ids, check_ar_suffix, load_tokenizer, render_av_prompt
from nla_ray.nla.reconstruction.reconstructor import check_depth
from nla_ray.nla.sidecar.read import Sidecar, check_ar_depth, check_width, read_sidecar, require_injection
from nla_ray.training.lora import Adapting, adapt
from nla_ray.training.prefix import after_prefix, common_prefix, shares

CPU = torch.device("cpu")

_STORED = {"BF16": torch.bfloat16, "F16": torch.float16}


class TrainableAV(nn.Module):
    """A verbalizer: `lm` is any causal LM of transformers, into which vectors are put by `injection`."""

    lm: Any
    prompt_T: torch.Tensor
    mean_D: torch.Tensor | None
    stored: torch.dtype = torch.float32
    """The type that the weights came in and are released in."""

    def __init__(self, lm: Any, sidecar: Sidecar, tokenizer: PreTrainedTokenizerBase, source: Path) -> None:
        """`source` is the directory that `lm` and `tokenizer` were loaded from; its small files are released.

        Raises CheckpointError where sidecar, tokenizer and model do not belong together.
        """
        super().__init__()
        if looks_up_tokens(lm):
            raise CheckpointError(
                f"{source}: {lm.config.model_type} with per-layer inputs looks up more by a token than its "
                "embedding; its verbalizer can be decoded, not trained: take another target"
            )
        self.source = source
        check_width(sidecar, lm.get_input_embeddings().weight.shape[1])
        self.lm, self.sidecar, self.tokenizer = lm, sidecar, tokenizer
        self.prompt: AvPrompt = render_av_prompt(tokenizer, sidecar)
        self.injection = require_injection(sidecar)
        self.register_buffer("prompt_T", torch.tensor(self.prompt.ids), persistent=False)
        mean_D = read_mean(source, sidecar.d_model) if self.injection.centred else None
        self.register_buffer("mean_D", mean_D, persistent=False)

    def forward(
        self, vectors_BD: torch.Tensor, answers_BT: torch.Tensor, lengths_B: torch.Tensor
    ) -> torch.Tensor:
        """Log-probability [B, T] (float32, temperature 1) of each answer token; 0 from `lengths_B` on.

        `vectors_BD` are raw: finite, not zero, for several slots [B, slots, D]. Answers are padded on the
        right with any token.
        """
        if self.mean_D is not None:
            vectors_BD = vectors_BD.float() - self.mean_D
        rows, steps = answers_BT.shape
        body, embed = self.lm.get_decoder(), self.lm.get_input_embeddings()
        first, going_on = self._shared(rows)
        ids_BT = torch.cat((self.prompt_T[first:].expand(rows, -1), answers_BT), dim=1)
        slots = [slot - first for slot in self.prompt.slots]
        with injecting(body, self.injection, embed(ids_BT), slots, vectors_BD) as embeds_BTD:
            logits_BTV = self.lm(inputs_embeds=embeds_BTD, logits_to_keep=steps + 1, **going_on).logits
        logp_BT = -functional.cross_entropy(
            logits_BTV[:, :-1].float().flatten(0, 1), answers_BT.flatten(), reduction="none"
        ).view_as(answers_BT)
        inside_BT = torch.arange(steps, device=lengths_B.device) < lengths_B[:, None]
        return logp_BT.masked_fill(~inside_BT, 0.0)

    def _shared(self, rows: int) -> tuple[int, dict[str, Any]]:
        """How much of the prompt is run once for all rows, and the options of the pass that goes on."""
        first = self.prompt.slots[0]
        if rows < 2 or not shares(self, self.lm):
            return 0, {"use_cache": False}
        embeds_PD = self.lm.get_input_embeddings()(self.prompt_T[:first])
        return first, after_prefix(self.lm, embeds_PD, rows)


class TrainableAR(nn.Module):
    """A reconstructor: a decoder stack without final norm, read at the last token through a linear head."""

    stored: torch.dtype = torch.float32
    """The type that the blocks came in and are released in."""

    def __init__(
        self,
        backbone: Any,
        head: nn.Linear,
        sidecar: Sidecar,
        tokenizer: PreTrainedTokenizerBase,
        source: Path,
    ) -> None:
        """`source` as of `TrainableAV`.

        Raises CheckpointError where sidecar, tokenizer and model do not belong together.
        """
        super().__init__()
        self.source = source
        check_ar_depth(sidecar, len(find_stack(backbone).blocks))
        check_width(sidecar, backbone.config.hidden_size)
        self.backbone, self.head, self.sidecar, self.tokenizer = backbone, head, sidecar, tokenizer
        check_ar_suffix(self.prompts(["A"])[0], sidecar)

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """The AR's prompt around each explanation, as token ids."""
        return ar_prompt_ids(self.tokenizer, self.sidecar, texts)

    def forward(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Predicted vectors [B, D] (float32), read at each row's last token; padding stands on the right."""
        first, going_on = self._shared(ids_BT, lengths_B)
        hidden_BTD = self.backbone(input_ids=ids_BT[:, first:], **going_on).last_hidden_state
        read_BD = hidden_BTD[torch.arange(len(ids_BT), device=ids_BT.device), lengths_B - first - 1]
        # The engine that uses the head computes it in float32, whatever the blocks are in.
        with torch.autocast(read_BD.device.type, enabled=False):
            predicted_BD: torch.Tensor = self.head(read_BD.float())
        return predicted_BD

    def _shared(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> tuple[int, dict[str, Any]]:
        """As of `TrainableAV`, of the prompts."""
        first = common_prefix(ids_BT, lengths_B) if len(ids_BT) > 1 else 0
        if not first or not shares(self, self.backbone):
            return 0, {"use_cache": False}
        embeds_PD = self.backbone.get_input_embeddings()(ids_BT[0, :first])
        return first, after_prefix(self.backbone, embeds_PD, len(ids_BT))


def load_av(
    directory: Path,
    *,
    sidecar: Sidecar | None = None,
    checkpointing: bool = False,
    template_from: Path | None = None,
    trust_remote_code: bool = False,
    lora: Adapting | None = None,
) -> TrainableAV:
    """A verbalizer on the CPU to train on; with `sidecar` the directory may be any causal LM's.

    `checkpointing` computes activations again in the backward pass instead of keeping them. With `lora` only
    adapters train. Raises CheckpointError, and ConfigError as `adapt` does.
    """
    sidecar = sidecar or read_sidecar(directory, role="av")
    if checkpointing and require_injection(sidecar).block is not None:
        # The second forward pass of a block would run without the vector: the gradient would be another's.
        raise CheckpointError(
            f"{sidecar.path}: {sidecar.injection}: activation checkpointing only goes with an injection at "
            "the embedding; train without it"
        )
    tokenizer = load_tokenizer(directory, trust_remote_code=trust_remote_code, template_from=template_from)
    dtype = torch.float32 if lora is None else lora.dtype
    lm: Any = load_causal_lm(directory, dtype=dtype, device=CPU, trust_remote_code=trust_remote_code)
    model = TrainableAV(_trainable(lm, checkpointing, lora), sidecar, tokenizer, directory)
    model.stored = stored_dtype(directory)
    return model


def load_ar(
    directory: Path,
    *,
    sidecar: Sidecar | None = None,
    checkpointing: bool = False,
    trust_remote_code: bool = False,
    lora: Adapting | None = None,
) -> TrainableAR:
    """A reconstructor on the CPU to train on.

    With `sidecar` the directory is the target's: its blocks 0..K are taken and the head is the identity.
    With `lora` only adapters and the head train. Raises CheckpointError, and ConfigError as `adapt` does.
    """
    own = sidecar or read_sidecar(directory, role="ar")
    if own.facts.ar_norm:
        raise CheckpointError(
            f"{own.path}: it reads through a final norm, and what is trained here has none: start anew"
        )
    if sidecar is None:
        config = load_config(directory, trust_remote_code=trust_remote_code)
        check_depth(own, config, whole=layers_of(directory) is not None)
    backbone = load_backbone(
        directory, layers=own.ar_blocks, final_norm=False,
        dtype=torch.float32 if lora is None else lora.dtype, device=CPU, trust_remote_code=trust_remote_code,
    )  # fmt: skip
    head = _identity(own.d_model) if sidecar is not None else _stored_head(directory, own)
    tokenizer = load_tokenizer(directory, trust_remote_code=trust_remote_code)
    model = TrainableAR(_trainable(backbone, checkpointing, lora), head, own, tokenizer, directory)
    model.stored = stored_dtype(directory)
    return model


def new_av(target: Path, sidecar: Sidecar, **options: Any) -> TrainableAV:
    """A verbalizer that starts as the target itself; `options` as of `load_av`."""
    return load_av(target, sidecar=replace(sidecar, role="av"), **options)


def new_ar(target: Path, sidecar: Sidecar, **options: Any) -> TrainableAR:
    """A reconstructor that starts as blocks 0..K of the target; `options` as of `load_ar`."""
    return load_ar(target, sidecar=replace(sidecar, role="ar"), **options)


def stored_dtype(directory: Path) -> torch.dtype:
    """The type that the checkpoint's embedding is stored in; a wrapper's config.json may not say it."""
    weights = SafetensorsDir(bottom_of(directory))
    name = next((one for one in weights.names if one.endswith("embed_tokens.weight")), weights.names[0])
    return _STORED.get(weights.info(name).dtype, torch.float32)


def end_of_turn(model: TrainableAV) -> int:
    """The token that ends an answer in the model's chat template; it must be one that stops generation."""
    stops = stop_ids(model.lm, model.tokenizer, model.sidecar.path.parent)
    turn = [{"role": "user", "content": "A"}]
    asked, answered = (
        str(model.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=last))
        for messages, last in ((turn, True), ([*turn, {"role": "assistant", "content": "A"}], False))
    )
    ids = model.tokenizer.encode(answered.removeprefix(asked), add_special_tokens=False)
    return next((one for one in ids if one in stops), stops[0])


@contextmanager
def autocast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Matrix products in `dtype`; nothing changes for float32."""
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        yield


def _trainable(model: Any, checkpointing: bool, lora: Adapting | None) -> Any:
    """`model`, a causal LM or a bare decoder stack, ready to train in full or by adapters."""
    blocks = find_stack(model).blocks
    if lora is None:
        model.requires_grad_(True)
    else:
        adapt(model, blocks, lora)
    # No dropout, no noise: what trains says what engines say, which have none. Gradients need no other mode.
    model.eval()
    if checkpointing:
        _run_again(model, blocks)
    return model


def _run_again(model: Any, blocks: nn.ModuleList) -> None:
    """Let blocks be run again in the backward pass: transformers does so where they are in training mode."""
    # Older transformers have the other name alone, which newer ones deprecate.
    renamed = hasattr(model, "activation_checkpointing_enable")
    enable = model.activation_checkpointing_enable if renamed else model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for block in blocks:
        block.training = True  # And nothing inside it.
    # Some families drop in the block itself, by a number of its own or of the configuration.
    for owner in (find_stack(model).body.config, *blocks):
        for name, value in vars(owner).items():
            if "drop" in name and isinstance(value, float):
                setattr(owner, name, 0.0)


def _identity(d_model: int) -> nn.Linear:
    """A default initialisation would cost 17 % of the starting loss."""
    head = nn.Linear(d_model, d_model, bias=False)
    nn.init.eye_(head.weight)
    return head


def _stored_head(directory: Path, sidecar: Sidecar) -> nn.Linear:
    stored = open_value_head(directory, sidecar.d_model, sidecar.layer)
    stored.check_finite()
    weight, bias = stored.tensors()
    head = nn.Linear(sidecar.d_model, sidecar.d_model, bias=bias is not None)
    head.load_state_dict({"weight": weight} | ({} if bias is None else {"bias": bias}))
    return head
