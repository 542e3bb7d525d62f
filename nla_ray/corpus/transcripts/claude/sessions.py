"""Claude Code sessions: the tree of a session file's lines becomes a transcript for each branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Any, BinaryIO

from nla_ray.corpus.chats.read import read_chat
from nla_ray.corpus.transcripts.claude.lines import Line, session_lines
from nla_ray.corpus.transcripts.claude.tree import Branch, branches
from nla_ray.corpus.transcripts.model import Transcript, transcript, unreadable

_NOT_RECORDED = {"system_prompt": "not recorded", "tools": "not recorded"}


def claude_transcripts(file: BinaryIO, label: str, ignore: Collection[str] = ()) -> Iterator[Transcript]:
    """One transcript for each branch of the session, the main one under the session's name.

    A compaction begins a transcript of its own, for the model saw only the summary from there on, and what
    `compaction` in the metadata says was kept; so does `/clear`. Lines that cannot be read come first.
    """
    lines = dict[str, Line]()
    for line in session_lines(file):
        if isinstance(line, Line):
            lines.setdefault(line.uuid, line)
        else:
            yield unreadable(f"line {line[0]}", line[1])
    main = True
    for branch in branches(lines):
        leaf = branch.said[-1]
        name = "sidechain" if leaf.sidechain else "main" if main else "side"
        main = main and leaf.sidechain
        yield _transcript(branch, name, label, ignore)


def _transcript(branch: Branch, name: str, label: str, ignore: Collection[str]) -> Transcript:
    first, leaf = branch.said[0], branch.said[-1]
    session, agent = leaf.facts.get("sessionId", label), leaf.facts.get("agentId")
    key = session if name == "main" else "/".join(filter(None, (session, agent, leaf.uuid)))
    models = ((line.message or {}).get("model") for line in branch.said if line.role == "assistant")
    whole = (*branch.asides, *branch.said)
    compactions = [line.compaction for line in whole if line.compaction]
    meta = {
        "session": session,
        "branch": name,
        "agent_id": agent,
        "leaf": leaf.uuid,
        "started": first.facts.get("timestamp"),
        "models": list(dict.fromkeys(model for model in models if isinstance(model, str))),
        "compacted": any(line.compacts for line in whole) or None,
        "compaction": compactions,
        "missing_parent": branch.missing,
        "left_out": dict(Counter(line.aside for line in branch.asides)),
        **{fact: leaf.facts.get(fact) for fact in ("version", "cwd", "gitBranch")},
        **_NOT_RECORDED,
    }
    if branch.circle:
        return unreadable(key, f"line {first.number}: its parents form a circle", meta)
    return transcript(key, lambda: read_chat(messages(branch.said), ignore=ignore, nulls=True), meta)


def messages(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The messages of lines in order; the lines of one reply are one message in the place of the first."""
    found: list[dict[str, Any]] = []
    replies = dict[str, list[Any]]()
    for line in lines:
        content = (line.message or {}).get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if line.reply in replies and isinstance(blocks, list):
            replies[line.reply].extend(blocks)
            continue
        if line.reply is not None and isinstance(blocks, list):
            content = replies[line.reply] = list(blocks)
        found.append({"role": line.role, "content": content})
    return found
