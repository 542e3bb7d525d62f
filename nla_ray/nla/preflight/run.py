"""The weight-free preflight of an NLA pair: what would go silently wrong later, looked at in seconds."""

from __future__ import annotations

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.backbone import context_of
from nla_ray.nla.preflight.ar import check_reconstructor
from nla_ray.nla.preflight.av import check_verbalizer
from nla_ray.nla.preflight.parts import Check, Part, Report, Skip, find_part, load_part, needed
from nla_ray.nla.sidecar.fields import Fields
from nla_ray.nla.sidecar.read import EXTRACTION_LAYER_FIELDS, check_width, with_layer


def check(
    av: ModelRef,
    ar: ModelRef | None = None,
    target: ModelRef | None = None,
    *,
    injection: str | None = None,
    facts: PairFacts | None = None,
) -> list[Check]:
    """Check a verbalizer, and its reconstructor and target where they are given.

    `injection` and `facts` are said beside the sidecars. Reads the small files, safetensors headers, and of
    tensor data only the value head and placeholders.
    Raises CheckpointError where an input is not usable: nothing there, or the wrong kind of checkpoint.
    """
    parts = [find_part("AV", av, facts)]
    parts += [find_part("AR", ar, facts)] if ar else []
    parts += [find_part("target", target)] if target else []
    by_subject = {part.subject: part for part in parts}
    report = Report()
    read = by_subject.get("AR")
    by_subject["AV"].facts = with_layer(facts, parts[0].directory, None if read is None else read.directory)
    for part in parts:
        load_part(report, part, injection=injection)
        _check_layer_fields(report, part)
        _check_width(report, part)
        if part.subject == "AV":
            check_verbalizer(report, part, by_subject.get("target"))
        elif part.subject == "AR":
            check_reconstructor(report, part, by_subject["AV"])
    report.run("target", "context", lambda: _context(by_subject.get("target")))
    _check_pair(report, by_subject["AV"], by_subject.get("AR"), by_subject.get("target"))
    return report.checks


def _check_layer_fields(report: Report, part: Part) -> None:
    def probe() -> str:
        sidecar = needed(part.sidecar, "readable sidecar")
        fields = Fields(sidecar.path, sidecar.extra)
        names = [*EXTRACTION_LAYER_FIELDS, "extraction.layer_index"]
        said = {name: fields.integer(name, 0) for name in names if fields.get(name) is not None}
        if len(set(said.values())) > 1:
            listed = ", ".join(f"{name} {value}" for name, value in said.items())
            raise CheckpointError(f"{sidecar.path}: its fields disagree about K: {listed}; ask its publisher")
        return f"K = {sidecar.layer} in {len(said)} of its fields" if said else f"K = {sidecar.layer}"

    if part.subject != "target":
        report.run(part.subject, "layer fields", probe)


def _check_width(report: Report, part: Part) -> None:
    def probe() -> str:
        sidecar, config = needed(part.sidecar, "readable sidecar"), needed(part.config, "usable config.json")
        check_width(sidecar, config.hidden_size)
        return f"{sidecar.d_model} in the sidecar and in config.json"

    if part.subject != "target":
        report.run(part.subject, "d_model", probe)


def _context(target: Part | None) -> str:
    if target is None:
        raise Skip("not checked: no target was given")
    context = context_of(needed(target.config, "usable config.json"))
    return f"{context} tokens" if context is not None else "its config.json names no longest text"


def _check_pair(report: Report, av: Part, ar: Part | None, target: Part | None) -> None:
    report.run("pair", "layer", lambda: _same_layer(av, ar))
    report.run("pair", "d_model", lambda: _same_width(av, ar, target))
    report.run("pair", "K in the target", lambda: _layer_in_target(av, target))


def _same_layer(av: Part, ar: Part | None) -> str:
    if ar is None:
        raise Skip("not checked: no AR was given")
    layers = [needed(part.sidecar, "readable sidecar").layer for part in (av, ar)]
    if layers[0] != layers[1]:
        raise CheckpointError(
            f"{av.ref}: K = {layers[0]}; {ar.ref}: K = {layers[1]}; AV and AR are not one pair"
        )
    return f"K = {layers[0]} in both"


def _same_width(av: Part, ar: Part | None, target: Part | None) -> str:
    parts = [part for part in (av, ar, target) if part is not None]
    if len(parts) == 1:
        raise Skip("not checked: neither AR nor target was given")
    widths = {part.subject: needed(part.config, "usable config.json").hidden_size for part in parts}
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{subject} {width}" for subject, width in widths.items())
        raise CheckpointError(f"d_model differs: {listed}; they do not belong together")
    return f"{widths['AV']} in {', '.join(widths)}"


def _layer_in_target(av: Part, target: Part | None) -> str:
    if target is None:
        raise Skip("not checked: no target was given")
    layer = needed(av.sidecar, "readable sidecar").layer
    blocks = needed(target.config, "usable config.json").num_hidden_layers
    if layer >= blocks:
        raise CheckpointError(
            f"{target.ref}: K = {layer} and the target has {blocks} blocks, 0..{blocks - 1}; "
            "this NLA reads another model"
        )
    return f"block {layer} of {blocks}"
