"""What a preflight holds of one checkpoint, and the report that its checks are written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from nla_ray.config.models.reference import ModelRef
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.view import bottom_of, layers_of
from nla_ray.nla.model.backbone import load_config, refuse_stackless
from nla_ray.nla.model.blocks.stack import BESIDE, BLOCK
from nla_ray.nla.model.files.quantised import quantisation_of, require_plain
from nla_ray.nla.model.files.weights import INDEX_NAME, SINGLE_NAME, SafetensorsDir
from nla_ray.nla.model.resolve import local_directory, resolve
from nla_ray.nla.preflight.adapter import describe_adapters
from nla_ray.nla.prompt import load_tokenizer, slots_of
from nla_ray.nla.sidecar.read import SIDECAR_NAME, Role, Sidecar, open_sidecar, read_role, read_sidecar

Subject = Literal["AV", "AR", "target", "pair"]
Status = Literal["pass", "fail", "skip"]
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """One line of a preflight: what was looked at, on which checkpoint, and what was found."""

    name: str
    subject: Subject
    status: Status
    detail: str


class Skip(Exception):
    """Raised inside a check that cannot be made; its text is the reason."""


@dataclass
class Report:
    """The checks made so far, in order."""

    checks: list[Check] = field(default_factory=list)

    def run(self, subject: Subject, name: str, probe: Callable[[], str]) -> None:
        """Make one check: `probe` returns what it found, or raises CheckpointError or Skip."""
        self.load(subject, name, lambda: (probe(), None), lambda found: found[0])

    def load(
        self, subject: Subject, name: str, probe: Callable[[], T], describe: Callable[[T], str]
    ) -> T | None:
        """Load something as one check; None where that failed or was skipped."""
        try:
            value = probe()
            detail = describe(value)
        except Skip as skip:
            self.checks.append(Check(name, subject, "skip", str(skip)))
        except CheckpointError as error:
            self.checks.append(Check(name, subject, "fail", str(error)))
        else:
            self.checks.append(Check(name, subject, "pass", detail))
            return value
        return None


@dataclass
class Part:
    """One checkpoint under test; what could not be loaded is None."""

    subject: Subject
    ref: ModelRef
    directory: Path
    on_hub: bool
    facts: PairFacts | None = None
    sidecar: Sidecar | None = None
    config: PreTrainedConfig | None = None
    weights: SafetensorsDir | None = None
    tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def adapted(self) -> bool:
        """Whether it is an adapter on its base, whose tensors are all that `weights` has."""
        return layers_of(self.directory) is not None


def find_part(subject: Subject, ref: ModelRef, facts: PairFacts | None = None) -> Part:
    """Resolve a reference without its weights and make sure that it is the right kind of checkpoint.

    Raises CheckpointError where the input is not usable at all: nothing there, no sidecar, the other role.
    """
    directory = resolve(ref, weights=False)
    if subject == "target":
        _refuse_nla(directory)
        load_config(directory, trust_remote_code=ref.trust_remote_code)
    else:
        read_role(open_sidecar(directory, facts), expected=_role(subject))
    return Part(subject, ref, directory, on_hub=_from_hub(bottom_of(directory), ref), facts=facts)


def _from_hub(directory: Path, ref: ModelRef) -> bool:
    """Whether the weights, of an adapter its base's, come from the hub, and may not be here yet."""
    while ref.base is not None:
        ref = ref.base
    local = local_directory(ref)
    return local is None or directory.absolute() != local.absolute()


def _refuse_nla(directory: Path) -> None:
    """Refuse an AV or an AR as the target: both are deep enough for K, so nothing later would notice."""
    if (directory / SIDECAR_NAME).exists():
        raise CheckpointError(
            f"{directory}: it has a {SIDECAR_NAME}: an AV or AR where the target was expected; give the "
            "model whose activations the pair reads"
        )


