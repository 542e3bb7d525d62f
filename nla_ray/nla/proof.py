"""Prove how a verbalizer is given its vectors, and that the pair reads this target, by decoding a few."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nla_ray.config.injection import Injection
from nla_ray.errors import CheckpointError, EngineError
from nla_ray.intervals import clustered_mean
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.fidelity import unit
from nla_ray.nla.outcomes import judge
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar, said_injection
from nla_ray.nla.verbalizer import Sampling

TEXTS = (
    "The ferry to the northern islands was late again, so the passengers waited in the rain and ate.",
    "To multiply two fractions, multiply the numerators, then the denominators, and shorten what is left.",
    "def area(width, height):\n    if width < 0:\n        raise ValueError(width)\n    return width * height",
    "Dear landlord, the heating in my kitchen has been broken since Monday. Please send somebody this week.",
    "In 1911 two expeditions raced for the pole; only one of them came home to tell of the frozen plateau.",
    "Whisk four eggs with sugar until pale, fold in the flour, and bake the cake for half an hour at 160 C.",
    "The court held that the contract was void, since neither party had signed the amended second schedule.",
    "She slammed the door, furious that her brother had sold their grandmother's piano without asking her.",
    "Red blood cells carry oxygen from the lungs to the tissues and return with carbon dioxide to exhale.",
    "Our striker equalised in stoppage time, and the whole stadium sang until the lights were switched off.",
    "Quarterly revenue fell by nine percent as customers delayed orders and freight costs went on climbing.",
    "The violin enters alone with a slow theme in minor, answered two bars later by muted horns and timpani.",
    "Le marché ouvre à sept heures; les paysans y vendent du fromage, des pommes et des fleurs coupées.",
    "Wolves returned to the valley three winters ago, and the deer no longer graze beside the lower stream.",
    "Before you change the tyre, pull the hand brake, loosen the bolts a little, and only then lift the car.",
    "The comet will be visible shortly before dawn, low in the east, its tail pointing away from the sun.",
)
"""Sixteen subjects and genres; two vectors are read from each."""

PLACES = (0.6, 1.0)
"""How far into a text a vector is read; 1 is its last token."""
LEAST = 0.1
"""How far answers must come from the level of other texts (0) to the vector itself (1), by the interval.

Any autoencoder of vectors carries a little of any vector: the demo pair 0.06 of a target with random weights,
and 0.28 of its own in these texts, which are not of its world.
"""
SAMPLING = Sampling(max_new_tokens=200, seed=0)
RIVALS = ("add_matched@output:1", "replace@embedding=sqrt_d_model", "replace@embedding=raw")
"""What published pairs do whose files do not say so."""


@dataclass(frozen=True)
class Tried:
    """How answers under one injection score, as cosines: with their own vectors, and with other texts'.

    `low` and `high` are the interval of the difference, by texts; `closed` the share of closed answers.
    """

    injection: str
    own: float
    others: float
    low: float
    high: float
    closed: float
    problem: str | None = None

    @property
    def reads(self) -> bool:
        """Whether answers fit their own vectors so much better than those of other texts."""
        return self.low > LEAST * (1 - self.others)


@dataclass(frozen=True)
class Proof:
    """All that was tried; `wanted` is what the pair's files or an option say, if they do."""

    tried: tuple[Tried, ...]
    wanted: str | None

    @property
    def proven(self) -> str | None:
        """What is said, or else the only one, where nothing of another kind or site reads; None otherwise."""
        reading = [one.injection for one in self.tried if one.reads]
        if len({_place(one) for one in reading}) != 1:
            return None
        if self.wanted is not None:
            return self.wanted if self.wanted in reading else None
        return reading[0] if len(reading) == 1 else None

    @property
    def verdict(self) -> str:
        """What was found, in a line."""
        reading = [one.injection for one in self.tried if one.reads]
        if self.proven is not None:
            return f"proven: {self.proven}; what is of another kind is at the level of other texts' vectors"
        if not reading:
            return "refused: the pair does not read this target: it is another model's, or damaged"
        if self.wanted is not None and self.wanted not in reading:
            return f"refused: {self.wanted} is said, and the pair reads under {' and '.join(reading)}"
        return (
            f"undecided: the pair reads under {' and '.join(reading)}; ask its publisher which one it was "
            "trained with"
        )


