"""What a target answers to a prompt, token by token: greedy, or sampled by a key of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.generation.speaker import Speaker
from nla_ray.nla.model.batching import refuse_foreign_ids
from nla_ray.nla.model.stack import cache_keyword
from nla_ray.nla.verbalizer import Sampling


class Continuer(Speaker):
    """A target with its head. One prompt at a time: an answer depends on its prompt and its key alone."""

    @torch.inference_mode()
    def generate(self, prompt: Sequence[int], key: int, sampling: Sampling) -> tuple[int, ...]:
        """Ids of the answer without its stop token, at most `sampling.max_new_tokens`.

        `key` as `nla_ray.ids.sampling_key` makes it. Raises InputError for an id that is no token.
        """
        refuse_foreign_ids([prompt], self._model.config.get_text_config().vocab_size, "document")
        keys = torch.tensor([key], device=self._device)
        ids, answer = torch.tensor([list(prompt)], device=self._device), []
        cache = {cache_keyword(self._model): DynamicCache(config=self._model.config)}
        for step in range(sampling.max_new_tokens if prompt else 0):
            out = self._model(input_ids=ids, use_cache=True, logits_to_keep=1, **cache)
            drawn = uniforms(keys, torch.tensor([step], device=self._device))
            ids = choose(out.logits[:, -1], drawn, sampling.temperature, sampling.top_p)[:, None]
            token = int(ids.item())
            if token in self._stop_ids:
                break
            answer.append(token)
        return tuple(answer)
