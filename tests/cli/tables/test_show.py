"""`nla-ray show`: a document with its explanations."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from nla_ray.cli.tables.document import Answer, Document, Position, print_document
from nla_ray.cli.tables.show import find
from nla_ray.errors import Exit
from nla_ray.store import connect, open_run, open_store
from nla_ray.store.runs.plan import Plan
from nla_ray.tables import DOCUMENTS, EXPLANATIONS, table_of
from tests.cli.conftest import Invoke

TEXT = "<s>two words\n\tand \x1b[31mtail"
ENDS = [3, 6, 12, 13, 17, len(TEXT)]
HOSTILE = "red \x1b[31m[bold]\u202e\n\n   9  forged  fve_nrm 0.99"


def row(position: int, sample: int, **values: object) -> Mapping[str, object]:
    control = values.get("control", "real")
    start = ENDS[position - 1] if position else 0
    fixed = {
        "run_id": "run1", "unit_id": "u0", "row_id": f"{position}-{control}", "doc_id": "doc-1", "layer": 3,
        "position": position, "token": TEXT[start : ENDS[position]], "role": "user", "sample": sample,
        "control": control, "seed": 7, "outcome": "ok", "flags": [], "provenance": "decoded",
        "explanation": f"about {position}, {sample}", "fve_nrm": 0.9,
    }  # fmt: skip
    return dict.fromkeys(EXPLANATIONS.names) | fixed | values


def write(root: Path, run_id: str, finished: str, rows: list[Mapping[str, object]], *, text: bool) -> None:
    plan = Plan(
        run_id=run_id,
        units={"u0": len(rows)},
        facts={"seed": 7, "layer": 3},
        sides=("documents",) if text else (),
    )
    document = {
        "run_id": run_id, "unit_id": "u0", "doc_id": "doc-1", "source": "test", "text": TEXT,
        "token_ends": ENDS, "roles": ["template", *["user"] * 5], "response_start": None,
        "n_tokens": len(ENDS), "truncated": False, "left_out_before": 0, "left_out_after": 0, "flags": [],
    }  # fmt: skip
    run = open_run(open_store(root), plan, add=True)
    table = table_of([{**one, "run_id": run_id} for one in rows], EXPLANATIONS)
    run.write("u0", table, sides={"documents": table_of([document], DOCUMENTS)} if text else {})
    run.commit({"baseline": {"value": 0.5, "reference": "test vectors"}, "finished_at": finished})


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An older run without the text, a newer one with it."""
    path = tmp_path_factory.mktemp("tables")
    rows = [
        row(1, 0, explanation=HOSTILE, fve_nrm=-0.5),
        row(1, 1, fve_nrm=0.1),
        row(2, 0, outcome="unclosed", explanation=None, raw_text="half an ans", flags=["sink_norm"]),
        row(2, 1, outcome="failed", reason="vector is NaN", explanation=None, fve_nrm=None),
        row(2, 0, control="random", explanation="about noise"),
    ]
    write(path, "run1", "2026-01-02", rows, text=True)
    write(path, "old1", "2026-01-01", [row(2, 0), row(5, 0, fve_nrm=None)], text=False)
    return path


def test_the_text_and_a_block_for_each_position(tables: Path, invoke: Invoke) -> None:
    out = invoke("show", tables, "--doc", "doc-1", "--width", 100).out
    assert "document doc-1\nrun run1 (the newest of 2; --run shows another), layer 3\n" in out
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[3:6] == ["template  <s>", "    user  [two] [words]", "              and \\x1b[31mtail"]
    assert (
        "   1   two   user  fve_nrm -0.20\n" in out
        and "   2   words   user  fve_nrm 0.90  sink_norm\n" in out
    )
    assert "0  0.90  unclosed half an ans" in out and "failed: vector is NaN" in out
    assert "against test vectors" in out and "about noise" not in out


