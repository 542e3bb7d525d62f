"""What a training is made from: its splits, the models it starts with, and what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nla_ray.config.models.injection import Injection
from nla_ray.config.models.reference import ModelRef
from nla_ray.config.training.train import Split as SplitName
from nla_ray.config.training.train import TrainConfig
from nla_ray.errors import InputError
from nla_ray.models import directory_of, planned_directory
from nla_ray.nla.model.adapters.view import layers_of
from nla_ray.nla.model.backbone import load_config
from nla_ray.nla.model.files.quantised import refuse_quantised
from nla_ray.nla.prompt import load_tokenizer, slots_of
from nla_ray.nla.reconstruction.fidelity import Baseline
from nla_ray.nla.sidecar.read import (
    AR_NAMES,
    AR_SLOT,
    AV_SLOT,
    Role,
    Sidecar,
    check_ar_depth,
    read_sidecar,
    split_template,
)
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.training.data import INJECT, Split, injection_scale, open_split
from nla_ray.training.heldout import baseline_of
from nla_ray.training.saved.release import Prompting, new_sidecar
from nla_ray.training.saved.source_files import refuse_links_out

SCALE_ROWS = 20_000


@dataclass(frozen=True)
class Parts:
    """Everything that is read before a stage starts; opening it finds what does not fit together.

    Without `weights`, only the small files of models come from the hub.
    """

    config: TrainConfig
    weights: bool = True

    @cached_property
    def splits(self) -> dict[SplitName, Split]:
        """Those that the stages need, and `held_out`. Raises InputError, also where their vectors differ."""
        found = {name: open_split(url, name) for name, url in self.config.splits.items()}
        kinds = {(one.sidecar.d_model, one.sidecar.layer) for one in found.values()}
        if len(kinds) > 1:
            said = "; ".join(
                f"{one.url}: d_model {one.sidecar.d_model}, layer {one.sidecar.layer}"
                for one in found.values()
            )
            raise InputError(f"data: the splits are of different vectors: {said}")
        return found

    @cached_property
    def target(self) -> Path | None:
        """The directory of the target, where one is named."""
        return None if self.config.target is None else self._find(self.config.target)

    def start(self, role: Role) -> Path | None:
        """The directory of the model to go on with; None for a new one."""
        ref = getattr(self.config.init, role)
        return None if ref is None else self._find(ref)

    def _find(self, ref: ModelRef) -> Path:
        directory = directory_of(ref) if self.weights else planned_directory(ref)
        refuse_quantised(directory)
        refuse_links_out(directory)
        return directory

    @cached_property
    def sidecars(self) -> dict[Role, Sidecar]:
        """What AV and AR say of themselves. Raises CheckpointError and InputError for what does not fit."""
        starts: dict[Role, Path | None] = {role: self.start(role) for role in ("av", "ar")}
        found: dict[Role, Sidecar] = {
            role: self._fresh if path is None else read_sidecar(path, role=role)
            for role, path in starts.items()
        }
        for role, sidecar in found.items():
            self._check(role, sidecar)
        return found

    @cached_property
    def baseline(self) -> Baseline:
        """The denominator of `fve_nrm`: what the first reconstructor names, else that of the own vectors."""
        said = self.sidecars["ar"].extra.get("fve_baseline")
        if isinstance(said, dict) and {"value", "reference", "n"} <= said.keys():
            return Baseline(float(said["value"]), str(said["reference"]), int(said["n"] or 0))
        return baseline_of(next(iter(self.splits.values())))

    def base(self, role: Role) -> Path:
        """The directory that a model starts as."""
        return self.start(role) or self.named_target

    def directory(self, role: Role, scratch: Path) -> Path:
        """A directory that loads as this model: the one to go on with, else the target with its sidecar."""
        start = self.start(role)
        if start is not None:
            return start
        stub = scratch / f"new-{role}"
        stub.mkdir(exist_ok=True)
        for file in self.named_target.iterdir():
            if file.is_file() and not (stub / file.name).exists():
                (stub / file.name).symlink_to(file.resolve())
        write_sidecar(stub, self.sidecars[role])
        return stub

    @property
    def named_target(self) -> Path:
        """The target, for what starts as it. Raises InputError where none is named, and for an adapter."""
        if self.target is None:
            raise InputError("target: name the model that a new verbalizer or reconstructor starts as")
        if layers_of(self.target) is not None:
            raise InputError(
                f"target: {self.config.target}: a new verbalizer or reconstructor does not start as an "
                "adapter; name what they start as in init.av and init.ar, or merge it and name the outcome"
            )
        return self.target

    @cached_property
    def _fresh(self) -> Sidecar:
        """The sidecar of a pair that starts as the target."""
        config = load_config(self.named_target)
        width, blocks = config.hidden_size, config.num_hidden_layers
        data = next(iter(self.splits.values()))
        if data.sidecar.layer >= blocks:
            raise InputError(
                f"{data.url}: layer {data.sidecar.layer}, {self.config.target} has blocks 0..{blocks - 1}; "
                "take the target that the data are from"
            )
        if width != data.d_model:
            raise InputError(
                f"{data.url}: vectors of {data.d_model} values, {self.config.target} has width {width}; "
                "take the target that the data are from"
            )
        prompting = Prompting(
            self._av_template(),
            self._ar_template(),
            self._injection(data.sidecar.d_model),
            self.config.init.marker or self._said("tokens", ("injection_char",)),
            self.config.init.system_turn,
        )
        tokenizer = load_tokenizer(self.named_target)
        return new_sidecar(tokenizer, prompting, d_model=width, layer=data.sidecar.layer)

    def _av_template(self) -> str:
        prompts = {split.prompt for split in self.splits.values() if split.prompt is not None}
        if len(prompts) == 1:
            before, after = (_braced(part) for part in prompts.pop().split(INJECT))
            return f"{before}{{{AV_SLOT}}}{after}"
        return self._known("av", "av_template", f"its splits have {len(prompts)} different prompts")

    def _ar_template(self) -> str:
        said = self._said("prompt_templates", AR_NAMES)
        if said is not None:
            return said
        split = self.splits.get("ar_sft")
        if split is not None and split.sample is not None and split.sample[0].count(split.sample[1]) == 1:
            before, after = (_braced(part) for part in split.sample[0].split(split.sample[1]))
            return f"{before}{{{AR_SLOT}}}{after}"
        return self._known("ar", "ar_template", "neither ar_sft nor its sidecar shows its template")

    def _known(self, role: Role, name: str, why: str) -> str:
        """The template that the model to go on with knows."""
        other: Role = "ar" if role == "av" else "av"
        start = self.start(other)
        template = None if start is None else getattr(read_sidecar(start, role=other), name)
        if template is None:
            raise InputError(f"data: {why}; a new {role.upper()} takes its template from the data")
        return str(template)

    def _said(self, group: str, names: tuple[str, ...]) -> str | None:
        """What the sidecars of the data say, under any of these names."""
        for split in self.splits.values():
            values: Any = split.sidecar.extra.get(group)
            found = [values[name] for name in names if isinstance(values, dict) and name in values]
            if found and isinstance(found[0], str):
                return str(found[0])
        return None

    def _injection(self, d_model: int) -> Injection:
        if self.config.init.injection is not None:
            return Injection.parse(self.config.init.injection, d_model)
        split = next((self.splits[name] for name in ("av_sft", "rl") if name in self.splits), None)
        split = split or self.splits["held_out"]
        rows = np.linspace(0, len(split) - 1, min(len(split), SCALE_ROWS)).astype(np.int64)
        return Injection.replacing(injection_scale(split.vectors(rows)))

    def _check(self, role: Role, sidecar: Sidecar) -> None:
        """Data and model must be about the same vectors, in the same words."""
        for split in self.splits.values():
            for what, model, data in (
                ("d_model", sidecar.d_model, split.sidecar.d_model),
                ("layer", sidecar.layer, split.sidecar.layer),
            ):
                if model != data:
                    raise InputError(
                        f"{split.url}: {what} {data}, the {role.upper()} has {model}; "
                        "take the data that were made for this pair, or another pair"
                    )
        if role == "av" and slots_of(sidecar) > 1:
            raise InputError(
                f"{sidecar.path}: {sidecar.injection}: {slots_of(sidecar)} vectors a prompt, and a row of "
                "training data holds one; train a verbalizer of one slot"
            )
        if role == "ar" and (start := self.start(role)) is not None:
            check_ar_depth(sidecar, load_config(start).num_hidden_layers, whole=layers_of(start) is not None)
        if role == "av" and sidecar.av_template is not None:
            prompt = INJECT.join(split_template(sidecar.av_template, AV_SLOT))
            self._check_prompt(prompt, whole=sidecar.facts.chat is not False)
        elif role == "ar" and sidecar.ar_template is not None and "ar_sft" in self.splits:
            before, after = split_template(sidecar.ar_template, AR_SLOT)
            text = self.splits["ar_sft"].texts(np.zeros(1, dtype=np.int64))[0] or ""
            if not (text.startswith(before) and text.endswith(after)):
                raise InputError(
                    f"{self.splits['ar_sft'].url}: its prompts do not stand in the AR's template "
                    f"{sidecar.ar_template[:80]!r}; build the data with that template"
                )

    def _check_prompt(self, prompt: str, *, whole: bool) -> None:
        """Plain text, not `whole`, has the words of a chat template around the message."""
        for split in self.splits.values():
            if split.prompt is not None and split.prompt != prompt and (whole or split.prompt not in prompt):
                raise InputError(
                    f"{split.url}: its prompt is {str(split.prompt)[:80]!r}, the AV's is {prompt[:80]!r}; "
                    "build the data with the AV's template"
                )


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
