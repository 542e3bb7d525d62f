"""The one reader of model sidecars (`nla_meta.yaml`): every published dialect in, one plain record out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from nla_ray.config.models.injection import WORDS, Injection, slots_said
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError, ConfigError
from nla_ray.nla.sidecar.dialects.detect import dialect_of
from nla_ray.nla.sidecar.dialects.seen import SIDECAR_NAME as SIDECAR_NAME
from nla_ray.nla.sidecar.dialects.seen import Seen, is_part, sidecar_path
from nla_ray.nla.sidecar.fields import Fields, load_mapping
from nla_ray.nla.sidecar.known import facts_of, known_of, own_facts, told
from nla_ray.nla.sidecar.variants import refuse_variants

AV_SLOT, AR_SLOT = "injection_char", "explanation"
INJECTION = "extraction.injection"
"""Where a sidecar of ours says an injection that is not the released dialect's."""

Role = Literal["av", "ar"]
AV_NAMES = ("av", "actor", "verbalizer")
AR_NAMES = ("ar", "critic", "reconstructor")
ROLE_TITLES: dict[Role, str] = {"av": "verbalizer (AV)", "ar": "reconstructor (AR)"}

_AR_GROUPS = ("critic", "ar", "reconstructor")
EXTRACTION_LAYER_FIELDS = (
    "extraction_layer_index",
    *(f"{group}.extraction_layer_index" for group in _AR_GROUPS),
)
LAYER_FIELDS = (
    *EXTRACTION_LAYER_FIELDS,
    *(f"{group}.num_hidden_layers" for group in _AR_GROUPS),
    "extraction.layer_index",
    "layer",
)


@dataclass(frozen=True)
class Marker:
    """The token of the prompt at which vectors are put in, with the token ids recorded around it.

    An id is None where no file records it.
    """

    char: str
    token_id: int | None
    left_id: int | None
    right_id: int | None


