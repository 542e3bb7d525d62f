"""Decode a corpus, as `nla-ray decode` does: `jobs/decode_corpus.py --config FILE [KEY=VALUE]...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nla_ray.cli.decode import decode_command
from nla_ray.cli.entry import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[Path, typer.Option(help="YAML file; see schemas/decode.schema.json.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example sampling.samples=2.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite another run's table in the output folder.")
    ] = False,
) -> None:
    """Decode a corpus into a table of explanations."""
    decode_command(config, overrides, replace)


if __name__ == "__main__":
    run(app)
