"""Answers of a chat model to whole conversations, several at once: greedy, or drawn by a key each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from nla_ray.nla.generation.sampling import choose, uniforms
from nla_ray.nla.generation.speaker import Speaker
from nla_ray.nla.verbalizer import Sampling


@dataclass(frozen=True)
class ChatAnswer:
    """What the model said, without special tokens; `tokens` read and written."""

    text: str
    tokens: int


class Answerer(Speaker):
    """A causal language model with a chat template."""

    chats = True

    @torch.inference_mode()
    def answers(
        self, chats: Sequence[Sequence[Mapping[str, str]]], keys: Sequence[int], sampling: Sampling
    ) -> list[ChatAnswer]:
        """One answer to each chat; `keys` as `nla_ray.ids.sampling_key` makes them.

        An answer does not depend on the others but for the rounding of differently shaped matrix products.
        """
        prompts = [self._prompt(chat) for chat in chats]
        longest = max(map(len, prompts))
        ids_BT = torch.tensor([[self._stop_ids[0]] * (longest - len(one)) + one for one in prompts])
        mask_BT = torch.tensor([[0] * (longest - len(one)) + [1] * len(one) for one in prompts])
        drawn = _Keyed(torch.tensor(keys, device=self._device), longest, sampling)
        written = self._model.generate(
            input_ids=ids_BT.to(self._device),
            attention_mask=mask_BT.to(self._device),
            max_new_tokens=sampling.max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=list(self._stop_ids),
            pad_token_id=self._stop_ids[0],
            logits_processor=LogitsProcessorList([drawn]),
        )[:, longest:].tolist()
        answers = [self._until_stop(ids) for ids in written]
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [
            ChatAnswer(text, len(prompt) + len(ids))
            for text, prompt, ids in zip(texts, prompts, answers, strict=True)
        ]

    def _prompt(self, chat: Sequence[Mapping[str, str]]) -> list[int]:
        # Rendered to text first: `tokenize=True` splits some markers into bytes.
        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in chat], tokenize=False, add_generation_prompt=True
            )
        # A template is a program from the checkpoint: it can fail in any way; some know no system message.
        except Exception:  # noqa: BLE001
            merged = "\n\n".join(message["content"] for message in chat)
            text = self._tokenizer.apply_chat_template(
                [{"role": "user", "content": merged}], tokenize=False, add_generation_prompt=True
            )
        return list(self._tokenizer.encode(str(text), add_special_tokens=False))

    def _until_stop(self, ids: Sequence[int]) -> list[int]:
        return list(ids[: next((at for at, one in enumerate(ids) if one in self._stop_ids), len(ids))])


class _Keyed(LogitsProcessor):
    """Leaves one token of each row: the one that is drawn by the row's key and the step."""

    def __init__(self, keys_B: torch.Tensor, start: int, sampling: Sampling) -> None:
        self._keys_B, self._start, self._sampling = keys_B, start, sampling

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        steps_B = torch.full_like(self._keys_B, input_ids.shape[1] - self._start)
        drawn_B = choose(
            scores, uniforms(self._keys_B, steps_B), self._sampling.temperature, self._sampling.top_p
        )
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, drawn_B[:, None], 0.0)  # type: ignore[return-value]
