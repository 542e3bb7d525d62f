"""Warm start of the demo AV and AR: supervised training on (activation, true explanation) pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM, Qwen2Model

from nla_ray.demo.dataset import Example, pad, shuffled_batches
from nla_ray.demo.target import LAYER
from nla_ray.demo.tokenizer import AR_TEMPLATE, CLOSE, OPEN
from nla_ray.nla.injection import inject
from nla_ray.training.loop import Report, fit
from nla_ray.training.losses import mse_nrm, next_token_loss


@dataclass(frozen=True)
class Pairs:
    """Activations [N, D] (raw) with a true explanation each."""

    vectors: torch.Tensor
    places: Sequence[Example]


class Reconstructing(torch.nn.Module):
    """The AR while it trains: blocks 0..K of the target and a head that starts as the identity."""

    def __init__(self, target: Qwen2ForCausalLM) -> None:
        super().__init__()
        config = type(target.config)(
            **target.config.to_dict() | {"num_hidden_layers": LAYER + 1, "layer_types": None}
        )
        self.backbone = Qwen2Model(config)
        self.backbone.norm = torch.nn.Identity()  # type: ignore[assignment]
        self.backbone.load_state_dict(target.model.state_dict(), strict=False)
        self.head = torch.nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        torch.nn.init.eye_(self.head.weight)

    def forward(self, ids_BT: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
        """Predicted vectors [B, D], read at each row's last token."""
        hidden = self.backbone(input_ids=ids_BT, use_cache=False).last_hidden_state
        predicted: torch.Tensor = self.head(hidden[torch.arange(len(ids_BT)), lengths_B - 1])
        return predicted


def ar_ids(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """The AR's prompt around each explanation, as token ids."""
    ids: list[list[int]] = tokenizer([AR_TEMPLATE.format(explanation=text) for text in texts])["input_ids"]
    return ids


def train_ar(
    model: Reconstructing, pairs: Pairs, tokenizer: PreTrainedTokenizerFast,
    *, steps: int, batch: int, lr: float, seed: int, report: Report,
) -> list[float]:  # fmt: skip
    """Minimise `mse_nrm` between the AR's reading of the explanation and the activation."""
    prompts = ar_ids([place.explanation for place in pairs.places], tokenizer)
    rows = shuffled_batches(len(prompts), batch, seed)

    def loss_of(_: int) -> torch.Tensor:
        chosen = next(rows)
        ids, lengths = pad([prompts[i] for i in chosen], pad_id=0)
        return mse_nrm(model(ids, lengths), pairs.vectors[chosen])

    return fit(model.parameters(), loss_of, steps=steps, lr=lr, report=report)


@dataclass(frozen=True)
class Prompt:
    """The AV's prompt: its ids, the injected slot, and the norm that vectors are rescaled to."""

    ids: tuple[int, ...]
    slot: int
    scale: float


def train_av(
    model: Qwen2ForCausalLM, prompt: Prompt, pairs: Pairs, tokenizer: PreTrainedTokenizerFast,
    *, steps: int, batch: int, lr: float, seed: int, report: Report,
) -> list[float]:  # fmt: skip
    """Next-token loss on the explanation alone, with the activation injected at the prompt's slot."""
    said = [f"{OPEN}\n{place.explanation}\n{CLOSE}{tokenizer.eos_token}" for place in pairs.places]
    answers: list[list[int]] = tokenizer(said, add_special_tokens=False)["input_ids"]
    scaled = torch.nn.functional.normalize(pairs.vectors, dim=-1) * prompt.scale
    rows = shuffled_batches(len(answers), batch, seed)
    head = len(prompt.ids)

    def loss_of(_: int) -> torch.Tensor:
        chosen = next(rows)
        ids, lengths = pad([[*prompt.ids, *answers[i]] for i in chosen], pad_id=0)
        embeds = inject(model.get_input_embeddings()(ids), prompt.slot, scaled[chosen])
        logits = model(inputs_embeds=embeds, use_cache=False, logits_to_keep=ids.shape[1] - head + 1).logits
        labels = ids.masked_fill(torch.arange(ids.shape[1]) >= lengths[:, None], -100)[:, head - 1 :]
        return next_token_loss(logits, labels)

    return fit(model.parameters(), loss_of, steps=steps, lr=lr, report=report)
