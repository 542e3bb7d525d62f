"""The command line; heavy imports wait for the command that needs them."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from nla_ray import __version__
from nla_ray.cli.audit.command import audit_app
from nla_ray.cli.checkpoints.check import check_command
from nla_ray.cli.checkpoints.convert_head import convert_head_command
from nla_ray.cli.decode.command import decode_command
from nla_ray.cli.entry import run
from nla_ray.cli.evaluate import evaluate_command
from nla_ray.cli.import_ import import_command
from nla_ray.cli.review.command import EXAMPLES as REVIEW_EXAMPLES
from nla_ray.cli.review.command import review_command
from nla_ray.cli.sweep.command import sweep_app
from nla_ray.cli.tables.export import EXAMPLES as EXPORT_EXAMPLES
from nla_ray.cli.tables.export import export_command
from nla_ray.cli.tables.show import EXAMPLES as SHOW_EXAMPLES
from nla_ray.cli.tables.show import show_command
from nla_ray.cli.tables.sql import EXAMPLES as SQL_EXAMPLES
from nla_ray.cli.tables.sql import sql_command
from nla_ray.cli.tables.verify import sign_command, verify_command
from nla_ray.cli.training.demo_train import demo_train_command
from nla_ray.cli.training.train import train_command
from nla_ray.cli.training.training_set import training_set_command

app = typer.Typer(
    name="nla-ray",
    help="Natural Language Autoencoders: a model's activations as text, over whole corpora.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nla-ray {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it and exit.")
    ] = False,
) -> None:
    """What every command has; the help of the whole is the application's."""


app.add_typer(audit_app, name="audit")
app.command("check")(check_command)
app.command("convert-head")(convert_head_command)
app.command("decode")(decode_command)
app.command("demo-train")(demo_train_command)
app.command("evaluate")(evaluate_command)
app.command("export", epilog=EXPORT_EXAMPLES)(export_command)
app.command("import")(import_command)
app.command("review", epilog=REVIEW_EXAMPLES)(review_command)
app.command("show", epilog=SHOW_EXAMPLES)(show_command)
app.command("sign")(sign_command)
app.command("sql", epilog=SQL_EXAMPLES)(sql_command)
app.add_typer(sweep_app, name="sweep")
app.command("train")(train_command)
app.command("training-set")(training_set_command)
app.command("verify")(verify_command)


def main() -> NoReturn:
    """The console script `nla-ray`."""
    run(app)
