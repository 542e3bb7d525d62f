"""Pieces of a file: what is known of a row does not depend on where a piece begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nla_ray.config.reading.importing import ImportOptions
from nla_ray.imports import pieces
from nla_ray.imports.formats.sources import find_sources
from nla_ray.imports.rows import Origin
from nla_ray.pipelines.importing import import_files
from nla_ray.store import connect

TOKENS = ["Tea", "<|im_start|>", "assistant", "\n", "Green", "<|im_end|>", "\n"]


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_a_header_goes_on_from_piece_to_piece(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_ROWS", rows)
    file = tmp_path / "tea.jsonl"
    entries = [
        {"doc_id": "tea", "pos": at, "token": token, "explanation": f"A menu, item {at}."}
        for at, token in enumerate(TOKENS)
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in entries))
    import_files([str(file)], str(tmp_path / "tables"), ImportOptions(layer=20))
    found = connect(tmp_path / "tables").execute(
        "SELECT list_filter(flags, lambda one: one LIKE '%token') FROM explanations ORDER BY position"
    )
    special, template = ["special_token"], ["template_token"]
    assert [one for (one,) in found.fetchall()] == [[], special, template, template, [], special, template]


def test_a_header_goes_on_over_pieces_that_are_there_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_ROWS", 2)
    file = tmp_path / "tea.jsonl"
    entries = [
        {"doc_id": "tea", "pos": at, "token": token, "explanation": "A menu."}
        for at, token in enumerate(TOKENS[:4])
    ]
    file.write_text("".join(json.dumps(one) + "\n" for one in entries))
    options = ImportOptions(layer=20)
    (source,) = sources = find_sources([str(file)], None)
    counted = pieces.survey(sources, options, lambda _: None)
    first, last = pieces.pieces_of(source, counted.rows[0], 0, options, "run")
    origin = Origin.of("run", source, counted.headers[0], options, counted.layers)
    wanted = frozenset({last.unit_id})
    ((piece, made),) = pieces.made_of(origin, [first, last], wanted, counted.samples, (), lambda _: None)
    assert piece == last
    assert [one[-1] for one in made.table["flags"].to_pylist()] == ["template_token", "template_token"]
