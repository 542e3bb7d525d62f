"""One document of a corpus; one that cannot be used carries its problem."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nla_ray.corpus.chats.model import Chat
from nla_ray.ids import digest


@dataclass(frozen=True)
class Document:
    """One document, as text or as a chat; both are None where `problem` says why it cannot be read.

    `listed` are the positions that the corpus itself names. A vector that was extracted before is a document
    of its own: `vector` is little-endian float32, `position` the token that it stands for (documents with the
    same id are told apart by it), `layer` its K where known. `noted` is what in `meta` is not as it was,
    `lacking` which of the columns of `corpus.meta` the row does not have, each with what is said of that.
    """

    doc_id: str
    source: str
    text: str | None = None
    chat: Chat | None = None
    meta: str | None = None
    problem: str | None = None
    listed: tuple[int, ...] | None = None
    vector: bytes | None = None
    position: int | None = None
    layer: int | None = None
    noted: tuple[str, ...] = ()
    lacking: tuple[tuple[str, str], ...] = ()

    def content_digest(self) -> str:
        """Hash of all that determines the document's rows (64 hex characters)."""
        chat = None if self.chat is None else self.chat.canonical()
        content: list[object] = [self.doc_id, self.text, chat, self.meta, self.problem]
        if self.vector is not None or self.position is not None:
            vector = None if self.vector is None else digest(self.vector.hex())
            content += ["vector", self.position, self.layer, vector]
        return digest(json.dumps(content if self.listed is None else [*content, "listed", self.listed]))


def unusable(place: str, problem: str, meta: str | None = None) -> Document:
    """A document that is known only by its place in the corpus."""
    return Document(place, place, meta=meta, problem=problem)
