"""Explanations from a language model that runs here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nla_ray.config.decode import Engine
from nla_ray.config.training.training_set import Local
from nla_ray.ids import sampling_key
from nla_ray.models import directory_of
from nla_ray.nla.generation.answering import Answerer
from nla_ray.nla.model.backbone import DTYPES
from nla_ray.nla.verbalizer import Sampling
from nla_ray.providers.answers import Answers, Kept
from nla_ray.providers.asking import AskingProvider, Messages, Reply
from nla_ray.providers.provider import parsed, says


class LocalProvider(AskingProvider):
    """A causal language model with a chat template, in batches; each batch is kept as it is finished."""

    def __init__(
        self, config: Local, instruction: str, answers: Answers, engine: Engine, seed: int, weights: str
    ) -> None:
        """`engine` with device and type settled, not `auto`; `weights`: a digest of the model's files."""
        super().__init__(config, instruction, answers)
        self._config, self._engine, self._seed, self._weights = config, engine, seed, weights
        self._ref = config.model.anchored()

    def setup(self) -> None:
        """Load the model."""
        self._model = Answerer(
            directory_of(self._ref),
            dtype=DTYPES[self._engine.dtype],
            device=self._engine.device,
            trust_remote_code=self._ref.trust_remote_code,
        )

    def asked_as(self) -> Mapping[str, Any]:
        """See AskingProvider. The model by what it is: under its name there may be another one tomorrow."""
        config = self._config
        drawn = None if config.temperature == 0 else self._seed
        return {
            "weights": self._weights, "max_tokens": config.answer_tokens,
            "temperature": config.temperature, "seed": drawn,
        }  # fmt: skip

    def ask(self, questions: Mapping[str, Messages], unit: str) -> Iterator[tuple[str, Reply]]:
        """See AskingProvider."""
        sampling = Sampling(self._config.temperature, 1.0, self._config.answer_tokens, self._seed)
        # Of alike length together: what is padded is computed too.
        ordered = sorted(questions.items(), key=lambda item: -len(item[1][-1]["content"]))
        for first in range(0, len(ordered), self._config.batch):
            some = ordered[first : first + self._config.batch]
            keys = [sampling_key(self._seed, key, 0) for key, _ in some]
            for (key, _), answer in zip(
                some, self._model.answers([one for _, one in some], keys, sampling), strict=True
            ):
                if not says(answer.text):
                    yield key, Reply(None, parsed(answer.text).reason, 1, answer.tokens)
                    continue
                kept = Kept(raw=answer.text, tokens=answer.tokens, unit=unit)
                self._answers.put(key, kept)
                yield key, Reply(kept)
