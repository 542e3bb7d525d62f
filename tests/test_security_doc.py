"""docs/security.md names tests and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOC = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_every_promise_names_tests_that_there_are() -> None:
    promises = re.findall(r"^\| [A-Z].* \| (.*) \|$", DOC.partition("## Promises")[2], re.M)
    assert len(promises) > 10
    for tested in promises:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tested)
        assert tests and tested == ", ".join(f"`{file}::{name}`" for file, name in tests)
        for file, name in tests:
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), (file, name)


def test_every_link_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", DOC)
    assert links and all((ROOT / "docs" / link).exists() for link in links)
