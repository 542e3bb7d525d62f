"""Decode a corpus, as `nla-ray decode` does: `jobs/decode_corpus.py --config FILE [KEY=VALUE]...`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.decode.command import Add, DryRun, Overrides, decode_command
from nla_ray.cli.entry import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML, local or s3://; see schemas/decode.schema.json.")],
    overrides: Overrides = None,
    add: Add = False,
    dry_run: DryRun = False,
) -> None:
    """Decode a corpus into tables of explanations."""
    decode_command(config, overrides, add, dry_run)


if __name__ == "__main__":
    run(app)
