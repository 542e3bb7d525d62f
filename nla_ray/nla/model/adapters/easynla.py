"""EasyNLA's reconstructors, adapter and head in one file without a configuration, in the form of peft."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nla_ray.cache import cache_folder, made_once, writing
from nla_ray.errors import CheckpointError
from nla_ray.ids import digest
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, PREFIX, WEIGHTS_NAME, sidecar_of
from nla_ray.nla.model.files.weights import HEAD_NAME, SafetensorsDir, write_tensors
from nla_ray.nla.sidecar.dialects.easynla import AR_WEIGHTS, ArMeta, read_ar_meta
from nla_ray.nla.sidecar.dialects.seen import AR_META
from nla_ray.text import call

if TYPE_CHECKING:
    import torch

_HEAD, _BACKBONE = "value_head.", "backbone."


def as_adapter(directory: Path) -> Path:
    """A directory in the form of peft for a reconstructor of EasyNLA, made in the cache; any other as it is.

    Its LoRA is rank-stabilised, always, and its trainer does not write that down. Raises CheckpointError for
    a file with other tensors than LoRA of its backbone and a head and for the reconstructors of nla-train,
    InputError where the cache cannot be written to.
    """
    directory = directory.absolute()
    if not (directory / AR_META).is_file() or (directory / CONFIG_NAME).exists():
        _refuse_wrapped(directory)
        return directory
    meta = read_ar_meta(directory)
    tensors = SafetensorsDir(directory, file=AR_WEIGHTS)
    kept = _kept(directory)
    facts = (tensors.directory / AR_WEIGHTS, *(kept[name] for name in sorted(kept)))
    known = [str(part) for file in facts for part in (file, file.stat().st_size, file.stat().st_mtime_ns)]
    home = _homes() / digest(*known)[:32]

    def make(part: Path) -> None:
        _make(part / directory.name, kept, meta, tensors)

    made_names = (CONFIG_NAME, WEIGHTS_NAME, HEAD_NAME, *kept)
    made_once(home, make, lambda home: all((home / directory.name / name).exists() for name in made_names))
    made = home / directory.name
    call(made, directory)
    for name in made_names:
        call(
            made / name, kept.get(name, tensors.directory / (AR_META if name == CONFIG_NAME else AR_WEIGHTS))
        )
    return made


def made_from(directory: Path) -> Path:
    """The checkpoint behind a directory that `as_adapter` made; any other directory is its own."""
    if directory.absolute().parent.parent != _homes():
        return directory
    return (directory / AR_META).readlink().parent


def _homes() -> Path:
    return cache_folder().absolute() / "easynla"


def _kept(directory: Path) -> dict[str, Path]:
    """By name the files that stay as they are, and the sidecar of its training where it has none."""
    kept = {file.name: file for file in directory.iterdir() if file.is_file() and file.name != AR_WEIGHTS}
    sidecar = sidecar_of(directory)
    return kept if sidecar is None else {sidecar.name: sidecar} | kept


def _make(made: Path, kept: Mapping[str, Path], meta: ArMeta, tensors: SafetensorsDir) -> None:
    adapter, head = _split(tensors)
    with writing(_homes()):
        made.mkdir()
        write_tensors(adapter, made / WEIGHTS_NAME)
        write_tensors(head, made / HEAD_NAME)
        for name, file in kept.items():
            (made / name).symlink_to(file)
        config = json.dumps(_config(meta, adapter), indent=2)
        (made / CONFIG_NAME).write_text(config, encoding="utf-8")


def _refuse_wrapped(directory: Path) -> None:
    """nla-train saves LoRA of a module around the model, without the head, the block and the prompt."""
    if not (directory / WEIGHTS_NAME).is_file():
        return
    names = SafetensorsDir(directory, file=WEIGHTS_NAME).names
    if any(name.startswith(f"{PREFIX}{_BACKBONE}") for name in names):
        raise CheckpointError(
            f"{directory}: a reconstructor as nla-train saves it: LoRA of a module around the model, without "
            "the head, K and the prompt (a turn of a chat) that it goes with; where it was trained, save "
            f"LoRA of the model itself, {HEAD_NAME} and a sidecar"
        )


def _split(tensors: SafetensorsDir) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """LoRA by the names that peft saves, and the head."""
    adapter, head = {}, {}
    for name in tensors.names:
        if name.startswith(_HEAD):
            head[name.removeprefix(_HEAD)] = tensors.tensor(name)
        elif name.startswith(_BACKBONE) and ".lora_" in name:
            plain = name.removeprefix(_BACKBONE).replace(".default.", ".")
            adapter[f"{PREFIX}{plain}"] = tensors.tensor(name)
        else:
            raise CheckpointError(
                f"{tensors.directory / AR_WEIGHTS}: {name}: neither LoRA of its backbone nor its value head; "
                "not a file of this trainer"
            )
    if not adapter or not head:
        lacks = "LoRA of a backbone" if not adapter else "a value head"
        raise CheckpointError(
            f"{tensors.directory / AR_WEIGHTS}: {lacks} was expected in it; download it again"
        )
    return adapter, head


def _config(meta: ArMeta, adapter: Iterable[str]) -> dict[str, object]:
    """Its modules are named one by one: those of the blocks that were cut off had no LoRA."""
    modules = {name.removeprefix(PREFIX).partition(".lora_")[0] for name in adapter}
    return {
        "peft_type": "LORA",
        "r": meta.rank,
        "lora_alpha": meta.alpha,
        "target_modules": sorted(modules),
        "use_rslora": True,
        "bias": "none",
    }
