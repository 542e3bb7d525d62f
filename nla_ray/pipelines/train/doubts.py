"""What speaks against training on these data, before any weights: another target, too few rows."""

from __future__ import annotations

from collections.abc import Iterator

from nla_ray.config.training.train import READS
from nla_ray.errors import InputError
from nla_ray.models import commit_of
from nla_ray.pipelines.train.parts import Parts


def doubts(parts: Parts, target_sha256: str | None) -> tuple[str, ...]:
    """Warnings, one line each; `target_sha256` is the digest of the named target's files.

    Raises InputError where the data are from another target.
    """
    unknown = [] if target_sha256 is None else _not_known(parts, target_sha256)
    said = (
        f"whether {parts.config.target} is the model that the vectors are from is not known: no digest to "
        f"compare with in the sidecars of {', '.join(unknown)}"
    )
    return (*((said,) if unknown else ()), *_few_rows(parts))


def _not_known(parts: Parts, sha256: str) -> list[str]:
    """The splits whose target cannot be compared with the named one."""
    mine, unknown = _form(str(parts.config.target), commit_of(parts.target) if parts.target else None), []
    for name, split in parts.splits.items():
        theirs = split.sidecar.extra.get("target")
        if not isinstance(theirs, dict) or mine != _form(str(theirs.get("ref")), theirs.get("commit")):
            unknown.append(str(name))
        elif theirs.get("sha256") != sha256:
            raise InputError(
                f"target: {parts.config.target} (sha256 {sha256[:16]}) is not the model that the vectors of "
                f"{split.url} are from: {theirs['ref']} (sha256 {str(theirs.get('sha256'))[:16]}); "
                "name that one"
            )
    return unknown


def _form(ref: str, commit: object) -> tuple[bool, bool, bool]:
    """In what form a model is given; digests of two forms differ though the model is one."""
    return commit is not None, " on " in ref, ref.endswith(".gguf")


def _few_rows(parts: Parts) -> Iterator[str]:
    for stage in parts.config.stages.chosen:
        key = "vectors" if stage == "rl" else "batch"
        wanted = getattr(getattr(parts.config.stages, stage), key)
        rows = len(parts.splits[READS[stage]])
        if wanted > rows:
            yield (
                f"stages.{stage}.{key} {wanted}: {READS[stage]} has {rows} rows, so every step reads some of "
                "them more than once"
            )
