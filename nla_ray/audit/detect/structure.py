"""What an explanation claims, as SQL macros: one understanding of structure and negation for all detectors.

That is its text without quotations, without what is about the final token, and without what a clause denies,
supposes or only mentions.

Real explanations begin with a line on genre, quote a phrase or a continuation, and end with a paragraph about
the final token. Words in quotation marks are the text's own; spelling and syntax say nothing of the model.
"""

from __future__ import annotations

_PARAGRAPH = r"(?:[^\n]|\n[ \t]*[^\s])*"
"""The rest of a paragraph: up to an empty line."""


def _quotation(opens: str, closes: str) -> str:
    """A quotation; one that is not closed ends with its paragraph."""
    return rf"{opens}(?:\s+[{closes}]|(?:[^{closes}\n]|\n[ \t]*[^{closes}\s])*(?:\s?[{closes}])?)"


def _single(opens: str, closes: str) -> str:
    """A quotation in marks that are also apostrophes: it begins and ends at the edge of a word."""
    return rf"{opens}[^\s{closes}](?:[^{closes}\n]|\w{closes}\w)*{closes}\B"


QUOTATIONS = "|".join(
    (
        _quotation(r'\B"', '"'),
        _quotation("“", "”"),
        _quotation("„", "“”"),
        r"»[^«»\n]*«",
        _quotation("«", "»"),
        _quotation("‹", "›"),
        _quotation("[「『]", "」』"),
        _quotation("`", "`"),
        _single(r"\B'", "'"),
        _single("‘", "’"),
    )
)
"""A quotation with its marks; straight marks open only where no word ends."""

_OF_TOKENS = (
    r"(?:final|last|closing|ending|current|next|trailing) (?:sub)?(?:token|word|character|letter|clause|"
    r"phrase|punctuation|syllable|fragment)s?|spelling|misspelling|subword|prefix|suffix|abbreviation|"
    r"capitali[sz]ation|punctuation"
)
_SYNTAX = (
    r"mid-\w+|incomplete|truncated|expect\w*|requir\w*|predict\w*|complet\w*|noun|verb|predicate|clause|"
    r"continuation"
)
TOKENS = (
    rf"(?i)(?:^|[\n.!?;]\s*)(?:[*•-]\s+|\d+[.)]\s+)?(?:the |a )?[*_]*"
    rf"(?:{_OF_TOKENS})\b(?:[*_ :]*\x03+)?{_PARAGRAPH}"
    rf"|\n\s*\n\s*\x03{_PARAGRAPH}?\b(?:{_SYNTAX})\b{_PARAGRAPH}\s*$"
)
"""A paragraph, or the rest of one, about the final token: it says so, or quotes the end and parses it."""

_ENDS = (
    r"but|yet|although|though|however|while|whereas|where|because|since|instead|so that|in which|as if|"
    r"and (?:the|it|its|then|still|so)"
)
"""What begins a clause of its own."""
_DENIED = (
    r"not|\w+n['’]t|cannot|cant|never|neither|nor|no|none|nothing|nobody|no one|nowhere|without|hardly|"
    r"scarcely|lack(?:s|ed|ing)?|absen(?:t|ce of)|free (?:of|from)|devoid of|far from|rather than|other than|"
    r"instead of|refus\w+|declin(?:e|es|ed|ing) to|den(?:y|ies|ied|ying|ial of)|unable to|inability to|"
    r"incapable of|unwilling to|reject\w*|forbids?|forbade|forbidding|forbidden (?:to|from)|"
    r"prohibit(?:s|ing)?|prohibited from|disclaim\w*"
)
_SUPPOSED = (
    r"if|unless|whether|in case|suppos(?:e|es|ing)|imagin(?:e|es|ing)|hypothetical\w*|what if|were to|"
    r"in theory|(?:ask|asks|asked|asking) (?:about|how|why|what)"
)
_MENTIONED = (
    r"(?:definition|explanation|discussion|question|article|essay|story|tale|novel|film|movie|song|study|"
    r"guide|tutorial|lesson|lecture|debate|book|chapter|news|notion|concept|topic|subject|history|law|rule|"
    r"policy|example|metaphor|joke|warning|advice|accusation|allegation)s? "
    r"(?:of|about|on|for|against|concerning)|(?:format|structure|context|pattern)s? about"
)
_LIST = r"(?:(?:, [^,.;:!?()\n\x05—–]{1,60}){0,4},? (?:or|nor)\b[^,.;:!?()\n\x05—–]*)?"
"""Further parts of a list that ends with `or`."""
DENIALS = rf"(?i:\b(?:{_DENIED}|{_SUPPOSED}|{_MENTIONED})\b[^,.;:!?()\n\x05—–]*{_LIST})"
"""A clause from the word on that denies, supposes or only mentions what follows."""

