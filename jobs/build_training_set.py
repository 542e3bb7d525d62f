"""Build a training set, as `nla-ray training-set` does: `jobs/build_training_set.py --config FILE`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.entry import run
from nla_ray.cli.training.training_set import DryRun, Overrides, training_set_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML, local or s3://; see schemas/training_set.schema.json.")],
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """From a corpus to the tables that a pair is trained with and measured on."""
    training_set_command(config, overrides, dry_run)


if __name__ == "__main__":
    run(app)
