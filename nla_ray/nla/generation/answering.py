"""Answers of a chat model to whole conversations, several at once: greedy, or drawn by a key each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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

    def answers(
        self, chats: Sequence[Sequence[Mapping[str, str]]], keys: Sequence[int], sampling: Sampling
    ) -> list[ChatAnswer]:
        """One answer to each chat; `keys` as `nla_ray.ids.sampling_key` makes them.

        An answer does not depend on the others but for the rounding of differently shaped matrix products.
        """
        prompts = [self._prompt(chat) for chat in chats]
        answers = list(map(list, self._writer.write(prompts, keys, sampling)))
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
