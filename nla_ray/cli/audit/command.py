"""`nla-ray audit`: what explanations mention, beside what their controls mention; and two runs compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from typer.core import TyperGroup

from nla_ray.cli.audit.output import print_audit
from nla_ray.cli.output import stoppable
from nla_ray.cli.settings import settings_of

if TYPE_CHECKING:
    from nla_ray.config.audit import AuditConfig

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example fail_on=never.")
]
DIFF = "out/audit-diff"
"""Where the report of a comparison is, if no other place is named; that of another one stays there."""

Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        help=f"Folder or s3://bucket/prefix for the report; without it the configuration's, or {DIFF}.",
    ),
]

CODES = (
    "Exits 5 when there are findings that the policy fails on, 3 when a gate failed and the numbers cannot "
    "be used, 4 when there is too little evidence to say anything; docs/operations.md has all exit codes."
)


class _RunUnlessNamed(TyperGroup):
    """A group whose first argument may be left out: what names no command is the configuration of `run`."""

    def resolve_command(self, ctx, args):  # type: ignore[no-untyped-def]
        return super().resolve_command(ctx, args if args[0] in self.commands else ["run", *args])


audit_app = typer.Typer(
    cls=_RunUnlessNamed,
    help=f"Audit committed tables: nla-ray audit CONFIG [KEY=VALUE]..., or nla-ray audit diff A B. {CODES}",
    no_args_is_help=True,
)


@audit_app.command(
    "run", help=f"Audit the runs that a configuration names (the word run may be left out). {CODES}"
)
def audit_command(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML, local or s3://; see schemas/audit.schema.json.")
    ],
    overrides: Overrides = None,
) -> None:
    """Audit the runs that a configuration names; the same inputs again find their work done."""
    from nla_ray.config.audit import AuditConfig

    _audit(settings_of(AuditConfig, config, overrides))


@audit_app.command("diff", help=f"Audit B and compare it with A, each TABLES or TABLES#RUN_ID. {CODES}")
def diff_command(
    a: Annotated[
        str, typer.Argument(metavar="A", help="Before: folder or s3://bucket/prefix, with #RUN_ID.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="After.")],
    output: Output = None,
    config: Annotated[
        str | None, typer.Option("--config", help="YAML file with detectors, gates, policy.")
    ] = None,
) -> None:
    """Audit B and compare it with A."""
    from nla_ray.config.audit import AuditConfig

    values = {"source": _source(b), "before": _source(a)}
    if output is not None or config is None:
        values["output"] = output or DIFF
    if config is None:
        _audit(AuditConfig.model_validate(values), keep=output is None)
    else:
        overrides = [f"{name}={json.dumps(value)}" for name, value in values.items()]
        _audit(settings_of(AuditConfig, config, overrides), keep=output is None)


def _source(text: str) -> object:
    tables, separator, run_id = text.rpartition("#")
    return {"tables": tables, "runs": [run_id]} if separator else {"tables": text}


def _audit(config: AuditConfig, *, keep: bool = False) -> None:
    from nla_ray.pipelines.audit.report import exit_of
    from nla_ray.pipelines.audit.run import audit

    console = Console()
    with stoppable(str(config.output)), console.status("") as status:
        outcome = audit(config, status.update, keep=keep)
    ended = exit_of(outcome.report)
    print_audit(outcome, console, ended)
    if ended:
        raise typer.Exit(ended)
