"""Which document of a training set is in which split: by the hash of its content, copies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nla_ray.config.training.training_set import SPLITS, Shares, TrainingSetConfig
from nla_ray.errors import InputError
from nla_ray.ids import digest
from nla_ray.likeness import HASHES, Groups, equal_pairs, near_pairs
from nla_ray.pipelines.training_set.planning import BASE, Ready
from nla_ray.stages.training_set.explain import SPLITS_KEY, read_unit_table
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.training_set import Duplicates
from nla_ray.store.runs.unit_file import to_bytes


@dataclass
class Documents:
    """The documents with activations; `keys` are (document, hash of its text), several for some vectors."""

    index: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[int, str], None] = field(default_factory=dict)
    signed: list[int] = field(default_factory=list)
    signatures: list[bytes] = field(default_factory=list)

    def add(self, doc_id: str, key: str | None, signature: bytes | None) -> None:
        """Count a row."""
        new = doc_id not in self.index
        at = self.index.setdefault(doc_id, len(self.index))
        if key is not None:
            self.keys[at, key] = None
        if new and signature is not None:
            self.signed.append(at)
            self.signatures.append(signature)


def split_documents(ready: Ready, work: Store) -> Duplicates:
    """Write the split of every document; the same again changes nothing.

    Raises InputError for a split that is asked for and stays empty.
    """
    documents = Documents()
    for task in ready.tasks:
        rows = read_unit_table(work, ready.ref(BASE), task.unit_id, ["doc_id", "content", "likeness"])
        for row in rows.to_pylist():
            documents.add(row["doc_id"], row["content"], row["likeness"])
    groups, found = grouped(documents, ready.config.near_duplicates)
    splits = assigned(documents, groups, ready.config)
    require_documents(splits, ready.config.shares)
    columns = {"doc_id": pa.array(documents.index, pa.string()), "split": pa.array(splits, pa.string())}
    work.put_new(SPLITS_KEY, to_bytes(pa.table(columns), {"set": ready.set_id}))
    return found


def grouped(documents: Documents, near: float | None) -> tuple[list[int], Duplicates]:
    """For each document the first one of its group, and what was found."""
    groups, keys = Groups(len(documents.index)), list(documents.keys)
    equal = sum(groups.join(keys[one][0], keys[other][0]) for one, other in equal_pairs([k for _, k in keys]))
    close = 0
    if near is not None and documents.signed:
        signatures = np.frombuffer(b"".join(documents.signatures), "<u4").reshape(-1, HASHES)
        for one, other in near_pairs(signatures, near):
            close += groups.join(documents.signed[one], documents.signed[other])
    roots = groups.roots().tolist()
    sizes = Counter(roots)
    known = {at for at, _ in keys}
    return roots, Duplicates(
        documents=len(roots),
        equal=equal,
        near=close,
        groups=sum(size > 1 for size in sizes.values()),
        largest=max(sizes.values(), default=0),
        unknown=len(roots) - len(known),
    )


def assigned(documents: Documents, groups: Sequence[int], config: TrainingSetConfig) -> list[str]:
    """The split of every document: the least content hash of its group decides, with the seed."""
    least: dict[int, str] = {}
    named = dict.fromkeys(documents.index.values(), "")
    for at, key in documents.keys:
        named[at] = min(named[at] or key, key)
    for doc_id, at in documents.index.items():
        key = named[at] or digest("document", doc_id)
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
