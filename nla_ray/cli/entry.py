"""How every command ends: an error as one line on stderr, a signal in good order, and the exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError

from nla_ray.errors import Exit, NlaError
from nla_ray.text import masked, printable

SIGNALS = {
    signal.SIGHUP: Exit.HUNG_UP,
    signal.SIGINT: Exit.INTERRUPTED,
    signal.SIGTERM: Exit.TERMINATED,
}

GRACE_S = 15.0
"""A command that was stopped has so long to give back what it holds; nothing that is written needs it."""


def run(app: typer.Typer, arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a Typer application and leave with its exit code; `Exit` says which there are."""
    with _stoppable() as stop:
        code = _code_of(app, arguments)
        sys.exit(code if stop.code is None else stop.code)


def _code_of(app: typer.Typer, arguments: Sequence[str] | None) -> int | str | None:
    try:
        # Otherwise Typer says what is wrong itself, in a box.
        code: int | None = app(arguments, standalone_mode=False)
    except NoArgsIsHelpError:
        return Exit.UNUSABLE
    except UsageError as error:
        return _said(_usage(error), Exit.UNUSABLE)
    except typer.Abort:
        return _said("stopped: an answer was asked for, and none came", Exit.INTERRUPTED)
    except SystemExit as ended:
        # Typer's own 1 is no crash: the reader of the output went away.
        return Exit.INTERRUPTED if ended.code == Exit.CRASH else ended.code
    except NlaError as error:
        return _said(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 (a crash is told whole, without secrets)
        if (refusal := _refusal(error)) is not None:
            return _said(refusal, Exit.UNUSABLE)
        typer.echo(masked(traceback.format_exc()), err=True, nl=False)
        return Exit.CRASH
    return Exit.DONE if code is None else code


def _usage(error: UsageError) -> str:
    """What is wrong with a command line, and where its help is."""
    way_out = "" if error.ctx is None else f"; try {error.ctx.command_path} --help"
    return error.format_message().strip().removesuffix(".") + way_out


def _refusal(error: Exception) -> str | None:
    """What pydantic refuses, which is imported where it has raised; None for any other error."""
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return None
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")


def _said(message: str, code: Exit) -> Exit:
    typer.echo(f"error: {printable(masked(' '.join(message.split())))}", err=True)
    return code


class _Stop:
    """Handles the first signal that asks this process to end, as an interrupt of what it does."""

    code: Exit | None = None

    def __call__(self, number: int, _: FrameType | None) -> None:
        if self.code is not None:
            return
        self.code = SIGNALS[signal.Signals(number)]
        self._last = threading.Timer(GRACE_S, os._exit, [self.code])
        self._last.daemon = True
        self._last.start()
        raise KeyboardInterrupt

    def over(self) -> None:
        """What was to be given back is given back."""
        if self.code is not None:
            self._last.cancel()


@contextmanager
def _stoppable() -> Iterator[_Stop]:
    """Signals that ask to end do so in good order within the block; those that are ignored stay so."""
    stop, before = _Stop(), {}
    if threading.current_thread() is threading.main_thread():
        wanted = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        before = {one: signal.signal(one, stop) for one in wanted}
    try:
        yield stop
    finally:
        stop.over()
        for one, handler in before.items():
            signal.signal(one, handler)
