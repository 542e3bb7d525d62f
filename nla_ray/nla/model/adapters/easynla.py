"""EasyNLA's reconstructors, adapter and head in one file without a configuration, in the form of peft."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path

import torch

from nla_ray.cache import cache_folder
from nla_ray.errors import CheckpointError, InputError
from nla_ray.ids import digest
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, WEIGHTS_NAME, sidecar_of
from nla_ray.nla.model.files.weights import HEAD_NAME, SafetensorsDir, write_tensors
from nla_ray.nla.sidecar.dialects.easynla import AR_WEIGHTS, ArMeta, read_ar_meta
from nla_ray.nla.sidecar.dialects.seen import AR_META

_HEAD, _BACKBONE = "value_head.", "backbone."


def as_adapter(directory: Path) -> Path:
    """A directory in the form of peft for a reconstructor of EasyNLA, made in the cache; any other as it is.

    Its LoRA is rank-stabilised, always, and its trainer does not write that down. Raises CheckpointError for
    a file with other tensors than LoRA of its backbone and a head, InputError where the cache cannot be
    written to.
    """
    directory = directory.absolute()
    if not (directory / AR_META).is_file() or (directory / CONFIG_NAME).exists():
        return directory
    meta = read_ar_meta(directory)
    tensors = SafetensorsDir(directory, file=AR_WEIGHTS)
    facts = (tensors.directory / AR_WEIGHTS, directory / AR_META)
    known = [str(part) for file in facts for part in (file, file.stat().st_size, file.stat().st_mtime_ns)]
    home = _homes() / digest(*known)[:32]
    made = home / directory.name
    if not (made / CONFIG_NAME).exists():
        try:
            _make(made, directory, meta, tensors)
        except OSError as error:
            raise InputError(
                f"{home.parent}: cannot keep {directory} in another form: {error.strerror or error}; "
                "name another folder in NLA_RAY_CACHE"
            ) from None
    return made


def made_from(directory: Path) -> Path:
    """The checkpoint behind a directory that `as_adapter` made; any other directory is its own."""
    if directory.absolute().parent.parent != _homes():
        return directory
    return (directory / AR_META).readlink().parent


def _homes() -> Path:
    return cache_folder().absolute() / "easynla"


def _make(made: Path, directory: Path, meta: ArMeta, tensors: SafetensorsDir) -> None:
    """Write it beside its place and rename: complete or absent."""
    adapter, head = _split(tensors)
    part = made.parent.with_name(f".{uuid.uuid4().hex}.part")
    try:
        (part / made.name).mkdir(parents=True)
        here = part / made.name
        write_tensors(adapter, here / WEIGHTS_NAME)
        write_tensors(head, here / HEAD_NAME)
        kept = [file for file in directory.iterdir() if file.is_file() and file.name != AR_WEIGHTS]
        for file in kept:
            (here / file.name).symlink_to(file)
        sidecar = sidecar_of(directory)
        if sidecar is not None and not (here / sidecar.name).exists():
            (here / sidecar.name).symlink_to(sidecar)
        config = json.dumps(_config(meta, adapter), indent=2)
        (here / CONFIG_NAME).write_text(config, encoding="utf-8")
        try:
            part.rename(made.parent)
        except OSError:
            if not (made / CONFIG_NAME).exists():
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _split(tensors: SafetensorsDir) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """LoRA by the names that peft saves, and the head."""
    adapter, head = {}, {}
    for name in tensors.names:
        if name.startswith(_HEAD):
            head[name.removeprefix(_HEAD)] = tensors.tensor(name)
        elif name.startswith(_BACKBONE) and ".lora_" in name:
            plain = name.removeprefix(_BACKBONE).replace(".default.", ".")
            adapter[f"base_model.model.{plain}"] = tensors.tensor(name)
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
    modules = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in adapter}
    return {
        "peft_type": "LORA",
        "r": meta.rank,
        "lora_alpha": meta.alpha,
        "target_modules": sorted(modules),
        "use_rslora": True,
        "bias": "none",
    }
