"""`against_controls` gives the numbers of an audit whose detector is the same pattern."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from nla_ray.cli import app
from nla_ray.cli.entry import run as run_cli
from nla_ray.config.audit import AuditConfig
from nla_ray.pipelines.audit.run import audit
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DOCUMENTS, EXPLANATIONS, table_of
from nla_ray.text import normalise
from tests.audit.tables import write_pack

WORDS = ["Where", "the", "ferry", "lands", "at", "noon", ",", "and", "when", "it", "leaves", "again", "?"]
ANSWERED = 8
"""The token from which on the assistant speaks."""


def text_of(doc: int) -> list[str]:
    """Every fifth prompt speaks of tides itself, from its third word on; every seventh answer does."""
    words = [f"{word}{doc}" for word in WORDS]
    if doc % 5 == 0:
        words[2] = "Tides"
    if doc % 7 == 0:
        words[9] = "tides"
    return words


def rows(rng: np.random.Generator, doc: int) -> Iterator[dict[str, object]]:
    """Documents differ in their number of positions; mentions come in clusters, in controls too."""
    prone = {control: rng.random() < 0.3 for control in ("real", "shuffled", "random")}
    words = text_of(doc)
    for position in range(1, len(words) - doc % 3):
        for control, likely in prone.items():
            if control != "real" and rng.random() < 0.5:
                continue
            for sample in range(2):
                says = rng.random() < (0.5 if likely else 0.02)
                said = f"A note. {'It speaks of the tides.' if says else 'It asks about a timetable.'}"
                fve = rng.normal(0.6 if control == "real" or rng.random() < 0.2 else -0.5, 0.2)
                yield dict.fromkeys(EXPLANATIONS.names) | {
                    "run_id": "made", "unit_id": "u0", "row_id": f"{doc}-{position}-{control}",
                    "doc_id": f"doc{doc}", "position": position, "token": words[position], "layer": 3,
                    "role": "user" if position < ANSWERED else "assistant", "control": control,
                    "sample": sample, "seed": 7, "outcome": "ok", "provenance": "decoded",
                    "flags": ["special_token"] if position == 5 else [], "explanation": said,
                    "explanation_norm": normalise(said), "fve_nrm": fve if doc != 3 else None,
                }  # fmt: skip


def document(doc: int) -> Mapping[str, object]:
    words = text_of(doc)
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    return {
        "run_id": "made", "unit_id": "u0", "doc_id": f"doc{doc}", "source": "made",
        "text": " ".join(words) + " ",
        "token_ends": ends, "roles": ["user" if at < ANSWERED else "assistant" for at in range(len(words))],
        "response_start": None, "n_tokens": len(words), "truncated": False, "left_out_before": 0,
        "left_out_after": 0, "flags": [],
    }  # fmt: skip


def made(folder: Path) -> str:
    """A corpus of 140 chats; of every fourth document no text was kept."""
    rng = np.random.default_rng(3)
    table = table_of((row for doc in range(140) for row in rows(rng, doc)), EXPLANATIONS)
    texts = table_of((document(doc) for doc in range(140) if doc % 4), DOCUMENTS)
    plan = Plan(run_id="made", units={"u0": table.num_rows}, sides=("documents",), facts={"layer": 3})
    run = open_run(open_store(folder), plan)
    run.write("u0", table, sides={"documents": texts})
    run.commit({})
    return str(folder)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Documents of the demo corpus, read by the demo pair."""
    folder = tmp_path_factory.mktemp("demo") / "tables"
    shape = ["corpus.limit=60", "positions.n=6", "sampling.samples=1", "runner.name=local"]
    with pytest.raises(SystemExit) as ended:
        run_cli(app, ["decode", "jobs/decode_demo.yaml", f"output={folder}", *shape])
    assert ended.value.code == 0
    return str(folder)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Those that are made."""
    return made(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize("restated", [False, True])
@pytest.mark.parametrize(
    ("source", "word"), [("synthetic", "tides"), pytest.param("decoded", "evaluat", marks=pytest.mark.slow)]
)
def test_the_macro_and_the_report_have_the_same_numbers(
    source: str, word: str, restated: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tables, results = request.getfixturevalue(source), str(tmp_path / "results")
    pattern = {"groups": {"words": {"any": [rf"\w*{word}\w*"]}}, "reads": "all", "denied": True}
    pack = write_pack(tmp_path / "pack.yaml", "mine", detection=pattern, recurrence={"k": 2})
    values = {
        "source": {"tables": tables},
        "results": results,
        "output": str(tmp_path / "report"),
        "packs": [str(pack)],
    }
    audit(AuditConfig.model_validate(values | {"evidence": {"restated": restated}}))
    asked = "SELECT {} FROM {} WHERE unit = 'document' AND population {} 'real' ORDER BY 1"
    audited = connect(results)
    theirs = audited.sql(
        asked.format("population, least, n, rate, lift, lift_low, lift_high", "rates", "<>")
    ).fetchall()
    ((n, rate),) = audited.sql(asked.format("n, rate", "rates", "=")).fetchall()
    least = theirs[0][1]
    ours = (
        connect(tables)
        .sql(
            f"SELECT control, documents, rate, control_rate, lift, low, high "
            f"FROM against_controls('{word}', k := {least}, restated := {restated}) ORDER BY 1"
        )
        .fetchall()
    )
    assert len(ours) == len(theirs) > 1
    for mine, (population, _, _, *others) in zip(ours, theirs, strict=True):
        assert mine[:2] == (population, n)
        assert mine[2:] == pytest.approx((rate, *others), abs=1e-6)
    assert rate > 0
