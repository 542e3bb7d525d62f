"""Train a pair, as `nla-ray train` does: `jobs/train_nla.py --config FILE [KEY=VALUE]...`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.entry import run
from nla_ray.cli.training.train import DryRun, Overrides, train_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML, local or s3://; see schemas/train.schema.json.")],
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Train a pair: warm start of the reconstructor, of the verbalizer, then both together."""
    train_command(config, overrides, dry_run)


if __name__ == "__main__":
    run(app)