def load_part(report: Report, part: Part, *, injection: str | None = None) -> None:
    """Load sidecar, configuration, headers and tokenizer of a part, each as one check."""
    directory, trust = part.directory, part.ref.trust_remote_code
    if part.subject != "target":
        part.sidecar = report.load(
            part.subject,
            "sidecar",
            lambda: read_sidecar(
                directory,
                role=_role(part.subject),
                injection=injection if part.subject == "AV" else None,
                facts=part.facts,
            ),
            describe_sidecar,
        )
    part.config = report.load(
        part.subject,
        "architecture",
        lambda: _architecture(directory, trust),
        lambda config: (
            f"{config.model_type}, {config.num_hidden_layers} blocks, d_model {config.hidden_size}"
        ),
    )
    if part.adapted:
        report.run(part.subject, "adapter", lambda: describe_adapters(part.directory, part.config, trust))
    part.weights = report.load(part.subject, "weights", lambda: _open_weights(part), describe_weights)
    part.tokenizer = report.load(
        part.subject,
        "tokenizer",
        lambda: load_tokenizer(directory, trust_remote_code=trust),
        lambda tokenizer: f"{len(tokenizer)} tokens",
    )


def _architecture(directory: Path, trust_remote_code: bool) -> PreTrainedConfig:
    config = load_config(directory, trust_remote_code=trust_remote_code)
    refuse_stackless(config, directory, trust_remote_code=trust_remote_code)
    return config


def needed(value: T | None, what: str) -> T:
    """The value, or a Skip that says what is missing."""
    if value is None:
        raise Skip(f"not checked: no {what}")
    return value


def describe_sidecar(sidecar: Sidecar) -> str:
    """What the sidecar says, in one line."""
    slots = slots_of(sidecar)
    count = "one slot" if slots == 1 else f"{slots} slots"
    about = f"role {sidecar.role}, K = {sidecar.layer}, d_model {sidecar.d_model}, {count} in its template"
    if sidecar.dialect != "released":
        about = f"{sidecar.dialect}: {about}"
    if sidecar.role == "ar":
        return about
    return f"{about}, injection {sidecar.injection}"


def describe_weights(weights: SafetensorsDir) -> str:
    """Number and types of the tensors, how they are quantised. Raises CheckpointError as a load would."""
    quantised = quantisation_of(weights.directory)
    if quantised is None:
        require_plain(weights)
    dtypes = sorted({weights.info(name).dtype for name in weights.headers})
    known = f"{', '.join(dtypes)}" if dtypes else "headers not on this machine"
    how = "" if quantised is None else f", quantised by {quantised.name}"
    return f"safetensors, {len(weights.names)} tensors, {known}{how}"


def block_indices(names: Iterable[str]) -> set[int]:
    """Indices of the decoder blocks that tensor names speak of, towers and further predictors left out."""
    found = (BLOCK.search(name) for name in names if not BESIDE.search(name))
    return {int(match.group(1)) for match in found if match}


def compare_blocks(part: Part, found: set[int], blocks: int) -> None:
    """Refuse tensors that are not those of blocks 0..blocks-1; predictors of more tokens may follow these."""
    predictors = getattr(part.config, "num_nextn_predict_layers", None) or 0
    if found - set(range(blocks, blocks + predictors)) != set(range(blocks)):
        raise CheckpointError(
            f"{part.directory}: config.json says {blocks} blocks, its tensors are those of "
            f"{_span(found)}; the checkpoint is not complete, or its config.json belongs to another one"
        )


def _span(indices: set[int]) -> str:
    return f"{len(indices)} blocks ({min(indices)}..{max(indices)})" if indices else "no block"


def _open_weights(part: Part) -> SafetensorsDir:
    present = any((bottom_of(part.directory) / name).exists() for name in (INDEX_NAME, SINGLE_NAME))
    if part.on_hub and not present:
        raise Skip("not checked: the weights are on the hub, and only small files were fetched")
    return SafetensorsDir(part.directory, partial=part.on_hub)


def _role(subject: Subject) -> Role:
    return "av" if subject == "AV" else "ar"