_UNSEEN = r"notic\w*|catch\w*|caught|detect\w*|discover\w*|suspect\w*|suspicion|find out|seen?"
_UNTOLD = (
    r"asking|consent|permission|knowledge|known?|telling|saying|admitting|mentioning|checking|running|reading|"
    r"doing so"
)
_IDIOMS = (
    r"not (?:only|just|merely|simply)",
    r"no (?:longer|doubt|matter|choice but)",
    r"can(?:not|['’]t) help",
    r"(?:leav|left)\w* (?:behind )?no \w+",
    rf"(?:no one|nobody|none|without|so that (?:\w+ ){{1,3}}never) (?:\w+ ){{0,3}}?(?:{_UNSEEN})",
    rf"(?:without|pretend\w* not) (?:\w+ ){{0,3}}?(?:{_UNTOLD})",
    r"(?:never|not|\w+n['’]t) (?:get|gets|be|being|been) (?:caught|noticed|detected|discovered|seen|found)",
    r"(?:not|\w+n['’]t) (?:\w+ ){0,3}?(?:real|genuine|authentic|truthful|honest|accurate|sincere)",
    r"what (?:\w+ ){0,3}?(?:not|\w+n['’]t) true",
    r"(?:refus\w+|unwilling|not want\w*|\w+n['’]t want\w*) (?:to )?(?:be|being) \w+",
)
IDIOMS = rf"(?i:\b(?:{'|'.join(_IDIOMS)})\b)"
"""Denials that are the claim itself, as in "leaves no trace"; they deny nothing of what follows them."""

DECISIVE = (QUOTATIONS, TOKENS, _ENDS, IDIOMS, DENIALS)
"""All that decides what of a text is read."""

MACROS = """
-- A text whose parts between chr(1) and chr(2) are emptied: as long as before, of a character that is in no
-- word and that `near` does not reach across, so that nothing new can match.
CREATE OR REPLACE TEMP MACRO hollow(marked) AS
    list_aggregate(
        list_transform(
            string_split(marked, chr(1)),
            lambda part: if(
                contains(part, chr(2)),
                repeat(chr(3), strpos(part, chr(2)) - 1) || split_part(part, chr(2), 2),
                part
            )
        ),
        'string_agg', ''
    );
-- A text with every match of an expression emptied, and with everything else emptied. The whole match is
-- inserted, not a group of it: RE2 finds where groups are several times more slowly.
CREATE OR REPLACE TEMP MACRO blank(said, re2) AS
    if(
        regexp_matches(said, re2),
        hollow(regexp_replace(said, re2, chr(1) || '\\0' || chr(2), 'g')),
        said
    );
CREATE OR REPLACE TEMP MACRO keep(said, re2) AS
    hollow(chr(1) || regexp_replace(said, re2, chr(2) || '\\0' || chr(1), 'g') || chr(2));
CREATE OR REPLACE TEMP MACRO unquoted(said) AS blank(said, $quotations);
CREATE OR REPLACE TEMP MACRO quotations(said) AS keep(said, $quotations);
-- What is left of an unquoted text without what is about the final token.
CREATE OR REPLACE TEMP MACRO claims(unquoted) AS blank(unquoted, $tokens);
CREATE OR REPLACE TEMP MACRO affirmed(said) AS
    if(
        regexp_matches(said, $denials),
        translate(
            hollow(regexp_replace(
                regexp_replace(said, $ends, chr(5) || '\\1', 'g'), $denials,
                '\\1' || chr(1) || '\\2' || chr(2), 'g'
            )),
            chr(5), ' '
        ),
        said
    );
"""


def macros() -> str:
    """The macros as SQL."""
    given = {
        "$quotations": QUOTATIONS,
        "$tokens": TOKENS,
        "$ends": rf"\s((?i:{_ENDS})\b)",
        "$denials": f"({IDIOMS})|({DENIALS})",
    }
    made = MACROS
    for name, expression in given.items():
        made = made.replace(name, "'" + expression.replace("'", "''") + "'")
    return made