def test_what_was_not_read_is_said_once(tables: Path) -> None:
    connection = connect(tables)
    connection.execute("CREATE TABLE kept AS FROM documents")
    connection.execute(
        "UPDATE kept SET flags = ['windowed', 'sink_norm'], left_out_before = 1200, roles = ['a\n b', $1, "
        "NULL, NULL, NULL, NULL]",
        ["x" * 30],
    )
    connection.execute("CREATE OR REPLACE VIEW documents AS FROM kept")
    out = io.StringIO()
    print_document(find(connection, "doc-1", None, "real", None), Console(file=out, width=80))
    assert (
        "flags windowed, sink_norm\nnot read: 1,200 tokens before this text, 0 after it\n" in out.getvalue()
    )
    assert out.getvalue().count("sink_norm") == 1
    assert "     a\\n b  <s>" in out.getvalue() and "xxxxxxxxxx…  [two]" in out.getvalue()


def test_hostile_text_stays_text_in_its_column(tables: Path, invoke: Invoke) -> None:
    out = invoke("show", tables, "--doc", "doc-1").out
    assert not {"\x1b", "\u202e"} & set(out)
    assert "red \\x1b[31m[bold]\\u202e" in out and "\n             9  forged" not in out
    assert all(line.startswith(" " * 13) for line in out.splitlines() if "forged" in line)


def test_one_sample_of_one_control_of_one_run(tables: Path, invoke: Invoke) -> None:
    out = invoke("show", tables, "--doc", "doc-1", "--control", "random").out
    assert "about noise" in out and "not about this text's own vectors" in out and "half an ans" not in out
    assert "about 1, 1" not in invoke("show", tables, "--doc", "doc-1", "--sample", 0).out


def test_without_the_text_the_tokens_stand_alone(tables: Path, invoke: Invoke) -> None:
    out = invoke("show", tables, "--doc", "doc-1", "--run", "old").out
    assert " …  [words] …" in out and "fve_nrm not known" in out and "and" not in out.split("\n\n")[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--doc", "doc-7"], "no such document; the nearest are doc-1; list all with"),
        (
            ["--doc", "doc-1", "--control", "shuffled"],
            "it has the controls random, real and the samples 0, 1",
        ),
        (["--doc", "doc-1", "--sample", "9"], "it has the controls random, real and the samples 0, 1"),
    ],
)
def test_what_is_not_there_is_one_line(
    tables: Path, invoke: Invoke, arguments: list[str], message: str
) -> None:
    assert message in invoke("show", tables, *arguments).refused()
    no_run = invoke("show", tables, "--doc", "doc-1", "--run", "none")
    assert "no run has this id" in no_run.refused(Exit.MISSING)


def drawn(**options: object) -> str:
    answers = [Answer(0, 0.8, "ok", None, "about it"), Answer(1, None, "ok", None, "too")]
    places = [
        Position(1, " word", None, [], answers),
        Position(2, "\n", None, [], [Answer(0, 0.3, "ok", None, "x")]),
    ]
    document = Document("d", "r", 0, "real", 3, None, "one word\nend", [3, 8, 9, 12], [], places)
    out = io.StringIO()
    print_document(document, Console(file=out, highlight=False, width=80, **options))  # type: ignore[arg-type]
    return out.getvalue()


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = drawn(force_terminal=True, color_system="truecolor")
    assert "one \x1b[30;48;2;253;231;37mword\x1b[0m\x1b[37;48;2;44;95;168m\\n\x1b[0m\nend" in out
    assert "0.25 to 0.5" in out and "[word]" not in out


def test_marks_where_colours_are_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "one [word][\\n]\nend" in drawn()
    monkeypatch.setenv("NO_COLOR", "1")
    out = drawn(force_terminal=True, color_system="truecolor")
    assert "one [word][\\n]\nend" in out and "48;2" not in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "TABLES", "FROM runs"],
        ["show", "TABLES", "--doc", "doc-1"],
        ["sql", "--help"],
        ["show", "--help"],
    ],
)
def test_nothing_heavy_is_loaded(tables: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from nla_ray.cli import app; from nla_ray.cli.entry import run\n"
        "try: run(app, sys.argv[1:])\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    given = [str(tables) if word == "TABLES" else word for word in arguments]
    ended = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert not {"torch", "ray", "transformers", "botocore", "s3fs"} & set(ended.stderr.split())


def test_help_has_examples(invoke: Invoke) -> None:
    for command in ("sql", "show"):
        assert f"nla-ray {command} out/tables" in invoke(command, "--help").out
