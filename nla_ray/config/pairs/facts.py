"""What files of pairs leave unsaid: one form for configurations, sidecars and the table of pairs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from nla_ray.config.base import Config, Name

Option = bool | int | float | str
"""A value that a chat template is rendered with."""
OURS = (
    "conversation", "messages", "chat_template", "tokenize", "add_generation_prompt", "tools", "documents",
    "continue_final_message", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs", "self",
)  # fmt: skip
"""What a chat template is given anyway."""


def _not_ours(name: str) -> str:
    if name in OURS or not name.isidentifier():
        raise ValueError(f"{name!r} is no option of a chat template, such as enable_thinking")
    return name


OptionName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_not_ours)]


class PairFacts(Config):
    """Facts that are said nowhere else; what the sidecar says itself cannot be said otherwise here."""

    layer: Annotated[int, Field(ge=0)] | None = None
    """K: the vectors are the output of block K. Of a pair that reads every layer, the one to read."""
    av_template: Name | None = None
    """The verbalizer's prompt, with the slot {injection_char}."""
    ar_template: Name | None = None
    """The reconstructor's prompt, with the slot {explanation}."""
    marker: Name | None = None
    """The character or text, one token, in whose place vectors are put."""
    chat: bool | None = None
    """Whether the prompt is a user's turn of the chat template (the default) or plain text."""
    special_tokens: bool | None = None
    """Whether plain text begins with the tokens that the tokenizer adds, such as a BOS (the default)."""
    template_options: dict[OptionName, Option] | None = None
    """What the chat template is rendered with, such as {enable_thinking: false}."""
    prefill: Name | None = None
    """Text that the answer was begun with."""
    tagged: bool | None = None
    """Whether an answer ends with </explanation> (the default), or is all that is written."""
    question: Name | None = None
    """What an activation oracle is asked."""
    ar_blocks: Annotated[int, Field(ge=1)] | None = None
    """Blocks of the reconstructor, where they are not K + 1."""
    ar_norm: bool | None = None
    """Whether the reconstructor's final norm stands before its head (not so if nothing says otherwise)."""

    def over(self, other: PairFacts) -> PairFacts:
        """These facts, and those of `other` of which nothing is said here."""
        return other.model_copy(update=self.said())

    def said(self) -> dict[str, Any]:
        """The facts that are said, by name."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
