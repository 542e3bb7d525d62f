"""Places in documents, what is true there as labels and last words; their vectors; tables of both."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from benchmarks.real.documents import FIELDS, Document, labels
from nla_ray.errors import CheckpointError
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.outcomes import CLOSE, OPEN
from nla_ray.nla.sidecar.dataset import dataset_sidecar_text
from nla_ray.tables.training import PROMPT, published

AV_TEMPLATE = "Vector: <concept>{injection_char}</concept>"
AR_TEMPLATE = "<text>{explanation}</text> <summary>"
FIRST_POSITION = 12
"""Earlier positions decode to the prior."""
LAST_WORDS = 4
NEVER = 1 << 30
"""The position from which on something is said that the read sentence does not say."""


@dataclass(frozen=True)
class Place:
    """One position of a document: what has been said up to it, and an explanation of it."""

    document: Document
    ids: tuple[int, ...]
    position: int
    known: dict[str, str]
    explanation: str


def check_labels(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise CheckpointError for a label that is not one token: its gradient would lie in its second half."""
    for field in FIELDS:
        for word in (field, *labels(field)):
            if len(tokenizer.encode(f" {word}", add_special_tokens=False)) != 1:
                raise CheckpointError(
                    f"lexicon.yaml: {field}: {word!r} is not one token of this model; take another"
                )


def places(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, per_document: int, seed: int
) -> list[Place]:
    """Positions of each document by the seed: of those at which something is being said, else of all."""
    encoded = tokenizer(
        [one.text for one in documents], return_offsets_mapping=True, add_special_tokens=False
    )
    rng, found = random.Random(seed), []
    for document, ids, offsets in zip(
        documents, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        last = len(ids) - 1
        late = range(min(FIRST_POSITION, last), last + 1)
        telling = [at for at in late if document.said(offsets[at][1])] or list(late)
        for position in sorted(rng.sample(telling, min(per_document, len(telling)))):
            end = offsets[position][1]
            known = document.said(end)
            found.append(Place(document, tuple(ids), position, known, explain(known, document.text[:end])))
    return found


def explain(known: dict[str, str], text: str) -> str:
    """The label of what is being said, and the last words."""
    last = " ".join(text.split()[-LAST_WORDS:])
    return ", ".join([*(f"{field} {label}" for field, label in known.items()), f"last: {last}"])


def vectors_of(found: Sequence[Place], target: Path, layer: int) -> np.ndarray:
    """Vectors [places, d] of block `layer`; places of one document lie side by side."""
    extractor = Extractor(target, [layer], batch_tokens=2048)
    groups: dict[str, list[Place]] = {}
    for one in found:
        groups.setdefault(one.document.doc_id, []).append(one)
    some = list(groups.values())
    vectors = extractor.extract(
        [group[0].ids for group in some], [[one.position for one in group] for group in some]
    )
    return np.concatenate([one[:, 0] for one in vectors])


def write_split(
    folder: Path, split: str, found: Sequence[Place], vectors: np.ndarray, target: str, layer: int
) -> None:
    """A split of a training set as `nla-ray train` reads it."""
    width = vectors.shape[1]
    said = [one.explanation for one in found]
    message = [{"role": "user", "content": AV_TEMPLATE.replace("{injection_char}", "<INJECT>")}]
    columns: dict[str, Any] = {
        "prompt": pa.array([message] * len(found), PROMPT),
        "response": [f"{OPEN}\n{text}\n{CLOSE}" for text in said],
        "activation_vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width),
        "doc_id": [one.document.doc_id for one in found],
        "n_raw_tokens": [one.position + 1 for one in found],
        "detokenized_text_truncated": [one.document.text for one in found],
        "activation_layer": [layer] * len(found),
        "api_explanation": said,
        "meta": [json.dumps({"truth": dict(one.document.truth)}) for one in found],
    }
    if split == "ar_sft":
        columns["prompt"] = [AR_TEMPLATE.replace("{explanation}", text) for text in said]
    schema = published(split, width)
    table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    path = folder / split / "part-00000.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    extra = {"prompt_templates": {"av": AV_TEMPLATE, "ar": AR_TEMPLATE}}
    text = dataset_sidecar_text(
        stage=split,
        rows=len(found),
        base_model=target,
        d_model=width,
        layer=layer,
        extraction={},
        extra=extra,
    )
    path.with_name(f"{path.name}.nla_meta.yaml").write_text(text, encoding="utf-8")


def write_corpus(path: Path, found: Sequence[Place]) -> None:
    """JSON lines: a document, the one position that is read, from where on its truths are said."""
    with path.open("w", encoding="utf-8") as lines:
        for one in found:
            shown = {field: one.position if field in one.known else NEVER for field in FIELDS}
            row: dict[str, Any] = {
                "id": one.document.doc_id,
                "text": one.document.text,
                "positions": [one.position],
            }
            if one.document.truth:
                row["truth"] = {**one.document.truth, "shown": shown}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
