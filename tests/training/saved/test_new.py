"""A new pair: its marker is one rare token, alone in the prompt, which may do without the system turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from nla_ray.config.models.injection import Injection
from nla_ray.errors import CheckpointError
from nla_ray.nla.prompt import render_av_prompt
from nla_ray.nla.sidecar.read import Sidecar, read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.training.saved.release import Prompting, new_sidecar

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


def bare(found: PreTrainedTokenizerFast, **options: Any) -> Sidecar:
    """The sidecar of a new pair."""
    prompting = Prompting(TEMPLATE, "<t>{explanation}</t>", Injection.replacing(1.0), None)
    return new_sidecar(found, replace(prompting, **options), d_model=8, layer=1)


def chosen(found: PreTrainedTokenizerFast, wanted: str | None = None) -> str:
    sidecar = bare(found, marker=wanted)
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


SYSTEM = "{% if messages[0].role != 'system' %}<|system|>Help.{% endif %}"


def test_a_prompt_without_the_system_turn_is_the_rest_of_the_chat(tmp_path: Path) -> None:
    found = tokenizer("龜")
    turn = "<|user|>Look at <c>龜</c>, {braces}<|assistant|>"
    sidecar = bare(found, av_template="Look at <c>{injection_char}</c>, {{braces}}")
    found.chat_template = SYSTEM + CHAT.replace(
        "<|assistant|>", "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    assert render_av_prompt(found, sidecar).text == f"<|system|>Help.{turn}"
    without = bare(found, system_turn=False, av_template="Look at <c>{injection_char}</c>, {{braces}}")
    write_sidecar(tmp_path, without)
    prompt = render_av_prompt(found, read_sidecar(tmp_path, role="av"))
    assert prompt.text == turn and found.decode(list(prompt.ids)) == turn


def test_a_template_that_takes_no_two_turns_of_a_user_keeps_its_system_turn() -> None:
    found = tokenizer("龜")
    found.chat_template = "{% if messages|length > 1 %}{{ raise_exception('no') }}{% endif %}" + CHAT
    with pytest.raises(CheckpointError, match=r"init.system_turn: false: .* fails on 2 turns"):
        bare(found, system_turn=False)
    found.chat_template = "{{ messages|length }}" + CHAT
    with pytest.raises(CheckpointError, match=r"init.system_turn: false: .* otherwise than one after"):
        bare(found, system_turn=False)


def test_a_token_that_was_added_serves_unless_it_is_special() -> None:
    found = tokenizer("龜")
    found.add_tokens(["㈎"])
    assert chosen(found) == "㈎"
