"""`nla-ray decode` with positions by label and a window: shown before, kept and counted after."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Invoke, Job
from tests.decoded import record_of, rows_of, sound

PLAIN = ("controls={shuffled: 0, random: 0}", "sampling.samples=1")
HOSTILE = "it \x1b[31mis \u202e true\nand 雪雪雪雪雪雪雪雪雪雪雪雪雪雪雪雪雪雪 [bold]so it is"


@pytest.fixture
def chats(job: Job) -> list[str]:
    """Five chats of two turns and one of the user alone; the overrides that read them."""
    lines = []
    for n in range(6):
        turns = [
            {"role": "user", "content": f"{HOSTILE} {n}"},
            {"role": "assistant", "content": "it is true"},
        ]
        lines.append(json.dumps({"id": f"chat{n}", "messages": turns[: 1 if n == 5 else 2] * 2}))
    job.corpus.write_text("\n".join(lines))
    return [f"corpus={{paths: [{job.corpus}], messages: messages, id: id}}", *PLAIN]


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_a_dry_run_shows_what_is_chosen(
    invoke: Invoke, job: Job, chats: list[str], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    ended = invoke("decode", job.config, *chats, "positions=assistant:first:2", "--dry-run")
    assert ended.code == 0, ended.err
    lines = ended.out.split("positions: ")[1].splitlines()[1:]
    assert len(lines) == 9 and {line.split()[0] for line in lines} == {"chat0", "chat1", "chat2"}
    assert all(line.split()[2] == "assistant" and ("[it]" in line or "[ is]" in line) for line in lines)
    assert all(len(line) <= columns for line in lines) and "\x1b" not in ended.out
    assert "vectors: 20, " in ended.out
    assert not job.output.exists()


def test_hostile_text_around_a_position_stays_on_its_line(
    invoke: Invoke, job: Job, chats: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    ended = invoke("decode", job.config, *chats, "positions=user:every:5", "--dry-run")
    lines = ended.out.split("positions: ")[1].splitlines()[1:]
    assert len(lines) == 9 and not {"\x1b", "\u202e"} & set(ended.out)
    assert any("\\x1b[31m" in line for line in lines)


def test_a_window_is_kept_flagged_and_counted(invoke: Invoke, job: Job, chats: list[str]) -> None:
    window = ["corpus.window={tokens: 12, around: assistant}", "positions=assistant:last"]
    dry = invoke("decode", job.config, *chats, *window, "--dry-run")
    ended = invoke("decode", job.config, *chats, *window)
    assert ended.code == 0, ended.err
    sound(job.output)
    documents = {row["doc_id"]: row for row in rows_of(job.output, "documents")}
    unread = documents.pop("chat5")
    rows, record = rows_of(job.output), record_of(job.output)
    left_out = sum(one["left_out_before"] + one["left_out_after"] for one in documents.values())
    assert (record["windowed"], record["left_out"], record["truncated"]) == (5, left_out, 0)
    for said in (dry.out, ended.out):
        assert f"not read: {left_out:,} tokens; 0 documents were cut at corpus.max_tokens, 5 have a" in said
    for document in documents.values():
        assert document["n_tokens"] == len(document["roles"]) == len(document["token_ends"]) == 12
        assert document["text"].endswith("it is true") and document["flags"] == ["windowed"]
        assert document["left_out_before"] > 0 and not document["truncated"]
    read = [row for row in rows if row["outcome"] != "failed"]
    assert {(row["position"], row["role"], row["token"]) for row in read} == {(11, "assistant", " true")}
    assert all(row["flags"][0] == "windowed" for row in read)
    (failed,) = (row for row in rows if row["doc_id"] == "chat5")
    assert "its labels: template, user" in failed["reason"] and unread["n_tokens"] == 0


def test_what_stands_beside_a_span_is_flagged_for_what_it_is(
    invoke: Invoke, job: Job, chats: list[str]
) -> None:
    ended = invoke("decode", job.config, *chats, "positions=after:assistant:1", "corpus.limit=2")
    assert ended.code == 0, ended.err
    found = {(row["token"], row["role"], *row["flags"]) for row in rows_of(job.output)}
    assert found == {("<|im_end|>", "template", "template_token", "special_token")}
