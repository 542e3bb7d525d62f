"""What the rows of a decode follow from, and nothing else: the identity of its units and of its run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import JsonValue

from nla_ray.config.decode import Baseline, DecodeConfig
from nla_ray.ids import digest
from nla_ray.stages.code import Code

WITHOUT_EFFECT: dict[str, Any] = {
    **dict.fromkeys(DecodeConfig.without_effect, True),
    "keep": True,
    "sample": {"vectors"},
    "baseline": True,
    "models": {"target": True, "av": True, "ar": True},
    "engine": {"slots", "batch_tokens"},
    "corpus": {
        "paths", "partitions", "limit", "unit_documents", "units",
        "text", "messages", "system", "tools", "transcripts", "vectors", "id", "meta", "text_per",
    },
}  # fmt: skip
"""What changes no row of given documents. Models are known by their digests; which documents there are, what
their ids, texts, chats and metadata are and which share a unit is in the documents' own digests."""


@dataclass(frozen=True)
class Recipe:
    """All but the documents: the effective configuration, models by digest, layer, denominator, code."""

    config: dict[str, JsonValue]
    models: dict[str, JsonValue]
    layer: int
    baseline: dict[str, JsonValue] | None
    code: Code

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of all but the code: what a run was asked for, in whichever version."""
        asked = {name: value for name, value in asdict(self).items() if name != "code"}
        return digest("decode", json.dumps(asked, sort_keys=True))

    @property
    def sha256(self) -> str:
        """Hex sha256 of everything: equal documents lead to equal rows under it."""
        return digest("recipe", self.fingerprint, json.dumps(asdict(self.code), sort_keys=True))

    def run_id(self, corpus_sha256: str, config: DecodeConfig) -> str:
        """Id of the run over a corpus: without the code, so that a run begun by other code is known again.

        What is kept and how documents share units changes no row of a unit, but which files the run has.
        """
        cut = (config.corpus.unit_documents, config.corpus.units)
        return digest("run", self.fingerprint, corpus_sha256, *cut, *sorted(config.keep))[:32]


def recipe_of(
    config: DecodeConfig, models: Mapping[str, str], layer: int, baseline: Baseline | None, code: Code
) -> Recipe:
    """The recipe of a configuration whose device and type are settled; `models` are digests by role."""
    kept = config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    kept["engine"]["device"] = config.engine.device.partition(":")[0]
    kept["corpus"]["vectors"] = config.corpus.vectors is not None
    trusted = [role for role in models if getattr(config.models, role).trust_remote_code]
    kept["models"]["trust_remote_code"] = sorted(trusted)
    known = None if baseline is None else baseline.model_dump(mode="json")
    return Recipe(kept, dict(models), layer, known, code)
