"""Stories read from the files of a format, and what a target reads of one against what the oracle sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nla_ray.config.reading.chats import Chats, Dropped
from nla_ray.config.reading.corpus import Corpus
from nla_ray.config.reading.positions import Positions
from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.find import read_documents
from nla_ray.corpus.reading.reader import Reader, Reading
from tests.corpus.agents import oracle
from tests.corpus.agents.formats import FORMATS
from tests.corpus.agents.master import Story, stories
from tests.corpus.rendering.parts import tokenizer_with

FAMILIES = ("chatml", "qwen3", "llama3", "gemma3", "gptoss", "mistral")
STORIES = stories()
LONGEST = 10**6
ALL = Positions(choose="all", min_position=0, special=True, template=True)


@dataclass(frozen=True)
class Written:
    """All stories that a format can tell, in its files, and the documents that are read from these."""

    corpus: Corpus
    stories: list[Story]
    documents: Mapping[str, Document]


def write_all(name: str, folder: Path) -> Written:
    """Write and read them; a document is found by the name of its story."""
    told = [one for one in STORIES if FORMATS[name].holds(one)]
    corpus = FORMATS[name].write(folder, told)
    found = {one.doc_id.rpartition(":")[2]: one for one in read_documents(corpus)}
    return Written(corpus, told, {key.removesuffix("_epoch_1"): one for key, one in found.items()})


def read(document: Document, family: str, **chats: object) -> Reading:
    """A document as a target with a family's template reads it, every token of it."""
    how = Chats.model_validate(chats)
    return Reader(tokenizer_with(family), ALL, seed=0, max_tokens=LONGEST, chats=how).read(document)


def compare(document: Document, story: Story, name: str, family: str) -> str:
    """All of a story is seen and each token has its label, or what is not is named; says which it was."""
    whole = read(document, family, dropped=get_args(Dropped))
    try:
        found = oracle.seen(tokenizer_with(family), story, FORMATS[name], family)
    except oracle.RefusedError:
        assert whole.problem is not None and "the chat template refuses it" in whole.problem
        return "refused"
    assert whole.problem is None and whole.text == found.text
    # Of what is only whitespace the oracle knows nothing.
    unknown = {"whitespace"} if found.blank else set()
    assert {flag.removeprefix("dropped:") for flag in whole.flags} - unknown == found.dropped - unknown
    compare_labels(whole, found, family)
    missing, problem = found.dropped - {"whitespace"}, read(document, family).problem
    assert (problem is None) == (not missing) and all(kind in str(problem) for kind in missing)
    return "dropped" if missing else "whole"


def compare_labels(whole: Reading, found: oracle.Seen, family: str) -> None:
    """Every token is the one that the text has there, and is whose the oracle says."""
    ids, spans = tokens_of(found.text, family)
    assert list(whole.token_ids) == ids and whole.positions == tuple(range(len(ids)))
    owners = [None if one is None else (one.label, one.message) for one in whole.owners or ()]
    for span, owner, piece in zip(spans, owners, found.pieces(spans), strict=True):
        is_blank = found.text[slice(*span)].isspace() and owner is not None and owner[0] == "assistant"
        assert owner == (piece and (piece.label, piece.message)) or (found.blank and is_blank)


def tokens_of(text: str, family: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids of a text and where they stand in it."""
    found = tokenizer_with(family)(text, add_special_tokens=False, return_offsets_mapping=True)
    return found["input_ids"], found["offset_mapping"]
