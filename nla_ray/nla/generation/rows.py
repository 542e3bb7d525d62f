"""Prompts of several lengths that are written on together.

Two ways to keep what the blocks remember: slots of our own, for stacks that attend to keys and nothing else,
and the cache of the model itself, for any other.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import torch
from transformers import DynamicCache

from nla_ray.nla.model.blocks.stack import cache_keyword, find_stack
from nla_ray.nla.model.slots.attention import SlotPass, capped
from nla_ray.nla.model.slots.kv import SlotKV

PASS_TOKENS = 2048
"""Tokens of one pass over prompts, padding included."""


class Rows(Protocol):
    """A batch: `begin` once, then `step` as often as there is room for, `keep` between."""

    spare: ClassVar[float]
    """The share of rows that may have ended before the others are worth moving together."""

    def begin(self, prompts: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        """Logits [rows, vocabulary] after the prompts, longest first; `room` tokens may follow each."""

    def step(self, tokens_N: torch.Tensor) -> torch.Tensor:
        """The same after one more token of every row."""

    def keep(self, order_N: torch.Tensor) -> None:
        """Row i goes on as row `order_N[i]` was; all others are left out."""


class SlotRows:
    """Rows in static slots. Prompts are read in passes of a few columns, each by the rows that reach them."""

    spare: ClassVar[float] = 0.0

    def __init__(self, model: Any) -> None:
        """`model` attends by `attention.NAME` while these rows run."""
        stack, self._head = find_stack(model), model.get_output_embeddings()
        self._body, self._device = stack.body, next(stack.embedding.parameters()).device
        self._softcap: float | None = getattr(model.config, "final_logit_softcapping", None)

    def begin(self, prompts: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        """See Rows."""
        lengths = [len(prompt) for prompt in prompts]
        ids_NT = torch.tensor([[*one, *[0] * (lengths[0] - len(one))] for one in prompts]).to(self._device)
        self._kv, self._lengths_N = SlotKV(len(prompts), lengths[0] + room), torch.tensor(lengths)
        width, last = max(1, PASS_TOKENS // len(prompts)), list[torch.Tensor]()
        for start in range(0, lengths[0], width):
            reached = sum(length > start for length in lengths)
            stop = min(start + width, lengths[0])
            columns_NT = torch.arange(start, stop).expand(reached, -1)
            hidden_NTD = self._forward(ids_NT[:reached, start:stop], columns_NT)
            ending = range(sum(length > stop for length in lengths), reached)
            last = [*(hidden_NTD[row, lengths[row] - 1 - start] for row in ending), *last]
        return self._logits(torch.stack(last))

    def step(self, tokens_N: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        hidden_NTD = self._forward(tokens_N[:, None], self._lengths_N[:, None])
        self._lengths_N = self._lengths_N + 1
        return self._logits(hidden_NTD[:, -1])

    def keep(self, order_N: torch.Tensor) -> None:
        """See Rows."""
        self._kv.keep(order_N)
        self._lengths_N = self._lengths_N[order_N.cpu()]

    def _forward(self, ids_NT: torch.Tensor, columns_NT: torch.Tensor) -> torch.Tensor:
        """Hidden states [N, T, D] of tokens in these columns, those of padding among them."""
        lengths, columns_NT = (columns_NT[:, -1] + 1).tolist(), columns_NT.to(self._device)
        hidden_NTD: torch.Tensor = self._body(
            input_ids=ids_NT,
            position_ids=columns_NT,
            use_cache=False,
            nla_slots=SlotPass(self._kv, slice(0, len(ids_NT)), columns_NT, lengths),
        ).last_hidden_state
        return hidden_NTD

    def _logits(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        return capped(self._head(hidden_ND), self._softcap)


class CacheRows:
    """Rows in transformers' own cache; shorter prompts are masked, where the family takes a mask."""

    spare: ClassVar[float] = 0.5

    def __init__(self, model: Any) -> None:
        self._model, self._takes = model, inspect.signature(model.forward).parameters

    def begin(self, prompts: Sequence[Sequence[int]], room: int) -> torch.Tensor:
        """See Rows."""
        ids_NT, self._padding_N = aligned(prompts, self._model.device)
        self._cache, self._end = DynamicCache(config=self._model.config), 0
        return self._forward(ids_NT)

    def step(self, tokens_N: torch.Tensor) -> torch.Tensor:
        """See Rows."""
        return self._forward(tokens_N[:, None])

    def keep(self, order_N: torch.Tensor) -> None:
        """See Rows."""
        self._cache.reorder_cache(order_N)  # type: ignore[arg-type]
        self._padding_N = self._padding_N[order_N]

    def _forward(self, ids_NT: torch.Tensor) -> torch.Tensor:
        """The kept logit is named by its index: told to keep one, some run their last blocks on one token."""
        steps, device = ids_NT.shape[1], ids_NT.device
        columns_C = torch.arange(self._end + steps, device=device)
        columns_NC = columns_C - self._padding_N[:, None]
        told = {
            "attention_mask": (columns_NC >= 0).long() if self._padding_N.any() else None,
            "position_ids": columns_NC[:, self._end :].clamp(min=0),
            "logits_to_keep": torch.tensor([steps - 1], device=device),
        }
        self._end += steps
        told = {name: value for name, value in told.items() if name in self._takes}
        cache = {cache_keyword(self._model): self._cache}
        logits_NV: torch.Tensor = self._model(input_ids=ids_NT, use_cache=True, **told, **cache).logits[:, -1]
        return logits_NV


def aligned(
    prompts: Sequence[Sequence[int]], device: str | torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [rows, longest], zeros in front of shorter prompts, and how many zeros each row has."""
    longest = max(map(len, prompts))
    padding = [longest - len(prompt) for prompt in prompts]
    ids = [[0] * zeros + list(prompt) for zeros, prompt in zip(padding, prompts, strict=True)]
    return torch.tensor(ids, device=device), torch.tensor(padding, device=device)
