"""Decode many answers to one prompt with transformers' own cache: for stacks that the slots cannot serve.

Recurrent states and shared keys stay with the model. All rows share one prompt, so nothing is padded. They
run in batches of one width, so that a row's answer does not depend on which other rows
there are (but for rounding, where a model sorts tokens by expert).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from nla_ray.config.models.injection import Injection
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.injection import injecting_ids, stacked
from nla_ray.nla.model.blocks.stack import cache_keyword, find_stack
from nla_ray.nla.verbalizer import Answer, Request, Sampling, Steps

WIDTH = 128
"""Rows of a batch at most: every one of them reads the whole prompt."""


class PlainDecoder:
    """Any causal LM, bound to one prompt and its slots."""

    def __init__(
        self,
        model: Any,
        prompt_ids: Sequence[int],
        slots: Sequence[int],
        stop_ids: Sequence[int],
        injection: Injection,
        layout: SlotLayout,
    ) -> None:
        self.injection, self.model, self.slots = injection, model, tuple(slots)
        self.group, self.steps = min(layout.slots, WIDTH), Steps()
        self.stack = find_stack(model)
        self.device: torch.device = next(self.stack.embedding.parameters()).device
        self.stop_ids = torch.tensor(sorted(set(stop_ids)), device=self.device)
        self.prompt_T = torch.tensor(prompt_ids, device=self.device)
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    @property
    def d_model(self) -> int:
        return int(self.stack.body.config.hidden_size)

    def decode(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """See `Verbalizer.decode`."""
        waiting, start = iter(requests), 0
        with torch.inference_mode():
            while batch := list(islice(waiting, self.group)):
                for answer in self._batch(batch, sampling):
                    yield replace(answer, index=start + answer.index)
                start += len(batch)

    def probe(self, vectors: Sequence[np.ndarray | None], tokens: Sequence[int] = ()) -> torch.Tensor:
        """See `SlotDecoder.probe`."""
        with torch.inference_mode():
            cache = self._cache()
            found = [self._prefill(vectors, cache)]
            for token in tokens:
                found.append(self._forward(torch.full((self.group, 1), token), cache))
            return torch.stack(found, dim=1)[: len(vectors)].float()

    def whole(self, vectors: Sequence[np.ndarray | None], tokens: Sequence[int]) -> torch.Tensor:
        """The same by one run over all tokens without any cache: what every engine is held to."""
        with torch.inference_mode():
            ids_BT = torch.cat((self.prompt_T, torch.tensor(tokens).to(self.prompt_T)))
            with self._injecting(vectors, len(vectors)):
                ran = self.model(input_ids=ids_BT.expand(len(vectors), -1), use_cache=False)
            return ran.logits[:, len(self.prompt_T) - 1 :].float()  # type: ignore[no-any-return]

    def _batch(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        size, cache = self.group, self._cache()
        keys_B = torch.zeros(size, dtype=torch.int64, device=self.device)
        keys_B[: len(requests)] = torch.tensor([one.key for one in requests], device=self.device)
        stopped_B = torch.arange(size, device=self.device) >= len(requests)
        tokens: list[torch.Tensor] = []
        logps: list[torch.Tensor] = []
        logits_BV = self._prefill([one.vector for one in requests], cache)
        while True:
            uniforms_B = uniforms(keys_B, torch.full_like(keys_B, len(tokens)))
            tokens_B = choose(logits_BV, uniforms_B, sampling.temperature, sampling.top_p)
            tokens.append(tokens_B)
            if sampling.logps:
                logps.append(-cross_entropy(logits_BV.float(), tokens_B, reduction="none"))
            stopped_B |= (tokens_B[:, None] == self.stop_ids).any(dim=1)
            if len(tokens) == sampling.max_new_tokens or bool(stopped_B.all()):
                break
            logits_BV = self._forward(tokens_B[:, None], cache)
            self.steps.slots += size
        said = torch.stack(tokens, dim=1)[: len(requests)].tolist()
        known = torch.stack(logps, dim=1).tolist() if logps else [()] * len(requests)
        stops = set(self.stop_ids.tolist())
        for row, (answer, logp) in enumerate(zip(said, known, strict=False)):
            cut = Answer.cut(row, answer, stops, logp)
            self.steps.useful += len(cut.token_ids) - 1
            yield cut

    def _cache(self) -> dict[str, DynamicCache]:
        return {cache_keyword(self.model): DynamicCache(config=self.model.config)}

    def _prefill(self, vectors: Sequence[np.ndarray | None], cache: dict[str, DynamicCache]) -> torch.Tensor:
        with self._injecting(vectors, self.group):
            return self._forward(self.prompt_T.expand(self.group, -1), cache)

    def _injecting(self, vectors: Sequence[np.ndarray | None], rows: int) -> AbstractContextManager[None]:
        vectors_BSD, live_B1 = stacked(vectors, (rows, len(self.slots), self.d_model), self.device)
        return injecting_ids(self.stack, self.injection, self.slots, vectors_BSD, live_B1)

    def _forward(self, ids_BT: torch.Tensor, cache: dict[str, DynamicCache]) -> torch.Tensor:
        """Logits [B, vocabulary] after the last token.

        It is named by its index: told to keep one logit, a family with shared keys runs its last blocks on
        one token, and an injection there would miss its place.
        """
        last = torch.tensor([ids_BT.shape[1] - 1], device=self.device)
        kept = {"logits_to_keep": last} if self._keeps else {}
        ran = self.model(input_ids=ids_BT.to(self.device), use_cache=True, **kept, **cache)
        logits_BV: torch.Tensor = ran.logits[:, -1]
        return logits_BV
