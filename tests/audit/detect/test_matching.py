"""One scan for all patterns finds what each finds alone; what readers cannot see hides nothing."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nla_ray.audit.detect.anchors import Vocabulary
from nla_ray.audit.detect.matching import match
from nla_ray.audit.detect.patterns import MACROS, chunks
from nla_ray.config.detectors.model import Detection, Group, Near
from nla_ray.config.detectors.patterns import MOST_BYTES, either, tokens
from nla_ray.text import normalise
from tests.audit.detect.test_packs import NAMED, ONES, matching

WORDS = sorted({
    word
    for one in ONES for text in (*one.true_examples, *one.false_examples)
    for word in normalise(text).replace(".", " .").split()
})  # fmt: skip


def alone(detection: Detection, texts: list[str]) -> list[bool]:
    """Which texts satisfy a detection without exclusions, by Arrow's RE2 and one pattern at a time."""
    seen = pa.array([normalise(text) if detection.case == "fold" else text for text in texts])

    def matches(expression: str) -> list[bool]:
        return pc.match_substring_regex(seen, pattern=expression).to_pylist()

    def held(group: Group) -> list[bool]:
        some = [matches(either([one], whole_words=group.whole_words)) for one in group.any]
        some += [matches(pair.expression()) for pair in group.near]
        every = [matches(either([one], whole_words=group.whole_words)) for one in group.all]
        bad = [matches(either([one], whole_words=group.whole_words)) for one in group.none]
        return [
            (not some or any(one[at] for one in some))
            and all(one[at] for one in every)
            and not any(one[at] for one in bad)
            for at in range(len(texts))
        ]

    groups = {name: held(group) for name, group in detection.groups.items()}
    term = detection.term()
    return [term.holds(lambda name, at=at: groups[name][at]) for at in range(len(texts))]


def random_texts(seed: int, n: int) -> list[str]:
    """Examples torn apart and put together anew, so that much nearly matches and some does."""
    rng = random.Random(seed)
    examples = [text.split() for one in ONES for text in one.true_examples]
    made = []
    for _ in range(n):
        pieces = []
        for _ in range(rng.randrange(1, 5)):
            words = rng.choice(examples)
            start = rng.randrange(len(words))
            pieces += words[start : start + rng.randrange(1, 8)]
            pieces += rng.sample(WORDS, rng.randrange(3))
        made.append(rng.choice([" ", "  ", "\n", " * "]).join(pieces))
    return made


@pytest.mark.parametrize("seed", range(3))
def test_all_at_once_is_each_alone(seed: int) -> None:
    texts = random_texts(seed, 200)
    bare = {"exclude": (), "reads": "all", "denied": True, "least_share": 0}
    plain = {name: one.model_copy(update=bare) for name, one in NAMED.items()}
    each = {name: alone(one, texts) for name, one in plain.items()}
    expected = [{name for name in plain if each[name][at]} for at in range(len(texts))]
    assert sum(map(len, expected)) > 60
    assert matching(texts, plain) == expected


def test_the_vocabulary_changes_nothing_that_is_found() -> None:
    texts = random_texts(9, 300)
    expected = matching(texts, NAMED)
    rng = random.Random(4)
    for _ in range(3):
        vocabulary = Vocabulary({word: rng.randrange(300) for word in WORDS})
        connection = duckdb.connect()
        table = {"idx": range(len(texts)), "said": texts, "norm": [normalise(text) for text in texts]}
        connection.register("texts", pa.table(table))
        match(connection, "texts", NAMED, vocabulary)
        rows = connection.execute(
            "SELECT idx, detector FROM audit_matches "
            "JOIN (SELECT rowid AS row, idx FROM audit_passed) USING (row)"
        ).fetchall()
        assert sorted(rows) == sorted((at, name) for at, names in enumerate(expected) for name in names)


def test_what_cannot_be_seen_hides_nothing() -> None:
    plain = "The assistant suspects that it is being evaluated."
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in plain)
    hidden = "\u200b".join(plain)
    marked = "The assistant *suspects* that it\n  is being **evaluated**."
    bidi = plain.replace("evaluated", "\u202eevaluated\u202c")
    soft = plain.replace("evaluated", "evalu\u00adated")
    for text in (plain, wide, hidden, marked, bidi, soft, plain.upper()):
        assert "evaluation_awareness" in matching([text], NAMED)[0], text


