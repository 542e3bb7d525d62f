"""What a user can say about results of other tools that their files do not say."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from nla_ray.config.base import Config
from nla_ray.config.reading.redaction import Redact

Control = Literal["real", "shuffled", "random", "mean", "none"]
Said = Annotated[str, StringConstraints(min_length=1)]


class ImportOptions(Config):
    """Facts for all files of one import. What a file says of itself comes first."""

    # An import without it is the run that it was before there was redaction; see `run_id_of`.
    without_effect: ClassVar[frozenset[str]] = frozenset({"redact"})

    run_name: Said | None = None
    """Name of the run that made the files, in front of document numbers; else the file's own name for it."""
    layer: Annotated[int, Field(ge=0, le=32_767)] | None = None
    """K: the vectors are the output of block K of the target."""
    target: Said | None = None
    """The model that was read."""
    av: Said | None = None
    """The verbalizer that wrote the explanations."""
    ar: Said | None = None
    """The reconstructor that the fidelity was measured with."""
    control: Annotated[dict[Said, Control], Field(default_factory=dict)]
    """What a file's own words for controls mean here; without it an unknown word is refused."""
    activations: bool = False
    """Keep the vectors of Parquet files that hold them, for rows whose layer is known."""
    redact: Redact | None = None
    """What is hidden in texts before anything is stored, as in a decode; no token is stored then."""
