"""Before a unit is made: does the pair read this target, and how is it given its vectors?"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch

from nla_ray.config.decode import DecodeConfig, Engine, Models
from nla_ray.errors import CheckpointError, EngineError, NlaError
from nla_ray.ids import digest
from nla_ray.models import directory_of
from nla_ray.nla.proof.prove import RIVALS, On, Pair, prove
from nla_ray.nla.proof.verdict import Proof
from nla_ray.nla.sidecar.read import read_sidecar, said_injection
from nla_ray.pipelines.decode.pair.settled import settled_pair
from nla_ray.pipelines.decode.pieces.cache import Cache
from nla_ray.pipelines.decode.planning import Decode, anchored, find_checkpoints, record_models, settled
from nla_ray.pipelines.decode.reuse import held_units, written
from nla_ray.runtime.workers import Workers
from nla_ray.stages.code import Code, code_of, require_code
from nla_ray.stages.device import device_of
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.manifest import get_manifest

NOT_PROVEN = "not proven"

_ALONE = threading.Lock()
"""Runs of one process are proven one after the other: the second one finds what the first one kept."""


def settle_injection(config: DecodeConfig, workers: Workers, cache: Cache) -> DecodeConfig:
    """The configuration with the injection that is proven, where neither it nor the pair's files tell one.

    Raises CheckpointError with all numbers where none of the known ones stands alone.
    """
    models = config.models
    if models.injection is not None or why_not(config) is not None:
        return config
    checkpoints = find_checkpoints(config)
    models = settled_pair(models, checkpoints.av, checkpoints.ar)
    if models.injection is not None or said_injection(checkpoints.av, models.pair) is not None:
        return config
    # What else is wrong with the sidecar is told here, before anything is loaded.
    read_sidecar(checkpoints.av, role="av", injection=RIVALS[0], facts=models.pair)
    config = config.model_copy(update={"engine": settled(config), "models": models})
    digests = {role: one.sha256 for role, one in record_models(config, checkpoints).items()}
    proof = proof_of(config, digests, workers, cache)
    if proof.proven is None:
        raise refused(proof)
    told = config.model_copy(update={"models": models.model_copy(update={"injection": proof.proven})})
    keep(cache, name_of(told, digests), proof)
    return told


def proof_of_run(store: Store, ready: Decode, workers: Workers, cache: Cache) -> Mapping[str, Any]:
    """What is recorded of a planned run; raises CheckpointError where the pair does not read the target.

    A run whose units others made already loads no model: theirs is its proof.
    """
    why = why_not(ready.config)
    if why is not None:
        return {"verdict": NOT_PROVEN, "why": why, "off": not ready.config.prove}
    held = held_units(ready, store)
    if held and len(written(ready, store)) + held.total() >= len(ready.tasks):
        stored = get_manifest(store, next(iter(held)))
        before = None if stored is None else stored.manifest.record.get("proof")
        return (
            before
            if isinstance(before, dict)
            else {"verdict": NOT_PROVEN, "why": "an earlier run made the rows, and does not tell"}
        )
    weights = cast(dict[str, Any], ready.plan.facts["weights"])
    digests = {role: str(one["sha256"]) for role, one in weights.items()}
    proof = proof_of(ready.config, digests, workers, cache)
    if proof.proven is None:
        raise refused(proof)
    return proof.as_json()


def why_not(config: DecodeConfig) -> str | None:
    """Why nothing can be proven, or is to be; None where it can."""
    if not config.prove:
        return "prove is off"
    if config.corpus.vectors is not None:
        return "the vectors came with the corpus, so the target was not run"
    if config.models.target is None:
        return "no target is named"
    return "no reconstructor is named, to score answers" if config.models.ar is None else None


def proof_of(config: DecodeConfig, digests: Mapping[str, str], workers: Workers, cache: Cache) -> Proof:
    """What is kept of an equal proof, else a new one, which is kept when the cache is."""
    config = anchored(config)
    name = name_of(config, digests)
    with _ALONE:
        made = cache.folder / f"{name}.json"
        kept = made.read_bytes() if made.exists() else cache.get(name)
        if kept is not None:
            return Proof.of_json(json.loads(kept))
        proof = workers.once(Proving(config.models, config.engine, code_of()), None)
        keep(cache, name, proof)
    return proof


def keep(cache: Cache, name: str, proof: Proof) -> None:
    """Keep a proof for whoever asks for an equal one, as soon as the cache keeps what it has."""
    path = cache.folder / f"{name}.json"
    path.write_text(json.dumps(proof.as_json()), encoding="utf-8")
    cache.made(name, path)


def name_of(config: DecodeConfig, digests: Mapping[str, str]) -> str:
    """What a proof follows from: weights, injection, type and kind of device, code."""
    weights = [part for role in sorted(digests) for part in (role, digests[role])]
    pair = "" if config.models.pair is None else config.models.pair.canonical()
    engine = (config.engine.dtype, config.engine.device.partition(":")[0])
    return digest("proof", *weights, str(config.models.injection), pair, *engine, str(code_of()))[:32]


@dataclass(frozen=True)
class Proving:
    """What is done where the weights are."""

    models: Models
    engine: Engine
    code: Code

    def __call__(self, _: None) -> Proof:
        """Raises NlaError, whatever is wrong."""
        require_code(self.code)
        try:
            return self._proof()
        except NlaError:
            raise
        except torch.OutOfMemoryError as error:
            raise EngineError(f"prove: a model does not fit into memory ({error})") from None
        except Exception as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise EngineError(f"prove: the pair cannot be tried: {what}") from error

    def _proof(self) -> Proof:
        device, dtype = device_of(self.engine)
        refs = {role: getattr(self.models, role) for role in ("av", "ar", "target")}
        trusted = tuple(role for role, ref in refs.items() if ref.trust_remote_code)
        av, ar, target = (directory_of(ref) for ref in refs.values())
        pair = Pair(av, ar, target, self.models.injection, self.models.pair)
        return prove(pair, thorough=False, on=On(device, dtype, self.engine.ranks, trusted))


def refused(proof: Proof) -> CheckpointError:
    """The refusal, with the numbers that it stands on."""
    numbers = "; ".join(one.numbers for one in proof.tried)
    return CheckpointError(
        f"models: {proof.verdict} ({numbers}); name the pair that was trained on this target; "
        "`nla-ray check AV AR --target TARGET --prove` tells the same, docs/checkpoints.md what it means"
    )
