"""How commands end, as a shell sees it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from nla_ray.cli.entry import SIGNALS, run
from nla_ray.errors import Exit, NoCheckpointError, TrainingError, UnreachableError
from nla_ray.text import printable
from tests.cli.conftest import Invoke, Job
from tests.decoded import sound

MAIN = "from nla_ray.cli import main; main()"


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_a_refusal_is_one_line_without_a_traceback(job: Job) -> None:
    ended = shell("decode", job.config, "models.av=/nowhere")
    assert ended.returncode == Exit.MISSING
    assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["decode"], "Missing argument 'CONFIG'; try "),
        (["no-such-command"], "No such command 'no-such-command'; try "),
        (["decode", "x", "--no-such-option"], "No such option: --no-such-option; try "),
        (["sql", "x", "SELECT 1", "--format", "xls"], "'xls' is not one of "),
    ],
)
def test_wrong_usage_is_one_line(invoke: Invoke, arguments: list[str], words: str) -> None:
    said = invoke(*arguments).refused()
    assert words in said and said.endswith(" --help")


def test_help_and_no_command(invoke: Invoke) -> None:
    assert invoke("--help").code == 0
    assert "decode" in invoke().out


def test_an_interrupted_command_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    interrupted = typer.Typer()

    @interrupted.command()
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(interrupted, [])
    assert ended.value.code == 130 and "Traceback" not in capsys.readouterr().err


def raising(error: Exception) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RuntimeError("at https://me:word@host"), Exit.CRASH, "RuntimeError: at https://***@host"),
        (BrokenPipeError(errno.EPIPE, "no reader"), Exit.INTERRUPTED, ""),
        (TrainingError("a guard"), Exit.NO, "error: a guard\n"),
        (UnreachableError("a store"), Exit.TRY_AGAIN, "error: a store\n"),
        (NoCheckpointError("a model"), Exit.MISSING, "error: a model\n"),
    ],
)
def test_each_kind_of_end_has_its_code(
    error: Exception, code: Exit, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(raising(error), [])
    told = capsys.readouterr().err
    assert ended.value.code == code and said in told
    assert ("Traceback" in told) == (code == Exit.CRASH)


def test_signals_are_as_before_once_a_command_has_ended() -> None:
    before = [signal.getsignal(one) for one in SIGNALS]
    with pytest.raises(SystemExit):
        run(raising(TrainingError("a guard")), [])
    assert [signal.getsignal(one) for one in SIGNALS] == before


@pytest.mark.slow
def test_the_job_is_the_command(job: Job) -> None:
    script = Path(__file__).parents[2] / "jobs" / "decode_corpus.py"
    environment = os.environ | {"PYTHONPATH": str(script.parents[1])}
    ended = subprocess.run(
        [sys.executable, str(script), "--config", str(job.config), "seed=3"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    sound(job.output)


def test_what_stands_in_a_file_is_printed_harmlessly(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "evil.yaml"
    config.write_text('"\\e[31m[bold]\\u202e": 1\n')
    ended = invoke("decode", config)
    assert ended.code == 2 and "\x1b" not in ended.err and "\u202e" not in ended.err
    assert "[bold]" in ended.err


def test_printable() -> None:
    assert printable("plain ㈎ é [red]") == "plain ㈎ é [red]"
    assert printable("a\x1b[0m\n\u202e\ud800") == "a\\x1b[0m\\n\\u202e\\ud800"
