"""The transcripts of a file of any known kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import BinaryIO

from nla_ray.corpus.transcripts.atif import atif_transcripts
from nla_ray.corpus.transcripts.claude.sessions import claude_transcripts
from nla_ray.corpus.transcripts.inspect.log import eval_transcripts, json_transcripts
from nla_ray.corpus.transcripts.kinds import Kind
from nla_ray.corpus.transcripts.model import Transcript
from nla_ray.corpus.transcripts.scout import scout_transcripts
from nla_ray.corpus.transcripts.values import storable_json

_READERS: dict[Kind, Callable[[BinaryIO, str, Collection[str]], Iterator[Transcript]]] = {
    "inspect-eval": eval_transcripts,
    "inspect-json": json_transcripts,
    "atif": atif_transcripts,
    "claude-code": claude_transcripts,
    "scout": scout_transcripts,
}


def transcripts_of(
    file: BinaryIO, kind: Kind, label: str, *, ignore: Collection[str] = ()
) -> Iterator[Transcript]:
    """All transcripts of a file, each under a key of its own; `ignore` names fields of messages.

    What cannot be read of a file is a transcript with a problem. Raises InputError: the file cannot be read
    as a whole. Errors of the disk and the network are raised as they come.
    """
    seen = Counter[str]()
    for one in _READERS[kind](file, label, ignore):
        key = name = storable_json(one.key)
        while key in seen:
            seen[name] += 1
            key = f"{name}#{seen[name]}"
        seen[key] = 1
        yield replace(one, key=key)
