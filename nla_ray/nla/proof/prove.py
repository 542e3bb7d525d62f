"""Prove how a verbalizer is given its vectors, and that the pair reads this target, by decoding a few."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from nla_ray.config.models.injection import Injection
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError, EngineError
from nla_ray.intervals import clustered_mean
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model.ranks import spread
from nla_ray.nla.outcomes import Explanation, judge
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.proof.texts import PLACES, TEXTS
from nla_ray.nla.proof.verdict import Proof, Tried
from nla_ray.nla.reconstruction.fidelity import unit
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar, said_injection, with_layer
from nla_ray.nla.verbalizer import Sampling

Report = Callable[[str], None]
Floats = npt.NDArray[np.float32]
Answers = dict[str, list[Explanation] | str]

CPU = torch.device("cpu")
SAMPLING = Sampling(max_new_tokens=200, seed=0)
RIVALS = ("add_matched@output:1", "replace@embedding=sqrt_d_model", "replace@embedding=raw")
"""What published pairs do whose files do not say so."""


@dataclass(frozen=True)
class On:
    """Where the models run, and which of them may bring code along (`av`, `ar`, `target`)."""

    device: torch.device = CPU
    dtype: torch.dtype = torch.float32
    ranks: int = 1
    """Processes that share each model, see `spread`."""
    trusted: Collection[str] = ()


@dataclass(frozen=True)
class Pair:
    """Directories of the three models, and what their files do not tell."""

    av: Path
    ar: Path
    target: Path
    injection: str | None = None
    facts: PairFacts | None = None


@dataclass(frozen=True)
class Read:
    """Vectors [n, d] of the target, and the number of the text of each [n]."""

    vectors_ND: Floats
    texts: npt.NDArray[np.int64]


def prove(pair: Pair, *, thorough: bool = True, on: On = On(), report: Report = lambda _: None) -> Proof:
    """Decode 32 vectors of built-in texts under what is said and RIVALS of other kinds; score with the AR.

    Without `thorough` the rivals are only tried where what is said does not read, or nothing is. One model is
    loaded at a time. Equal widths, depths and tokenizers prove nothing: a pair of one model read none of the
    vectors of its successor of the same shape. Raises CheckpointError where a part cannot be loaded, and for
    a verbalizer of several slots.
    """
    pair = replace(pair, facts=with_layer(pair.facts, pair.av, pair.ar))
    wanted = pair.injection if pair.injection is not None else said_injection(pair.av, pair.facts)
    sidecar = read_sidecar(pair.av, role="av", injection=wanted or RIVALS[0], facts=pair.facts)
    said = None if wanted is None else Injection.parse(wanted, sidecar.d_model)
    if said is not None and said.slots > 1:
        raise CheckpointError(
            f"{pair.av}: {said}: a proof decodes one vector at a time, so this is not proven"
        )
    report("extracting")
    read = _read(pair, sidecar.layer, on)
    tried: list[Tried] = []
    start = wanted or RIVALS[0]
    for names in rounds(said, sidecar.d_model, thorough=thorough):
        if tried and tried[0].reads:
            break
        answers = _answers(lambda: _engine(pair, start, on), names, read, report)
        _free(on)
        tried += _scored(pair, answers, read, on)
    return Proof(tuple(tried), None if said is None else str(said))


def rounds(said: Injection | None, d_model: int, *, thorough: bool) -> list[list[str]]:
    """What is tried together; a later round only where the first one shows nothing."""
    rivals = [Injection.parse(one, d_model) for one in RIVALS]
    if said is None:
        return [[str(one) for one in rivals]]
    others = [str(replace(one, centred=said.centred)) for one in rivals if one.place != said.place]
    return [[str(said), *others]] if thorough else [[str(said)], others]


def _read(pair: Pair, layer: int, on: On) -> Read:
    trusted = "target" in on.trusted
    tokenizer = load_tokenizer(pair.target, trust_remote_code=trusted)
    extractor = spread(
        on.ranks, Extractor, pair.target, [layer],
        dtype=on.dtype, device=on.device, trust_remote_code=trusted,
    )  # fmt: skip
    ids = [list(tokenizer.encode(text)) for text in TEXTS]
    places = [sorted({int(share * (len(one) - 1)) for share in PLACES}) for one in ids]
    found = [one[:, 0] for one in extractor.extract(ids, places)]
    del extractor
    _free(on)
    return Read(np.concatenate(found), np.repeat(np.arange(len(TEXTS)), [len(one) for one in found]))


def _engine(pair: Pair, injection: str, on: On) -> TransformersVerbalizer:
    return spread(
        on.ranks, TransformersVerbalizer, pair.av, dtype=on.dtype, device=on.device,
        layout=SlotLayout(16), template_from=pair.target,
        injection=injection, facts=pair.facts, trust_remote_code="av" in on.trusted,
    )  # fmt: skip


def _answers(
    load: Callable[[], TransformersVerbalizer], names: Sequence[str], read: Read, report: Report
) -> Answers:
    """Answers under each injection, or why there are none."""
    rows, answers = [f"proof-{row}" for row in range(len(read.texts))], Answers()
    engine: TransformersVerbalizer | None = None
    for name in names:
        report(f"decoding under {name}")
        engine = engine or load()
        try:
            engine.inject_by(Injection.parse(name, engine.d_model))
        except (CheckpointError, EngineError) as error:
            answers[name] = str(error)
            engine = None  # Ranks that share it end with an error.
        else:
            found = engine.generate(read.vectors_ND, rows, SAMPLING)
            answers[name] = [judge(one, tagged=engine.tagged) for one in found]
    return answers


def _scored(pair: Pair, answers: Answers, read: Read, on: On) -> list[Tried]:
    trusted = "ar" in on.trusted
    reconstructor = spread(
        on.ranks,
        Reconstructor,
        pair.ar,
        dtype=on.dtype,
        device=on.device,
        facts=pair.facts,
        trust_remote_code=trusted,
    )
    tried = [_tried(name, found, read, reconstructor) for name, found in answers.items()]
    del reconstructor
    _free(on)
    return tried


def _tried(name: str, found: list[Explanation] | str, read: Read, reconstructor: Reconstructor) -> Tried:
    nothing = (float("nan"), float("nan"), float("-inf"), float("inf"), 0.0)
    if isinstance(found, str):
        return Tried(name, *nothing, problem=found)
    written = np.array([bool(one.text.strip()) for one in found])
    if written.sum() < 2:
        return Tried(name, *nothing, problem="the verbalizer writes nothing")
    made_ND = reconstructor.reconstruct([one.text for one in found if one.text.strip()])
    cos_NN = unit(made_ND) @ unit(read.vectors_ND).T
    of = read.texts[written]
    own_N = cos_NN[np.arange(len(of)), np.flatnonzero(written)]
    foreign_NN = of[:, None] != read.texts
    others_N = (cos_NN * foreign_NN).sum(axis=1) / foreign_NN.sum(axis=1)
    interval = clustered_mean(own_N - others_N, of)
    return Tried(
        name, float(own_N.mean()), float(others_N.mean()), interval.low, interval.high,
        sum(one.closed for one in found) / len(found),
    )  # fmt: skip


def _free(on: On) -> None:
    """Give back what a model took, before the next one comes."""
    gc.collect()
    if on.device.type == "cuda":
        torch.cuda.empty_cache()
