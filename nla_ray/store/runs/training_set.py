"""A finished training set: its manifest, and where its files are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from nla_ray.config.base import Config
from nla_ray.config.training.training_set import Templates
from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.plan import first_problem

MANIFEST = "manifest.json"

Count = Annotated[int, Field(ge=0)]


class SetFile(Config):
    """One Parquet file of a split; its sidecar is beside it."""

    key: str
    """Its path below the training set."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    bytes: Count
    rows: Count


class SplitRecord(Config):
    """A split and its files."""

    documents: Count
    rows: Count
    files: tuple[SetFile, ...]


class Duplicates(Config):
    """Copies among the documents; those of one group are all in one split."""

    documents: Count
    """Documents with at least one activation."""
    equal: Count
    """Documents whose text another one has too, but for case and white space; the first is not counted."""
    near: Count
    """Further documents that were put to another one because they are nearly equal."""
    groups: Count
    """Groups of more than one document."""
    largest: Count
    """Documents of the largest group."""
    unknown: Count
    """Documents without a text: their copies cannot be found."""


class Explaining(Config):
    """What the provider did."""

    explained: Count
    dropped: dict[str, Count]
    """Rows without an explanation by reason; they are in no split that needs one, but stay in held_out."""
    requests: Count
    """Paid for this set, in all attempts; answers that were there before are not counted."""
    tokens: Count
    """Read and written for these requests, as the endpoint reports them."""


class Reference(Config):
    """Var(v_nrm) over the set's vectors, the denominator of `fve_nrm`."""

    value: Annotated[float, Field(ge=0)]
    reference: str
    n: Count


class TrainingSet(Config):
    """A finished training set. `manifest.json` is written last: where it is, every file is there."""

    version: Literal[1] = 1
    set_id: str
    target: str | None
    """The model whose activations these are."""
    layer: int
    d_model: int
    splits: dict[str, SplitRecord]
    templates: Templates
    baseline: Reference
    """Over the vectors of all splits but held_out."""
    norm_p75: float
    """The norm that three quarters of those do not exceed: the published choice of injection scale."""
    duplicates: Duplicates
    explaining: Explaining
    unusable: Count
    """Documents and vectors that could not be used."""
    problems: tuple[str, ...]
    """Some of the reasons, with the place in the corpus."""
    config: dict[str, JsonValue]
    """The recipe; where a model was asked, with the instruction in full."""
    weights: JsonValue
    """What is known of the files of the target, and of a `local` provider's model."""
    versions: dict[str, str]


def get_training_set(store: Store) -> TrainingSet | None:
    """The manifest of the training set at a place; None where it is not finished.

    Raises InputError for one that cannot be read.
    """
    try:
        data = store.get(MANIFEST)
    except FileNotFoundError:
        return None
    try:
        return TrainingSet.model_validate_json(data)
    except ValidationError as error:
        raise InputError(
            f"{store.url}/{MANIFEST}: not the manifest of a training set: {first_problem(error)}"
        ) from None
