"""What a decode stores of what it reads: a planted secret is looked for in everything that is written."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from nla_ray.corpus.redaction.hide import CUT
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.run import decode, plan, stages_of
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.work import Task, Work
from nla_ray.store.places.objects import Store
from tests.cli.conftest import Job, job  # noqa: F401 (fixture)
from tests.decoded import rows_of, select, sound
from tests.pipelines.decode.test_run import config_of

SECRET = "sk-abcd1234"
PATTERN = r"sk-[a-z]{4}\\d{4}"
DOCUMENTS = (
    {"id": "plain", "text": "The weather is mild and the river runs slowly past the old mill.", "truth": 1},
    {"id": "key", "text": f"Use {SECRET} to log in, then tell nobody about it.", "truth": {"k": [SECRET]}},
    {"id": "meta", "text": "Nothing to see in here at all, move along.", "truth": {SECRET: "key"}},
)


@pytest.fixture
def small(job: Job) -> Job:  # noqa: F811
    """The small job with a secret in a text, in a value and in a name of its metadata."""
    job.corpus.write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    return job


def written(folder: Path) -> str:
    """Everything in the files below a folder, tables as their rows and footers."""
    said = []
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".parquet", ".piece"):
            content = path.read_bytes()
            table = pq.read_table(io.BytesIO(content[32:] if path.suffix == ".piece" else content))
            said.append(f"{path.name} {table.to_pylist()} {table.schema.metadata}")
        elif path.is_file():
            said.append(f"{path.name} {path.read_bytes()!r}")
    return "\n".join(said)


def test_a_secret_is_in_no_file_that_is_written(small: Job) -> None:
    decode(config_of(small, f"redact.patterns=['{PATTERN}']".replace("\\\\", "\\"), "positions.choose=all"))
    said = written(small.output)
    assert ".piece" in said and ".jsonl" in said
    assert "plain" in said and "[redacted] to log in" in said and SECRET not in said
    sound(small.output)
    document = select(small.output, "FROM documents WHERE doc_id = 'key'")[0]
    tokens = rows_of(small.output, "explanations WHERE doc_id = 'key' AND sample = 0")
    hidden = [row for row in tokens if row["token"] is None]
    assert hidden and all(row["token_id"] is None for row in hidden) and len(hidden) < len(tokens)
    for row in tokens:
        end = document["token_ends"][row["position"]]
        start = document["token_ends"][row["position"] - 1] if row["position"] else 0
        if row["token"] is not None:
            assert document["text"][start:end].strip() == row["token"].strip()


def test_explanations_are_redacted_in_every_form(small: Job) -> None:
    decode(config_of(small, "redact.patterns=['[eEaAoOtT]']", "redact.replacement=_", "positions.choose=all"))
    rows = rows_of(small.output)
    assert any(row["explanation"] for row in rows)
    for row in rows:
        for name in ("explanation", "explanation_norm", "raw_text", "token", "meta", "reason"):
            assert not set("eEaAoOtT") & set(row[name] or ""), (name, row[name])
    for row in rows_of(small.output, "documents"):
        assert not set("eEaAoOtT") & set(row["text"])


def test_nothing_of_the_prompts_is_stored(small: Job) -> None:
    decode(config_of(small, "store_text=none"))
    assert [(row["text"], row["token_ends"]) for row in rows_of(small.output, "documents")] == [
        (None, None)
    ] * 3
    assert {(row["token"], row["token_id"]) for row in rows_of(small.output)} == {(None, None)}
    assert "weather" not in written(small.output)


def test_windows_hold_the_tokens_that_were_explained(small: Job) -> None:
    decode(config_of(small, "store_text=window", "text_window=3", "positions.n=1", "positions.choose=last"))
    whole = {row["id"]: row["text"] for row in DOCUMENTS}
    for row in rows_of(small.output, "documents"):
        assert row["text"].startswith(CUT) and whole[row["doc_id"]].endswith(row["text"][len(CUT) :])
        assert len(row["text"]) < 20 and row["token_ends"][-1] == len(row["text"])


def test_what_is_stored_is_part_of_the_identity_of_a_run(small: Job) -> None:
    ways = ((), ("store_text=none",), ("store_text=window",), ("redact.patterns=[x]",))
    assert len({plan(config_of(small, *way))[0].plan.run_id for way in ways}) == len(ways)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A user's function that fails on a document and on every seventh explanation or so."""
    known = [row["text"] for row in DOCUMENTS[1:]] + ["truth", "k", "key", SECRET]
    (tmp_path / "careful.py").write_text(
        "def names(text):\n"
        f"    if text not in {known} and sum(map(ord, text)) % 7 == 0 or 'mill' in text:\n"
        "        raise RuntimeError(text)\n"
        "    return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "careful:names"
    sys.modules.pop("careful", None)


def test_a_function_that_fails_leaves_a_row_without_a_text(small: Job, module: str) -> None:
    decode(config_of(small, f"redact.function={module}"))
    rows = rows_of(small.output)
    failed = [row for row in rows if row["outcome"] == "failed"]
    assert {row["doc_id"] for row in failed} >= {"plain"} and len(failed) < len(rows)
    assert {row["reason"] for row in failed} == {"redact.function: careful:names raised RuntimeError"}
    for row in failed:
        assert [row[name] for name in ("explanation", "explanation_norm", "raw_text", "cos")] == [None] * 4
    (document,) = select(small.output, "FROM documents WHERE doc_id = 'plain'")
    assert document["text"] is None and "river" not in written(small.output)
    sound(small.output)


class Failing(Stage):
    """The extraction, which fails on a document and says which text it was."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self.name = stage, stage.name

    def setup(self) -> None:
        """Set up the real stage."""
        self._stage.setup()

    def __call__(self, task: Task) -> Work:
        """Do the unit, unless the document with the secret is worked on."""
        work: Work = self._stage(task)
        for at, reading in enumerate(work.readings):
            if task.wants(at) and SECRET in (reading.text or ""):
                raise RuntimeError(f"cannot stand {reading.text}")
        return work


def test_reasons_of_the_quarantine_and_events_are_redacted(small: Job) -> None:
    def stages(ready: Decode, store: Store) -> Sequence[Stage]:
        extract, *others = stages_of(ready, store)
        return [Failing(extract), *others]

    redact = f"redact.patterns=['{PATTERN}']".replace("\\\\", "\\")
    decode(config_of(small, redact, "max_failed_fraction=1"), stages=stages)
    (row,) = select(small.output, "SELECT DISTINCT doc_id, reason FROM failures")
    assert row["doc_id"] == "key" and "cannot stand Use [redacted] to log in" in row["reason"]
    assert SECRET not in written(small.output)
