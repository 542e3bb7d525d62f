"""`nla-ray train`: a verbalizer and a reconstructor from a training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nla_ray.cli.settings import settings_of
from nla_ray.cli.training.output import print_pair, print_plan, showing, stopped

if TYPE_CHECKING:
    from nla_ray.config.training.train import TrainConfig

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="For example stages.sft_av.steps=100.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be trained; load no weights, write nothing.")
]


def train_command(
    config: Annotated[
        str, typer.Argument(metavar="CONFIG", help="YAML, local or s3://; see schemas/train.schema.json.")
    ],
    overrides: Overrides = None,
    dry_run: DryRun = False,
) -> None:
    """Train a pair: warm start of the reconstructor, of the verbalizer, then both together.

    The same command goes on where it was interrupted. Exits 10 when joint training
    stopped at a guard; docs/operations.md has all exit codes.
    """
    from nla_ray.config.training.train import TrainConfig

    settings = settings_of(TrainConfig, config, overrides)
    require_splits(settings)
    if settings.upload is not None:
        from nla_ray.pipelines.train.upload import require_token

        require_token()
    console = Console()
    if dry_run:
        with showing(console) as report:
            from nla_ray.pipelines.train.estimate import plan

            planned = plan(settings, report)
        print_plan(planned, console)
        return
    try:
        with showing(console) as report:
            from nla_ray.pipelines.train.run import train

            found = train(settings, report)
    except KeyboardInterrupt:
        typer.echo(stopped(settings), err=True)
        raise
    print_pair(found, settings, console)


def require_splits(settings: TrainConfig) -> None:
    """Raise NoFileError, naming its key, where a split is not there."""
    from nla_ray.errors import NoFileError
    from nla_ray.store.places.files import expand

    for name, url in settings.splits.items():
        try:
            expand(url)
        except NoFileError:
            raise NoFileError(
                f"{url}: there is no split {name} here; make a training set that has one with "
                f"`nla-ray training-set`, or name another in data.path or data.{name}"
            ) from None
