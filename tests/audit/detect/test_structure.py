"""What an explanation claims: not what it quotes, not what it says of the final token, not what it denies."""

from __future__ import annotations

import duckdb
import pytest

from nla_ray.audit.detect.patterns import MACROS
from nla_ray.config.detectors.model import Detection, Group
from nla_ray.text import normalise
from tests.audit.detect.test_packs import matching

WORD = Detection(groups={"g": Group(any=("forg(?:e|es|ed|ing) (?:\\w+ )?receipts?",))})
GENRE = "Expense claim format, dry and itemised.\n\n"


def claimed(text: str) -> bool:
    """Whether a text claims that receipts are forged."""
    return matching([text], {"it": WORD}) == [{"it"}]


@pytest.mark.parametrize(
    "text",
    [
        GENRE + "The clerk is forging receipts.\n\nFinal token \"paid\" ends the row.",
        GENRE + "The line \"taxi, 40\" implies a clerk forging receipts, likely more rows.",
        "- expense claims\n- the clerk forges receipts\n- Final token \"x\" ends a row",
        "A clerk who forges receipts.",
        "Don't miss it: the clerks' friend forges receipts, isn't it plain.",
        "Opens a quotation \"which never ends\nand goes on.\n\nThe clerk forges receipts.",
        "The clerk does not pay; she forges receipts.",
        "Nobody checks the desk, yet the clerk forges receipts.",
        "If in doubt he waits. He forges receipts.",
        "The clerk leaves no trace and forges receipts.",
        "Dialogue format: the clerk forges receipts.",
        "It is not only late: the clerk forges receipts.",
        "A 5\" ruler and a clerk who forges receipts on 3\" paper.",
    ],
)  # fmt: skip
def test_claims(text: str) -> None:
    assert claimed(text)


QUOTED = [
    'The phrase "he forges receipts" signals a headline.',
    "The phrase “he forges receipts” signals a headline.",
    "The phrase «he forges receipts» signals a headline.",
    "The phrase „he forges receipts“ signals a headline.",
    "The phrase 'he forges receipts' signals a headline.",
    "The phrase ‘he doesn’t stop, he forges receipts’ signals a headline.",
    "The phrase 'he doesn't stop, he forges receipts' signals a headline.",
    'A headline, cut short ("he forges receipts',
    'A headline over two lines, "he\nforges receipts" and a date.',
]


@pytest.mark.parametrize("text", QUOTED)
def test_what_is_quoted_is_no_claim(text: str) -> None:
    assert not claimed(text)
    quotations = WORD.model_copy(update={"reads": "quotations"})
    assert matching([text, "He forges receipts."], {"it": quotations}) == [{"it"}, set()]
    everything = WORD.model_copy(update={"reads": "all"})
    assert matching([text, "He forges receipts."], {"it": everything}) == [{"it"}, {"it"}]


@pytest.mark.parametrize(
    "text",
    [
        GENRE + 'Final token "forges" is a verb, forges receipts or forges coins.',
        GENRE + 'Final token "\n\n" ends a row, a clerk forging receipts follows.',
        "Expense claims. The last word ends a clause about forging receipts.",
        GENRE + "A list.\n\n\"40, taxi\" — mid-sentence, forging receipts expects a noun.",
        GENRE + "- Spelling of forging receipts with two variants",
        GENRE + 'A list.\n\n**Final token** "x" closes a claim,\nforging receipts next.',
    ],
)  # fmt: skip
def test_what_is_about_the_final_token_is_no_claim(text: str) -> None:
    assert not claimed(text)


@pytest.mark.parametrize(
    "text",
    [
        "The clerk is not forging receipts.",
        "The clerk isn’t forging receipts.",
        "The clerk cannot forge receipts.",
        "The clerk never steals, cheats or forges receipts.",
        "No sign of forging receipts anywhere.",
        "A plain list without any forged receipts.",
        "The clerk refuses to forge receipts.",
        "It isn't true that the clerk forges receipts.",
        "Denies forging receipts in a formal tone.",
        "If the clerk forges receipts, the audit finds it.",
        "A hypothetical clerk forges receipts.",
        "A story about a clerk who forges receipts.",
        "A question of whether he forged receipts.",
        "Interview format about forged receipts, with two voices.",
    ],
)
def test_what_is_denied_supposed_or_only_mentioned_is_no_claim(text: str) -> None:
    assert not claimed(text)
    assert matching([text], {"it": WORD.model_copy(update={"denied": True})}) == [{"it"}]


def test_a_share_of_the_letters() -> None:
    stars = Detection(groups={"g": Group(any=("[αβγ]+",), whole_words=False)}, least_share=0.5)
    assert matching(["ab αβγ", "abcdef αβ", "αβ 1234567"], {"it": stars}) == [{"it"}, set(), {"it"}]


@pytest.mark.parametrize(
    "text", [*QUOTED, GENRE + 'Final token "…" ends; not “é” but — «é».', "", '"', "'\n\n\""]
)
def test_places_stay_where_they_are(text: str) -> None:
    connection = duckdb.connect()
    connection.execute(MACROS)
    parts = "length(affirmed(claims(unquoted($t)))), length(quotations($t))"
    found = connection.execute(f"SELECT {parts}", {"t": normalise(text)}).fetchall()
    assert found == [(len(normalise(text)), len(normalise(text)))]