def prove(
    av: Path,
    ar: Path,
    target: Path,
    *,
    injection: str | None = None,
    trust_remote_code: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Decode 32 vectors of built-in texts under what is said and RIVALS of other kinds; score with the AR.

    Equal widths, depths and tokenizers prove nothing: a pair of one model read none of the vectors of its
    successor of the same shape. Raises CheckpointError where a part cannot be loaded.
    """
    wanted = injection if injection is not None else said_injection(av)
    sidecar = read_sidecar(av, role="av", injection=wanted or RIVALS[0])
    report("extracting")
    vectors_ND, texts = _vectors(target, sidecar.layer, trust_remote_code)
    reconstructor = Reconstructor(ar, trust_remote_code=trust_remote_code)
    said = None if wanted is None else str(Injection.parse(wanted, sidecar.d_model))
    rivals = [str(Injection.parse(one, sidecar.d_model)) for one in RIVALS]
    others = [one for one in rivals if said is None or _place(one) != _place(said)]
    tried = []
    engine = TransformersVerbalizer(
        av, layout=SlotLayout(16, 16), template_from=target, injection=wanted or RIVALS[0],
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    for name in [*filter(None, [said]), *others]:
        report(f"decoding under {name}")
        tried.append(_try(engine, name, vectors_ND, texts, reconstructor))
    return Proof(tuple(tried), said)


def _place(injection: str) -> str:
    """Kind and site, without the scale."""
    return injection.partition("=")[0]


def _vectors(
    target: Path, layer: int, trust_remote_code: bool
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Raw vectors [n, d], and the number of the text of each [n]."""
    tokenizer = load_tokenizer(target, trust_remote_code=trust_remote_code)
    extractor = Extractor(target, [layer], trust_remote_code=trust_remote_code)
    ids = [list(tokenizer.encode(text)) for text in TEXTS]
    places = [sorted({int(share * (len(one) - 1)) for share in PLACES}) for one in ids]
    found = [one[:, 0] for one in extractor.extract(ids, places)]
    texts = np.repeat(np.arange(len(TEXTS)), [len(one) for one in found])
    return np.concatenate(found), texts


def _try(
    engine: TransformersVerbalizer, injection: str, vectors_ND: npt.NDArray[np.float32],
    texts: npt.NDArray[np.int64], reconstructor: Reconstructor,
) -> Tried:  # fmt: skip
    nothing = (float("nan"), float("nan"), float("-inf"), float("inf"), 0.0)
    try:
        engine.inject_by(Injection.parse(injection, engine.d_model))
    except (CheckpointError, EngineError) as error:
        return Tried(injection, *nothing, problem=str(error))
    rows = [f"proof-{row}" for row in range(len(vectors_ND))]
    answers = [judge(one) for one in engine.generate(vectors_ND, rows, SAMPLING)]
    written = np.array([bool(one.text.strip()) for one in answers])
    if written.sum() < 2:
        return Tried(injection, *nothing, problem="the verbalizer writes nothing")
    made_ND = reconstructor.reconstruct([one.text for one in answers if one.text.strip()])
    cos_NN = unit(made_ND) @ unit(vectors_ND).T
    of = texts[written]
    own_N = cos_NN[np.arange(len(of)), np.flatnonzero(written)]
    foreign_NN = of[:, None] != texts
    others_N = (cos_NN * foreign_NN).sum(axis=1) / foreign_NN.sum(axis=1)
    interval = clustered_mean(own_N - others_N, of)
    return Tried(
        injection, float(own_N.mean()), float(others_N.mean()), interval.low, interval.high,
        sum(one.closed for one in answers) / len(answers),
    )  # fmt: skip
