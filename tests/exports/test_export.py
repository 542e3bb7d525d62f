"""An export is complete, is made once, is taken up again, and names what it was made of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nla_ray.errors import InputError
from nla_ray.exports.export import export_tables
from nla_ray.exports.place import BEGUN, MARKER
from nla_ray.exports.record import FORMATS, Choice, Format
from nla_ray.store import connect, open_store
from tests.exports.conftest import ROWS
from tests.store.conftest import (  # noqa: F401 (fixtures)
    bucket,
    place,
    s3,
    s3_endpoint,
    seaweedfs_endpoint,
)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_same_export_is_made_once_at_any_place(tables: Path, place: str) -> None:  # noqa: F811
    choice = Choice(format="parquet", delta=True)
    made = export_tables(str(tables), place, choice)
    store = open_store(place)
    assert not made.before and made.record.counts() == {"explanations": ROWS, "documents": 3}
    sizes = {listed.key: listed.bytes for listed in store.entries("")}
    assert {file.key: file.bytes for file in made.record.files}.items() <= sizes.items()
    again = export_tables(str(tables), place, choice)
    assert again.before and again.record == made.record
    with pytest.raises(InputError, match=r"another export \(it differs in delta .*empty place"):
        export_tables(str(tables), place, Choice(format="parquet"))
    assert {listed.key: listed.bytes for listed in store.entries("")} == sizes


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_was_interrupted_anywhere_is_finished(
    tables: Path, tmp_path: Path, form: Format
) -> None:
    choice = Choice(format=form)
    whole = export_tables(str(tables), str(tmp_path / "whole"), choice)
    written = [BEGUN, *(file.key for file in whole.record.files)]
    for number in range(len(written) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        for key in written[:number]:
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tmp_path / "whole" / key, folder / key)
        assert not export_tables(str(tables), str(folder), choice).before
        assert content(folder) == content(tmp_path / "whole")


def test_a_file_that_is_gone_is_written_again(tables: Path, tmp_path: Path) -> None:
    choice = Choice(format="csv")
    export_tables(str(tables), str(tmp_path / "to"), choice)
    before = content(tmp_path / "to")
    (tmp_path / "to" / "documents" / "part-00000.csv").unlink()
    assert not export_tables(str(tables), str(tmp_path / "to"), choice).before
    assert content(tmp_path / "to") == before


def test_the_record_names_runs_digests_and_what_is_missing(tables: Path, tmp_path: Path) -> None:
    export_tables(str(tables), str(tmp_path / "to"), Choice(format="workspacebench"))
    record = json.loads((tmp_path / "to" / MARKER).read_bytes())
    known = connect(tables).sql("SELECT run_id, manifest_sha256, rows, quarantined FROM runs ORDER BY run_id")
    assert [tuple(run.values())[:4] for run in record["runs"]] == known.fetchall()
    assert [(run["quarantined"], run["finished_at"]) for run in record["runs"]] == [
        (1, "2026-03-02T08:00:00+00:00"),
        (0, "2026-03-09T00:00:00+00:00"),
    ]
    assert record["left_out"] == {"controls": 3, "failed": 3}


def spoil(folder: Path, key: str, data: bytes) -> None:
    (folder / key).parent.mkdir(parents=True, exist_ok=True)
    (folder / key).write_bytes(data)


@pytest.mark.parametrize(
    ("key", "data", "says"),
    [
        ("explanations/part-00000.parquet", b"PAR1", "another content"),
        ("explanations/part-00007.parquet", b"PAR1", "part-00007.parquet, which is not its own"),
        (BEGUN, b"[" * 100_000, "another export; name an empty place"),
        (BEGUN, b"\xff", "another export; name an empty place"),
        (MARKER, b'{"version": 9}', "not the end of an export"),
    ],
)
def test_a_place_with_foreign_content_is_never_whole(
    tables: Path, tmp_path: Path, key: str, data: bytes, says: str
) -> None:
    choice = Choice(format="parquet")
    export_tables(str(tables), str(tmp_path / "to"), choice)
    if key != MARKER:
        (tmp_path / "to" / MARKER).unlink()
    spoil(tmp_path / "to", key, data)
    with pytest.raises(InputError, match=says):
        export_tables(str(tables), str(tmp_path / "to"), choice)
    assert key == MARKER or not (tmp_path / "to" / MARKER).exists()
