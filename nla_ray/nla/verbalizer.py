"""The interface of every verbalizer engine: vectors in, generated answers out, one per vector and sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nla_ray import ids
from nla_ray.errors import ConfigError, InputError
from nla_ray.nla.injection import centred, unusable

FinishReason = Literal["stop", "length", "failed"]


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: temperature 0 is greedy, `top_p` 1 keeps every token.

    Raises ConfigError for a value outside its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_new_tokens: int = 150
    seed: int = 0
    logps: bool = False
    """Also give the log-probability of every drawn token."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise ConfigError(
                f"sampling: temperature {self.temperature}; a finite number from 0 (greedy) on is allowed"
            )
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"sampling: top_p {self.top_p}; a number above 0 and up to 1 is allowed")
        if self.max_new_tokens < 1:
            raise ConfigError(f"sampling: max_new_tokens {self.max_new_tokens}; at least 1 is needed")


@dataclass(frozen=True)
class Generation:
    """One answer. Where it stopped, `token_ids` end with the stop token and `raw_text` is without it.

    `failed` means that the vector could not be injected; `reason` says why, and there are no tokens.
    """

    row_id: str
    sample: int
    token_ids: tuple[int, ...]
    raw_text: str
    finish_reason: FinishReason
    reason: str | None = None
    logps: tuple[float, ...] = ()
    """With `Sampling.logps`, of each token: its log-probability at temperature 1, before `top_p`."""


@dataclass(frozen=True)
class Answer:
    """What an engine decoded for request `index`: tokens with the stop token, and whether it stopped."""

    index: int
    token_ids: tuple[int, ...]
    stopped: bool
    logps: tuple[float, ...] = ()

    @classmethod
    def cut(
        cls, index: int, tokens: Sequence[int], stop_ids: Collection[int], logps: Sequence[float] = ()
    ) -> Answer:
        """The answer that ends with the first stop token, where one is among `tokens`."""
        end = next((at for at, token in enumerate(tokens) if token in stop_ids), None)
        stop = len(tokens) if end is None else end + 1
        return cls(index, tuple(tokens[:stop]), end is not None, tuple(logps[:stop]))


@dataclass(frozen=True)
class Request:
    """One answer to generate, and its sampling key.

    The vector is usable, float32 and centred already, [d] or [slots, d]; None injects nothing.
    """

    vector: np.ndarray | None
    key: int


@dataclass
class Steps:
    """How often a slot was computed for one more token, and how often an answer got one by it."""

    slots: int = 0
    useful: int = 0

    def __sub__(self, before: Steps) -> Steps:
        return Steps(self.slots - before.slots, self.useful - before.useful)


class Verbalizer(ABC):
    """A loaded AV. An engine implements the abstract methods; its constructor proves the injection.

    An engine of several vectors a prompt says `slots`; one of a centred injection the `mean` [d] of it.

    What every engine owes, and `tests/nla/engines/verbalizer_contract.py` checks: an answer depends on its
    vector, row id, sample index and the sampling settings alone, never on the other rows of the call.
    """

    slots: int = 1
    mean: np.ndarray | None = None

    @property
    @abstractmethod
    def d_model(self) -> int:
        """Size of the vectors."""

    @property
    @abstractmethod
    def steps(self) -> Steps:
        """What all answers so far took."""

    @abstractmethod
    def decode(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """The answers, as they finish; a request is drawn when there is room for it."""

    @abstractmethod
    def text(self, token_ids: Sequence[int]) -> str:
        """The tokens as text, special tokens written out."""

    def generate(
        self,
        vectors: np.ndarray,
        row_ids: Sequence[str],
        sampling: Sampling,
        *,
        samples: int = 1,
        injected: Sequence[bool] | None = None,
    ) -> list[Generation]:
        """Answers to raw vectors [n, d], row by row and within one sample by sample.

        An AV of several slots takes [n, slots, d]. Where `injected` is False nothing is injected and the
        markers keep their own embeddings. A zero, NaN or infinite vector gives `failed` rows. Raises
        InputError when the shapes do not belong together.
        """
        vectors = centred(self._checked(vectors, row_ids, injected), self.mean)
        live = [True] * len(row_ids) if injected is None else list(injected)
        reasons = [why if use else None for why, use in zip(unusable(vectors), live, strict=True)]
        slots = [(row, sample) for row in range(len(row_ids)) for sample in range(samples)]
        asked = [(row, sample) for row, sample in slots if reasons[row] is None]
        requests = [
            Request(
                vectors[row] if live[row] else None, ids.sampling_key(sampling.seed, row_ids[row], sample)
            )
            for row, sample in asked
        ]
        done: dict[tuple[int, int], Generation] = {}
        for answer in self.decode(requests, sampling):
            row, sample = asked[answer.index]
            raw = self.text(answer.token_ids[:-1] if answer.stopped else answer.token_ids)
            done[row, sample] = Generation(
                row_ids[row], sample, answer.token_ids, raw, "stop" if answer.stopped else "length",
                logps=answer.logps,
            )  # fmt: skip
        return [
            done.get(at) or Generation(row_ids[at[0]], at[1], (), "", "failed", reasons[at[0]])
            for at in slots
        ]

    def _checked(
        self, vectors: np.ndarray, row_ids: Sequence[str], injected: Sequence[bool] | None
    ) -> np.ndarray:
        vectors = np.asarray(vectors)
        row = (self.d_model,) if self.slots == 1 else (self.slots, self.d_model)
        if vectors.shape[1:] != row:
            raise InputError(
                f"vectors have shape {list(vectors.shape)}; this verbalizer reads "
                f"[n, {', '.join(map(str, row))}]: they come from another model or layer"
            )
        if len(row_ids) != len(vectors) or (injected is not None and len(injected) != len(vectors)):
            raise InputError(
                f"{len(vectors)} vectors, {len(row_ids)} row ids: one id (and one `injected`) per vector"
            )
        # A float64 value beyond float32 becomes infinite, and a failed row.
        with np.errstate(over="ignore"):
            return vectors.astype(np.float32)
