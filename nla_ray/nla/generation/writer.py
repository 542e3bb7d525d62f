"""A causal language model that writes on many prompts at once, each by a key of its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch

from nla_ray.errors import CheckpointError, EngineError
from nla_ray.nla.engines.packing import pack
from nla_ray.nla.generation.batches import Together, batches
from nla_ray.nla.generation.rows import PASS_TOKENS, CacheRows, Rows, SlotRows
from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.model.blocks.cut import FAULTS, logits_apart, tolerance
from nla_ray.nla.model.blocks.stack import find_stack
from nla_ray.nla.model.slots import attention
from nla_ray.nla.verbalizer import Sampling

Kind = Literal["slots", "padded", "equal"]

ROWS = 128
"""Prompts that are written on together; not an option, for it may change how sums are rounded."""

_PROOF = ((9, 5), (9, 9))
"""Lengths of the prompts that a kind is proven on: of several lengths, or of one."""


class Writer:
    """A causal LM, in the fastest way that is proven to give its own logits.

    `kind`: `slots`, rows of several lengths in slots of our own; `padded`, the same in the model's cache;
    `equal`, in its cache and only prompts of one length together.
    """

    kind: Kind

    def __init__(self, model: Any, stop_ids: Collection[int], source: object) -> None:
        """Raises CheckpointError where no way gives the logits of one run over all tokens."""
        self._model, self._stop_ids = model, frozenset(stop_ids)
        self._device: torch.device = model.device
        self.kind = self._proven(source)
        if self.kind == "slots":
            # A head that is the table of embeddings stays as it is: packed, it would be in memory twice.
            pack(find_stack(model).body if _tied(model) else model)

    @torch.inference_mode()
    def write(
        self, prompts: Sequence[Sequence[int]], keys: Sequence[int], sampling: Sampling
    ) -> list[tuple[int, ...]]:
        """Ids written on each prompt without the stop token, at most `sampling.max_new_tokens`.

        `keys` as `nla_ray.ids.sampling_key` makes them; nothing is written on an empty prompt. What is
        written on a prompt does not depend on the others but for the rounding of differently shaped matrix
        products, which can decide between tokens that are about as likely. Which run together follows from
        the prompts alone: the same call gives the same answers.
        """
        written: list[tuple[int, ...]] = [()] * len(prompts)
        with self._running(self.kind) as rows:
            together = self._together(sampling.max_new_tokens)
            for batch in batches([len(one) for one in prompts], ROWS, together):
                found = _write(
                    rows, [prompts[i] for i in batch], self._tensor([keys[i] for i in batch]), sampling,
                    self._stop_ids,
                )  # fmt: skip
                for index, answer in zip(batch, found, strict=True):
                    written[index] = answer
        return written

    def _tensor(self, values: Sequence[int]) -> torch.Tensor:
        return torch.tensor(values, device=self._device)

    def _together(self, room: int) -> Together:
        """Whether a prompt may run with a longest one, as one of so many."""
        if self.kind == "slots":
            return lambda longest, own, _: 2 * (own + room) >= longest + room
        apart = self.kind == "equal"
        return lambda longest, own, count: longest * count <= PASS_TOKENS and not (apart and own < longest)

    @contextmanager
    def _running(self, kind: Kind) -> Iterator[Rows]:
        if kind == "slots":
            with attention.attending(self._model, attention.NAME):
                yield SlotRows(self._model)
        else:
            yield CacheRows(self._model)

    def _proven(self, source: object) -> Kind:
        allowed, found = tolerance(self._model.dtype), float("inf")
        kinds: tuple[Kind, ...] = ("slots", "padded", "equal")
        for kind in kinds if attention.serves(self._model) else kinds[1:]:
            found = self._differ(kind)
            if found <= allowed:
                return kind
        if found > allowed:
            raise CheckpointError(
                f"{source}: {self._model.config.model_type}: writing step by step gives other logits than "
                f"one run over all tokens (they differ by {found:.2g} of the norm); it cannot be asked to "
                "continue: use another model, or no continuation"
            )
        return "equal"

    @torch.inference_mode()
    def _differ(self, kind: Kind) -> float:
        """How far its logits are from those of one run: two rows, of which one is left out on the way."""
        size = self._model.config.get_text_config().vocab_size
        lengths = _PROOF[kind == "equal"]
        prompts = [[(7 * at + 3 + row) % size for at in range(n)] for row, n in enumerate(lengths)]
        said = prompts[0][:3]
        wanted = [self._whole(prompt, said) for prompt in prompts]
        try:
            with self._running(kind) as rows:
                first = [rows.begin(prompts, len(said)), rows.step(self._tensor([said[0]] * 2))]
                rows.keep(self._tensor([1]))
                rest = [rows.step(self._tensor([token])) for token in said[1:]]
        except torch.OutOfMemoryError:
            raise
        except (*FAULTS, EngineError):
            return float("inf")
        both = [torch.stack([logits_NV[row] for logits_NV in first]) for row in range(2)]
        long_TV, short_TV = both[0], torch.cat([both[1], *rest])
        return max(
            logits_apart(long_TV.float(), wanted[0][: len(long_TV)]),
            logits_apart(short_TV.float(), wanted[1]),
        )

    def _whole(self, prompt: Sequence[int], said: Sequence[int]) -> torch.Tensor:
        ids_1T = self._tensor([*prompt, *said])[None]
        logits_TV: torch.Tensor = self._model(input_ids=ids_1T, use_cache=False).logits[0]
        return logits_TV[len(prompt) - 1 :].float()


def _tied(model: Any) -> bool:
    return getattr(model.get_output_embeddings(), "weight", None) is model.get_input_embeddings().weight


def _write(
    rows: Rows, prompts: Sequence[Sequence[int]], keys_N: torch.Tensor, sampling: Sampling,
    stop_ids: Collection[int],
) -> list[tuple[int, ...]]:  # fmt: skip
    """One batch, longest prompt first; rows that have ended make room for the others."""
    written: list[list[int]] = [[] for _ in prompts]
    going: list[int | None] = list(range(len(prompts)))  # The prompt of each row, None once it has ended.
    logits_NV = rows.begin(prompts, sampling.max_new_tokens)
    for step in range(sampling.max_new_tokens):
        drawn_N = uniforms(keys_N, torch.full_like(keys_N, step))
        tokens_N = choose(logits_NV, drawn_N, sampling.temperature, sampling.top_p)
        for row, token in enumerate(tokens_N.tolist()):
            prompt = going[row]
            if prompt is not None and token in stop_ids:
                going[row] = None
            elif prompt is not None:
                written[prompt].append(token)
        left = len(going) - going.count(None)
        if not left or step + 1 == sampling.max_new_tokens:
            break
        if left < len(going) and left <= (1 - rows.spare) * len(going):
            order = closed_up(going)
            going = [going[row] for row in order]
            order_N = torch.tensor(order, device=keys_N.device)
            rows.keep(order_N)
            keys_N, tokens_N = keys_N[order_N], tokens_N[order_N]
        logits_NV = rows.step(tokens_N)
    return [tuple(one) for one in written]


def closed_up(going: Sequence[int | None]) -> list[int]:
    """Which rows go on, in an order that moves few: the last ones take the places of those that ended."""
    left = len(going) - going.count(None)
    movers = [row for row in range(left, len(going)) if going[row] is not None]
    return [row if going[row] is not None else movers.pop() for row in range(left)]
