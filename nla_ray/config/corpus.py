"""The configuration of an input: where the documents are, what their columns mean, which tokens are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nla_ray.config.base import Config
from nla_ray.config.chats import Chats, Name, Transcripts


class Vectors(Config):
    """The columns of pre-computed activations, one row per vector; Parquet and Arrow files only."""

    column: Name = "activation_vector"
    """Lists of float16, float32 or float64: the raw output of block K."""
    tokens: Name | None = "n_raw_tokens"
    """How many tokens were read for the vector: its position plus one. null: the position is not known."""
    layer: Name = "activation_layer"
    """Where a file has this column, each row's K must be the verbalizer's."""


class Corpus(Config):
    """Where the documents are and which of their columns are used."""

    paths: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Files, globs or folders, local or `s3://`; `demo:corpus` is the shipped one.

    JSONL (.jsonl) and text (.txt), also as .gz and .zst; Parquet (.parquet); Arrow (.arrow); a folder that
    `datasets` wrote with save_to_disk. A folder means the corpus files in it, in the order of their names.
    """
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
    id: Name | None = None
    """Column with the document's id; without it the id is a hash of the content."""
    meta: tuple[Name, ...] = ()
    """Columns that are carried along as JSON; `"*"` means all that have no other use.

    Of vectors in our own tables, `meta` brings back the columns that those carried along.
    """
    text_per: Literal["line", "file"] = "line"
    """A document of a text file is a line that is not blank, or the whole file."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """Use only so many documents, from the first."""
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    """Longer documents are cut on the right."""
    unit_documents: Annotated[int, Field(ge=1)] = 128
    """Documents that are worked on together; controls are drawn among them."""

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


class Continuation(Config):
    """The target first answers each document; the answer is read with it. Answers are made one by one."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """The longest answer, in tokens."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy; anything else is drawn by seed and document id."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most likely tokens up to this mass."""


class Positions(Config):
    """Which tokens of a document are read: first what may be chosen, then how many of that."""

    choose: Literal["random", "last", "every", "all", "column"] = "random"
    """`random` n (keyed by seed and document id), `last` n, `every` n-th, `all`, or those in `column`."""
    n: Annotated[int, Field(ge=1)] = 10
    """How many, or for `every` the step."""
    column: Name | None = None
    """For `column`: the corpus column with a list of positions, counted from 0.

    They are read as they are listed; what is below does not apply to them, but `limit` does.
    """
    min_position: Annotated[int, Field(ge=0)] = 10
    """The first position that may be chosen; the first tokens of a text decode badly.

    Earlier ones, if allowed, carry the flag `early_position`.
    """
    special: bool = False
    """Choose special tokens too; their rows carry the flag `special_token`."""
    template: bool = False
    """Choose also what the chat template puts around messages; these rows carry the flag `template_token`."""
    roles: tuple[Name, ...] = ()
    """Only tokens in messages of these roles, for example `[assistant]`; plain text has no role."""
    regex: Name | None = None
    """Only tokens that a match of this RE2 expression touches, searched in the text as the target sees it."""
    part: Literal["prompt", "response", "both"] = "both"
    """With `continuation`: read the document, the target's answer to it, or both."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most so many positions per document; of more, these are drawn by seed and document id."""

    @model_validator(mode="after")
    def _column_where_it_is_chosen(self) -> Positions:
        if (self.choose == "column") != (self.column is not None):
            raise ValueError("choose: column and the name of the column belong together")
        return self
