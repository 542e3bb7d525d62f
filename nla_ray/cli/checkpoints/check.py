"""`nla-ray check`: is this checkpoint what it says, before any weight is loaded?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.errors import ConfigError, Exit
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.config.models.reference import ModelRef
    from nla_ray.config.pairs.facts import PairFacts
    from nla_ray.nla.preflight.parts import Check
    from nla_ray.nla.proof.verdict import Proof

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
    pair: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="What else the files do not tell, as in models.pair, such as layer=24; may be repeated.",
        ),
    ] = None,
    prove: Annotated[
        bool,
        typer.Option("--prove", help="Load the three and decode 32 vectors: does the pair read this target?"),
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code that a checkpoint brings along.")
    ] = False,
) -> None:
    """Check an NLA without loading its weights: sidecar, tokenizer, marker, depth, value head, pairing.

    With --prove also what no file tells: how vectors enter the verbalizer, and that it reads this target.
    Exits 10 when a check fails; docs/operations.md has all exit codes.
    """
    from nla_ray.config.loading.load import given
    from nla_ray.config.models.reference import ModelRef
    from nla_ray.config.pairs.facts import PairFacts
    from nla_ray.models import directory_of, here
    from nla_ray.nla.sidecar.read import said_injection

    refs = [
        None if text is None else here(ModelRef.parse(text, trust_remote_code=trust_remote_code))
        for text in (ar, target)
    ]
    verbalizer = here(ModelRef.parse(av, trust_remote_code=trust_remote_code))
    facts = given(PairFacts, pair) if pair else None
    place = directory_of(verbalizer, weights=False)
    # It takes seconds to load; what is not there at all is told before.
    from nla_ray.nla.preflight.run import check

    untold = prove and injection is None and said_injection(place, facts) is None
    proof = _proof(verbalizer, refs, None, facts) if untold else None
    found = injection if proof is None else proof.proven
    checks = check(verbalizer, *refs, injection=found, facts=facts)
    print_checks(checks, Console())
    failed = any(made.status == "fail" for made in checks)
    if prove and not untold and not failed:
        proof = _proof(verbalizer, refs, injection, facts)
    if proof is not None:
        print_proof(proof)
    if failed or (proof is not None and proof.proven is None):
        raise typer.Exit(Exit.NO)


def _proof(
    av: ModelRef, others: Sequence[ModelRef | None], injection: str | None, facts: PairFacts | None
) -> Proof:
    from nla_ray.models import directory_of
    from nla_ray.nla.proof.prove import On, Pair, prove

    ar, target = others
    if ar is None or target is None:
        raise ConfigError("--prove: needs the reconstructor (AR) and --target: its score of answers decides")
    trusted = ("av", "ar", "target") if av.trust_remote_code else ()
    pair = Pair(directory_of(av), directory_of(ar), directory_of(target), injection, facts)
    return prove(pair, on=On(trusted=trusted), report=lambda doing: typer.echo(doing, err=True))


def print_proof(proof: Proof) -> None:
    """A line for each injection that was tried, and the verdict."""
    width = max(len(one.injection) for one in proof.tried)
    typer.echo("injection, cosine with own vectors and with those of other texts, difference (95 %), closed")
    for one in proof.tried:
        numbers = (
            f"{one.own:6.3f} {one.others:6.3f}  {one.own - one.others:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
            f"  {one.closed:.0%}"
        )
        typer.echo(
            f"  {one.injection:<{width}}  {numbers if one.problem is None else printable(one.problem)}"
        )
    typer.echo(printable(proof.verdict))


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
