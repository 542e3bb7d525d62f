"""`nla-ray verify`: are committed tables what was committed, is a report what was signed?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nla_ray.errors import ConfigError, Exit
from nla_ray.text import printable

KEY = "Key for signing: a private key of OpenSSH, or a public one whose private half an agent holds."


def verify_command(
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="Tables or a report: folder or s3://bucket/prefix.")
    ],
    signers: Annotated[
        Path | None,
        typer.Option(help="Of a report: who may sign, a public key or a file like ssh's allowed_signers."),
    ] = None,
) -> None:
    """Check tables, or the signature of a report.

    Of tables every committed file is read again: digests, rows, duplicates, plans, the chain of manifests,
    strays. Names what is wrong and then exits 10; docs/operations.md has all exit codes.
    """
    from nla_ray.pipelines.signing import is_report
    from nla_ray.store.places.address import open_store
    from nla_ray.store.runs.verify import examine

    if signers is not None:
        return _verify_report(place, signers)
    store = open_store(place)
    if not store.keys("commits/") and is_report(place):
        raise ConfigError(f"{place}: is a report; say who may sign it: --signers FILE")
    found = examine(store)
    for problem in found.problems:
        typer.echo(printable(f"{problem.kind:<10} {problem.subject}: {problem.detail}"))
    counts = f"{found.runs} runs, {found.files} files, {found.rows} rows"
    typer.echo(f"{counts}: {f'{len(found.problems)} problems' if found.problems else 'all as committed'}")
    for run_id, sha256 in found.heads.items():
        typer.echo(printable(f"head {run_id} sha256:{sha256}"))
    if found.problems:
        raise typer.Exit(Exit.NO)
    return None


def _verify_report(place: str, signers: Path) -> None:
    from nla_ray.pipelines.signing import check

    found = check(place, signers)
    if found.signer:
        typer.echo(printable(f"signed by {found.signer}"))
        pages = ", ".join(found.pages) or "no page (of this version and of an audit there is none)"
        typer.echo(printable(f"of what was signed: {pages}"))
        if found.absent:
            absent = ", ".join(found.absent)
            typer.echo(printable(f"not there, so not checked: {absent}"))
    for problem in found.problems:
        typer.echo(printable(problem))
    if found.problems:
        raise typer.Exit(Exit.NO)


def sign_command(
    report: Annotated[str, typer.Argument(metavar="REPORT", help="Folder, s3://bucket/prefix or JSON file.")],
    key: Annotated[Path, typer.Option(help=KEY)],
) -> None:
    """Sign a report: report.json.sig beside it, which nla-ray verify and ssh-keygen -Y verify check."""
    from nla_ray.pipelines.signing import sign

    typer.echo(printable(f"signed: {sign(report, key)}"))
