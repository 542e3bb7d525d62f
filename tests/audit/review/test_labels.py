"""Labels from files that people and their spreadsheets have been at."""

from __future__ import annotations

import pytest

from nla_ray.audit.review.labels import Label, hit_id, read_labels
from nla_ray.errors import InputError
from nla_ray.text import csv_line

AUDIT = "a1b2c3d4e5f60718293a"
OURS = hit_id(AUDIT, "secrecy", "row-1", 0)
FORMULA = hit_id(AUDIT, "secrecy", "row-2", 0)
HITS = {OURS: "It keeps the\nword to itself.", FORMULA: "=it is a formula"}
OTHER = hit_id("ffff00001111222233334444", "secrecy", "row-1", 0)
HEADER = "hit,verdict,reviewer,note\n"


def read(text: str | bytes) -> tuple[Label, ...]:
    data = text if isinstance(text, bytes) else text.encode()
    return read_labels(data, "labels.csv", AUDIT, HITS)


def test_an_id_says_of_which_audit_and_hit_it_is() -> None:
    assert OURS.startswith(AUDIT[:12]) and len({OURS, FORMULA, OTHER}) == 3


def test_labels_are_read_whatever_a_spreadsheet_made_of_them() -> None:
    lines = f"Hit,Verdict,Reviewer,Note,more\n{OURS},TRUE,Ann,why not,1\n\n{FORMULA},unclear, Bo ,,2\n"
    expected = (Label(OURS, "true", "Ann", "why not"), Label(FORMULA, "unclear", "Bo"))
    assert read(lines) == expected
    assert read("\ufeff" + lines.replace(",", ";").replace("\n", "\r\n")) == expected
    assert read(lines.replace(",", "\t").encode("utf-16")) == expected


def test_what_is_not_judged_yet_is_left_out_and_twice_is_once() -> None:
    assert read(HEADER + f"{OURS},,,\n") == ()
    assert read(HEADER + f"{OURS},true,Ann,\n{OURS},true,ann,sure\n{OURS},false,Bo,\n") == (
        Label(OURS, "true", "ann", "sure"),
        Label(OURS, "false", "Bo"),
    )


def test_the_text_that_was_shown_comes_back_as_a_file_holds_it() -> None:
    rows = [csv_line([hit, text, "true", "Ann"]) for hit, text in HITS.items()]
    assert len(read("hit,text,verdict,reviewer\r\n" + "\r\n".join(rows))) == 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            f"{OTHER},true,Ann,",
            rf"hit '{OTHER}' \(line 2 of the file\): is of another review than {AUDIT[:12]}",
        ),
        (
            f"{AUDIT[:12]}-0,true,Ann,",
            rf"hit '{AUDIT[:12]}-0' \(line 2.*\): is not in the sample of this review",
        ),
        (",true,Ann,", r"hit '' \(line 2 .*\): is of another review"),
        (
            f"{OURS},maybe,Ann,",
            rf"hit '{OURS}' \(line 2 .*\): verdict 'maybe', allowed are true, false, unclear",
        ),
        (f"{OURS},true, ,", rf"hit '{OURS}' \(line 2 .*\): no reviewer"),
        (f"{OURS},true", rf"hit '{OURS}' \(line 2 .*\): 2 cells, the header has 4"),
        (f'{OURS},true,Ann,"two\nlines"\n\n{OURS},x,Ann,', r"\(line 5 .*\): verdict 'x'"),
        (
            f"{OURS},true,Ann,\n{OURS},false,ANN,",
            rf"hit '{OURS}' \(lines 2 and 3 of the file\): 'ANN' says true and false of it",
        ),
        (f'{OURS},true,Ann,"open', "line 2 is no CSV"),
        (
            "\n".join(f"{OURS},no{n},Ann," for n in range(5)),
            r"\(line 4 .*\): verdict 'no2'.*; and 2 more; correct",
        ),
    ],
)
def test_what_cannot_be_right_is_named_by_its_hit_and_line(lines: str, words: str) -> None:
    with pytest.raises(InputError, match=f"labels.csv: .*{words}"):
        read(HEADER + lines)


def test_an_edited_text_is_no_label_of_the_hit() -> None:
    with pytest.raises(InputError, match=rf"hit '{OURS}' \(line 2 .*\): its text was edited"):
        read(f"hit,text,verdict,reviewer\n{OURS},It keeps nothing.,true,Ann\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no column 'hit'; the first line names nothing, needed are hit, verdict, reviewer"),
        (b"hit,reviewer\n", "no column 'verdict'; the first line names hit, reviewer"),
        (b"hit,verdict,verdict,reviewer\n", "two columns are called 'verdict'"),
        (b"hit\xff,verdict\n", "not UTF-8 text"),
        (b"\x00" * 9, r"the first line names \\x00"),
    ],
)
def test_what_is_no_table_of_labels(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(data)
