"""The files under schemas/ are what the code says."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml
from jsonschema import Draft202012Validator

from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.tables import EXPLANATIONS, ddl
from tests.conftest import NlaDirs

SCHEMAS = Path(__file__).parents[1] / "schemas"
RENDERED: dict[str, str] = runpy.run_path(str(SCHEMAS / "render.py"))["render"]()


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_a_schema_file_is_the_one_of_the_code(name: str) -> None:
    """Where the change is meant, `make schemas` rewrites the files."""
    assert (SCHEMAS / name).read_text(encoding="utf-8") == RENDERED[name]


def test_json_schemas_are_schemas() -> None:
    for path in SCHEMAS.glob("*.json"):
        Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_every_schema_file_is_listed() -> None:
    listed = (SCHEMAS / "README.md").read_text(encoding="utf-8")
    for path in SCHEMAS.iterdir():
        assert path.suffix not in (".sql", ".json") or f"`{path.name}`" in listed


def test_the_ddl_makes_the_table_that_the_arrow_schema_describes() -> None:
    connection = duckdb.connect()
    connection.execute(ddl(EXPLANATIONS))
    made = connection.sql("FROM explanations").to_arrow_table().schema
    plain = [pa.field(field.name, field.type) for field in EXPLANATIONS]
    assert [pa.field(field.name, field.type) for field in made] == plain


@pytest.mark.parametrize("role", ["av", "ar"])
def test_written_sidecars_follow_their_schema(
    role: str, nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    _, av, ar = nla("qwen2")
    write_sidecar(tmp_path, read_sidecar({"av": av, "ar": ar}[role]))
    written = yaml.safe_load((tmp_path / "nla_meta.yaml").read_text(encoding="utf-8"))
    schema = Draft202012Validator(json.loads((SCHEMAS / "nla_meta.schema.json").read_text(encoding="utf-8")))
    schema.validate(written)
    for key in ("extraction_layer_index", "d_model", "tokens"):
        assert not schema.is_valid({name: value for name, value in written.items() if name != key})
