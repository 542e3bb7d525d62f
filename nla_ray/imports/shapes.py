"""What a row of another tool is, told from its keys: a result in the tool's words, or no explanation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

TEXT = ("explanation", "nla_output")
RAW = ("raw", "raw_text", "raw_nla_output", "raw_av_text")
"""Keys of the explanation, and of the whole answer."""

LISTS = ("explanations", "results", "rows")
"""Keys of the list in a JSON object that holds the results; a list alone will do, too."""

VECTORS_ALONE = "vectors without text; decode them: `corpus.vectors` reads Parquet and Arrow files of vectors"


@dataclass(frozen=True)
class _Shape:
    """Keys that must all be there, and of which one must."""

    all: frozenset[str]
    any: frozenset[str]

    def fits(self, keys: Set[str]) -> bool:
        return self.all <= keys and (not self.any or not self.any.isdisjoint(keys))


def _shape(*all_of: str, any_of: tuple[str, ...] = ()) -> _Shape:
    return _Shape(frozenset(all_of), frozenset(any_of))


_DESCRIBED = _shape("description", any_of=("l2_norm", "cosine_similarity"))
_NUMBERED = _shape("context_id", "generation_index", "text")
_READOUT = _shape("id", "samples", any_of=("layer", "pos"))

_VERDICT = (
    "a result of an Inspect Scout scanner, whose `explanation` says why it gave its value; decode the "
    "transcripts that it scanned"
)
_CLAIM = "a claim about an explanation; import the table of the explanations themselves"
_TOKENS = "a readout of tokens and scores, not of text; import readouts that hold `samples`"
_SCORE = "a score of a text that is elsewhere; import the table of the explanations themselves"
_CONTEXT = "a text that a model read; decode it: `corpus.text` names its column"

_OTHERS = (
    (_shape(any_of=("scanner_name", "scanner_key")), _VERDICT),
    (_shape("claim_text"), _CLAIM),
)
_NO_TEXT = (
    (_shape("tokens", "scores"), _TOKENS),
    (_shape(any_of=("activation", "activation_vector", "vector")), VECTORS_ALONE),
    (_shape("text_id", "mse"), _SCORE),
    (_shape("context_id", "text"), _CONTEXT),
)


def is_result(keys: Set[str]) -> bool:
    """Whether a row with these keys has a place for an explanation."""
    own = not {*TEXT, *RAW}.isdisjoint(keys)
    return own or any(shape.fits(keys) for shape in (_DESCRIBED, _NUMBERED, _READOUT))


def something_else(keys: Set[str]) -> str | None:
    """What a row with these keys is, where it is known not to be an explanation, and the way out."""
    known = _OTHERS if is_result(keys) else (*_OTHERS, *_NO_TEXT)
    return next((what for shape, what in known if shape.fits(keys)), None)


def results_in(whole: object) -> list[Any] | None:
    """The list of results in a JSON file, None where there is none."""
    if isinstance(whole, dict):
        whole = next((whole[key] for key in LISTS if isinstance(whole.get(key), list)), None)
    return whole if isinstance(whole, list) else None


def in_our_words(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The results in one row, under names that are known here; what already has them comes as it is."""
    if not {*TEXT, *RAW}.isdisjoint(values):
        yield dict(values)
    elif _DESCRIBED.fits(values.keys()):
        yield _renamed(values, {"description": "explanation"})
    elif _NUMBERED.fits(values.keys()):
        yield _placed(_renamed(values, {"text": "explanation", "sample_idx": "sample_index"}))
    elif _READOUT.fits(values.keys()) and isinstance(values["samples"], list):
        rest = _from_the_end({key: value for key, value in values.items() if key != "samples"})
        for at, text in enumerate(values["samples"] or [None]):
            yield {**rest, "explanation": text, "sample_index": at}
    else:
        yield dict(values)


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}


def _placed(values: dict[str, Any]) -> dict[str, Any]:
    """An offset counts back from the end of a text of unknown length: it names a vector, not a position."""
    if values.get("abs_position") is not None:
        return _renamed(values, {"abs_position": "position"})
    return _named(values, "context_id", "offset", values.get("position_offset"))


def _from_the_end(values: dict[str, Any]) -> dict[str, Any]:
    pos = values.get("pos")
    if not isinstance(pos, int) or pos >= 0:
        return values
    return _named(_renamed(values, {"pos": "offset_from_end"}), "id", "pos", pos)


def _named(values: dict[str, Any], document: str, what: str, offset: object) -> dict[str, Any]:
    """An offset that is no position makes a document of its own, as it must not be mixed with the others."""
    if not isinstance(values[document], str | int) or not isinstance(offset, str | int):
        return values
    return {**values, "doc_id": f"{values[document]}/{what}_{offset}"}
