"""Which document of a training set is in which split: by the hash of its content, copies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nla_ray.config.training.training_set import SPLITS, Shares, TrainingSetConfig
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.likeness import (
    HASHES,
    Groups,
    content_key,
    equal_pairs,
    near_pairs,
    signature,
    start_of,
    start_pairs,
)  # fmt: skip
from nla_ray.pipelines.training_set.planning import BASE, Ready
from nla_ray.stages.training_set.explain import SPLITS_KEY, read_unit_table
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.training_set import Duplicates
from nla_ray.store.runs.unit_file import to_bytes

_TEXTS = ["doc_id", "detokenized_text_truncated"]


@dataclass
class Documents:
    """The documents with activations, by number; `keys` are hashes of their texts.

    Of documents that are known from texts of vectors, `starts` has what the longest one begins with.
    """

    index: dict[str, int] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)
    signatures: dict[int, bytes] = field(default_factory=dict)
    starts: dict[int, bytes] = field(default_factory=dict)

    def add(self, doc_id: str, key: str | None, signature: bytes | None) -> None:
        """Count a row."""
        at = self.index.setdefault(doc_id, len(self.index))
        if key is not None:
            self.keys[at] = key
        if signature is not None:
            self.signatures[at] = signature

    def add_texts(self, texts: Mapping[str, str]) -> None:
        """Count documents by the longest text of each that a unit has; another unit may have a longer one."""
        for doc_id, text in texts.items():
            at = self.index.setdefault(doc_id, len(self.index))
            start = start_of(text) if text.strip() else b""
            if start and len(start) >= len(self.starts.get(at, b"")):
                self.starts[at], self.keys[at] = start, content_key(text)
                self.signatures[at] = signature(text)


def split_documents(ready: Ready, work: Store) -> Duplicates:
    """Write the split of every document; the same again changes nothing.

    Raises InputError for a split that is asked for and stays empty.
    """
    documents = Documents()
    for task in ready.tasks:
        if ready.config.corpus.vectors is not None:
            documents.add_texts(_longest(read_unit_table(work, ready.ref(BASE), task.unit_id, _TEXTS)))
            continue
        rows = read_unit_table(work, ready.ref(BASE), task.unit_id, ["doc_id", "content", "likeness"])
        for row in rows.to_pylist():
            documents.add(row["doc_id"], row["content"], row["likeness"])
    groups, found = grouped(documents, ready.config.near_duplicates)
    splits = assigned(documents, groups, ready.config)
    require_documents(splits, ready.config.shares)
    columns = {"doc_id": pa.array(documents.index, pa.string()), "split": pa.array(splits, pa.string())}
    work.put_new(SPLITS_KEY, to_bytes(pa.table(columns), {"set": ready.set_id}))
    return found


def _longest(table: pa.Table) -> dict[str, str]:
    """The longest text of each document in a unit of vectors."""
    found: dict[str, str] = {}
    for row in table.to_pylist():
        doc_id, text = row["doc_id"], row[_TEXTS[1]] or ""
        if len(text) >= len(found.get(doc_id, "")):
            found[doc_id] = text
    return found


def grouped(documents: Documents, near: float | None) -> tuple[list[int], Duplicates]:
    """For each document the first one of its group, and what was found."""
    groups, keyed = Groups(len(documents.index)), list(documents.keys)
    pairs = [*equal_pairs(list(documents.keys.values()))]
    started = list(documents.starts)
    equal = sum(groups.join(keyed[one], keyed[other]) for one, other in pairs)
    begun = start_pairs(list(documents.starts.values()))
    equal += sum(groups.join(started[one], started[other]) for one, other in begun)
    close, signed = 0, list(documents.signatures)
    if near is not None and signed:
        signatures = np.frombuffer(b"".join(documents.signatures.values()), "<u4").reshape(-1, HASHES)
        for one, other in near_pairs(signatures, near):
            close += groups.join(signed[one], signed[other])
    roots = groups.roots().tolist()
    sizes = Counter(roots)
    return roots, Duplicates(
        documents=len(roots),
        equal=equal,
        near=close,
        groups=sum(size > 1 for size in sizes.values()),
        largest=max(sizes.values(), default=0),
        unknown=len(roots) - len(keyed),
    )


def assigned(documents: Documents, groups: Sequence[int], config: TrainingSetConfig) -> list[str]:
    """The split of every document: the least content hash of its group decides, with the seed."""
    least: dict[int, str] = {}
    for doc_id, at in documents.index.items():
        key = documents.keys.get(at) or digest("document", doc_id)
        least[groups[at]] = min(least.get(groups[at], key), key)
    chosen = {group: split_of(config.seed, key, config.shares) for group, key in least.items()}
    return [chosen[groups[at]] for at in range(len(groups))]


def split_of(seed: int, key: str, shares: Shares) -> str:
    """The split of a content hash: where a number that it and the seed draw falls in the shares."""
    number, upto = int(digest("split", seed, key)[:13], 16) / 2.0**52, 0.0
    wanted = [(name, getattr(shares, name)) for name in SPLITS if getattr(shares, name) > 0]
    for name, share in wanted:
        upto += share
        if number < upto:
            return name
    return wanted[-1][0]


def require_documents(splits: Sequence[str], shares: Shares) -> None:
    """Raise InputError for a split without documents."""
    found = Counter(splits)
    for name in SPLITS:
        share = getattr(shares, name)
        if share > 0 and not found[name]:
            raise InputError(
                f"shares.{name}: the split is empty: none of {len(splits)} documents came to its share of "
                f"{share:g}; give more documents, or a share of 0"
            )
