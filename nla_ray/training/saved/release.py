"""Write a verbalizer or a reconstructor as a directory in the released dialect, the sidecar last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase

from nla_ray.config.injection import Injection
from nla_ray.errors import CheckpointError, InputError
from nla_ray.nla.model.weights import HEAD_NAME
from nla_ray.nla.prompt import ar_prompt_ids, encode_av_prompt
from nla_ray.nla.sidecar.read import SIDECAR_NAME, Marker, Sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.store.places.tree import Tree, full
from nla_ray.training.models import TrainableAR, TrainableAV
from nla_ray.training.saved.source_files import copy, copy_tokenizer, write_config

MARKERS = ("㈎", "㈜", "㎡", "㊗", "㈀", "㉠", "⍰", "☍")
"""Characters that hardly occur in text; the first that the tokenizer has as one token is taken."""
SUFFIX_TOKENS = 4
GENERATION = "generation_config.json"

_BACKBONE, _HEAD, _LM = "backbone.", "head.", "lm."


def new_sidecar(
    tokenizer: PreTrainedTokenizerBase,
    *,
    d_model: int,
    layer: int,
    av_template: str,
    ar_template: str,
    injection: Injection,
    marker: str | None,
) -> Sidecar:
    """What a pair that starts as its target says about itself: templates, and the marker in its prompt.

    Templates hold `{injection_char}` and `{explanation}`. Raises CheckpointError where the marker is not one
    token of this tokenizer, or does not stand alone in the prompt.
    """
    chosen, token_id = _marker(tokenizer, marker)
    bare = Sidecar(
        role="av", d_model=d_model, layer=layer, av_template=av_template, ar_template=ar_template,
        injection=injection, mse_scale=math.sqrt(d_model), marker=Marker(chosen, token_id, 0, 0),
    )  # fmt: skip
    _, ids = encode_av_prompt(tokenizer, bare)
    if ids.count(token_id) != 1 or not 0 < ids.index(token_id) < len(ids) - 1:
        raise CheckpointError(
            f"init.marker: {chosen!r} stands {ids.count(token_id)} times inside the verbalizer's prompt; "
            "choose another one"
        )
    slot = ids.index(token_id)
    suffix = ar_prompt_ids(tokenizer, bare, ["A"])[0][-SUFFIX_TOKENS:]
    known = Marker(chosen, token_id, ids[slot - 1], ids[slot + 1])
    return replace(bare, marker=known, ar_suffix_ids=tuple(suffix))


def write_av(
    directory: Path, model: TrainableAV, weights: Mapping[str, torch.Tensor], sidecar: Sidecar
) -> None:
    """Write the AV with these weights (`whole_state`) in the type that it came in; raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    write_config(directory, model.source, model.lm.config, model.stored)
    if (model.source / GENERATION).exists():
        copy(directory, model.source / GENERATION)
    else:
        model.lm.generation_config.save_pretrained(directory)
    tensors = dict(of_lm(weights))
    if model.lm.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    _write(directory, tensors, model.stored)
    copy_tokenizer(directory, model.source, model.tokenizer)
    write_sidecar(directory, replace(sidecar, role="av"))
    _share(directory)


def write_ar(
    directory: Path, model: TrainableAR, weights: Mapping[str, torch.Tensor], sidecar: Sidecar
) -> None:
    """Write the AR with these weights (`whole_state`): blocks 0..K, the embedding, beside them its head."""
    directory.mkdir(parents=True, exist_ok=True)
    write_config(directory, model.source, model.backbone.config, model.stored)
    blocks = {f"model.{name}": tensor for name, tensor in Below(weights, _BACKBONE).items()}
    _write(directory, blocks, model.stored)
    save_file(
        {name: tensor.contiguous() for name, tensor in Below(weights, _HEAD).items()}, directory / HEAD_NAME
    )
    copy_tokenizer(directory, model.source, model.tokenizer)
    write_sidecar(directory, replace(sidecar, role="ar", injection=None))
    _share(directory)


def of_lm(weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The tensors of a `TrainableAV` under the names of its causal LM."""
    return Below(weights, _LM)


class Below(Mapping[str, torch.Tensor]):
    """The tensors whose names start with the prefix, without it; none is made before it is asked for."""

    def __init__(self, weights: Mapping[str, torch.Tensor], prefix: str) -> None:
        self._weights, self._prefix = weights, prefix

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._weights[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._weights if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def place(tree: Tree, name: str, write: Callable[[Path], None]) -> None:
    """Put a directory that `write` makes into the tree: complete or absent, for its sidecar comes last.

    Raises InputError where there is no room for it.
    """
    with TemporaryDirectory(prefix="nla_ray-", dir=_beside(tree)) as scratch:
        made = Path(scratch, "made")
        try:
            write(made)
        except (OSError, SafetensorError) as error:
            raise InputError(full(f"{tree.url}/{name}", error) or f"{tree.url}/{name}: {error}") from error
        tree.remove(name)
        if tree.folder is not None:
            (tree.folder / name).parent.mkdir(parents=True, exist_ok=True)
            made.rename(tree.folder / name)
            return
        sidecar = made.rename(Path(scratch, "whole")) / SIDECAR_NAME
        last = sidecar.rename(Path(scratch, SIDECAR_NAME))
        tree.upload(Path(scratch, "whole"), name)
        tree.upload(last, f"{name}/{SIDECAR_NAME}")


def _beside(tree: Tree) -> Path | None:
    """Where a directory can be made that is then renamed into the tree."""
    if tree.folder is not None:
        tree.folder.mkdir(parents=True, exist_ok=True)
    return tree.folder


def _write(directory: Path, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype) -> None:
    whole = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    save_torch_state_dict(whole, directory, max_shard_size="5GB")


def _share(directory: Path) -> None:
    """Give every file the mode of the sidecar: safetensors are written for their owner's eyes alone."""
    mode = (directory / SIDECAR_NAME).stat().st_mode
    for file in directory.iterdir():
        file.chmod(mode)


def _marker(tokenizer: PreTrainedTokenizerBase, wanted: str | None) -> tuple[str, int]:
    for char in MARKERS if wanted is None else (wanted,):
        ids = tokenizer.encode(char, add_special_tokens=False)
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id and tokenizer.decode(ids) == char:
            return char, int(ids[0])
    tried = ", ".join(repr(char) for char in (MARKERS if wanted is None else (wanted,)))
    raise CheckpointError(
        f"init.marker: none of {tried} is one token of this tokenizer; name a rare character that is"
    )
