"""Known artefacts are counted by population and by class of token."""

from __future__ import annotations

from pathlib import Path

from nla_ray.audit.denylist import denylist
from nla_ray.audit.detect.hits import find_hits
from nla_ray.config.detectors.model import Artefact, Group
from tests.audit.detect.test_hits import packs, row, tables


def test_artefacts_by_population_and_class_of_token(tmp_path: Path) -> None:
    greeting = Artefact(id="greeting", title="Greets", description="d", group=Group(any=("good day",)))
    rows = [
        row(0, "Good day", token="a"), row(1, "A tide", token="b"), row(2, "Good day", token="<|im_end|>"),
        row(3, "Good day", token="user", flags=["template_token"]), row(4, "A good day", control="random"),
    ]  # fmt: skip
    connection = tables(tmp_path, rows)
    find_hits(connection, packs(artefacts=[greeting]))
    every, greets = denylist(connection, "run", [greeting])
    assert every.rows == {"random": 1, "real": 2, "real at special tokens": 2}
    assert (greets.title, greets.rows) == ("Greets", {"random": 1, "real": 1, "real at special tokens": 2})
