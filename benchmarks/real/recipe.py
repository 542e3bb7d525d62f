"""The steps from a GGUF file to a measured and audited pair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from benchmarks.real.documents import Document, authors, documents, passages
from benchmarks.real.measure import named
from benchmarks.real.places import Place, check_labels, places, vectors_of, write_corpus, write_split
from benchmarks.real.probe import ceilings
from nla_ray.config.audit import AuditConfig
from nla_ray.config.evaluate import EvaluateConfig
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import CheckpointError
from nla_ray.models import directory_of
from nla_ray.nla.prompt import load_tokenizer
from nla_ray.nla.reconstruction.fidelity import fve_nrm, mse_nrm, variance_baseline
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.pipelines.audit.run import audit
from nla_ray.pipelines.evaluate import evaluate
from nla_ray.pipelines.train.run import train
from nla_ray.runtime.progress import Progress as Decoding
from nla_ray.training.loop.metrics import Progress as Training

LAYER = 14
TRAIN_SEED, CHECK_SEED, TEST_SEED = 11, 12, 13
LONGEST_ANSWER = 32


@dataclass(frozen=True)
class Size:
    """How much is trained; `checked` documents choose the checkpoint, `tested` ones are measured on."""

    documents: int
    passages: int
    per_document: int
    checked: int
    tested: int
    ar_steps: int
    av_steps: int
    batch: int
    every: int
    samples: int


SIZES = {
    "full": Size(4000, 100, 3, 120, 240, 700, 700, 16, 100, 2),
    "short": Size(40, 4, 2, 8, 32, 2, 2, 8, 2, 1),
}
"""`full`: 90 minutes on two cores. `short`: that it works, in a few CPU-minutes; its numbers say nothing."""


class Real:
    """One making of the pair in a folder; every step reads what the one before it left there."""

    def __init__(self, gguf: Path, folder: Path, size: Size, threads: int | None) -> None:
        self._gguf, self._folder, self._size, self._threads = gguf, folder, size, threads

    @cached_property
    def _target(self) -> Path:
        return directory_of(ModelRef(path=str(self._gguf)))

    @cached_property
    def _tokenizer(self) -> PreTrainedTokenizerBase:
        return load_tokenizer(self._target)

    def vectors(self) -> dict[str, Any]:
        """Documents, places and vectors: the splits of a training set, and the corpus that is measured on."""
        check_labels(self._tokenizer)
        train, check = self._places("train"), self._places("check")
        self._folder.mkdir(parents=True, exist_ok=True)
        write_corpus(self._folder / "tested.jsonl", self._places("test"))
        for name, found in (("train", train), ("check", check)):
            values = vectors_of(found, self._target, LAYER)
            np.save(self._folder / f"{name}.npy", values)
            for split in ("av_sft", "ar_sft") if name == "train" else ("held_out",):
                write_split(self._folder / "set", split, found, values, str(self._gguf), LAYER)
        return {"train": len(train), "check": len(check)}

    def probe(self) -> dict[str, Any]:
        """The ceiling by field on documents by the held-out author."""
        tested = self._places("test")
        return ceilings(
            (np.load(self._folder / "train.npy"), self._places("train")),
            (vectors_of(tested, self._target, LAYER), tested),
        )

    def train(self) -> dict[str, Any]:
        """The pair, by low-rank adapters; goes on where it was interrupted."""
        size, stage = self._size, {"batch": self._size.batch, "micro_batch": 4, "warmup": 30}
        config = TrainConfig.model_validate(
            {
                "output": str(self._folder / "pair"),
                "target": str(self._gguf),
                "data": {"path": str(self._folder / "set")},
                "init": {"marker": marker_of(self._tokenizer)},
                "stages": {
                    "sft_ar": stage | {"steps": size.ar_steps, "lr": 1e-3},
                    "sft_av": stage | {"steps": size.av_steps, "lr": 1e-3},
                },
                "lora": {"rank": 16, "alpha": 16, "rslora": False},
                "held_out": {"rows": 64, "max_new_tokens": LONGEST_ANSWER, "slots": 32},
                "saving": {"every": size.every},
                "runner": {"threads": self._threads},
                "report": None,
            }
        )
        pair = train(config, _told())
        return {one.stage: {"step": one.best_step, **one.held_out} for one in pair.stages}

    def evaluate(self) -> dict[str, Any]:
        """Fidelity beside every control, and what is named, on documents by the author who was held out."""
        sampling = {"samples": self._size.samples, "temperature": 0.7, "max_new_tokens": LONGEST_ANSWER}
        config = EvaluateConfig.model_validate(
            {
                "output": str(self._folder / "evaluation"),
                "models": self._models,
                "corpus": {
                    "paths": [str(self._folder / "tested.jsonl")],
                    "text": "text",
                    "id": "id",
                    "meta": ["truth"],
                },
                "positions": {"choose": "column", "column": "positions"},
                "controls": {"shuffled": 1.0, "random": 0.25, "mean": 0.25, "none": 0.25},
                "sampling": sampling,
                "edited_texts": 20,
            }
        )
        found = evaluate(config, report=_told()).evaluation
        fidelity = {
            one.control: {
                "fve_nrm": one.fve_nrm.model_dump(mode="json"),
                "real_minus_this": one.real_minus_this and one.real_minus_this.model_dump(mode="json"),
            }
            for one in found.measured
        }
        tables = str(self._folder / "evaluation" / "tables")
        return {
            "verdict": found.verdict,
            "fidelity": fidelity,
            "true_texts": self._true_texts(),
            "named": named(tables, found.provenance.run_id),
        }

    def audit(self) -> dict[str, Any]:
        """The same tables, audited for two kinds of conduct that a third of the documents end with."""
        config = AuditConfig.model_validate(
            {
                "source": {"tables": str(self._folder / "evaluation" / "tables")},
                "output": str(self._folder / "audit"),
                "packs": [str(Path(__file__).with_name("conduct.yaml"))],
                "fail_on": "never",
            }
        )
        report = audit(config).report
        return {"verdict": report.verdict, "summary": report.summary, "reasons": report.reasons}

    def _true_texts(self) -> dict[str, float]:
        """Fidelity of the reconstructor alone: from the explanations that would be right, or others."""
        found = self._places("test")
        vectors = vectors_of(found, self._target, LAYER)
        baseline = variance_baseline(vectors, "the documents that are measured on")
        made = Reconstructor(directory_of(ModelRef.parse(self._models["ar"]))).reconstruct(
            [one.explanation for one in found]
        )
        pairs = {"fve_nrm": made, "shuffled": np.roll(made, 1, axis=0)}
        return {
            name: round(float(fve_nrm(float(mse_nrm(vectors, one).mean()), baseline)), 3)
            for name, one in pairs.items()
        }

    @property
    def _models(self) -> dict[str, str]:
        pair = self._folder / "pair" / "sft"
        return {"target": str(self._gguf), "av": str(pair / "av"), "ar": str(pair / "ar")}

    def _places(self, name: str) -> list[Place]:
        """Of one sample; the held-out author's are measured on and no one else's."""
        size, last = self._size, authors()[-1]
        others = [one for one in authors() if one != last]
        found: dict[str, Callable[[], tuple[list[Document], int]]] = {
            "train": lambda: (
                documents(TRAIN_SEED, size.documents, others)
                + passages(TRAIN_SEED, size.passages, held_out=False),
                size.per_document,
            ),
            "check": lambda: (documents(CHECK_SEED, size.checked, others), 1),
            "test": lambda: (documents(TEST_SEED, size.tested, [last]), 1),
        }
        made, per_document = found[name]()
        return places(made, self._tokenizer, per_document, TRAIN_SEED)


def marker_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """A sign that is one token, that texts do not use, and that stays one between the tags of the template.

    Raises CheckpointError where the vocabulary has none.
    """
    for code in range(0x2190, 0x3400):
        sign = chr(code)
        ids = tokenizer.encode(sign, add_special_tokens=False)
        if len(ids) == 1 and ids[0] in tokenizer.encode(
            f"<concept>{sign}</concept>", add_special_tokens=False
        ):
            return sign
    raise CheckpointError(
        f"{tokenizer.name_or_path}: no sign from U+2190 to U+33FF is one token: name a marker"
    )


def _told() -> Callable[[Training | Decoding], None]:
    """Say what is done, and one in fifty steps of a training."""
    before = ""

    def tell(now: Training | Decoding) -> None:
        nonlocal before
        at = f" {now.step} of {now.steps}" if isinstance(now, Training) and now.step % 50 == 0 else ""
        stage = now.stage if isinstance(now, Training) else ""
        said = f"{stage} {now.doing}{at}".strip()
        if said != before and (now.doing or at):
            before = said
            print(f"  {said}", flush=True)

    return tell