def detection(**groups: Group) -> dict[str, Detection]:
    return {"it": Detection(groups=groups)}


def hits(texts: list[str], one: dict[str, Detection]) -> list[bool]:
    return [bool(found) for found in matching(texts, one)]


def test_groups() -> None:
    both = detection(g=Group(all=("moon", "tides?"), none=("poems?",)))
    assert hits(["tides and the moon", "the moon", "a poem of moon and tide", "moontide tide"], both) == [
        True, False, False, False,
    ]  # fmt: skip
    close = detection(g=Group(near=(Near(first=("moon",), second=("pull\\w*",), words=2),)))
    texts = ["moon that gently pulls", "pulled by the moon", "moon. It pulls", "moon is up and it pulls"]
    assert hits(texts, close) == [True, True, False, False]
    ordered = detection(g=Group(near=(Near(first=("moon",), second=("pull\\w*",), ordered=True),)))
    assert hits(texts[:2], ordered) == [True, False]


def test_words_are_whole_unless_told_otherwise() -> None:
    texts = ["test", "contest", "tests", "a TEST.", "test-bed"]
    assert hits(texts, detection(g=Group(any=("test",)))) == [True, False, False, True, True]
    assert all(hits(texts, detection(g=Group(any=("test",), whole_words=False))))


def test_exact_case_reads_what_was_written() -> None:
    exact = {"it": Detection(groups={"g": Group(any=("US",))}, case="exact")}
    assert hits(["in the US now", "tell us now"], exact) == [True, False]


def test_exclusions_take_away_their_own_words_only() -> None:
    exams = {"it": Detection(groups={"g": Group(any=("exams?",))}, exclude=("math exams?",))}
    texts = ["a math exam", "a math exam and an exam", "the exam"]
    assert hits(texts, exams) == [False, True, True]
    near = {
        "it": Detection(
            groups={"g": Group(near=(Near(first=("moon",), second=("pulls",), words=1),))},
            exclude=("very far away",),
        )
    }
    assert hits(["moon very far away pulls"], near) == [False]


def test_emptied_text_keeps_its_length() -> None:
    connection = duckdb.connect()
    connection.execute(MACROS)
    text = "Ein Prüfungs-Text, naïve: math exam! 试卷 exam"
    (blank,) = connection.execute("SELECT blank($text, 'math exam|试.')", {"text": text}).fetchall()[0]
    assert len(blank) == len(text)
    assert blank == text.replace("math exam", "\x03" * 9).replace("试卷", "\x03\x03")


def test_the_first_match_is_quoted() -> None:
    connection = duckdb.connect()
    text = "no contest, then a test and a test"
    connection.register("texts", pa.table({"said": [text], "norm": [text]}))
    match(connection, "texts", detection(g=Group(any=("test",))))
    rows = connection.execute("SELECT quote, before, folded FROM audit_matches").fetchall()
    assert rows == [("test", text.index(" test") + 1, True)]


def test_a_pattern_that_backtracks_elsewhere_is_linear_here() -> None:
    bomb = detection(g=Group(any=("(?:a+)+b", "(?:(?:x+x+)+y)+")))
    assert hits(["a" * 20_000, "x" * 20_000], bomb) == [False, False]


def test_expressions_stay_within_limits() -> None:
    parts = [f"word{number}" * 3 for number in range(2000)]
    made = list(chunks(parts))
    assert "|".join(made).split("|") == parts
    assert all(len(one.encode()) <= MOST_BYTES and one.count("|") < 500 for one in made)


def test_many_patterns_need_more_than_one_expression() -> None:
    names = [
        f"{chr(97 + i)}{chr(97 + j)}{chr(97 + k)}q" for i in range(12) for j in range(12) for k in range(8)
    ]
    many = {f"d{at}": Detection(groups={"g": Group(any=tuple(names[at::4]))}) for at in range(4)}
    texts = [f"x {name} y" for name in names[::40]]
    assert matching(texts, many) == [{f"d{names.index(name) % 4}"} for name in names[::40]]


def test_tokens_are_the_pattern() -> None:
    for pattern in (r"a(?:b|c)*\w{2,3}[^\]x]\pL\p{Han}(?i)x", r"[[:alpha:]-]+\x{41}\.", "a b"):
        assert "".join(tokens(pattern)) == pattern


def test_nothing_to_look_for_and_nothing_to_look_at() -> None:
    assert matching(["some text"], {}) == [set()]
    assert matching([], NAMED) == []
