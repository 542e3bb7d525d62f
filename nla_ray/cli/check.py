"""`nla-ray check`: is this checkpoint what it says, before any weight is loaded?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.config.reference import ModelRef
from nla_ray.errors import Exit
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.nla.preflight.parts import Check

_COLOURS = {"pass": "green", "fail": "bold red", "skip": "yellow"}
_FORM = "ID_OR_PATH[@REVISION][#SUBFOLDER]"


def check_command(
    av: Annotated[str, typer.Argument(metavar="AV", help=f"The verbalizer: {_FORM}, or demo:av.")],
    ar: Annotated[str | None, typer.Argument(metavar="[AR]", help="Its reconstructor.")] = None,
    target: Annotated[str | None, typer.Option(help="The model whose activations the pair reads.")] = None,
    injection: Annotated[
        str | None,
        typer.Option(metavar="KIND@SITE=SCALE", help="How vectors enter an AV whose sidecar does not tell."),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that a checkpoint brings along.")
    ] = False,
) -> None:
    """Check an NLA without loading its weights: sidecar, tokenizer, marker, depth, value head, pairing.

    Exits 10 when a check fails; docs/operations.md has all exit codes.
    """
    from nla_ray.models import here
    from nla_ray.nla.preflight.run import check

    refs = [
        None if text is None else here(ModelRef.parse(text, trust_remote_code=trust_remote_code))
        for text in (ar, target)
    ]
    verbalizer = here(ModelRef.parse(av, trust_remote_code=trust_remote_code))
    checks = check(verbalizer, *refs, injection=injection)
    print_checks(checks, Console())
    if any(made.status == "fail" for made in checks):
        raise typer.Exit(Exit.NO)


def print_checks(checks: list[Check], console: Console) -> None:
    """A table on a terminal; elsewhere one line per check, in columns."""
    counts = {status: sum(made.status == status for made in checks) for status in _COLOURS}
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    if not console.is_terminal:
        width = max(len(made.name) for made in checks)
        for made in checks:
            columns = f"{made.status}  {made.subject:<6}  {made.name:<{width}}  {printable(made.detail)}"
            console.out(columns, highlight=False)
        console.out(summary, highlight=False)
        return
    table = Table()
    for heading in ("", "of", "check", "found"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "of"))
    subject = None
    for made in checks:
        if subject not in (None, made.subject):
            table.add_section()
        subject = made.subject
        status = Text(made.status, style=_COLOURS[made.status])
        table.add_row(status, made.subject, made.name, Text(printable(made.detail)))
    console.print(table)
    console.print(Text(summary, style=_COLOURS["fail" if counts["fail"] else "pass"]))
