"""The rows of transcripts, and what their header says."""

from __future__ import annotations

import pytest

from nla_ray.imports.formats.transcripts import header, is_transcript, rows
from tests.imports.files import FOOTER, HEADER, transcript

ROW = "[  0]  PROMPT  token='a'  ||v||=235.7  mse_nrm=1.962  cos=0.019  fve_nrm=-1.674"


def test_rows_with_their_lines_and_texts() -> None:
    text = transcript([("PROMPT", "<s>", "One.\n\nTwo."), ("REPLY", "'", "<explanation>\nHalf")])
    found = dict(rows(text.splitlines()))
    begin = HEADER.count("\n") + 1
    assert list(found) == [begin, begin + 5]
    assert found[begin] == {
        "pos": "0", "section": "PROMPT", "token": "<s>", "norm": "115.8", "mse_nrm": "0.188", "cos": "0.906",
        "fve_nrm": "0.744", "explanation": "One.\n\nTwo.",
    }  # fmt: skip
    second = found[begin + 5]
    assert isinstance(second, dict)
    assert (second["token"], second["role"], second["explanation"]) == (
        "'",
        "assistant",
        "<explanation>\nHalf",
    )


def test_header() -> None:
    assert header(HEADER.splitlines()) == {
        "av": "someone/pair-L20-av",
        "ar": "someone/pair-L20-ar",
        "target": "someone/model-7b",
        "layer": 20,
        "fve_baseline": 0.7335,
    }
    assert header([ROW, "AV checkpoint: after/the-rows"]) == {}


def test_what_follows_the_rows_is_not_read() -> None:
    only = transcript([("PROMPT", "a", "One.")])
    assert FOOTER in only and len(list(rows(only.splitlines()))) == 1


@pytest.mark.parametrize(
    ("written", "token"),
    [
        ("'a'", "a"),
        ('"\'"', "'"), (r"'\n\n'", "\n\n"), (r"'\''", "'"), ("'<|im_end|>'", "<|im_end|>"), ("''", ""),
        (r"'\d'", r"\d"),
        (r"'\ud83d'", "\ud83d"), ("'it's'", "it's"), ("bare", "bare"), ("'", "'"), ("1234", "1234"),
        ("'''", "'"),
        ("'a  ||v||=1'", "a  ||v||=1"), ("'" + "(" * 500, "'" + "(" * 500),
    ],
)  # fmt: skip
def test_tokens_as_repr_wrote_them_or_between_quotes(written: str, token: str) -> None:
    ((_, row),) = rows([ROW.replace("'a'", written), "    text"])
    assert isinstance(row, dict) and row["token"] == token


@pytest.mark.parametrize(
    "line",
    [
        "[  1]  PROMPT  token='a'",
        "[  1]  REPLY   ||v||=1  mse_nrm=1  cos=1  fve_nrm=1",
        ROW.replace("cos=0.019", "cos="),
        ROW + "  more",
    ],
)
def test_what_begins_as_a_row_and_is_none_is_said(line: str) -> None:
    found = list(rows([ROW, "    One.", line, "    lost", ROW, "    Two."]))
    assert [number for number, _ in found] == [1, 3, 5]
    assert isinstance(found[1][1], str) and "not a row of a transcript" in found[1][1]
    assert [row["explanation"] for _, row in found if isinstance(row, dict)] == ["One.", "Two."]


def test_a_row_without_text_and_odd_indents() -> None:
    found = [row for _, row in rows([ROW, ROW, "\ttab", "  two", "     five", "none", "    not of the row"])]
    assert [row["explanation"] for row in found if isinstance(row, dict)] == ["", "tab\ntwo\n five"]


def test_what_is_no_transcript() -> None:
    assert is_transcript(f"anything\n{ROW}\n")
    assert not is_transcript("4. SAMPLING VARIANCE — pos 99 (token='!', ||v||=110.1)\n[1] see there\n")
    assert list(rows(["", "text"])) == []
