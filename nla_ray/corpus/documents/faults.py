"""What of a corpus cannot be used: counted by kind, each with an example, and ids that repeat."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from nla_ray.corpus.documents.document import Document
from nla_ray.corpus.documents.pieces import UnitSource
from nla_ray.errors import InputError

REASONS = 5
_KINDS = 1000
"""Kinds of problems that are told apart; the rest is counted together."""
_MANY = 0.1
"""From this share of the documents on, repeated ids are said first of all."""
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class Faults:
    """Counts the documents of a corpus that cannot be used, and what is not read as it is written.

    `files` are those that hold documents.
    """

    def __init__(self) -> None:
        self.documents = self.unusable = self.repeated = 0
        self.files: set[str] = set()
        self._count: Counter[str] = Counter()
        self._example: dict[str, str] = {}
        self._noted: Counter[str] = Counter()
        self._first_repeated = ""
        self._lacking: Counter[str] = Counter()
        self._first_lacking: dict[str, str] = {}

    def add_unit(
        self, source: UnitSource, documents: Sequence[Document], problems: Sequence[str | None]
    ) -> None:
        """Count the documents of a unit, each with what is wrong with it."""
        repeated = source.repeated()
        for piece in source.pieces:
            self.add_documents(piece.source.label, piece.documents)
        for at, (document, problem) in enumerate(zip(documents, problems, strict=True)):
            self.add_notes(document.noted)
            if problem is None:
                self.add_lacking(document.lacking)
            else:
                self.add_problem(document.source, problem, repeated=at in repeated)

    def add_documents(self, file: str, n: int) -> None:
        """Count documents of a file."""
        self.files.add(file)
        self.documents += n

    def add_notes(self, noted: Iterable[str]) -> None:
        """Count what is not read as it is written."""
        self._noted.update(noted)

    def add_lacking(self, lacking: Iterable[tuple[str, str]]) -> None:
        """Count the columns of `corpus.meta` that a usable document lacks, each with what is said of it."""
        for name, said in lacking:
            self._lacking[name] += 1
            self._first_lacking.setdefault(name, said)

    def add_problem(self, place: str, problem: str, *, repeated: bool) -> None:
        """Count a document that cannot be used; `repeated`: for an earlier one has its id."""
        self.unusable += 1
        kind = _PARTICULAR.sub("*", problem)
        kind = kind if kind in self._count or len(self._count) < _KINDS else "other problems"
        self._count[kind] += 1
        self._example.setdefault(kind, f"{problem} (first {place})")
        if repeated:
            self.repeated += 1
            self._first_repeated = self._first_repeated or f"{place}: {problem}"

    def reasons(self) -> list[str]:
        """The most frequent problems, each with its first example."""
        shown = self._count.most_common(REASONS)
        said = [f"{count} x {self._example[kind]}" for kind, count in shown]
        if more := len(self._count) - len(shown):
            said.append(f"{self.unusable - sum(count for _, count in shown)} x for {more} other reasons")
        return said

    def warnings(self) -> list[str]:
        """What must be said of a corpus that can be used in part."""
        said = []
        if self.repeated and self.repeated >= _MANY * self.documents:
            share = f"{self.repeated / self.documents:.0%}, {self.repeated:,} of {self.documents:,} documents"
            said.append(f"{share}, are not read: an earlier one has the id; {self._first_repeated}")
        return said + [f"{count} x {what}" for what, count in self._noted.most_common(REASONS)]

    def require_usable(self, paths: Sequence[str]) -> None:
        """Raise InputError where not one document can be used."""
        if self.documents and self.unusable == self.documents:
            reasons = "; ".join(self.reasons())
            raise InputError(
                f"{', '.join(paths):.200}: none of {self.documents:,} documents can be used: {reasons}"
            )

    def require_meta(self, paths: Sequence[str]) -> None:
        """Raise InputError for a column of `corpus.meta` that not one usable document has."""
        usable = self.documents - self.unusable
        for name, count in self._lacking.items():
            if count == usable:
                raise InputError(
                    f"{', '.join(paths):.200}: corpus.meta: none of {usable:,} usable documents has a column "
                    f"{name!r}; the first {self._first_lacking[name]}"
                )
