"""What a target sees of a story, found without our reader: transformers renders it with marks around pieces.

Marks stand around the core of each content, thinking and name, inside the whitespace at its ends, and as
first and last key around arguments. The text without marks must be the text that transformers writes without
any; what lies between the marks is the piece. A second render without that whitespace tells which of it is
the piece's and which the template's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from tests.corpus.agents.formats import ROLES, Format, told
from tests.corpus.agents.master import Act, Story, Turn
from tests.corpus.agents.rows import call_id, compact, wrapped

TODAY = "2026-01-01"
TAKES_TEXT = frozenset({"qwen3"})
_MARK = re.compile(r'"Zm(\d{4})o": ?1, ?|, ?"Zm(\d{4})c": ?1|Zm(\d{4})o|Zm(\d{4})c')


class RefusedError(Exception):
    """The template does not take a story."""


@dataclass(frozen=True)
class Piece:
    """One thing that must be in the text, and what it is called where it is missing."""

    label: str
    message: int
    call: int | None
    value: Any

    @property
    def kind(self) -> str:
        """What is dropped where it is missing."""
        return self.label if self.label in ("tool_call", "tool_result", "thinking") else "message"

    @property
    def ends(self) -> tuple[str, str, str]:
        """A text's whitespace in front, its core, the whitespace behind."""
        core = self.value.strip() if isinstance(self.value, str) else ""
        front, _, back = self.value.partition(core) if core else ("", "", "")
        return front, core, back


@dataclass
class Seen:
    """The text, for each character the piece that it belongs to, and what is not there.

    `blank`: the story has a content of only whitespace, which has no core to mark.
    """

    text: str
    owners: list[Piece | None]
    dropped: set[str] = field(default_factory=set)
    blank: bool = False

    def pieces(self, spans: Sequence[tuple[int, int]]) -> list[Piece | None]:
        """Whose each token is: that of its last character which is no whitespace, or of its last one."""
        out = []
        for start, end in spans:
            core = self.text[start:end].rstrip()
            out.append(self.owners[start + (len(core) or end - start) - 1] if end > start else None)
        return out


class Pieces(list[Piece]):
    """The pieces of a story in the order of their numbers, and its messages with each as `dress` gives it."""

    def __init__(self, how: Format, family: str, dress: Callable[[int, Piece], Any]) -> None:
        super().__init__()
        self._how, self._dress = how, dress
        self._as_text = how.texts and family in TAKES_TEXT

    def messages(self, story: Story) -> list[dict[str, Any]]:
        """The story in the convention of chat templates."""
        rules = "" if self._how.silent else story.rules
        first = [{"role": "system", "content": self._put("system", 0, rules)}] if rules else []
        return first + [self._message(turn, at) for at, turn in enumerate(story.turns, start=len(first))]

    def _message(self, turn: Turn, at: int) -> dict[str, Any]:
        role = ROLES[turn.who]
        out = {"role": role, "content": self._put("tool_result" if turn.answers else role, at, turn.text)}
        if turn.thought:
            out |= dict.fromkeys(("reasoning_content", "thinking"), self._put("thinking", at, turn.thought))
        if turn.acts:
            out["tool_calls"] = [self._call(act, at, number) for number, act in enumerate(turn.acts)]
        return out

    def _call(self, act: Act, at: int, number: int) -> dict[str, Any]:
        function = {
            "name": self._put("tool_call", at, act.name, number),
            "arguments": self._put("tool_call", at, act.arguments, number),
        }
        if self._as_text:
            function["arguments"] = compact(function["arguments"])
        return {"type": "function", **({"id": call_id(act)} if self._how.ids else {}), "function": function}

    def _put(self, label: str, message: int, value: Any, call: int | None = None) -> Any:
        if not value or (isinstance(value, str) and not value.strip()):
            return value
        self.append(Piece(label, message, call, value))
        return self._dress(len(self) - 1, self[-1])


