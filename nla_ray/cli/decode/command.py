"""`nla-ray decode`: a corpus into tables of explanations."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from nla_ray.cli.decode.output import print_over_budget, print_plan, print_run
from nla_ray.cli.output import progress, say_what_is_not_read, stoppable
from nla_ray.cli.settings import settings_of
from nla_ray.errors import Exit

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example sampling.samples=2.")
]
Add = Annotated[bool, typer.Option("--add", help="Write beside other runs that the tables hold.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; load and write nothing.")]

EXAMPLES = "Example: nla-ray decode first.yaml sampling.samples=2 output=s3://bucket/tables"


def decode_command(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML, local or s3://; see schemas/decode.schema.json.")
    ],
    overrides: Overrides = None,
    add: Add = False,
    dry_run: DryRun = False,
) -> None:
    """Decode a corpus into tables; the same command again goes on where it stopped.

    Exits 10 when not one vector could be explained, 6 when more rows than max_failed_fraction are in the
    quarantine; everything that could be made is committed then. docs/operations.md has all exit codes.
    """
    from nla_ray.config.decode import DecodeFile
    from nla_ray.store.places.address import open_store

    settings = settings_of(DecodeFile, config, overrides)
    console = Console()
    say_what_is_not_read(settings.corpus, console, quiet=dry_run)
    open_store(settings.output)
    from nla_ray.pipelines.decode.estimate import estimated_seconds
    from nla_ray.pipelines.decode.layers import decode_asked, plan_asked
    from nla_ray.pipelines.decode.reuse import held_units
    from nla_ray.pipelines.decode.run import require_place, require_room, written_units

    if dry_run:
        with progress(console) as report:
            plans = plan_asked(settings, report)
        for number, (ready, store) in enumerate(plans):
            written, held = written_units(ready, store), held_units(ready, store)
            print_plan(ready, written, held, estimated_seconds(ready), console)
            require_place(store, ready, add=add or number > 0)
        require_room(store, [ready for ready, _ in plans])
        return
    with stoppable(settings.output), progress(console) as report:
        runs = decode_asked(settings, add=add, report=report)
    for run in runs:
        print_run(run, console)
    over = [run for run in runs if run.failed_fraction > settings.max_failed_fraction]
    for run in over:
        print_over_budget(run, settings.max_failed_fraction, console)
    if over:
        raise typer.Exit(Exit.QUARANTINE)
    if any(set(run.summary.outcomes) <= {"failed"} for run in runs):
        raise typer.Exit(Exit.NO)