@dataclass(frozen=True)
class Sidecar:
    """What a checkpoint says about itself.

    `layer` is K: the vectors are the output of block K. `injection` is how an AV is given a vector (None: an
    AR may say nothing of it); `mse_scale` is the norm that both vectors have in the training loss. `extra` is
    the mapping as it was read; the writer keeps the keys that are not ours. `facts` hold how the prompt is
    made and how deep the AR is, where that is not the released dialect's way.
    """

    role: Role
    d_model: int
    layer: int
    av_template: str | None
    ar_template: str | None
    injection: Injection | None
    mse_scale: float
    marker: Marker | None
    ar_suffix_ids: tuple[int, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path(SIDECAR_NAME)
    facts: PairFacts = field(default_factory=PairFacts)
    dialect: str = "released"

    @property
    def tagged(self) -> bool:
        """Whether its answers end with a closing tag."""
        return self.facts.tagged is not False

    @property
    def ar_blocks(self) -> int:
        """How many blocks its reconstructor has."""
        return self.layer + 1 if self.facts.ar_blocks is None else self.facts.ar_blocks


def read_sidecar(
    directory: Path,
    *,
    role: Role | None = None,
    injection: str | None = None,
    facts: PairFacts | None = None,
) -> Sidecar:
    """Read `directory/nla_meta.yaml` in any published dialect.

    `role` refuses the other kind of checkpoint. `injection` (`KIND@SITE=SCALE`) takes the place of what the
    sidecar says; `facts` are said beside it, as the table of known pairs does. Raises CheckpointError for
    what is missing, malformed, or a variant that would be read wrongly, and ConfigError for an injection that
    is none.
    """
    fields = open_sidecar(directory, facts, injection)
    found_role = read_role(fields, expected=role)
    if found_role == "av" and facts is not None:
        _refuse_idle(fields, facts)
    _refuse_norm(fields)
    d_model = fields.integer("d_model" if fields.get("d_model") is not None else "extraction.d_model", 1)
    how = _injection(fields, found_role, d_model, injection)
    slots = how.slots if found_role == "av" and how is not None else None
    return Sidecar(
        role=found_role,
        d_model=d_model,
        layer=_layer(fields),
        av_template=_template(fields, "av", AV_NAMES, AV_SLOT, times=slots),
        ar_template=_template(fields, "ar", AR_NAMES, AR_SLOT, times=1 if found_role == "ar" else None),
        injection=how,
        mse_scale=_mse_scale(fields, d_model),
        marker=_marker(fields, required=found_role == "av"),
        ar_suffix_ids=_suffix_ids(fields),
        extra=fields.original,
        path=fields.path,
        facts=own_facts(fields.meta, fields.path),
        dialect=fields.dialect,
    )


def said_injection(directory: Path, facts: PairFacts | None = None) -> str | None:
    """What an AV's files or the table say of its injection; None where they cannot be read untold."""
    try:
        return str(require_injection(read_sidecar(directory, role="av", facts=facts)))
    except CheckpointError:
        return None


def open_sidecar(directory: Path, facts: PairFacts | None = None, injection: str | None = None) -> Fields:
    """The model sidecar of a directory as raw fields in the released dialect's names.

    `facts` and `injection` as of `read_sidecar`; of the injection it matters how many slots it has. Raises
    CheckpointError for a directory that is no NLA checkpoint, and for what is no NLA of single tokens.
    """
    directory = Path(directory)
    path, known = sidecar_path(directory), known_of(directory)
    facts = facts_of(known, facts)
    if not path.exists() and not (is_part(directory) and facts.said()):
        raise CheckpointError(
            f"{directory}: no {SIDECAR_NAME}: not an NLA checkpoint; "
            "give the directory of a published AV or AR (a pair's sub-folder is written REPO#SUBFOLDER)"
        )
    original = load_mapping(path) if path.exists() else None
    seen = Seen(directory, path, original, facts, slots_said(injection))
    dialect = dialect_of(seen)
    meta = told(dialect.translate(seen), facts, known, path)
    fields = Fields(
        path, meta, dialect.name, original or {}, None if known is None else known.injection,
        neighbours=dialect.neighbours,
    )  # fmt: skip
    if fields.get("kind") != "nla_model":
        raise fields.refuse("kind", "'nla_model' was expected: this is not the sidecar of a model")
    name = fields.first(LAYER_FIELDS)
    if facts.layer is not None and name is not None and fields.integer(name, 0) != facts.layer:
        raise fields.refuse(name, f"K = {facts.layer} was asked for, and the pair reads another block")
    if facts.layer is not None and name is None:
        return replace(fields, meta=meta | {LAYER_FIELDS[0]: facts.layer})
    return fields


def with_layer(facts: PairFacts | None, av: Path, ar: Path | None) -> PairFacts | None:
    """The facts, with the K of the reconstructor where nothing else tells that of the verbalizer."""
    if ar is None or (facts is not None and facts.layer is not None):
        return facts
    try:
        if open_sidecar(av, facts).first(LAYER_FIELDS) is not None:
            return facts
        layer = read_sidecar(ar, role="ar", facts=facts).layer
    # What is wrong with either is told by whoever reads it.
    except CheckpointError:
        return facts
    return (facts or PairFacts()).model_copy(update={"layer": layer})


def layer_said(directory: Path, facts: PairFacts | None = None) -> int:
    """K of a pair, also where nothing tells how its verbalizer is given vectors. Raises CheckpointError."""
    return _layer(open_sidecar(directory, facts))


def read_role(fields: Fields, *, expected: Role | None = None) -> Role:
    """The role under any of its names; `expected` refuses the other one."""
    found = fields.get("role")
    name = found.strip().lower() if isinstance(found, str) else None
    if name not in AV_NAMES + AR_NAMES:
        raise fields.refuse("role", f"one of {', '.join(AV_NAMES + AR_NAMES)} was expected")
    role: Role = "av" if name in AV_NAMES else "ar"
    if expected is not None and role != expected:
        raise fields.refuse(
            "role", f"this is a {ROLE_TITLES[role]} and a {ROLE_TITLES[expected]} was expected; swap the two"
        )
    return role


def check_width(sidecar: Sidecar, hidden_size: int) -> None:
    """Refuse a model of another width than its sidecar says."""
    if hidden_size != sidecar.d_model:
        raise CheckpointError(
            f"{sidecar.path.parent}: its sidecar says d_model {sidecar.d_model}, its config.json hidden_size "
            f"{hidden_size}; the sidecar belongs to another model"
        )


def check_ar_depth(sidecar: Sidecar, blocks: int, *, whole: bool = False) -> None:
    """Refuse a reconstructor that is not blocks 0..K of its model.

    `whole`: an adapter of a whole model, which is cut when it is loaded.
    """
    wanted = sidecar.ar_blocks
    if blocks == wanted or (whole and blocks > wanted):
        return
    said = f"K+1 = {wanted}" if wanted == sidecar.layer + 1 else str(wanted)
    raise CheckpointError(
        f"{sidecar.path.parent}: K = {sidecar.layer} and config.json says num_hidden_layers {blocks}; "
        f"{said} was expected: the config.json or the sidecar belongs to another checkpoint"
    )


def split_template(template: str, slot: str, times: int = 1) -> tuple[str, ...]:
    """The texts around each `{slot}`, with doubled braces undone as `str.format` does.

    Raises ValueError unless `{slot}` is the template's only placeholder and stands there so many times.
    """
    pieces = [""]
    for literal, name, spec, conversion in Formatter().parse(template):
        pieces[-1] += literal
        if name is None:
            continue
        if name != slot or spec or conversion:
            raise ValueError(f"unknown placeholder {{{name}}}; the only one allowed is {{{slot}}}")
        pieces.append("")
    if len(pieces) != times + 1:
        wanted = "once" if times == 1 else f"{times} times"
        raise ValueError(f"{{{slot}}} stands there {len(pieces) - 1} times; exactly {wanted} was expected")
    return tuple(pieces)


def _refuse_idle(fields: Fields, facts: PairFacts) -> None:
    """What is said and goes nowhere would be taken for done."""
    if facts.question is not None and fields.original:
        raise CheckpointError(
            f"{fields.path}: pair.question: its prompt has no place for a question, which only an activation "
            "oracle (a verbalizer without a sidecar) is asked; leave it out"
        )
    if facts.special_tokens is not None and own_facts(fields.meta, fields.path).chat is not False:
        raise CheckpointError(
            f"{fields.path}: pair.special_tokens: its prompt is a turn of a chat, whose template has them; "
            "leave it out, or say chat=false too"
        )


def _refuse_norm(fields: Fields) -> None:
    norm = fields.get("extraction.norm")
    if norm is not None and norm != "none":
        raise fields.refuse(
            "extraction.norm",
            "only 'none' is supported: this NLA was trained on transformed (whitened) vectors and would read "
            "raw ones wrongly; use a pair trained on raw activations",
        )


def _layer(fields: Fields) -> int:
    name = fields.first(LAYER_FIELDS)
    if name is None:
        raise fields.refuse(
            "extraction_layer_index",
            "give the AR too, if it knows K, the block that the NLA reads; or say it as models.pair.layer",
        )
    return fields.integer(name, 0)


def _template(
    fields: Fields, role: Role, names: tuple[str, ...], slot: str, *, times: int | None
) -> str | None:
    """The template, which must have its slot `times`; None asks nothing of it, not even to be there."""
    name = fields.first([f"prompt_templates.{name}" for name in names])
    if name is None:
        if times is not None:
            raise fields.refuse(f"prompt_templates.{role}", f"a prompt with the slot {{{slot}}} was expected")
        return None
    template = fields.text(name)
    if times is not None:
        try:
            split_template(template, slot, times)
        except ValueError as error:
            raise fields.refuse(name, str(error)) from None
    return template


def _injection(fields: Fields, role: Role, d_model: int, option: str | None) -> Injection | None:
    """By the option, else by the sidecar's own words, else by the scale of the released dialect."""
    said = _said_injection(fields, d_model) or _known_injection(fields, role, d_model, option)
    if option is None:
        if said is None:
            refuse_variants(fields)
            said = _released_injection(fields, role, d_model)
        return said
    try:
        asked = Injection.parse(option, d_model)
    except ValueError as error:
        raise ConfigError(f"injection: {error}") from None
    if said is not None and said.differs(asked):
        raise fields.refuse(
            INJECTION, f"{asked} was asked for, and the pair was trained otherwise; leave it out"
        )
    if said is None and asked.kind == "replace":
        refuse_variants(fields)
    return asked


def _said_injection(fields: Fields, d_model: int) -> Injection | None:
    """What the sidecar says in our words; None where nothing is there, or another's mapping of words."""
    if not isinstance(text := fields.get(INJECTION), str):
        return None
    try:
        return Injection.parse(text, d_model)
    except ValueError as error:
        raise fields.refuse(INJECTION, str(error)) from None


def _known_injection(fields: Fields, role: Role, d_model: int, option: str | None) -> Injection | None:
    """What the table of known pairs says of an AV, unless the scale is in the file.

    How many vectors an oracle is asked about is the user's to say.
    """
    if fields.known is None or role == "ar":
        return None
    known = Injection.parse(fields.known, d_model)
    if known.kind == "replace" and fields.get("extraction.injection_scale") is not None:
        return None
    return known if known.slots > 1 else replace(known, slots=slots_said(option))


def _released_injection(fields: Fields, role: Role, d_model: int) -> Injection | None:
    name = "extraction.injection_scale"
    if role == "ar" and fields.get(name) is None:
        return None
    if fields.present(name):
        return Injection.replacing(fields.scale(name, d_model))
    raise fields.refuse(
        name,
        "nothing tells how this AV was given its vectors, and read in another way it writes fluent text "
        "about nothing: prove it with `nla-ray check AV AR --target TARGET --prove`, or say what its "
        f"publisher states as models.injection (of a sweep as the target's injection), {WORDS}",
    )


def require_injection(sidecar: Sidecar) -> Injection:
    """The injection of an AV's sidecar. Raises CheckpointError for an AR's, which may say nothing."""
    if sidecar.injection is None:
        raise CheckpointError(f"{sidecar.path}: says nothing of how vectors are injected; this is not an AV")
    return sidecar.injection


def _mse_scale(fields: Fields, d_model: int) -> float:
    if not fields.present("extraction.mse_scale"):
        return math.sqrt(d_model)
    scale = fields.scale("extraction.mse_scale", d_model)
    if scale is None:
        raise fields.refuse(
            "extraction.mse_scale",
            "raw MSE is not supported: this AR predicts lengths as well as directions; "
            "use a pair trained on normalised vectors",
        )
    return scale


def _marker(fields: Fields, *, required: bool) -> Marker | None:
    names = ("char", "token_id", "left_neighbor_id", "right_neighbor_id")
    char, *ids = (f"tokens.injection_{name}" for name in names)
    if not required and any(fields.get(name) is None for name in (char, *ids)):
        return None
    recorded = [name for name in ids if fields.neighbours or fields.get(name) is not None]
    token_id, left_id, right_id = (fields.integer(name, 0) if name in recorded else None for name in ids)
    return Marker(fields.text(char), token_id, left_id, right_id)


def _suffix_ids(fields: Fields) -> tuple[int, ...] | None:
    ids = fields.get("tokens.critic_suffix_ids")
    if ids is None:
        return None
    if not isinstance(ids, list) or not ids or not all(type(i) is int and i >= 0 for i in ids):
        raise fields.refuse("tokens.critic_suffix_ids", "a list of token ids was expected")
    return tuple(ids)
