"""A document on a terminal: its text with the explained tokens, coloured by fidelity, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from statistics import fmean

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from nla_ray.text import printable

BANDS = (
    (0.75, "black on #fde725", "0.75 and more"),
    (0.5, "black on #35b779", "0.5 to 0.75"),
    (0.25, "white on #2c5fa8", "0.25 to 0.5"),
    (0.0, "white on #6a1fa0", "0 to 0.25"),
    (float("-inf"), "white on #a50026", "under 0"),
)
"""Least `fve_nrm`, colour, and words: ordered in lightness, for those who do not tell them apart."""
UNKNOWN = "black on #bdbdbd"
GAP = " … "
LABEL_WIDTH = 11


@dataclass(frozen=True)
class Answer:
    """What was said once about a vector."""

    sample: int
    fve: float | None
    outcome: str
    reason: str | None
    explanation: str | None
    """What was generated, where the answer has no explanation in it."""


@dataclass(frozen=True)
class Position:
    """A token and the answers about its vector, or about what was injected instead."""

    position: int | None
    token: str | None
    role: str | None
    flags: list[str]
    answers: list[Answer]

    def fve(self) -> float | None:
        """The mean over the answers that have one."""
        known = [answer.fve for answer in self.answers if answer.fve is not None]
        return fmean(known) if known else None


@dataclass(frozen=True)
class Document:
    """What is shown: one document of one run under one control. Without documents table, `text` is None."""

    doc_id: str
    run_id: str
    other_runs: int
    control: str
    layer: int | None
    reference: str | None
    text: str | None
    token_ends: list[int]
    roles: list[str | None]
    positions: list[Position]
    flags: list[str] = field(default_factory=list)
    left_out: tuple[int, int] = (0, 0)
    """Tokens before and after those that the target read."""


def print_document(document: Document, console: Console) -> None:
    """The head, the text, a block per position, and what the colours mean."""
    coloured = console.color_system is not None and not console.no_color
    console.print(_head(document))
    console.print()
    console.print(_whole(document, coloured) if document.token_ends else _tokens_alone(document, coloured))
    console.print()
    for position in document.positions:
        console.print(_title(position, document.flags))
        console.print(Padding(_answers(position), (0, 0, 1, 4)))
    console.print(_legend(document, coloured))


def _head(document: Document) -> Text:
    newest = f" (the newest of {document.other_runs + 1}; --run shows another)" if document.other_runs else ""
    head = Text.assemble(("document ", "dim"), (printable(document.doc_id), "bold"))
    head.append(f"\nrun {printable(document.run_id)}{newest}", "dim")
    if document.layer is not None:
        head.append(f", layer {document.layer}", "dim")
    if document.control != "real":
        head.append(f"\ncontrol {printable(document.control)}: not about this text's own vectors", "bold")
    if document.flags:
        head.append(f"\nflags {printable(', '.join(document.flags))}", "yellow")
    if any(document.left_out):
        before, after = document.left_out
        head.append(f"\nnot read: {before:,} tokens before this text, {after:,} after it", "yellow")
    return head


def _whole(document: Document, coloured: bool) -> Text | Table:
    """The text as the target read it; of a chat span by span, each beside its label."""
    from nla_ray.tables import TEMPLATE

    whole, ends = document.text or "", document.token_ends
    last = _lines(whole[ends[-1] :])
    if not document.roles:
        return _span(document, range(len(ends)), coloured).append(last)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, overflow="ellipsis", max_width=LABEL_WIDTH)
    table.add_column(overflow="fold")
    for label, span in groupby(range(len(ends)), document.roles.__getitem__):
        text = _span(document, span, coloured, "dim" if label == TEMPLATE else "")
        text.remove_suffix("\n")
        table.add_row(Text(printable(label or ""), "dim"), text)
    return table


def _span(document: Document, tokens: Iterable[int], coloured: bool, style: str = "") -> Text:
    """The text of some tokens, those that are explained marked."""
    explained = {place.position: place for place in document.positions}
    text, whole, starts = Text(), document.text or "", (0, *document.token_ends)
    for index in tokens:
        token = whole[starts[index] : starts[index + 1]]
        if index in explained:
            text.append_text(_marked(token, explained[index].fve(), coloured))
            text.append("\n" * token.count("\n"))
        else:
            text.append(_lines(token), style)
    return text


def _tokens_alone(document: Document, coloured: bool) -> Text:
    """The explained tokens in their order, with gaps: the run has not kept the text."""
    text, after = Text(), -1
    for place in document.positions:
        if place.position is None or place.position > after + 1:
            text.append(GAP, "dim")
        text.append_text(_marked(place.token or "?", place.fve(), coloured))
        after = after if place.position is None else place.position
    return text.append(GAP, "dim")


def _lines(text: str) -> str:
    """Text made harmless, with its own line breaks."""
    return "\n".join(printable(line) for line in text.replace("\t", "    ").split("\n"))


def _marked(token: str, fve: float | None, coloured: bool) -> Text:
    """A token to be seen; spaces before it stay outside, where a line may break."""
    word = token.lstrip(" ") or token
    spaces = token.removesuffix(word)
    if not coloured:
        return Text(f"{spaces}[{printable(word)}]")
    return Text.assemble(spaces, (printable(word), _colour(fve)))


def _colour(fve: float | None) -> str:
    return UNKNOWN if fve is None else next(colour for least, colour, _ in BANDS if fve >= least)


def _title(place: Position, shared: Collection[str]) -> Text:
    """Position, token, label, fidelity, flags that not the whole document has."""
    flags = [flag for flag in place.flags if flag not in shared]
    fve = place.fve()
    where = "-" if place.position is None else str(place.position)
    title = Text.assemble((f"{where:>4}  ", "bold"))
    title.append(f" {printable((place.token or '?').lstrip(' ') or ' ')} ", _colour(fve))
    if place.role is not None:
        title.append(f"  {printable(place.role)}", "dim")
    title.append(f"  fve_nrm {'not known' if fve is None else f'{fve:.2f}'}")
    if flags:
        title.append(f"  {printable(', '.join(flags))}", "yellow")
    return title


def _answers(place: Position) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for answer in place.answers:
        fve = "" if answer.fve is None else f"{answer.fve:.2f}"
        table.add_row(Text(str(answer.sample), "dim"), Text(fve, "dim"), _said(answer))
    return table


def _said(answer: Answer) -> Text:
    """The explanation without blank lines; what became of it, where that is not ok."""
    text = Text()
    if answer.outcome != "ok":
        why = f"{answer.outcome}: {answer.reason}" if answer.reason else answer.outcome
        text.append(f"{printable(why)} ", "bold red")
    lines = (answer.explanation or "").splitlines()
    return text.append("\n".join(printable(line) for line in lines if line.strip()))


def _legend(document: Document, coloured: bool) -> Text:
    if all(place.fve() is None for place in document.positions):
        return Text("fidelity is not known: no answer of this document has one", "dim")
    reference = f", against {printable(document.reference)}" if document.reference else ""
    legend = Text(f"fidelity: fve_nrm, 1 is exact{reference}\n", "dim")
    if not coloured:
        return legend.append("[token]: has been explained", "dim")
    return Text.assemble(legend, *_swatches())


def _swatches() -> Iterator[tuple[str, str]]:
    for _, colour, words in BANDS:
        yield "  ", colour
        yield f" {words}   ", "dim"
