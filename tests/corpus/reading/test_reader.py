"""Which tokens are read: keyed by seed and document alone; early, special and template tokens left out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from nla_ray.config.reading.chats import Chats
from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.chats.model import Call, Chat, Message
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.reading.choice import choose
from nla_ray.corpus.reading.matching import Pattern
from nla_ray.corpus.reading.reader import UNKNOWN, Reader, Reading, VectorReader, special_ids
from nla_ray.errors import ConfigError
from tests.tiny import tiny_tokenizer

CANDIDATES = list(range(3, 40))
CHAT = (
    {"role": "system", "content": "true"},
    {"role": "user", "content": "the user said"},
    {"role": "assistant", "content": "it is not the model"},
)


def chosen(doc_id: str = "d", seed: int = 0, **settings: Any) -> list[int]:
    return choose(Positions(**settings), seed, doc_id, CANDIDATES)


def reader(family: str = "qwen2", max_tokens: int = 100, **settings: Any) -> Reader:
    settings = {"min_position": 0, **settings}
    return Reader(tiny_tokenizer(family), Positions(**settings), seed=0, max_tokens=max_tokens)


def words(document: Document, **settings: Any) -> str:
    """The tokens that are chosen, joined."""
    reading = reader(**{"choose": "all", **settings}).read(document)
    assert reading.problem is None
    return "|".join(tiny_tokenizer("qwen2").decode([reading.token_ids[at]]) for at in reading.positions)


def text(content: str, listed: Sequence[int] | None = None) -> Document:
    return Document("d", "s", text=content, listed=None if listed is None else tuple(listed))


def chat(*messages: dict[str, str]) -> Document:
    return Document("d", "s", chat=Chat(tuple(Message(**one) for one in messages or CHAT)))


def test_random_positions_are_keyed_by_seed_and_document() -> None:
    assert chosen(n=5) == chosen(n=5)
    assert chosen(n=5) != chosen(n=5, doc_id="e")
    assert chosen(n=5) != chosen(n=5, seed=1)
    assert chosen(n=5) == sorted(set(chosen(n=5)))
    assert chosen(n=100) == CANDIDATES


def test_last_every_and_all() -> None:
    assert chosen(choose="last", n=3) == [37, 38, 39]
    assert chosen(choose="every", n=10) == [3, 13, 23, 33]
    assert chosen(choose="all") == CANDIDATES


def test_early_positions_are_left_out_unless_allowed() -> None:
    document = text("the model said that it was true")
    assert min(reader(choose="all", min_position=2).read(document).positions) == 2
    assert min(reader(choose="all").read(document).positions) == 0


def test_special_tokens_are_left_out_unless_allowed() -> None:
    document = text("the model<|im_end|> said")
    assert words(document) == "the| model| said"
    assert words(document, special=True) == "the| model|<|im_end|>| said"


def test_template_tokens_are_left_out_unless_allowed() -> None:
    assert words(chat()).replace("|", "") == "".join(message["content"] for message in CHAT)
    allowed = words(chat(), template=True).replace("|", "")
    assert allowed.startswith("system\ntrue\nuser\nthe user said\n")


def test_a_role_is_kept_for_every_token() -> None:
    reading = reader(choose="all", template=True, special=True).read(chat())
    assert reading.labels is not None and len(reading.labels) == len(reading.token_ids)
    tokenizer = tiny_tokenizer("qwen2")
    for message in CHAT:
        own = [
            i for i, role in zip(reading.token_ids, reading.labels, strict=True) if role == message["role"]
        ]
        assert tokenizer.decode(own) == message["content"]


def test_by_role() -> None:
    assert words(chat(), roles=("assistant",)).replace("|", "") == "it is not the model"
    assert words(chat(), roles=("assistant",), choose="last", n=1) == " model"
    missing = reader(roles=("tool",)).read(chat())
    assert "no position to read" in str(missing.problem) and "positions.roles" in str(missing.problem)
    assert reader(roles=("user",)).read(text("plain text has no role")).problem is not None


def test_a_message_that_looks_like_the_template_keeps_its_place() -> None:
    document = chat({"role": "user", "content": "user"}, {"role": "assistant", "content": " assistant "})
    assert words(document, roles=("user",)).replace("|", "") == "user"
    assert words(document, roles=("assistant",)).replace("|", "") == " assistant "


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}[end]{% endfor %}",
        "{{ messages[0]['content'] }}\n\n{% for m in messages[1:] %}<{{ m['content'] }}>{% endfor %}",
    ],
)
def test_templates_that_strip_or_move_contents(template: str) -> None:
    tricky = reader(choose="all", roles=("user",))
    tricky.tokenizer.chat_template = template
    reading = tricky.read(chat())
    found = tricky.tokenizer.decode([reading.token_ids[at] for at in reading.positions])
    assert found.strip(" \n<>") == "the user said"


def test_a_template_that_rewrites_contents_is_a_problem_of_its_documents() -> None:
    rewriting = reader(choose="all", template=True)
    for content in ("m['content'] | replace('t', 'T')", "m['content'][:3] == 'the'"):
        rewriting.tokenizer.chat_template = f"{{% for m in messages %}}{{{{ {content} }}}}{{% endfor %}}"
        assert rewriting.read(chat()).problem


def test_what_a_template_leaves_out_is_a_problem_or_a_flag_of_all_rows() -> None:
    for allowed in ((), ("message",)):
        dropping = Reader(
            tiny_tokenizer("qwen2"), Positions(), seed=0, max_tokens=100, chats=Chats(dropped=allowed)
        )
        dropping.tokenizer.chat_template = (
            "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        )
        reading = dropping.read(chat())
        if allowed:
            assert reading.problem is None and reading.flags == ("dropped:message",)
        else:
            assert "message 0 (system)" in str(reading.problem) and "allow message" in str(reading.problem)


def test_by_regex_over_the_text_as_the_target_sees_it() -> None:
    document = text("the model said that it was true and that the other one is not")
    assert words(document, regex="mod") == " model"
    assert words(document, regex="(?i)SAID t|true") == " said| that| true"
    assert words(document, regex="t(h)at", choose="last", n=1) == " that"
    assert "positions.regex" in str(reader(regex="absent").read(document).problem)
    assert (
        words(chat(), regex="<.im_start.>user\n[^<]*", template=True).replace("|", "")
        == "user\nthe user said"
    )


def test_matches_are_counted_in_characters() -> None:
    assert Pattern("é+|x*", option="o").spans("aéé\ue000𝄞é") == [(1, 3), (5, 6)]
    assert Pattern("^a|b$", option="o").spans("aab") == [(0, 1), (2, 3)]
    assert Pattern("a", option="o").spans("") == []


def test_an_expression_that_would_backtrack_does_not_hang() -> None:
    started = time.perf_counter()
    assert Pattern("(a+)+$", option="o").spans("a" * 100_000 + "b") == []
    # Linear time: backtracking would take years, so the bound can be wide.
    assert time.perf_counter() - started < 120


@pytest.mark.parametrize("pattern", ["(a", r"(a)\1", "(?<=a)b", "((a{999}){999}){999}"])
def test_an_expression_that_re2_does_not_know_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"positions.regex: .* is not an expression of RE2"):
        reader(regex=pattern)


def test_by_column() -> None:
    document = text("the model said that it was true", listed=[1, 5])
    assert reader(choose="column", column="at", min_position=3).read(document).positions == (1, 5)
    beyond = reader(choose="column", column="at").read(text("the model", listed=[0, 9]))
    assert beyond.problem == "'at' lists position 9; the document has 2 tokens"
    none = reader(choose="column", column="at").read(text("the model", listed=[]))
    assert "positions.column" in str(none.problem)


def test_a_limit_per_document_is_drawn_by_key() -> None:
    document = text("the model said that it was true " * 5)
    every = reader(choose="all").read(document).positions
    some = reader(choose="all", limit=4).read(document).positions
    assert len(some) == 4 and set(some) <= set(every) and some != every[:4]
    assert some == reader(choose="all", limit=4).read(document).positions


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_special_tokens_stand_once(family: str) -> None:
    tokenizer = tiny_tokenizer(family)
    for document in (text("the model"), chat({"role": "user", "content": "the model"})):
        assert reader(family).read(document).token_ids.count(tokenizer.bos_token_id) == 1


def test_a_long_document_is_cut_on_the_right() -> None:
    reading = reader(max_tokens=5, choose="all").read(text("the model said " * 9))
    assert reading.truncated and len(reading.token_ids) == 5 and max(reading.positions) == 4


def test_a_document_without_a_position_has_a_problem() -> None:
    reading = reader(min_position=50).read(text("the model"))
    assert "no position to read in 2 tokens; see positions.min_position" in str(reading.problem)


def test_the_template_may_refuse_messages() -> None:
    refusing = reader()
    refusing.tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    assert "roles must alternate" in str(refusing.read(chat()).problem)


def test_added_special_tokens_are_special() -> None:
    tokenizer = tiny_tokenizer("qwen2")
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") in special_ids(tokenizer)


def answered(document: Document, said: str, **settings: Any) -> Reading:
    tokenizer = tiny_tokenizer("qwen2")
    how = Positions(min_position=0, choose="all", **settings)
    say = tokenizer.encode(said)
    answers = lambda doc_ids, prompts: [say] * len(prompts)  # noqa: E731
    return Reader(tokenizer, how, seed=0, max_tokens=40, answers=answers).read(document)


@pytest.mark.parametrize("part", ["prompt", "response", "both"])
def test_the_answer_of_the_target_is_read_with_the_document(part: str) -> None:
    reading = answered(text("the model said"), " that it was é", part=part)
    start = reading.response_start
    assert start == 3 and reading.response == " that it was é"
    assert {"prompt": {0}, "response": {start}}.get(part, {0}) == {min(reading.positions)}
    assert (max(reading.positions) < start) == (part == "prompt")


def test_in_a_chat_the_answer_is_the_assistants() -> None:
    reading = answered(chat(CHAT[1]), "it is true", roles=("assistant",))
    tokenizer = tiny_tokenizer("qwen2")
    assert tokenizer.decode(reading.token_ids).endswith("<|im_start|>assistant\nit is true")
    assert tokenizer.decode([reading.token_ids[at] for at in reading.positions]) == "it is true"
    matched = answered(chat(CHAT[1]), "it is true", regex="s (tr)")
    assert tokenizer.decode([matched.token_ids[at] for at in matched.positions]) == " is true"


def test_a_prompt_that_is_cut_is_not_answered() -> None:
    assert "too many to be answered" in str(answered(text("the model said " * 30), "x").problem)
    assert "no position to read in 0 tokens" in str(answered(text("the"), "", part="response").problem)


def test_all_documents_are_asked_of_at_once_but_those_that_cannot_be() -> None:
    tokenizer, asked = tiny_tokenizer("qwen2"), list[list[str]]()
    said = {"d0": " it", "d2": " true"}

    def answers(doc_ids: Sequence[str], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        asked.append(list(doc_ids))
        assert [tokenizer.decode(ids) for ids in prompts] == ["the model", "the other"]
        return [tokenizer.encode(said[one]) for one in doc_ids]

    texts = ["the model", "the model said " * 30, "the other"]
    documents = [Document(f"d{at}", "s", text=one) for at, one in enumerate(texts)]
    documents.append(Document("d3", "s", problem="no text"))
    how = Positions(min_position=0, choose="all")
    found = Reader(tokenizer, how, seed=0, max_tokens=40, answers=answers).read_all(documents)
    assert asked == [["d0", "d2"]]
    assert [one.response for one in found] == [" it", None, " true", None]
    assert "too many to be answered" in str(found[1].problem) and found[3].problem == "no text"


@pytest.mark.parametrize(("max_tokens", "long"), [(100, None), (1, "too many")])
def test_what_cannot_be_answered_is_known_without_an_answer(max_tokens: int, long: str | None) -> None:
    asked = reader(max_tokens=max_tokens)
    asked.tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"
    assert "message 0 (system)" in str(asked.refusal(chat()))
    assert (long or "None") in str(asked.refusal(text("the model said")))


def given(values: int = 4, **fields: Any) -> Document:
    return Document("d", "s", vector=np.zeros(values, "<f4").tobytes(), **fields)


def test_a_given_vector_is_its_own_position() -> None:
    plain = VectorReader(None, d_model=4, layer=2)
    assert plain.read(given(position=7)).positions == (7,)
    assert plain.read(given()).positions == (UNKNOWN,)
    with_target = VectorReader(tiny_tokenizer("qwen2"), d_model=4, layer=2)
    assert len(with_target.read(given(position=1, text="the model")).token_ids) == 2
    assert with_target.read(given(position=6, text="the model")).token_ids == ()


def test_a_given_vector_that_does_not_fit_is_a_problem() -> None:
    vectors = VectorReader(None, d_model=4, layer=2)
    assert vectors.read(given(3)).problem == "a vector of 3 values, the verbalizer takes 4"
    assert vectors.read(given(layer=3)).problem == "a vector of layer 3, the verbalizer reads layer 2"
    assert vectors.read(given(layer=2)).problem is None


@pytest.mark.parametrize("template", ["{{ 1 + messages[0].content }}", "{{ raise_exception('no') }}"])
def test_a_template_that_fails_is_the_documents_problem(template: str) -> None:
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.chat_template = template
    reading = Reader(tokenizer, Positions(), seed=0, max_tokens=100).read(chat())
    assert reading.problem is not None and "chat template" in reading.problem


@pytest.mark.parametrize("hidden", [r"\udc80", r"\ud83d"])
def test_arguments_that_become_a_lone_surrogate_are_the_documents_problem(hidden: str) -> None:
    tokenizer = tiny_tokenizer("qwen2")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.content }}{% for call in m.tool_calls or [] %}"
        "{{ call.function.name }} {{ call.function.arguments | tojson }}{% endfor %}{% endfor %}"
    )
    call = Call("look", f'{{"path": "/{hidden}"}}')
    document = Document("d", "s", chat=Chat((Message("user", "go"), Message("assistant", calls=(call,)))))
    assert "lone surrogate" in str(
        Reader(tokenizer, Positions(), seed=0, max_tokens=100).read(document).problem
    )


def test_a_token_that_the_target_does_not_know_is_a_problem_of_its_document() -> None:
    known = Reader(tiny_tokenizer("qwen2"), Positions(min_position=0), seed=0, max_tokens=100, vocabulary=5)
    problem = known.read(text("the model said")).problem
    assert problem is not None and "outside the target's" in problem and " 5 " in f"{problem} "