def seen(tokenizer: PreTrainedTokenizerBase, story: Story, how: Format, family: str) -> Seen:
    """What the template makes of a story. Raises RefusedError."""
    template = str(tokenizer.chat_template).replace("strftime_now('%Y-%m-%d')", f"'{TODAY}'")
    tools = wrapped(told(story, how)["tools"])

    def render(dress: Callable[[int, Piece], Any]) -> tuple[str, Pieces]:
        pieces = Pieces(how, family, dress)
        try:
            text = tokenizer.apply_chat_template(
                pieces.messages(story), tools=tools or None, chat_template=template, tokenize=False
            )
        except TemplateError as error:
            raise RefusedError(str(error)) from error
        return str(text), pieces

    real, pieces = render(lambda _, piece: piece.value)
    found = _located(real, render(_marked)[0], render(_bare)[0], pieces)
    found.dropped |= {"image" for turn in story.turns if None in turn.parts}
    found.dropped |= {"redacted_thinking" for turn in story.turns if turn.sealed}
    # Templates escape a description; its first letters are the same, and stand nowhere else.
    if not all(tool["function"]["description"][:4] in real for tool in tools):
        found.dropped.add("tools")
    found.blank = any(turn.text and not turn.text.strip() for turn in story.turns)
    return found


def _marked(number: int, piece: Piece) -> Any:
    if isinstance(piece.value, dict):
        return {f"Zm{number:04}o": 1, **piece.value, f"Zm{number:04}c": 1}
    front, core, back = piece.ends
    return f"{front}Zm{number:04}o{core}Zm{number:04}c{back}"


def _bare(number: int, piece: Piece) -> Any:
    return (
        _marked(number, piece)
        if isinstance(piece.value, dict)
        else f"Zm{number:04}o{piece.ends[1]}Zm{number:04}c"
    )


def _located(real: str, marked: str, bare: str, pieces: Pieces) -> Seen:
    text, marks = _without(marked)
    bare_text, bare_marks = _without(bare)
    assert text == real, "marks change what the template writes"
    assert [mark[:2] for mark in marks] == [mark[:2] for mark in bare_marks]
    found, opened = Seen(text, [None] * len(text)), set[int]()
    gaps = list(zip(_gaps(text, marks), _gaps(bare_text, bare_marks), strict=True))
    for at, (number, opens, start) in enumerate(marks):
        if not opens or number in opened:
            continue  # a call's name once more, in the header of its result
        opened.add(number)
        assert marks[at + 1][:2] == (number, False)
        end = marks[at + 1][2]
        front, back = (
            _whitespace(gaps[at], pieces, marks, at)[1],
            _whitespace(gaps[at + 2], pieces, marks, at + 2)[0],
        )
        _place(found, pieces[number], start, end, front, back)
    found.dropped |= {piece.kind for number, piece in enumerate(pieces) if number not in opened}
    return found


def _place(found: Seen, piece: Piece, start: int, end: int, front: str, back: str) -> None:
    """Give a piece its characters, all of which must be there."""
    if isinstance(piece.value, dict):
        start, end = start - 1, end + 1
        assert json.loads(found.text[start:end]) == piece.value
    else:
        ahead, core, behind = map(_escaped, piece.ends)
        assert found.text[start:end] in core
        if front not in ahead or back not in behind:
            found.dropped.add("whitespace")
    start, end = start - len(front), end + len(back)
    found.owners[start:end] = [piece] * (end - start)


def _without(marked: str) -> tuple[str, list[tuple[int, bool, int]]]:
    """The text without marks; of each mark its number, whether it opens, and where it stood."""
    marks, gone = [], 0
    for match in _MARK.finditer(marked):
        first, second, third, fourth = match.groups()
        marks.append((int(first or second or third or fourth), bool(first or third), match.start() - gone))
        gone += len(match[0])
    return _MARK.sub("", marked), marks


def _gaps(text: str, marks: list[tuple[int, bool, int]]) -> list[str]:
    """What stands before the first mark, between two, and after the last."""
    edges = [0, *(mark[2] for mark in marks), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


def _whitespace(
    gap: tuple[str, str], pieces: Pieces, marks: list[tuple[int, bool, int]], at: int
) -> tuple[str, str]:
    """Of the gap before a mark: the whitespace of the piece in front of it, and of the one behind it."""
    here, bare = gap
    back = pieces[marks[at - 1][0]].ends[2] if at and not marks[at - 1][1] else ""
    front = pieces[marks[at][0]].ends[0] if at < len(marks) and marks[at][1] else ""
    for behind in _forms(back, lambda text, n: text[:n]):
        for before in _forms(front, lambda text, n: text[len(text) - n :]):
            if behind + bare + before == here:
                return behind, before
    raise AssertionError(f"{here!r} is not {bare!r} with whitespace")


def _forms(text: str, part: Callable[[str, int], str]) -> Iterator[str]:
    """What may be left of whitespace, longest first, plain and as in JSON."""
    for n in range(len(text), -1, -1):
        yield from _escaped(part(text, n))


def _escaped(text: str) -> tuple[str, ...]:
    return text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
