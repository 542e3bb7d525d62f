"""The interface of every verbalizer engine: vectors in, generated answers out, one per vector and sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nla_ray import ids
from nla_ray.errors import ConfigError, InputError
from nla_ray.nla.injection import unusable

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
    """One answer to generate: a usable float32 vector [d], or None to inject nothing; its sampling key."""

    vector: np.ndarray | None
    key: int


class Verbalizer(ABC):
    """A loaded AV. An engine implements `d_model`, `decode`, `text`; its constructor proves the injection.

    What every engine owes, and `tests/nla/verbalizer_contract.py` checks: an answer depends on its vector,
    row id, sample index and the sampling settings alone, never on the other rows of the call.
    """

    @property
    @abstractmethod
    def d_model(self) -> int:
        """Size of the vectors."""

    @abstractmethod
    def decode(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Answer]:
        """The answers, as they finish."""

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
        """Answers to raw vectors [n, d], vector by vector and within one sample by sample.

        Where `injected` is False nothing is injected and the marker keeps its own embedding. A zero, NaN or
        infinite vector gives `failed` rows. Raises InputError when the shapes do not belong together.
        """
        vectors = self._checked(vectors, row_ids, injected)
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
        if vectors.ndim != 2 or vectors.shape[1] != self.d_model:
            raise InputError(
                f"vectors have shape {list(vectors.shape)}; this verbalizer reads [n, {self.d_model}]: "
                "they come from another model or layer"
            )
        if len(row_ids) != len(vectors) or (injected is not None and len(injected) != len(vectors)):
            raise InputError(
                f"{len(vectors)} vectors, {len(row_ids)} row ids: one id (and one `injected`) per vector"
            )
        # A float64 value beyond float32 becomes infinite, and a failed row.
        with np.errstate(over="ignore"):
            return vectors.astype(np.float32)
