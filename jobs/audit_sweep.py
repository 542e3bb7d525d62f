"""Audit committed tables, as `nla-ray audit` does: `jobs/audit_sweep.py --config FILE [KEY=VALUE]...`."""

from __future__ import annotations

from typing import Annotated

import typer

from nla_ray.cli.audit.command import Overrides, audit_command
from nla_ray.cli.entry import run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def job(
    config: Annotated[str, typer.Option(help="YAML, local or s3://; see schemas/audit.schema.json.")],
    overrides: Overrides = None,
) -> None:
    """Audit runs of explanations: findings, rates beside controls, a report."""
    audit_command(config, overrides)


if __name__ == "__main__":
    run(app)
