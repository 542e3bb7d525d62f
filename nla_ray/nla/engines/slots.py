"""Decode many answers to one prompt: the shared part prefilled once, rows in static slots, cohorts refilled.

Every tensor of a step has a fixed shape: projections run over all slots, used or not, and attention over
one cohort of rows that started together. A row's answer therefore does not depend on which other rows there
are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from nla_ray.config.models.injection import Injection
from nla_ray.errors import ConfigError
from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.injection import injecting, stacked
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.model.slots.attention import SlotPass, capped
from nla_ray.nla.model.slots.kv import Prefix, SlotKV, Span
from nla_ray.nla.verbalizer import Answer, Request, Sampling


@dataclass(frozen=True)
class SlotLayout:
    """`slots` rows decode at once, in cohorts of `cohort` that start together; `share_prefix` prefills once.

    Raises ConfigError unless the cohorts fill the slots.
    """

    slots: int = 64
    cohort: int = 32
    share_prefix: bool = True

    def __post_init__(self) -> None:
        if self.cohort < 1 or self.slots < 1 or self.slots % self.cohort:
            raise ConfigError(
                f"slots {self.slots}, cohort {self.cohort}: slots must be a multiple of the cohort"
            )


class SlotDecoder:
    """A causal LM (with `attn_implementation=attention.NAME`), bound to one prompt and its slots."""

    def __init__(
        self,
        model: Any,
        prompt_ids: Sequence[int],
        slots: Sequence[int],
        stop_ids: Sequence[int],
        injection: Injection,
        layout: SlotLayout,
    ) -> None:
        self.layout, self.injection = layout, injection
        self.body, self.head = find_stack(model).body, model.get_output_embeddings()
        self.softcap: float | None = getattr(model.config, "final_logit_softcapping", None)
        self.device: torch.device = self.body.get_input_embeddings().weight.device
        self.stop_ids = torch.tensor(sorted(set(stop_ids)), device=self.device)
        self.prompt_length = len(prompt_ids)
        self.cut = slots[0] if layout.share_prefix else 0
        with torch.inference_mode():
            embeds_TD = self.embed(torch.tensor(prompt_ids, device=self.device))
            self.suffix_TD, self.slots = embeds_TD[self.cut :], tuple(slot - self.cut for slot in slots)
            self.prefix = self._prefill_prefix(embeds_TD[None, : self.cut])

    @property
    def d_model(self) -> int:
        return int(self.suffix_TD.shape[1])

    def embed(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Embeddings as the first block sees them."""
        embeds: torch.Tensor = self.body.get_input_embeddings()(token_ids)
        return embeds

    def decode(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        """See `Verbalizer.decode`."""
        with torch.inference_mode():
            yield from _Run(self, requests, sampling).answers()

    def probe(self, vectors: Sequence[np.ndarray | None], tokens: Sequence[int] = ()) -> torch.Tensor:
        """Logits [n, 1 + tokens, vocabulary] after the prompt and after each of `tokens`, which all rows say.

        At most a cohort of vectors, each [d] or [slots, d]; None injects nothing.
        """
        cohort, own = self.layout.cohort, len(self.suffix_TD)
        rows = slice(0, cohort)
        with torch.inference_mode():
            kv = SlotKV(cohort, own + len(tokens), self.prefix)
            found = [self.prefill(vectors, kv, rows)]
            for at, token in enumerate(tokens):
                ids_B1 = torch.full((cohort, 1), token, device=self.device)
                positions_B1 = torch.full_like(ids_B1, self.prompt_length + at)
                span = SlotPass(kv, [Span(rows, rows, own + at)])
                found.append(self.forward(self.embed(ids_B1), positions_B1, span))
            return torch.stack(found, dim=1)[: len(vectors)].float()

    def prefill(self, vectors: Sequence[np.ndarray | None], kv: SlotKV, slots: slice) -> torch.Tensor:
        """The prompt from the first slot on, for one cohort: first-token logits [cohort, vocabulary]."""
        cohort, length = self.layout.cohort, len(self.suffix_TD)
        shape = (cohort, len(self.slots), self.d_model)
        vectors_BSD, live_B1 = stacked(vectors, shape, self.device)
        positions_BT = torch.arange(self.cut, self.prompt_length, device=self.device).expand(cohort, length)
        plain_BTD = self.suffix_TD.expand(cohort, -1, -1)
        with injecting(self.body, self.injection, plain_BTD, self.slots, vectors_BSD, live_B1) as embeds_BTD:
            return self.forward(embeds_BTD, positions_BT, SlotPass(kv, [Span(slice(0, cohort), slots, 0)]))

    def forward(self, embeds_BTD: torch.Tensor, positions_BT: torch.Tensor, slots: SlotPass) -> torch.Tensor:
        """Logits [B, vocabulary] after the last token."""
        hidden_BTD = self.body(
            inputs_embeds=embeds_BTD, position_ids=positions_BT, use_cache=False, nla_slots=slots
        ).last_hidden_state
        return capped(self.head(hidden_BTD[:, -1]), self.softcap)

    def _prefill_prefix(self, embeds_1TD: torch.Tensor) -> Prefix:
        length = embeds_1TD.shape[1]
        if not length:
            return []
        kv = SlotKV(1, length)
        positions_1T = torch.arange(length, device=self.device)[None]
        self.forward(embeds_1TD, positions_1T, SlotPass(kv, [Span(slice(0, 1), slice(0, 1), 0)]))
        return kv.as_prefix()


@dataclass
class _Batch:
    """The rows of one cohort, from refill to refill; `length` tokens of each answer exist."""

    slots: slice
    rows: list[int]
    length: int = 1
    stopped: bool = False


class _Run:
    """One call of `decode`: a queue of requests drained through the slots."""

    def __init__(self, decoder: SlotDecoder, requests: Sequence[Request], sampling: Sampling) -> None:
        self.decoder, self.requests, self.sampling = decoder, requests, sampling
        layout, device = decoder.layout, decoder.device
        self.queue = deque(range(len(requests)))
        self.cohorts: list[_Batch | None] = [None] * (layout.slots // layout.cohort)
        self.kv = SlotKV(layout.slots, len(decoder.suffix_TD) + sampling.max_new_tokens - 1, decoder.prefix)
        self.keys_S = torch.zeros(layout.slots, dtype=torch.int64, device=device)
        self.steps_S = torch.zeros_like(self.keys_S)
        self.tokens_S = torch.zeros_like(self.keys_S)
        self.stopped_S = torch.ones(layout.slots, dtype=torch.bool, device=device)
        self.answers_SN = torch.zeros(layout.slots, sampling.max_new_tokens, dtype=torch.int64, device=device)
        self.logps_S = torch.zeros(layout.slots, device=device)
        self.logps_SN = torch.zeros(self.answers_SN.shape, device=device)
        self.flags = _LateFlags(len(self.cohorts), device)

    def answers(self) -> Iterator[Answer]:
        while self.queue or any(self.cohorts):
            for index, batch in enumerate(self.cohorts):
                if batch is None and self.queue:
                    self.cohorts[index] = self._refill(index)
            over = [batch for batch in self.cohorts if batch and self._over(batch)]
            if not over:
                self._step()
            for batch in over:
                self.cohorts[self.cohorts.index(batch)] = None
                yield from self._harvest(batch)

    def _over(self, batch: _Batch) -> bool:
        return batch.stopped or batch.length == self.sampling.max_new_tokens

    def _refill(self, index: int) -> _Batch:
        size = self.decoder.layout.cohort
        slots = slice(index * size, (index + 1) * size)
        batch = _Batch(slots, [self.queue.popleft() for _ in range(min(size, len(self.queue)))])
        requests = [self.requests[row] for row in batch.rows]
        keys = [request.key for request in requests] + [0] * (size - len(requests))
        self.keys_S[slots] = torch.tensor(keys, device=self.keys_S.device)
        self.steps_S[slots] = 0
        # Slots without a request count as stopped.
        self.stopped_S[slots] = torch.arange(size, device=self.keys_S.device) >= len(requests)
        logits_BV = self.decoder.prefill([request.vector for request in requests], self.kv, slots)
        self._sample(logits_BV, slots)
        self.answers_SN[slots, 0], self.logps_SN[slots, 0] = self.tokens_S[slots], self.logps_S[slots]
        return batch

    def _step(self) -> None:
        """One more token for every cohort."""
        decoder = self.decoder
        batches = [batch for batch in self.cohorts if batch]
        own = len(decoder.suffix_TD) - 1
        spans = [Span(batch.slots, batch.slots, own + batch.length) for batch in batches]
        positions_S1 = (self.steps_S + (decoder.prompt_length - 1))[:, None]
        embeds_S1D = decoder.embed(self.tokens_S[:, None])
        logits_SV = decoder.forward(embeds_S1D, positions_S1, SlotPass(self.kv, spans))
        self._sample(logits_SV, slice(None))
        for batch in batches:
            self.answers_SN[batch.slots, batch.length] = self.tokens_S[batch.slots]
            self.logps_SN[batch.slots, batch.length] = self.logps_S[batch.slots]
            batch.length += 1
        self.flags.exchange(self.stopped_S.view(len(self.cohorts), -1).all(dim=1), self.cohorts)

    def _sample(self, logits_BV: torch.Tensor, slots: slice) -> None:
        uniforms_B = uniforms(self.keys_S[slots], self.steps_S[slots])
        tokens_B = choose(logits_BV, uniforms_B, self.sampling.temperature, self.sampling.top_p)
        self.tokens_S[slots] = tokens_B
        if self.sampling.logps:
            self.logps_S[slots] = -cross_entropy(logits_BV.float(), tokens_B, reduction="none")
        self.steps_S[slots] += 1
        self.stopped_S[slots] |= (tokens_B[:, None] == self.decoder.stop_ids).any(dim=1)

    def _harvest(self, batch: _Batch) -> Iterator[Answer]:
        stop_ids = set(self.decoder.stop_ids.tolist())
        answers = self.answers_SN[batch.slots, : batch.length].tolist()
        logps = (
            self.logps_SN[batch.slots, : batch.length].tolist()
            if self.sampling.logps
            else [()] * len(answers)
        )
        for row, tokens, logp in zip(batch.rows, answers, logps, strict=False):
            yield Answer.cut(row, tokens, stop_ids, logp)


class _LateFlags:
    """Tells batches that all their rows have stopped, one step late, so that the host never waits for a step.

    A batch runs one step too many for it; the surplus tokens stand behind the stop tokens and are cut.
    """

    def __init__(self, cohorts: int, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.host = torch.zeros(cohorts, dtype=torch.bool, pin_memory=cuda)
        self.event = torch.cuda.Event() if cuda else None  # type: ignore[no-untyped-call]
        self.posted: list[_Batch | None] = []

    def exchange(self, flags_C: torch.Tensor, batches: Sequence[_Batch | None]) -> None:
        """Deliver the flags of the last call to the batches of the last call, then post these."""
        if self.event and self.posted:
            self.event.synchronize()
        for batch, stopped in zip(self.posted, self.host.tolist(), strict=False):
            if batch:
                batch.stopped |= stopped
        self.host.copy_(flags_C, non_blocking=True)
        if self.event:
            self.event.record()
        self.posted = list(batches)
