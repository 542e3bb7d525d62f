"""`nla-ray export`: what it says, and what it refuses in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import Exit
from tests.cli.conftest import Invoke
from tests.exports.conftest import tables  # noqa: F401 (fixture)


def test_it_says_what_was_exported_and_what_was_not(tables: Path, tmp_path: Path, invoke: Invoke) -> None:  # noqa: F811
    arguments = ("export", tables, "--to", tmp_path / "to", "--format", "workspacebench", "--runs", "fi")
    out = invoke(*arguments).out.splitlines()
    assert out[:2] == ["exported: readouts 3, of 1 runs", "left out: 1 in quarantine, 2 controls, 2 failed"]
    assert "nothing was done" in invoke(*arguments).out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "xml"), "--format"),
        (("--format", "csv", "--runs", "fourth"), "no committed run has this id"),
        (("--format", "csv", "--runs", "third"), "no committed run has this id"),
        (("--format", "csv", "--runs", ""), "begins the ids of 2 runs"),
        (("--format", "csv", "--where", "\x1b[31m ="), "\\x1b"),
        (("--format", "csv", "--where", ""), "--where: is empty"),
        (("--format", "csv", "--where", "layer = 9"), "no row with layer = 9"),
        (("--format", "csv", "--delta"), "--delta: is a log over Parquet files"),
        (("--format", "scout", "--activations"), "no place for vectors"),
        (("--format", "scout", "--where", "control = 'random'"), "no place for any of the rows: 3 controls"),
        (("--format", "csv", "--to", "{used}"), "holds files already (note.txt)"),
        (("--format", "csv", "--to", "{used}/note.txt"), "is a file"),
        (("--format", "csv", "--to", "gs://bucket/x"), "cannot keep tables at gs://"),
    ],
)
def test_what_cannot_be_is_refused(
    tables: Path,  # noqa: F811
    tmp_path: Path,
    invoke: Invoke,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    used = tmp_path / "used"
    used.mkdir()
    (used / "note.txt").write_text("mine")
    given = [argument.replace("{used}", str(used)) for argument in arguments]
    ended = invoke("export", tables, "--to", tmp_path / "to", *given)
    assert ended.code == (Exit.MISSING if "has this id" in says else Exit.UNUSABLE)
    assert says in ended.err and not (tmp_path / "to").exists()
    assert [path.name for path in used.iterdir()] == ["note.txt"]


def test_without_a_commit_there_is_nothing(tmp_path: Path, invoke: Invoke) -> None:
    for extra in ((), ("--runs", "x")):
        line = invoke("export", tmp_path, "--to", tmp_path / "to", "--format", "csv", *extra)
        assert "holds no tables" in line.refused(Exit.MISSING)
