"""What a target answers to prompts, many at once: greedy, or each sampled by a key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nla_ray.nla.generation.speaker import Speaker
from nla_ray.nla.model.batching import refuse_foreign_ids
from nla_ray.nla.verbalizer import Sampling


class Continuer(Speaker):
    """A target with its head."""

    @property
    def model(self) -> Any:
        """The whole causal LM, which an extractor can share (`Extractor.within`)."""
        return self._model

    def generate(
        self, prompts: Sequence[Sequence[int]], keys: Sequence[int], sampling: Sampling
    ) -> list[tuple[int, ...]]:
        """See `Writer.write`. Raises InputError naming the first prompt with an id that is no token."""
        refuse_foreign_ids(prompts, self._model.config.get_text_config().vocab_size, "document")
        return self._writer.write(prompts, keys, sampling)
