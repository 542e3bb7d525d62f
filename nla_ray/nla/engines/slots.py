"""Decode many answers to one prompt: the shared part prefilled once, rows in static slots, slots refilled.

A row that has ended leaves its slot; where a few are free, as many requests take them together. Every tensor
of a step has a fixed shape but for how many columns of the slots are read, and a row stands in the first ones
whatever the others do: its answer does not depend on which other rows there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
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
from nla_ray.nla.model.slots.kv import Prefix, SlotKV, Slots
from nla_ray.nla.verbalizer import Answer, Request, Sampling, Steps

PIECE = 64
"""Columns that are read together by the rows that reach them: few rows are old."""


@dataclass(frozen=True)
class SlotLayout:
    """`slots` rows decode at once; `share_prefix` prefills what is before the marker once.

    Raises ConfigError for less than one slot.
    """

    slots: int = 64
    share_prefix: bool = True

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ConfigError(f"slots {self.slots}: at least 1 is needed")

    @property
    def group(self) -> int:
        """Rows that begin together: few, so that slots wait little; not one: a pass has its fixed cost."""
        return min(self.slots, max(2, self.slots // 8))


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
        self.layout, self.group, self.injection, self.steps = layout, layout.group, injection, Steps()
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

    def decode(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """See `Verbalizer.decode`."""
        with torch.inference_mode():
            yield from _Run(self, requests, sampling).answers()

    def probe(self, vectors: Sequence[np.ndarray | None], tokens: Sequence[int] = ()) -> torch.Tensor:
        """Logits [n, 1 + tokens, vocabulary] after the prompt and after each of `tokens`, which all rows say.

        At most a group of vectors, each [d] or [slots, d]; None injects nothing.
        """
        group, own = self.group, len(self.suffix_TD)
        rows = slice(0, group)
        with torch.inference_mode():
            kv = SlotKV(group, own + len(tokens), self.prefix, PIECE)
            found = [self.prefill(vectors, kv, rows)]
            for at, token in enumerate(tokens, start=own):
                ids_B1 = torch.full((group, 1), token, device=self.device)
                step = SlotPass(kv, rows, torch.full_like(ids_B1, at), [at + 1] * group)
                found.append(self.forward(self.embed(ids_B1), step))
            return torch.stack(found, dim=1)[: len(vectors)].float()

    def prefill(self, vectors: Sequence[np.ndarray | None], kv: SlotKV, slots: Slots) -> torch.Tensor:
        """The prompt from the first marker on, for one group: first-token logits [group, vocabulary]."""
        shape = (self.group, len(self.slots), self.d_model)
        vectors_BSD, live_B1 = stacked(vectors, shape, self.device)
        plain_BTD = self.suffix_TD.expand(self.group, -1, -1)
        length = len(self.suffix_TD)
        begun = SlotPass(kv, slots, self._columns(self.group, length), [length] * self.group)
        with injecting(self.body, self.injection, plain_BTD, self.slots, vectors_BSD, live_B1) as embeds_BTD:
            return self.forward(embeds_BTD, begun)

    def forward(self, embeds_BTD: torch.Tensor, slots: SlotPass) -> torch.Tensor:
        """Logits [B, vocabulary] after the last token."""
        positions_BT = slots.columns_BT + slots.kv.prefix.length
        hidden_BTD = self.body(
            inputs_embeds=embeds_BTD, position_ids=positions_BT, use_cache=False, nla_slots=slots
        ).last_hidden_state
        return capped(self.head(hidden_BTD[:, -1]), self.softcap)

    def _prefill_prefix(self, embeds_1TD: torch.Tensor) -> Prefix:
        length = embeds_1TD.shape[1]
        if not length:
            return Prefix()
        kv = SlotKV(1, length)
        self.forward(embeds_1TD, SlotPass(kv, slice(0, 1), self._columns(1, length), [length]))
        return kv.as_prefix(length)

    def _columns(self, rows: int, length: int) -> torch.Tensor:
        return torch.arange(length, device=self.device).expand(rows, length)


class _Run:
    """One call of `decode`: requests drawn through the slots.

    `rows` is the request of each slot, None where it is free, and `said` the tokens that its answer has at
    most.
    """

    def __init__(self, decoder: SlotDecoder, requests: Iterable[Request], sampling: Sampling) -> None:
        self.decoder, self.requests, self.sampling = decoder, enumerate(requests), sampling
        slots, device, most = decoder.layout.slots, decoder.device, sampling.max_new_tokens
        self.own = len(decoder.suffix_TD) - 1
        self.kv = SlotKV(slots, self.own + most, decoder.prefix, PIECE)
        self.rows: list[int | None] = [None] * slots
        self.said = [0] * slots
        self.flags = _Flags(slots, device)
        self.stop_ids = set(decoder.stop_ids.tolist())
        self.all_S = torch.arange(slots, device=device)
        self.keys_S, self.said_S, self.tokens_S = torch.zeros(3, slots, dtype=torch.int64, device=device)
        self.over_S = torch.ones(slots, dtype=torch.bool, device=device)
        # The last column takes what a slot says whose row is over.
        self.answers_SN = torch.zeros(slots, most + 1, dtype=torch.int64, device=device)
        self.logps_SN = torch.zeros(self.answers_SN.shape, device=device)

    def answers(self) -> Iterator[Answer]:
        while self._refill():
            ended = self.flags.ended(self.over_S, self.rows)
            if not ended:
                self._step()
            yield from self._leave(ended)

    def _refill(self) -> bool:
        """Give free slots to requests, group by group; whether any slot has a row then."""
        group = self.decoder.group
        free = [slot for slot, row in enumerate(self.rows) if row is None]
        while len(free) >= group and (asked := list(islice(self.requests, group))):
            self._begin(free[:group], asked)
            free = free[len(asked) : group] + free[group:]
        return len(free) < len(self.rows)

    def _begin(self, slots: Sequence[int], asked: Sequence[tuple[int, Request]]) -> None:
        """The prompt for as many slots as a group has, of which those behind the requests stay free."""
        for slot, (row, _) in zip(slots, asked, strict=False):
            self.rows[slot], self.said[slot] = row, 1
        slots_B = torch.tensor(slots, device=self.decoder.device)
        keys = [request.key for _, request in asked] + [0] * (len(slots) - len(asked))
        self.keys_S[slots_B] = torch.tensor(keys, device=slots_B.device)
        self.said_S[slots_B] = 0
        self.over_S[slots_B] = torch.arange(len(slots), device=slots_B.device) >= len(asked)
        self.kv.clear(slots_B)
        logits_BV = self.decoder.prefill([request.vector for _, request in asked], self.kv, slots_B)
        self._say(logits_BV, slots_B)

    def _step(self) -> None:
        """One more token in every slot that has a row, computed for all of them."""
        decoder = self.decoder
        last = self.sampling.max_new_tokens - 1
        lengths = [
            0 if row is None else self.own + min(said, last) + 1
            for said, row in zip(self.said, self.rows, strict=True)
        ]
        # What is over must see something, too: no column is read behind the longest row.
        columns_S1 = (self.own + self.said_S.clamp(min=1))[:, None].clamp(max=max(lengths) - 1)
        slots = SlotPass(self.kv, slice(None), columns_S1, lengths)
        self._say(decoder.forward(decoder.embed(self.tokens_S[:, None]), slots), self.all_S)
        self.said = [said + 1 for said in self.said]
        decoder.steps.slots += len(self.rows)

    def _say(self, logits_BV: torch.Tensor, slots_B: torch.Tensor) -> None:
        """Draw a token in each of these slots; a row that is over goes no further."""
        sampling, said_B, over_B = self.sampling, self.said_S[slots_B], self.over_S[slots_B]
        drawn_B = uniforms(self.keys_S[slots_B], said_B)
        tokens_B = choose(logits_BV, drawn_B, sampling.temperature, sampling.top_p)
        at_B = torch.where(over_B, sampling.max_new_tokens, said_B)
        self.tokens_S[slots_B] = self.answers_SN[slots_B, at_B] = tokens_B
        if sampling.logps:
            logps_B = -cross_entropy(logits_BV.float(), tokens_B, reduction="none")
            self.logps_SN[slots_B, at_B] = logps_B
        said_B = said_B + ~over_B
        stopped_B = (tokens_B[:, None] == self.decoder.stop_ids).any(dim=1)
        self.said_S[slots_B] = said_B
        self.over_S[slots_B] = over_B | stopped_B | (said_B == sampling.max_new_tokens)

    def _leave(self, ended: Sequence[int]) -> Iterator[Answer]:
        """The answers of rows that have ended, whose slots are free from now on."""
        if not ended:
            return
        slots_B = torch.tensor(ended, device=self.all_S.device)
        answers, lengths = self.answers_SN[slots_B].tolist(), self.said_S[slots_B].tolist()
        logps = self.logps_SN[slots_B].tolist() if self.sampling.logps else [()] * len(ended)
        for slot, answer, said, logp in zip(ended, answers, lengths, logps, strict=True):
            row, self.rows[slot] = self.rows[slot], None
            self.decoder.steps.useful += said - 1
            tokens = tuple(answer[:said])
            if row is not None:
                yield Answer(row, tokens, tokens[-1] in self.stop_ids, tuple(logp[:said]))


class _Flags:
    """Tells which rows are over: on CUDA those of the last call, so that the host never waits for a step.

    Such a row takes part in one step too many, in which it goes no further.
    """

    def __init__(self, slots: int, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self.host = torch.zeros(slots, dtype=torch.bool, pin_memory=cuda)
        self.event = torch.cuda.Event() if cuda else None  # type: ignore[no-untyped-call]
        self.posted: list[int | None] = []

    def ended(self, over_S: torch.Tensor, rows: Sequence[int | None]) -> list[int]:
        """Slots whose row is over."""
        late = self._read(rows) if self.event else []
        self.host.copy_(over_S, non_blocking=True)
        self.posted = list(rows)
        if self.event:
            self.event.record()
            return late
        return self._read(rows)

    def _read(self, rows: Sequence[int | None]) -> list[int]:
        if self.event and self.posted:
            self.event.synchronize()
        told = zip(self.posted, self.host.tolist(), rows, strict=False)
        return [slot for slot, (row, over, now) in enumerate(told) if over and row is not None and row == now]
