"""Configurations on S3, and places on this machine that are named by a URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from nla_ray.errors import UnreachableError
from nla_ray.store.places.remote import asking
from nla_ray.store.places.tree import Tree
from tests.cli.conftest import Invoke, Job
from tests.decoded import runs_of
from tests.store.conftest import bucket, s3, s3_endpoint, use_s3  # noqa: F401 (fixtures)
from tests.store.faults import faulty


def test_a_configuration_is_read_from_s3(job: Job, invoke: Invoke, s3: str) -> None:  # noqa: F811
    Tree(s3).write("decode.yaml", job.config.read_bytes())
    ended = invoke("decode", f"{s3}/decode.yaml", "seed=3", f"output={s3}/out")
    assert ended.code == 0, ended
    assert len(runs_of(f"{s3}/out")) == 1 and not Path("s3:").exists()
    Tree(s3).write("decode.yaml", b"outptu: x")
    assert f"{s3}/decode.yaml: outptu: unknown key" in invoke("decode", f"{s3}/decode.yaml").refused()


def test_a_configuration_that_s3_does_not_give_is_named(
    invoke: Invoke,
    s3: str,  # noqa: F811
    s3_endpoint: str,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.1)
    ended = invoke("decode", f"{s3}/none.yaml")
    assert ended.code != 0 and f"{s3}/none.yaml: no such file" in ended.err and ended.err.count("\n") == 1
    with faulty(s3_endpoint, lambda request: "AccessDenied") as endpoint:
        use_s3(monkeypatch, endpoint, tmp_path / "cache")
        ended = invoke("audit", f"{s3}/audit.yaml")
    assert ended.code == UnreachableError.exit_code
    assert "access denied" in ended.err and ended.err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [("sql", "tables", "SELECT 1", "-o", "s3://bucket/a.csv"), ("demo-train", "--out", "s3://bucket/pair")],
)
def test_what_is_written_here_only_makes_no_folder_of_a_url(
    command: tuple[str, ...], invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is written on this machine only" in invoke(*command).refused()
    assert list(tmp_path.iterdir()) == []
