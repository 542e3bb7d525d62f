"""How every command ends: an error as one line on stderr, and its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from pydantic import ValidationError

from nla_ray.errors import NlaError
from nla_ray.text import printable

UNUSABLE = 2


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a Typer application and leave with its exit code.

    0 done, 1 the command says no (a failed check), 2 unusable input or usage, 130 interrupted.
    """
    try:
        app(arguments)
    except NlaError as error:
        _fail(str(error), error.exit_code)
    except ValidationError as error:
        _fail(error.errors()[0]["msg"].removeprefix("Value error, "), UNUSABLE)
    sys.exit(0)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(f"error: {printable(' '.join(message.split()))}", err=True)
    sys.exit(code)
