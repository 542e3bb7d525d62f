"""The command line. A command is imported when it is named, and what it needs when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from nla_ray import __version__
from nla_ray.cli.entry import run

if TYPE_CHECKING:
    from typer._click import Command

COMMANDS = {
    "audit": "audit.command:audit_app",
    "check": "checkpoints.check:check_command",
    "convert-head": "checkpoints.convert_head:convert_head_command",
    "decode": "decode.command:decode_command",
    "demo-train": "training.demo_train:demo_train_command",
    "evaluate": "evaluate:evaluate_command",
    "export": "tables.export:export_command",
    "import": "import_:import_command",
    "review": "review.command:review_command",
    "show": "tables.show:show_command",
    "sign": "tables.verify:sign_command",
    "sql": "tables.sql:sql_command",
    "sweep": "sweep.command:sweep_app",
    "train": "training.train:train_command",
    "training-set": "training.training_set:training_set_command",
    "verify": "tables.verify:verify_command",
}
"""Where in this package each is; `EXAMPLES` there ends its help."""


def _command(name: str) -> Command:
    """A command as Typer makes it."""
    module, _, attribute = COMMANDS[name].partition(":")
    home = import_module(f"{__name__}.{module}")
    found, alone = getattr(home, attribute), typer.Typer(add_completion=False)
    alone.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=name)
    else:
        alone.command(name, epilog=getattr(home, "EXAMPLES", None))(found)
    return typer.main.get_group(alone).commands[name]


class _Commands(Mapping[str, "Command"]):
    """All of them by name, each made once: it keeps the names under which its help was first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _command(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Named(TyperGroup):
    """A group that does not make a command before it is named: the types of every option cost time."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": _Commands()})


app = typer.Typer(
    name="nla-ray",
    cls=_Named,
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


def main() -> NoReturn:
    """The console script `nla-ray`."""
    run(app)
