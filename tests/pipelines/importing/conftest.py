"""Where imports go, and one file of each format."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.imports.files import (
    answer,
    json_file,
    jsonl_file,
    line,
    lists_of,
    parquet_file,
    transcript,
    vectors,
)
from tests.store.conftest import bucket, s3, s3_endpoint  # noqa: F401 (fixtures)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "tables") if request.param == "folder" else str(request.getfixturevalue("s3"))


@pytest.fixture
def tables(tmp_path: Path) -> str:
    return str(tmp_path / "tables")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """One file of each format, 3 + 3 + 4 + 2 results."""
    made = [
        json_file(tmp_path / "sweep.json", [answer(20, 0), answer(20, 1), answer(5, kind="shuffled")]),
        jsonl_file(tmp_path / "lines.jsonl", [line(30), line(31, "<explanation>Half"), "{corrupt"]),
        parquet_file(
            tmp_path / "sweep.parquet",
            {
                "explanation": ["One.", "Two.", None, ""],
                "sample_idx": [0, 1, 2, 3],
                "position": pa.array([50, 60, 70, 80], pa.int32()),
                "token_id": [5, 6, 7, 8],
                "vec_norm": pa.array([1.5, float("nan"), 2.0, 3.0], pa.float32()),
                "activation": lists_of(vectors(4)),
                "recon": lists_of(vectors(4, seed=1), fixed=False),
            },
        ),
        tmp_path / "example.txt",
    ]
    made[3].write_text(transcript([("PROMPT", "<s>", "A start."), ("REPLY", " cat", "A cat.\n\nIt sits.")]))
    return [str(file) for file in made]
