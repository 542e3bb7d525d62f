"""The review in a terminal: one explanation at a time, one key for a verdict."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from nla_ray.audit.review.labels import VERDICTS, Label
from nla_ray.pages.words import shown

if TYPE_CHECKING:
    from nla_ray.audit.review.draw import Item
    from nla_ray.pipelines.review.sittings import Sitting

KEYS = {verdict[0]: verdict for verdict in VERDICTS}
HELP = "t true, f false, u unclear, n note, s skip, b back, q quit"
_INTERRUPTED = ("\x03", "\x04", "")


def ask(sitting: Sitting, claims: Mapping[str, str], console: Console) -> None:
    """Ask about what this reviewer has not judged yet, and again about what they go back to; until `q`."""
    order = list(sitting.items)
    at, note = _next(sitting, order, -1), None
    console.print(f"Does the explanation say so itself? {HELP}", highlight=False)
    while at < len(order):
        item = sitting.items[order[at]]
        note = _noted(sitting, item) if note is None else note
        _show(sitting, item, claims[item.detector], console)
        key = _key()
        if key == "q" or key in _INTERRUPTED:
            return
        if key == "n":
            note = typer.prompt("note", default=note, show_default=False).strip()
        elif key == "b":
            at, note = max(0, at - 1), None
        elif key == "s":
            at, note = at + 1, None
        elif key in KEYS:
            sitting.say(Label(item.hit, KEYS[key], sitting.reviewer, note))
            at, note = _next(sitting, order, at), None
        else:
            console.print(HELP, highlight=False)
    console.print("that was the last one")


def _next(sitting: Sitting, order: Sequence[str], at: int) -> int:
    """Where the next explanation stands that is not judged yet; behind the last where there is none."""
    return next((n for n in range(at + 1, len(order)) if order[n] not in sitting.said), len(order))


def _show(sitting: Sitting, item: Item, claim: str, console: Console) -> None:
    said = sitting.said.get(item.hit)
    before = "" if said is None else f", you said {said['verdict']}"
    note = _noted(sitting, item)
    before += f", noting: {shown(note)}" if note else ""
    console.print(Text(f"\n{len(sitting.said)} of {len(sitting.items)} judged{before}", style="dim"))
    console.print(Text(shown(claim), style="bold"))
    console.print(Panel(Text(shown(item.text))))


def _noted(sitting: Sitting, item: Item) -> str:
    """What the reviewer noted before; it stays with another verdict, as on the page."""
    said = sitting.said.get(item.hit)
    return "" if said is None else str(said["note"])


def _key() -> str:
    """The key that is pressed; where there is no terminal, the first letter of a line."""
    return (typer.getchar() if sys.stdin.isatty() else sys.stdin.readline()[:1]).lower()
