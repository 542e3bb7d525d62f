"""How vectors enter a verbalizer, as one text: `replace@embedding=150`, `add_matched@output:1,slots=3`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator

Kind = Literal["replace", "add", "add_matched"]
Site = Literal["embedding", "input", "output"]

PROVEN_FROM = 0.1
"""How far text must carry vectors, by the interval: from the level of other texts (0) to all (1).

Any autoencoder of vectors carries a little of any vector: the demo pair 0.06 of a target with random weights,
and 0.28 of its own in the proof's texts, which are not of its world.
"""

WORDS = (
    "KIND@SITE=SCALE, such as replace@embedding=150 or add_matched@output:1 (KIND replace, add or "
    "add_matched; SITE embedding, input:BLOCK or output:BLOCK; SCALE an L2 norm, sqrt_d_model or raw, of "
    "add_matched a factor, 1 where it is left out; behind it ,slots=N for N vectors in one prompt and "
    ",centred where a mean is subtracted first)"
)
_FORM = re.compile(
    rf"({'|'.join(get_args(Kind))})@(?:(embedding)|(input|output):([0-9]{{1,4}}))(?:=([^=,\s]{{1,40}}))?"
    r"(?:,slots=([1-9][0-9]{0,3}))?(,centred)?"
)


@dataclass(frozen=True)
class Injection:
    """What becomes of the marker's state h, a vector of the residual stream, where v is to be explained.

    `replace`: v at L2 norm `scale`. `add`: h + v at that norm. `add_matched`: h + `scale` |h| v / |v|.
    `site` is the embeddings, or input or output of block `block`. Scale None leaves v as it is. `slots`
    markers stand in the prompt and take as many vectors. `centred`: of v the mean that lies beside the
    checkpoint is subtracted before all else.
    """

    kind: Kind
    site: Site
    block: int | None
    scale: float | None
    slots: int = 1
    centred: bool = False

    @classmethod
    def replacing(cls, scale: float | None) -> Injection:
        """The released dialect: the marker's embedding is overwritten."""
        return cls("replace", "embedding", None, scale)

    @classmethod
    def parse(cls, text: str, d_model: int) -> Injection:
        """The injection that a text of this form means for this width. Raises ValueError for another text."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"found {text[:60]!r}; {WORDS} was expected")
        kind: Kind
        site: Site
        kind, embedding, other, block, scale, slots, centred = match.groups()  # type: ignore[assignment]
        site = embedding or other  # type: ignore[assignment]
        matched = kind == "add_matched"
        if not matched and scale is None:
            raise ValueError(f"found {text!r}; {kind} needs a scale: =NORM, =sqrt_d_model or =raw")
        norm = parse_scale(scale or 1, d_model)
        if matched and (norm is None or scale == "sqrt_d_model"):
            raise ValueError(f"found {text!r}; the scale of add_matched is a factor of the state's own norm")
        number = None if block is None else int(block)
        return cls(kind, site, number, norm, int(slots or 1), centred is not None)

    @property
    def place(self) -> str:
        """Kind and site alone."""
        return f"{self.kind}@{self.site}" + ("" if self.block is None else f":{self.block}")

    def differs(self, other: Injection) -> bool:
        """Whether anything but the scale differs: a pair trained by one reads nothing of the other."""
        return replace(self, scale=None) != replace(other, scale=None)

    def __str__(self) -> str:
        slots = "" if self.slots == 1 else f",slots={self.slots}"
        scale = "raw" if self.scale is None else repr(self.scale)
        return f"{self.place}={scale}{slots}{',centred' if self.centred else ''}"


def slots_said(text: str | None) -> int:
    """How many vectors an injection puts into one prompt; 1 for none and for what is no injection."""
    match = None if text is None else _FORM.fullmatch(text)
    return int(match[6]) if match is not None and match[6] else 1


def parse_scale(value: object, d_model: int) -> float | None:
    """The norm that a scale means for this width; None means raw. Raises ValueError on anything else."""
    if value is None or value in ("raw", "none"):
        return None
    if value == "sqrt_d_model":
        return math.sqrt(d_model)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("a number, 'sqrt_d_model' or 'raw' was expected") from None
    if not (math.isfinite(number) and number > 0):
        raise ValueError("a scale is a positive, finite L2 norm")
    return number


def _is_injection(text: str) -> str:
    Injection.parse(text, d_model=1)
    return text


InjectionText = Annotated[str, AfterValidator(_is_injection)]
"""`KIND@SITE=SCALE[,slots=N][,centred]`, see `WORDS`."""
