"""What became of an answer: the explanation between its tags, an outcome, flags. The text is untrusted."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from nla_ray.text import storable

if TYPE_CHECKING:
    from nla_ray.nla.verbalizer import FinishReason, Generation

OPEN, CLOSE = "<explanation>", "</explanation>"

Outcome = Literal["ok", "unclosed", "length", "empty", "loop", "failed"]

LOOP_PERIOD, LOOP_COPIES, LOOP_TOKENS = 32, 4, 24
CJK_SHARE = 0.3
EARLY_POSITIONS = 10
SINK_RATIO = 5.0

_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Explanation:
    """One judged answer; `text` is the explanation, `raw_text` the whole answer, both storable as UTF-8.

    Outcomes, the first that applies: `failed` (no answer, see `reason`), `empty` (no text), `loop`
    (repetition), `ok` (closed), `length` (cut off by the token limit), `unclosed` (stopped by itself
    without the closing tag, as at end-of-turn positions, where the answer quotes its own stop token).
    """

    text: str
    raw_text: str
    closed: bool
    finish_reason: FinishReason
    outcome: Outcome
    flags: tuple[str, ...]
    n_tokens: int
    reason: str | None


def judge(generation: Generation, *, tagged: bool = True) -> Explanation:
    """Extract the explanation of an answer and name its outcome and the flags that its text earns (`cjk`).

    The answer of a pair that is not `tagged` is all that was written, and closed where it stopped by itself.
    """
    raw = storable(generation.raw_text)
    text, closed = extract(raw) if tagged else (raw.strip(), generation.finish_reason == "stop")
    if generation.finish_reason == "length":
        # A character cut in half by the token limit decodes to replacement characters.
        text = text.rstrip("\ufffd").rstrip()
    outcome, reason = _outcome(generation, text, closed)
    flags = ("cjk",) if is_cjk(text) else ()
    return Explanation(
        text, raw, closed, generation.finish_reason, outcome, flags, len(generation.token_ids), reason
    )


def _outcome(generation: Generation, text: str, closed: bool) -> tuple[Outcome, str | None]:
    if generation.finish_reason == "failed":
        return "failed", generation.reason
    period = loop_period(generation.token_ids)
    outcome = outcome_of(text, loops=period > 0, closed=closed, cut=generation.finish_reason == "length")
    reasons = {
        "empty": "no text between the tags",
        "loop": f"a block of {period} tokens repeats",
        "length": f"cut off after {len(generation.token_ids)} tokens",
        "unclosed": "stopped without the closing tag",
    }
    return outcome, reasons.get(outcome)


def outcome_of(text: str, *, loops: bool, closed: bool, cut: bool) -> Outcome:
    """The outcome of an answer that there is: the first that applies, in the order of `Explanation`.

    `cut`: the token limit ended it.
    """
    if not text:
        return "empty"
    if loops:
        return "loop"
    if closed:
        return "ok"
    return "length" if cut else "unclosed"


def extract(raw: str) -> tuple[str, bool]:
    """The explanation in an answer, stripped, and whether it was closed.

    It ends at the first closing tag and begins after the first opening tag before that, or at the start of
    the answer where there is none (the prompt may have opened it). Further tags inside are part of the
    text.
    """
    before, close, _ = raw.partition(CLOSE)
    head, opened, body = before.partition(OPEN)
    return (body if opened else head).strip(), bool(close)


def loop_period(token_ids: Sequence[int]) -> int:
    """Length of the shortest block that an answer repeats back to back, 0 when it does not loop.

    A loop is a block of at most LOOP_PERIOD tokens, LOOP_COPIES times or more in a row, over LOOP_TOKENS or
    more.
    """
    if len(token_ids) - len(set(token_ids)) < _LEAST_REPEATED:
        return 0
    ids = np.asarray(token_ids)
    for period in range(1, min(LOOP_PERIOD, len(ids) // LOOP_COPIES) + 1):
        needed = _needed(period)
        same = ids[period:] == ids[:-period]
        if np.count_nonzero(same) >= needed and _longest_run(same) >= needed:
            return period
    return 0


def _needed(period: int) -> int:
    """A stretch of n copies is n - 1 copies of "equal to the token one period before"."""
    return max((LOOP_COPIES - 1) * period, LOOP_TOKENS - period)


_LEAST_REPEATED = min(map(_needed, range(1, LOOP_PERIOD + 1)))
"""Tokens of any loop that were there before: most answers have fewer, and are done with."""


def _longest_run(flags: np.ndarray) -> int:
    ends = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def is_cjk(text: str) -> bool:
    """At least CJK_SHARE of the letters are Chinese, Japanese or Korean."""
    cjk = sum(map(str.isalpha, _CJK.findall(text)))
    return cjk > 0 and cjk >= CJK_SHARE * sum(map(str.isalpha, text))


def position_flags(
    position: int, token_id: int, norm: float, *, special_ids: Collection[int], typical_norm: float | None
) -> tuple[str, ...]:
    """Flags of a position that is known to decode badly, whatever its text.

    `early_position`: one of the first EARLY_POSITIONS tokens; `special_token`: a token in `special_ids`;
    `sink_norm`: L2 norm above SINK_RATIO times `typical_norm` (the median norm of a stated set; None: not
    judged).
    """
    raised = {
        "early_position": position < EARLY_POSITIONS,
        "special_token": token_id in special_ids,
        "sink_norm": typical_norm is not None and norm > SINK_RATIO * typical_norm,
    }
    return tuple(name for name, flag in raised.items() if flag)
