"""Detector packs: what is read, what is refused, and how the refusal reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from nla_ray.config.detectors.condition import parse
from nla_ray.config.detectors.model import Detection, Detector, Group, Validation
from nla_ray.config.detectors.packs import load_pack, load_packs, shipped
from nla_ray.errors import ConfigError, NoFileError

PACK = """\
id: mine
title: My pack
description: What I look for.
detectors:
  - id: tides
    title: Tides
    description: Says something of tides.
    level: low
    tier: weak
    detection:
      groups:
        named:
          any:
            - tides?
            - high water
        by_moon:
          near:
            - first: [moon]
              second: [pull\\w*]
      condition: named or by_moon
      exclude: [red tide]
    true_examples: ["The tide comes in."]
"""
SCHEMA = Path(__file__).parents[3] / "schemas" / "detector.schema.json"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(PACK)
    return path


def test_a_pack_gives_its_detectors(file: Path) -> None:
    (one,) = load_packs([file]).detectors
    assert (one.id, one.kind, one.recurrence.k, one.validated) == ("tides", "patterns", 2, False)
    assert one.detection is not None and one.detection.term().names() == {"named", "by_moon"}


def test_a_folder_means_its_packs(file: Path) -> None:
    (file.parent / "second.yaml").write_text(
        PACK.replace("id: mine", "id: yours").replace("id: tides", "id: ebb")
    )
    assert [one.id for one in load_packs([file.parent]).detectors] == ["tides", "ebb"]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("level: low", "levle: low", 8, ["detectors.0.levle", "unknown key", "did you mean 'level'"]),
        ("level: low", "level: mild", 8, ["detectors.0.level", "'informational', 'low'"]),
        (
            "- high water",
            "- (?=high) water",
            15,
            ["detectors.0.detection.groups.named.any.1", "(?=", "lookaround"],
        ),
        ("- high water", r"- (?:high)\1", 15, ["any.1", "RE2 refuses it", "backreference"]),
        ("- high water", "- (high) water", 15, ["any.1", "(?:...)"]),
        ("- high water", "- (?:high", 15, ["any.1", "missing )"]),
        ("- high water", "- (?:high)*", 15, ["any.1", "matches the empty text"]),
        ("- high water", "- (?: high)", 15, ["any.1", "a text belongs here"]),
        ("- high water", "- 1", 15, ["any.1", "a text belongs here"]),
        ("- high water", "- High water", 10, ["detectors.0.detection", "'High water'", "case: exact"]),
        ("- high water", "- ｈigh", 10, ["never occurs in casefolded NFKC text"]),
        ("named or by_moon", "named or by_sun", 10, ["no group 'by_sun'", "named, by_moon"]),
        ("named or by_moon", "named", 10, ["group 'by_moon' is not used"]),
        ("named or by_moon", "named; by_moon", 10, ["write group names with and, or, not"]),
        ("named or by_moon", "not (named or by_moon)", 10, ["matches no group"]),
        ("title: Tides", "id: ebb", 6, ["the key 'id' stands twice"]),
        ("title: Tides", "title: [", 8, ["not YAML"]),
        ("title: Tides", "title: &t Tides\n    sql: *t", 7, ["aliases are not allowed"]),
        (
            "    level: low\n",
            "    level: low\n    sql: SELECT 1\n",
            5,
            ["detection and sql where exactly one"],
        ),
    ],
)
def test_a_broken_pack_names_file_line_and_field(
    file: Path, old: str, new: str, line: int, words: list[str]
) -> None:
    text = PACK.replace(old, new, 1)
    assert text != PACK
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_pack(file)
    message = str(caught.value)
    assert message.startswith(f"{file}:{line}: ") and "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe", b"\x00", b"a: 2020-99-99", b"[" * 1000])
def test_what_is_no_pack(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_packs([file])


def test_missing_and_empty_places(tmp_path: Path) -> None:
    with pytest.raises(NoFileError, match=r"nowhere\.yaml: cannot read this detector pack"):
        load_packs([tmp_path / "nowhere.yaml"])
    with pytest.raises(ConfigError, match="holds no detector pack"):
        load_packs([tmp_path])


def test_an_id_belongs_to_one_detector(file: Path) -> None:
    (file.parent / "second.yaml").write_text(PACK.replace("id: mine", "id: yours"))
    with pytest.raises(ConfigError, match=r"second\.yaml: id tides is also in .*mine\.yaml"):
        load_packs([file.parent])


def test_detectors_are_chosen_by_id() -> None:
    packs = load_packs()
    assert [one.id for one in packs.only(["sabotage"]).detectors] == ["sabotage"]
    assert packs.only(["sabotage"]).artefacts == packs.artefacts
    with pytest.raises(ConfigError, match="detector tides: there is none"):
        packs.only(["tides"])


def test_too_much_for_one_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 8000 bytes"):
        Group(any=tuple(f"pattern number {number} of many more" for number in range(400)))
    with pytest.raises(ValueError, match="more than 500 patterns"):
        Group(any=tuple(f"w{number}" for number in range(501)))


def test_conditions() -> None:
    term = parse("a and (b or not c)")
    assert term.write(str.upper) == "(A and (B or (NOT C)))"
    assert term.asserted() == {"a", "b"}
    assert term.holds({"a"}.__contains__) and not term.holds({"a", "c"}.__contains__)
    for wrong in ("a b", "a()", "a and", "1", "a if b else c", "(" * 3000, "not " * 900 + "a", "a.b", ""):
        with pytest.raises(ValueError, match="condition"):
            parse(wrong)


def test_precision_is_known_after_fifty_reviews() -> None:
    base = {"id": "x", "title": "t", "description": "d", "level": "low", "tier": "weak", "sql": "SELECT 1"}
    reviewed = Validation(tp=45, fp=5, tn=0, fn=0, source="us")
    assert Detector(**base, validation=reviewed).validated
    assert not Detector(**base, validation=reviewed.model_copy(update={"fp": 4})).validated
    assert Detection(groups={"a": Group(any=("xx",))}).plain


def test_a_detector_that_is_mostly_wrong_is_experimental() -> None:
    base = {"id": "x", "title": "t", "description": "d", "level": "low", "tier": "weak", "sql": "SELECT 1"}
    wrong = Validation(tp=20, fp=31, tn=0, fn=0, source="us")
    with pytest.raises(ValueError, match="20 of 51 reviewed hits are true"):
        Detector(**base, status="test", validation=wrong)
    assert Detector(**base, status="experimental", validation=wrong).validated
    few = wrong.model_copy(update={"fp": 29})
    assert Detector(**base, validation=few).status == "test"


def test_shipped_packs_follow_the_published_schema() -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for path in shipped().glob("*.yaml"):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        schema.validate(values)
        assert not schema.is_valid(values | {"detctors": []})


def test_the_wheel_takes_the_packs_from_where_they_are_reviewed() -> None:
    root = Path(__file__).parents[3]
    assert shipped() == root / "schemas" / "detectors"
    assert '"schemas/detectors" = "nla_ray/schemas/detectors"' in (root / "pyproject.toml").read_text(
        encoding="utf-8"
    )
