"""`nla-ray show`: one document token by token, with what was said about its positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from nla_ray.cli.tables.document import Answer, Document, Position, print_document
from nla_ray.errors import InputError, NoFileError

if TYPE_CHECKING:
    import duckdb

EXAMPLES = """Examples:

nla-ray show out/tables --doc world-9100-128

nla-ray show out/tables --doc world-9100-128 --control shuffled --sample 0

nla-ray sql out/tables "SELECT DISTINCT doc_id FROM explanations"  (which documents there are)

FORCE_COLOR=1 nla-ray show out/tables --doc world-9100-128 | less -R
"""
NEAREST = 3


def show_command(
    tables: Annotated[str, typer.Argument(metavar="TABLES", help="Folder or s3://bucket/prefix.")],
    doc: Annotated[str, typer.Option("--doc", metavar="ID", help="doc_id of the document.")],
    run: Annotated[str | None, typer.Option(help="Run id or its beginning; else the newest.")] = None,
    control: Annotated[
        str, typer.Option(help="real, or what was injected instead: shuffled, random, mean, none.")
    ] = "real",
    sample: Annotated[int | None, typer.Option(min=0, help="This sample only.")] = None,
    width: Annotated[int | None, typer.Option(min=40, help="Characters per line.")] = None,
) -> None:
    """Show a document's text with its explained tokens, coloured by fidelity, and their explanations."""
    from nla_ray.store.sql.read import connect

    found = find(connect(tables, without=["activations"]), doc, run, control, sample)
    print_document(found, Console(width=width, highlight=False))


def find(
    connection: duckdb.DuckDBPyConnection, doc: str, run: str | None, control: str, sample: int | None
) -> Document:
    """A document and its answers. Raises InputError, which names what there is, where there are none."""
    run_id, others = _run(connection, doc, run)
    positions = _positions(connection, run_id, doc, control, sample)
    (layer, reference) = connection.execute(
        "SELECT layer, fve_reference FROM runs WHERE run_id = $run", {"run": run_id}
    ).fetchall()[0]
    texts = connection.execute(
        """SELECT text, token_ends, roles, coalesce(flags, []),
            coalesce(left_out_before, 0), coalesce(left_out_after, 0) FROM documents
        WHERE run_id = $run AND doc_id = $doc AND text IS NOT NULL""",
        {"run": run_id, "doc": doc},
    ).fetchall()
    text, token_ends, roles, flags, *left_out = texts[0] if texts else (None, None, None, [], 0, 0)
    return Document(
        doc, run_id, others, control, layer, reference, text, token_ends or [], roles or [], positions, flags,
        (left_out[0], left_out[1]),
    )  # fmt: skip


def _run(connection: duckdb.DuckDBPyConnection, doc: str, run: str | None) -> tuple[str, int]:
    """The newest run that has the document, and how many others have it."""
    runs = [
        run_id
        for (run_id,) in connection.execute(
            """SELECT run_id FROM runs WHERE table_name = 'explanations' AND starts_with(run_id, $run)
            ORDER BY finished_at DESC NULLS LAST, run_id""",
            {"run": run or ""},
        ).fetchall()
    ]
    if not runs:
        raise NoFileError(f'--run {run}: no run has this id; list them with nla-ray sql TABLES "FROM runs"')
    having = connection.execute(
        "SELECT DISTINCT run_id FROM all_explanations WHERE doc_id = $doc AND run_id IN $runs",
        {"doc": doc, "runs": runs},
    ).fetchall()
    having_ids = [run_id for run_id in runs if (run_id,) in having]
    if not having_ids:
        raise InputError(_unknown(connection, doc, runs))
    return having_ids[0], len(having_ids) - 1


def _unknown(connection: duckdb.DuckDBPyConnection, doc: str, runs: list[str]) -> str:
    near = connection.execute(
        """SELECT doc_id FROM (SELECT DISTINCT doc_id FROM all_explanations WHERE run_id IN $runs)
        ORDER BY jaro_winkler_similarity(doc_id, $doc) DESC, doc_id LIMIT $n""",
        {"doc": doc, "runs": runs, "n": NEAREST},
    ).fetchall()
    names = ", ".join(doc_id for (doc_id,) in near) or "none at all"
    return (
        f"--doc {doc}: no such document; the nearest are {names}; "
        'list all with nla-ray sql TABLES "SELECT DISTINCT doc_id FROM explanations"'
    )


def _positions(
    connection: duckdb.DuckDBPyConnection, run_id: str, doc: str, control: str, sample: int | None
) -> list[Position]:
    rows = connection.execute(
        """SELECT control, sample, row_id, position, token, role, flags,
            fve_nrm, outcome, reason, coalesce(explanation, raw_text)
        FROM all_explanations WHERE run_id = $run AND doc_id = $doc
        ORDER BY position NULLS LAST, row_id, sample""",
        {"run": run_id, "doc": doc},
    ).fetchall()
    positions: dict[str, Position] = {}
    for of, number, row_id, position, token, role, flags, *answer in rows:
        if of == control and sample in (None, number):
            place = positions.setdefault(row_id, Position(position, token, role, flags, []))
            place.answers.append(Answer(number, *answer))
    if not positions:
        controls, samples = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
        raise InputError(
            f"--doc {doc}: has no such answers; it has the controls {', '.join(controls)} "
            f"and the samples {', '.join(map(str, samples))}"
        )
    return list(positions.values())
