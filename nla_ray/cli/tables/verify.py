"""`nla-ray verify`: are committed tables what was committed?"""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.errors import Exit
from nla_ray.text import printable


def verify_command(
    tables: Annotated[str, typer.Argument(metavar="TABLES", help="Folder or s3://bucket/prefix.")],
) -> None:
    """Read every committed file again: digests, rows, duplicates, plans, the chain of manifests, strays.

    Names what is wrong and then exits 10; docs/operations.md has all exit codes.
    """
    from nla_ray.store.places.address import open_store
    from nla_ray.store.runs.verify import examine

    found = examine(open_store(tables))
    for problem in found.problems:
        typer.echo(printable(f"{problem.kind:<10} {problem.subject}: {problem.detail}"))
    counts = f"{found.runs} runs, {found.files} files, {found.rows} rows"
    typer.echo(f"{counts}: {f'{len(found.problems)} problems' if found.problems else 'all as committed'}")
    for run_id, sha256 in found.heads.items():
        typer.echo(printable(f"head {run_id} sha256:{sha256}"))
    if found.problems:
        raise typer.Exit(Exit.NO)
