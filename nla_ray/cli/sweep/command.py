"""`nla-ray sweep`: plan a week, run it, look at it, take it up again."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nla_ray.cli.output import stoppable
from nla_ray.cli.sweep.named import begun_config, configured, known_week, named_sweep
from nla_ray.cli.sweep.output import Lines, print_ended, print_plan, print_status, said
from nla_ray.cli.sweep.upkeep import abandon_command, compact_command, gc_command
from nla_ray.errors import Exit

if TYPE_CHECKING:
    from nla_ray.fleet.results import State

Sweep = Annotated[
    str,
    typer.Argument(
        metavar="SWEEP", help="YAML file, see schemas/sweep.schema.json; or ROOT#NAME of one that was begun."
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example runner.name=ray.")
]
Week = Annotated[
    str | None, typer.Option("--week", help="ISO week, 2026-W48; else the one that ended yesterday.")
]
Newest = Annotated[str | None, typer.Option("--week", help="ISO week, 2026-W48; else the newest begun.")]
Cells = Annotated[
    list[str] | None, typer.Option("--cell", help="Only this cell, MODEL.LK.CORPUS or MODEL/CORPUS.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
NoMeasure = Annotated[
    bool, typer.Option("--no-measure", help="Decode nothing to learn how fast a model is: estimate it.")
]

Again = Annotated[
    bool, typer.Option("--again", help="Make cells again that have a result: read their corpus as it is now.")
]

ENDED: tuple[State, ...] = ("done", "failed", "missing")

CODES = "Exit codes are those of docs/operations.md, the gravest of all cells."

sweep_app = typer.Typer(
    help=f"Weekly sweeps of many models over many corpora: nla-ray sweep run CONFIG [--week W]. {CODES}",
    no_args_is_help=True,
)
sweep_app.command("abandon")(abandon_command)
sweep_app.command("gc")(gc_command)
sweep_app.command("compact")(compact_command)


@sweep_app.command("plan")
def plan_command(
    sweep: Sweep,
    overrides: Overrides = None,
    week: Week = None,
    no_measure: NoMeasure = False,
    as_json: Json = False,
) -> None:
    """What a week would decode and cost, what is done already; 9 where that is over the budget.

    Else the code of a cell that cannot be planned.
    """
    config, chosen = configured(sweep, week, overrides or ())
    from nla_ray.pipelines.sweep.place import open_place, require_same_week
    from nla_ray.pipelines.sweep.plan import plan_sweep, require_budget
    from nla_ray.pipelines.sweep.run import on_cluster

    place = open_place(config, chosen)
    require_same_week(place)
    console = Console(stderr=as_json)
    with on_cluster(config), Lines(console) as lines:
        made = plan_sweep(place, measure=False, keep=not no_measure, doing=lines)
        if made.guessed() and not (made.over_budget or no_measure):
            made = plan_sweep(place, measure=True, keep=True, doing=lines)
    if as_json:
        typer.echo(said(made))
    else:
        print_plan(made, console)
    require_budget(made)
    leave(made.exit)


@sweep_app.command("run")
def run_command(
    sweep: Sweep,
    overrides: Overrides = None,
    week: Week = None,
    cell: Cells = None,
    again: Again = False,
    as_json: Json = False,
) -> None:
    """Decode, audit and report a week; the same command again goes on where it stopped."""
    run_week(sweep, overrides, week, cell, as_json, again=ENDED if again else ())


@sweep_app.command("resume")
def resume_command(
    sweep: Sweep,
    overrides: Overrides = None,
    week: Newest = None,
    cell: Cells = None,
    as_json: Json = False,
) -> None:
    """Do what is left of a week that was begun."""
    week = known_week(named_sweep(sweep, overrides or ()), week)
    run_week(sweep, overrides, week, cell, as_json)


@sweep_app.command("retry-failed")
def retry_command(
    sweep: Sweep,
    overrides: Overrides = None,
    week: Newest = None,
    cell: Cells = None,
    as_json: Json = False,
) -> None:
    """Try the cells again that failed, or whose model or corpus was missing, and do what is left."""
    week = known_week(named_sweep(sweep, overrides or ()), week)
    run_week(sweep, overrides, week, cell, as_json, again=("failed", "missing"))


@sweep_app.command("status")
def status_command(
    sweep: Sweep, overrides: Overrides = None, week: Newest = None, as_json: Json = False
) -> None:
    """How a week stands, from storage alone: any machine can tell."""
    from nla_ray.fleet.lease import now_utc
    from nla_ray.fleet.status import status_of

    named = named_sweep(sweep, overrides or ())
    chosen = known_week(named, week)
    config = begun_config(named, chosen)
    made = status_of(named.store, named.sweep, chosen, now_utc(), config.stalled_after_s)
    if as_json:
        typer.echo(said(made))
    else:
        print_status(made, config.budget.currency, Console())


@sweep_app.command("report")
def report_command(
    sweep: Sweep, overrides: Overrides = None, week: Newest = None, as_json: Json = False
) -> None:
    """Build the page of a week again, from what its cells and their audits say; exits as the week did."""
    from nla_ray.cli.sweep.output import print_page
    from nla_ray.pipelines.sweep.report import write_fleet_report

    named = named_sweep(sweep, overrides or ())
    chosen = known_week(named, week)
    config = begun_config(named, chosen)
    q, currency = config.audit.evidence.alpha, config.budget.currency
    made = write_fleet_report(named.store.url, named.sweep, chosen, q=q, currency=currency)
    if as_json:
        typer.echo(made.json_text())
    else:
        print_page(made, named.store.url, Console())
    leave(made.exit)


def run_week(
    sweep: str,
    overrides: list[str] | None,
    week: str | None,
    cells: list[str] | None,
    as_json: bool = False,
    *,
    again: Collection[State] = (),
) -> None:
    """Run a week and leave with its exit code."""
    config, chosen = configured(sweep, week, overrides or ())
    from nla_ray.fleet.notify import message_of, notify, require_webhook
    from nla_ray.pipelines.sweep.run import run_sweep

    console = Console(stderr=as_json)
    with stoppable(config.root), Lines(console) as lines:
        if config.notify is not None:
            require_webhook(config.notify.url_env)
        ended = run_sweep(config, chosen, cells=cells or (), again=again, say=lines.say, tell=lines)
        if config.notify is not None:
            untold = notify(config.notify.url_env, message_of(ended.report, config.root, ended.exit))
            lines(untold or "the webhook was told how the week ended")
    if as_json:
        typer.echo(said(ended.outcome()))
    else:
        print_ended(ended, console)
    leave(ended.exit)


def leave(code: int) -> None:
    """End with the exit code of a week; that of a crash, of which the cell tells, only a crash has."""
    if code == Exit.CRASH:
        raise RuntimeError("a cell ended by a fault of nla_ray itself, see its reason")
    if code:
        raise typer.Exit(code)
