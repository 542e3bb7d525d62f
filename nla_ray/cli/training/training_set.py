"""`nla-ray training-set`: a corpus to the tables that a pair is trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nla_ray.cli.output import progress, say_what_is_not_read, stoppable
from nla_ray.cli.settings import settings_of
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.pipelines.training_set.build import Built
    from nla_ray.pipelines.training_set.estimate import Estimate
    from nla_ray.pipelines.training_set.planning import Ready
    from nla_ray.store.runs.training_set import Explaining

UNEXPLAINED = "none: no provider is configured, so the splits are vectors alone"

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example corpus.limit=100.")
]


DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and asked; load, ask and write nothing.")
]


def training_set_command(
    config: Annotated[
        str,
        typer.Argument(metavar="CONFIG", help="YAML, local or s3://; see schemas/training_set.schema.json."),
    ],
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Build a training set: activations, split by content, explained, in the published schema.

    The same command again goes on where it stopped; no answer is paid for twice. Exits 9 when the
    provider's budget is spent before the end; docs/operations.md has all exit codes.
    """
    from nla_ray.config.training.training_set import TrainingSetConfig
    from nla_ray.store.places.address import open_store

    settings = settings_of(TrainingSetConfig, config, overrides)
    console = Console()
    say_what_is_not_read(settings.corpus, console, quiet=dry_run)
    open_store(settings.output)
    from nla_ray.pipelines.training_set.build import build_training_set, plan

    if dry_run:
        with progress(console) as report:
            ready, found = plan(settings, report=report)
        print_estimate(ready, found, console)
        return
    with stoppable(settings.output), progress(console) as report:
        built = build_training_set(settings, report=report)
    print_built(built, console)


def print_estimate(ready: Ready, found: Estimate, console: Console) -> None:
    """How large the set will be and what it will cost, about."""
    config = ready.config
    for warning in ready.warnings:
        _line(console, "warning", warning)
    _line(console, "target", f"{ready.base_model}, layer {config.layer}, {ready.d_model} values a vector")
    unusable = f", about {found.unusable} of them not usable" if found.unusable else ""
    _line(console, "corpus", f"{found.documents} documents in {found.units} units{unusable}")
    for problem in found.problems:
        _line(console, "  not usable", problem)
    size = f"{found.bytes / 2**20:,.1f} MiB"
    _line(console, "vectors", f"about {found.vectors}; {size} with the tables")
    provider = config.provider
    _line(
        console,
        "explanations",
        f"about {found.explanations}, by {provider.kind}" if provider else UNEXPLAINED,
    )
    if found.requests is not None:
        done = (
            f"; {found.explained_units} of {found.units} units are explained" if found.explained_units else ""
        )
        _line(console, "asking", f"about {found.requests} requests, {found.tokens:,} tokens{done}")
    over = found.over(provider)
    if over is not None:
        _line(
            console, "budget", f"too small: {over}; the building would stop there and go on once it is raised"
        )
    _line(console, "output", f"{config.output}; nothing was asked or written")


def print_built(built: Built, console: Console) -> None:
    """The splits, the duplicates, what the explanations cost, what could not be used."""
    found = built.set
    for warning in built.warnings:
        _line(console, "warning", warning)
    table = Table()
    for name in ("split", "documents", "rows", "files"):
        table.add_column(name, justify="left" if name == "split" else "right")
    for name, split in found.splits.items():
        table.add_row(name, str(split.documents), str(split.rows), str(len(split.files)))
    console.print(table)
    copies = found.duplicates
    said = f"{copies.equal} equal and {copies.near} nearly equal to another of {copies.documents} documents"
    _line(console, "copies", f"{said}; largest group {copies.largest}; always in one split")
    if copies.unknown:
        _line(console, "  not known", f"copies of {copies.unknown} documents, which have no text")
    if found.config["provider"] is None:
        _line(console, "explanations", UNEXPLAINED)
    else:
        _line(console, "explained", explained(found.explaining))
    if found.unusable:
        _line(console, "not usable", f"{found.unusable} documents or vectors, such as")
        for problem in found.problems:
            _line(console, "  ", problem)
    of = f"Var(v_nrm) = {found.baseline.value:.4f} over {found.baseline.n} vectors"
    _line(console, "vectors", f"{of}; norm at 75 %: {found.norm_p75:g}")
    done = " (built before; nothing was done)" if built.again else ""
    _line(console, "training set", f"{built.output}{done}")


def explained(found: Explaining) -> str:
    """Rows with an explanation, what they cost, and why others have none."""
    dropped = ", ".join(f"{count} x {reason}" for reason, count in found.dropped.items())
    paid = f"{found.requests} requests, {found.tokens:,} tokens"
    return f"{found.explained} rows; {paid}; dropped: {dropped or 'none'}"


def _line(console: Console, name: str, value: str) -> None:
    console.print(Text.assemble((f"{name}: ", "bold"), printable(value)), soft_wrap=True)
