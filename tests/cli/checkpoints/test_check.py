"""`nla-ray check`: exit codes, both layouts, and nothing from a checkpoint reaches the terminal raw."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from nla_ray.cli.checkpoints.check import print_checks
from nla_ray.errors import Exit
from nla_ray.nla.preflight.parts import Check
from tests.cli.conftest import Invoke
from tests.conftest import NlaDirs

CHECKS = [
    Check("sidecar", "AV", "pass", "role av"),
    Check("value head", "AR", "fail", "[bold]weight[/bold]: \x1b[31m16 of\n32\x07 rows \u202e"),
    Check("layer", "pair", "skip", "not checked"),
]


def shown(*, terminal: bool, width: int) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=width, color_system=None)
    print_checks(CHECKS, console)
    return stream.getvalue()


def test_a_good_pair(nla: Callable[[str], NlaDirs], invoke: Invoke) -> None:
    target, av, ar = nla("qwen2")
    ended = invoke("check", av, ar, "--target", target)
    assert ended.code == 0, ended
    lines = ended.out.splitlines()
    assert all(line.startswith("pass  ") for line in lines[:-1])
    assert lines[-1] == f"{len(lines) - 1} pass"


def test_a_failed_check(nla: Callable[[str], NlaDirs], invoke: Invoke, tmp_path: Path) -> None:
    _, av, ar = nla("qwen2")
    spoilt = shutil.copytree(ar, tmp_path / "ar")
    (spoilt / "value_head.safetensors").unlink()
    ended = invoke("check", av, spoilt)
    assert ended.code == 10
    assert "fail  AR" in ended.out
    assert "no value_head.safetensors" in ended.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{ar}", "{av}"], "swap the two"),
        (["{target}"], "not an NLA checkpoint"),
        (["{av}@main"], "has no revisions"),
        (["a@b@c"], "ID_OR_PATH[@REVISION][#SUBFOLDER] was expected"),
        (["{av}", "--injection", "loud"], "injection: found"),
        (["{av}", "--target", "{here}"], "no config.json"),
    ],
)
def test_unusable_input(
    nla: Callable[[str], NlaDirs], invoke: Invoke, tmp_path: Path, arguments: list[str], says: str
) -> None:
    target, av, ar = nla("qwen2")
    given = [text.format(target=target, av=av, ar=ar, here=tmp_path) for text in arguments]
    assert says in invoke("check", *given).refused()
    assert "no such directory" in invoke("check", "./nothing/here").refused(Exit.MISSING)


@pytest.mark.parametrize(("terminal", "width"), [(True, 100), (True, 40), (False, 80)])
def test_text_from_a_checkpoint_is_harmless(terminal: bool, width: int) -> None:
    text = shown(terminal=terminal, width=width)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    flat = "".join(part.strip(" │") for part in text.splitlines())
    assert "[bold]weight[/bold]:" in flat.replace("│", "")
    assert "1 pass, 1 fail, 1 skip" in text


def test_piped_output_is_one_line_per_check() -> None:
    assert shown(terminal=False, width=20).splitlines() == [
        "pass  AV      sidecar     role av",
        "fail  AR      value head  [bold]weight[/bold]: \\x1b[31m16 of\\n32\\x07 rows \\u202e",
        "skip  pair    layer       not checked",
        "1 pass, 1 fail, 1 skip",
    ]


def test_a_proof_needs_all_three(nla: Callable[[str], NlaDirs], invoke: Invoke) -> None:
    _, av, ar = nla("qwen2")
    assert "--prove: needs" in invoke("check", av, ar, "--prove").refused()


@pytest.mark.slow
def test_a_pair_that_reads_nothing_is_refused_with_its_numbers(
    nla: Callable[[str], NlaDirs], invoke: Invoke
) -> None:
    target, av, ar = nla("qwen2")
    ended = invoke("check", av, ar, "--target", target, "--prove")
    assert ended.code == Exit.NO and "refused: the pair does not read this target" in ended.out
    assert "add_matched@output:1=1.0" in ended.out
