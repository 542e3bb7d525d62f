"""A week of a sweep, as `nla-ray sweep run` does: `jobs/weekly_sweep.py --config FILE [--week W]`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.entry import run
from nla_ray.cli.sweep.command import Overrides, Week, run_week

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML file; see schemas/sweep.schema.json.")],
    overrides: Overrides = None,
    week: Week = None,
) -> None:
    """Decode, audit, compare and report every cell of a week; the same command again goes on."""
    run_week(config, overrides, week, None)


if __name__ == "__main__":
    run(app)
