"""`nla-ray decode`: a corpus into a table of explanations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nla_ray.cli.output import print_run, progress


def decode_command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file; see schemas/decode.schema.json.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example sampling.samples=2.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite another run's table in the output folder.")
    ] = False,
) -> None:
    """Decode a corpus in this process: explanations.parquet and run.json in the output folder.

    Exits 1 when not one vector could be explained, 2 when an input is not usable.
    """
    from nla_ray.config.decode import DecodeConfig
    from nla_ray.config.load import load

    settings = load(DecodeConfig, config, overrides or ())
    from nla_ray.pipelines.decode import decode

    console = Console()
    with progress(console) as report:
        run = decode(settings, replace=replace, report=report)
    print_run(run, console)
    if set(run.summary.outcomes) <= {"failed"}:
        raise typer.Exit(1)
