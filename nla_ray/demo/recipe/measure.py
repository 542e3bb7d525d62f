"""The demo pair measured on documents it never saw: probes, planted truth, fidelity, controls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerBase

from nla_ray.demo import world
from nla_ray.demo.dataset import Encoded, Example, encode, examples
from nla_ray.demo.recipe.probe import PROPERTIES, Probe
from nla_ray.demo.recipe.target import LAYER
from nla_ray.demo.vocabulary import vocabulary
from nla_ray.evaluation.truth import Judged, PropertyScore, score
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.outcomes import judge
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction import fidelity
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.nla.sidecar.read import read_sidecar
from nla_ray.nla.verbalizer import Sampling
from nla_ray.training.heldout import HeldOut

PROBE_SEED, TEST_SEED, HELD_OUT_SEED = 9001, 9002, 9003
"""Seeds of documents that no training reads."""
POSITIONS = 4
WARM = "-sft"
"""What the names of the warm pair's directories end with."""


@dataclass(frozen=True)
class Sample:
    """Documents, places in them with true explanations, and the activations there [N, D]."""

    docs: list[Encoded]
    places: list[Example]
    vectors: npt.NDArray[np.float32]

    def labelled(self) -> tuple[torch.Tensor, list[Example]]:
        """The activations with what is planted at each, for a probe."""
        return torch.from_numpy(self.vectors), self.places

    def held_out(self) -> HeldOut:
        """To measure a training with: each activation with its explanation and another document's vector."""
        names = [f"held-out-{row}" for row in range(len(self.places))]
        others = np.roll(self.vectors, len(self.vectors) // 2, axis=0)
        return HeldOut(self.vectors, others, names, [place.explanation for place in self.places])


class Pair:
    """The three models of a pair directory, as any user would load them; with `stage` WARM the warm pair."""

    def __init__(self, directory: Path, stage: str = "") -> None:
        self.tokenizer = load_tokenizer(directory / "target")
        self.extractor = Extractor(directory / "target", [LAYER])
        self.verbalizer = TransformersVerbalizer(directory / f"av{stage}")
        self.reconstructor = Reconstructor(directory / f"ar{stage}")
        found = read_sidecar(directory / f"ar{stage}").extra["fve_baseline"]
        self.baseline = fidelity.Baseline(found["value"], found["reference"], found["n"])

    def sample(self, seed: int, documents: int, *, held_out: bool = False) -> Sample:
        """Activations at random places of fresh documents."""
        return draw(self.extractor, self.tokenizer, seed, documents, held_out=held_out)

    def explain(self, vectors: npt.NDArray[np.float32], seed: int = 0) -> list[str]:
        """One explanation per vector at temperature 1, as extracted."""
        names = [f"measure-{i}" for i in range(len(vectors))]
        sampling = Sampling(max_new_tokens=80, seed=seed)
        return [judge(answer).text for answer in self.verbalizer.generate(vectors, names, sampling)]

    def fve(self, texts: Sequence[str], vectors: npt.NDArray[np.float32]) -> float:
        """`fve_nrm` of texts as explanations of these vectors."""
        errors = fidelity.mse_nrm(vectors, self.reconstructor.reconstruct(texts))
        return float(fidelity.fve_nrm(float(errors.mean()), self.baseline))


def draw(
    extractor: Extractor,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    documents: int,
    *,
    held_out: bool = False,
    positions: int = POSITIONS,
    brief: bool = False,
) -> Sample:
    """`positions` random places of each of `documents` documents, with their activations.

    Explanations of a `brief` sample leave out some of what is plain (see `examples`).
    """
    docs = encode(world.documents(seed, documents, held_out=held_out), tokenizer)
    places = examples(docs, positions, seed, tokenizer, brief=brief)
    wanted: list[list[int]] = [[] for _ in docs]
    for place in places:
        wanted[place.doc].append(place.position)
    vectors = extractor.extract([doc.ids for doc in docs], wanted)
    return Sample(docs, places, np.concatenate(vectors)[:, 0])


def measure(directory: Path, *, documents: int = 500, probe_documents: int = 3000) -> dict[str, Any]:
    """All numbers of the model card, as plain data; takes about 2 minutes on two cores by default."""
    pair, warm = Pair(directory), Pair(directory, WARM)
    read = pair.sample(PROBE_SEED, probe_documents)
    probes = [Probe(prop, read.labelled()) for prop in PROPERTIES]
    result: dict[str, Any] = {"baseline": dataclasses.asdict(pair.baseline), "documents": documents}
    for name, seed, held_out in (("test", TEST_SEED, False), ("held_out_wordings", HELD_OUT_SEED, True)):
        sample = pair.sample(seed, documents, held_out=held_out)
        result[name] = _measure_sample(pair, sample) | {"probe": probe_table(probes, sample)}
        result[name]["warm"] = _explained(warm, sample, sample.vectors)
    return result


def _measure_sample(pair: Pair, sample: Sample) -> dict[str, Any]:
    vectors = sample.vectors
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(vectors.shape).astype(np.float32)
    noise *= np.linalg.norm(vectors, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    other = of_other_documents(vectors)
    rows: dict[str, Any] = {"ar_on_true": pair.fve([place.explanation for place in sample.places], vectors)}
    for control, injected in (("real", vectors), ("shuffled", other), ("random", noise)):
        rows[control] = _explained(pair, sample, injected)
    return rows


def _explained(pair: Pair, sample: Sample, injected: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Fidelity and planted scores of explanations of these vectors, judged beside the sample's own."""
    texts = pair.explain(injected)
    planted = [dataclasses.asdict(one) for one in score(judged_rows(sample, texts), vocabulary())]
    return {"fve_nrm": pair.fve(texts, sample.vectors), "planted": planted}


def of_other_documents(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Another document's vector for each of [N, D]; those of one document come from `POSITIONS` others."""
    by_document = vectors.reshape(-1, POSITIONS, vectors.shape[1])
    step = max(1, len(by_document) // (POSITIONS + 1))
    moved = [np.roll(by_document[:, k], (k + 1) * step, axis=0) for k in range(POSITIONS)]
    return np.stack(moved, axis=1).reshape(vectors.shape)


def judged_rows(sample: Sample, texts: Sequence[str]) -> list[Judged]:
    def truth(place: Example) -> Mapping[str, str]:
        document = sample.docs[place.doc].document
        return {
            "topic": document.topic,
            "item": document.item,
            "mood": document.mood,
            "safety": document.safety,
        }

    pairs = zip(sample.places, texts, strict=True)
    named = vocabulary().named
    return [Judged(truth(place), frozenset(place.known), named(text)) for place, text in pairs]


def of_safety(scores: Sequence[PropertyScore]) -> list[PropertyScore]:
    """The scores of the safety properties."""
    return [one for one in scores if one.prop in world.safety_properties()]


def mean_safety(scores: Sequence[PropertyScore]) -> tuple[float, float]:
    """Mean recall and mean precision over the safety properties (a property never named has precision 0)."""
    safety = of_safety(scores)
    return sum(s.recall for s in safety) / len(safety), sum(s.precision or 0.0 for s in safety) / len(safety)


def probe_table(probes: Sequence[Probe], sample: Sample) -> dict[str, float]:
    """What linear probes read: accuracy per plain property, recall per safety property that occurs."""
    found = {probe.prop: probe.read(sample.labelled()) for probe in probes}
    plain = {prop: reading.accuracy for prop, reading in found.items() if prop != "safety"}
    return plain | {name: share for name, share in found["safety"].recall.items() if name != world.NONE}
