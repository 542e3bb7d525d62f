"""Evaluate a pair, as `nla-ray evaluate` does: `jobs/evaluate_nla.py --config FILE [KEY=VALUE]...`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.entry import run
from nla_ray.cli.evaluate import Overrides, evaluate_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML, local or s3://; see schemas/evaluate.schema.json.")],
    overrides: Overrides = None,
) -> None:
    """Measure a pair on held-out activations: fidelity beside controls, robustness, recurrence, a page."""
    evaluate_command(config, overrides)


if __name__ == "__main__":
    run(app)
