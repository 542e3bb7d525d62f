"""A marker is one rare token of the vocabulary, alone in the prompt."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from nla_ray.config.injection import Injection
from nla_ray.errors import CheckpointError
from nla_ray.training.saved.release import new_sidecar

CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
TEMPLATE = "Look at <c>{injection_char}</c> and 龍, which is also said here."


def tokenizer(*characters: str) -> PreTrainedTokenizerFast:
    """Bytes, and these characters as tokens, the first the most frequent; `<|user|>` is special."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    texts = [char for at, char in enumerate(characters) for _ in range(3 * (len(characters) - at))]
    trainer = trainers.BpeTrainer(
        vocab_size=1000, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|user|>", "㊀"], show_progress=False,
    )  # fmt: skip
    raw.train_from_iterator(texts, trainer)
    found = PreTrainedTokenizerFast(tokenizer_object=raw)  # type: ignore[no-untyped-call]
    found.chat_template = CHAT
    return found


def chosen(found: PreTrainedTokenizerFast, wanted: str | None = None) -> str:
    sidecar = new_sidecar(
        found, d_model=8, layer=1, av_template=TEMPLATE, ar_template="<t>{explanation}</t>",
        injection=Injection.replacing(1.0), marker=wanted,
    )  # fmt: skip
    marker = sidecar.marker
    assert marker is not None
    ids = (marker.left_id, marker.token_id, marker.right_id)
    assert [found.decode([one]) for one in ids if one is not None] == [">", marker.char, "<"]
    return marker.char


def test_the_usual_one_then_enclosed_then_letters_without_case_then_symbols() -> None:
    everything = ("é", "“", "♜", "龜", "㋿", "㊗")
    assert chosen(tokenizer(*everything)) == "㊗"
    assert chosen(tokenizer(*everything[:-1])) == "㋿"
    assert chosen(tokenizer(*everything[:-2])) == "龜"
    assert chosen(tokenizer(*everything[:-3])) == "♜"
    assert chosen(tokenizer("é")) == "é"


def test_of_one_kind_the_rarest_and_none_that_the_prompt_has() -> None:
    assert chosen(tokenizer("龍", "鳳", "龜")) == "龜"
    assert chosen(tokenizer("龜", "鳳", "龍")) == "鳳", "the prompt itself says 龍"


def test_nothing_that_serves_and_one_that_does_not_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no rare character is one token of this tokenizer"):
        chosen(tokenizer("a"))
    with pytest.raises(CheckpointError, match="'㊗' is not one token of this tokenizer"):
        chosen(tokenizer("龜"), "㊗")
    with pytest.raises(CheckpointError, match="'龍' stands 2 times inside"):
        chosen(tokenizer("龍"), "龍")
    with pytest.raises(CheckpointError, match="'㊀' is not one token"):
        chosen(tokenizer("龜"), "㊀")
