"""What a user gets: the wheel, and what a job on a cluster is sent."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from nla_ray import __version__
from tests import versions

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling, which the dev extra installs")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


def files_of(folder: str) -> set[str]:
    """Files of a folder of the checkout that are no leftovers."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_code_the_demo_the_jobs_and_the_contracts(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert files_of("nla_ray") <= held
    assert {f"nla_ray/{name}" for name in files_of("jobs")} <= held
    for source, place in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        assert any(name == place or name.startswith(f"{place}/") for name in held), source
    about = f"nla_ray-{__version__}.dist-info"
    assert {name.split("/")[0] for name in held} == {"nla_ray", about}
    assert not [name for name in held if name.endswith(".pyc")]


def test_the_wheel_alone_finds_its_jobs_packs_and_views(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "from pathlib import Path\n"
        "import nla_ray\n"
        "from nla_ray.config.decode import DecodeConfig\n"
        "from nla_ray.config.loading.load import load\n"
        "from nla_ray.contract import contract, job\n"
        "print(load(DecodeConfig, Path('jobs/decode_demo.yaml')).output)\n"
        "for path in (nla_ray.__file__, contract('views.sql'), contract('detectors'), job('train_nla.py')):\n"
        "    print(path, Path(path).exists())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    output, *paths = ran.stdout.splitlines()
    assert output == "out/demo/tables"
    assert all(line.startswith(str(tmp_path / "site")) and line.endswith(" True") for line in paths)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize(
    "text",
    [
        *versions.project()["dependencies"],
        *(one for extra in versions.project()["optional-dependencies"].values() for one in extra),
    ],
)
def test_what_is_tested_is_within_what_is_allowed(text: str) -> None:
    wanted = Requirement(text)
    assert wanted.specifier.contains(pins()[canonicalize_name(wanted.name)])


def test_every_dependency_but_ray_has_a_floor_and_no_pin() -> None:
    floors = dict(line.split("==") for line in versions.lowest())
    for wanted in map(Requirement, versions.project()["dependencies"]):
        operators = {one.operator for one in wanted.specifier}
        assert wanted.name == "ray" or (
            operators <= {">=", "<"} and wanted.specifier.contains(floors[wanted.name])
        )


def test_a_job_is_sent_the_code_and_neither_weights_nor_tests(tmp_path: Path) -> None:
    packaging = pytest.importorskip("ray._private.runtime_env.packaging")
    packaging.create_package(str(ROOT), tmp_path / "sent.zip", include_gitignore=True)
    sent = zipfile.ZipFile(tmp_path / "sent.zip").namelist()
    assert {"nla_ray/cli/__init__.py", "jobs/decode_qwen7b_cluster.yaml", "schemas/views.sql"} <= set(sent)
    away = (".git/", ".venv/", "tests/", "benchmarks/", "docs/", "out/", "nla_ray/demo/pair/")
    assert not [name for name in sent if name.startswith(away) or name.endswith(".safetensors")]
    assert (tmp_path / "sent.zip").stat().st_size < 4 << 20
