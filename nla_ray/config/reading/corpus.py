"""The configuration of an input: where the documents are, what their columns mean, how much is read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nla_ray.config.base import Config, Name, OrText
from nla_ray.config.reading.chats import Chats, Transcripts

FILE = "@file"
"""Stands in `Corpus.id` for the name of the file."""


LONGEST = 4096
"""Tokens of a document that are read where no number is said."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[Name, ...], Field(min_length=1), BeforeValidator(_listed), OrText()]
"""A name, or a list of them."""


class Vectors(Config):
    """The columns of pre-computed activations, one row per vector; Parquet and Arrow files only."""

    column: Name = "activation_vector"
    """Lists of float16, float32 or float64: the raw output of block K."""
    tokens: Name | None = "n_raw_tokens"
    """How many tokens were read for the vector: its position plus one. null: the position is not known."""
    layer: Name = "activation_layer"
    """Where a file has this column, each row's K must be the verbalizer's."""


class Window(Config):
    """The piece that is read of a document with more tokens; what is left out is counted.

    A beginning-of-text token stays in front of it, as one of the tokens. Positions are those in the piece.
    """

    tokens: Annotated[int, Field(ge=2)]
    """Consecutive tokens that are kept."""
    around: Name = "end"
    """`start`: the first ones; `end`: the last ones; a label, such as `assistant`: those up to the end of its
    last span (what comes after a token has no effect on its vector). A document without it is a failed row.
    """


class Corpus(Config):
    """Where the documents are and which of their columns are used."""

    paths: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Files, globs or folders, local or `s3://`; `demo:corpus` is the shipped one.

    JSON (.jsonl, .ndjson, .json: an object a line, an array of objects, one object) and text (.txt), also
    as .gz, .zst and .bz2; Parquet (.parquet, .parq, .pq); Arrow (.arrow); a folder that `datasets` wrote with
    save_to_disk. A folder means the corpus files in it, in the order of their names, without those that begin
    with `.` or `_`. What exists under a name is never a glob.
    """
    partitions: bool = False
    """Read also what lies in `key=value` folders; the values of the keys are carried along in `meta`."""
    text: Name | None = None
    """Column with plain text; it is tokenized as it stands, with the tokenizer's own special tokens.

    The documents of text files are in the column `text`.
    """
    messages: Name | None = None
    """Column with chats, in any of the known shapes; rendered by the target's chat template.

    With both columns named, a row that has messages is a chat and any other is text.
    """
    system: Name | None = "system"
    """Column with a chat's system prompt, where a row has one beside its messages."""
    tools: Name | None = "tools"
    """Column with the tools that a chat's assistant was offered, where a row has them."""
    chat: Chats = Chats()
    transcripts: Transcripts | None = None
    """The files are whole transcripts, one or several in each; `{}` looks what each file is.

    Their own facts (sample, epoch, scores, model) are carried along in `meta`.
    """
    vectors: Vectors | None = None
    """The corpus is vectors that were extracted before; `{}` where the columns have their usual names.

    Nothing is extracted then, `positions` has no effect and the target may be left out. The id and the
    position of a vector are its key. A text column is optional and is carried along.
    """
    id: Names | None = None
    """Column with the document's id, or a list of columns, joined by `/`; without it a hash of the content.

    `"@file"` is the name of the file below the folder or the pattern that `paths` gives.
    """
    meta: tuple[Name, ...] = ()
    """Columns that are carried along as JSON; `"*"` means all that have no other use.

    Of vectors in our own tables, `meta` brings back the columns that those carried along.
    """
    text_per: Literal["line", "file"] = "line"
    """A document of a text file is a line that is not blank, or the whole file."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use only so many documents, from the first."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longer documents are cut on the right; null: 4096, or what the target was made for where that is less.

    More than it was made for is refused; with `continuation` the answer counts too.
    """
    window: Window | None = None
    """Of longer documents, such as transcripts of agents, a piece is read; `max_tokens` bounds it."""
    unit_documents: Annotated[int, Field(ge=1)] = 128
    """Documents that are worked on together, at most; controls are drawn among them."""
    units: Literal["count", "content"] = "count"
    """Where a unit ends: `count` after every `unit_documents`; `content` where the documents themselves say,
    between half of `unit_documents` and all of it, so that documents which come or go between two weeks move
    only the units beside them, and all others can be reused."""

    @property
    def longest(self) -> int:
        """Tokens that documents are cut at, of a target that has room for them."""
        return LONGEST if self.max_tokens is None else self.max_tokens

    @model_validator(mode="after")
    def _some_content_column(self) -> Corpus:
        rows = (self.text, self.messages, self.vectors)
        if self.transcripts is not None and any(one is not None for one in rows):
            raise ValueError("transcripts are whole files: name no column of text, messages or vectors")
        if self.transcripts is None and all(one is None for one in rows):
            raise ValueError(
                "name the column that holds the documents: text or messages, or vectors; transcripts: {} for "
                "files that are whole transcripts"
            )
        if self.vectors is not None and self.messages is not None:
            raise ValueError("vectors come with a text column or none, not with messages")
        return self

    @model_validator(mode="after")
    def _window_inside(self) -> Corpus:
        if self.window is None:
            return self
        if self.vectors is not None:
            raise ValueError("window: vectors that were extracted before have none")
        if self.window.tokens > self.longest:
            raise ValueError(
                f"window: its {self.window.tokens} tokens are more than max_tokens, {self.longest}; "
                "raise max_tokens or take fewer"
            )
        return self


class Continuation(Config):
    """The target first answers each document; the answer is read with it.

    The documents of a unit are answered together. An answer follows from its document, its key and the model,
    and from the other documents of the unit only where rounding decides a token.
    """

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """The longest answer, in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy; anything else is drawn by seed and document id."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most likely tokens up to this mass."""
