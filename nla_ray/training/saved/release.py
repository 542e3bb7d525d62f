"""Write a verbalizer or a reconstructor as a directory in the released dialect, the sidecar last."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import PreTrainedTokenizerBase

from nla_ray.config.models.injection import Injection
from nla_ray.errors import InputError
from nla_ray.nla.model.files.weights import HEAD_NAME, MEAN_NAME
from nla_ray.nla.prompt import ar_prompt_ids
from nla_ray.nla.sidecar.read import SIDECAR_NAME, Sidecar
from nla_ray.nla.sidecar.write import write_sidecar
from nla_ray.store.places.tree import Tree, full
from nla_ray.training.models import TrainableAR, TrainableAV
from nla_ray.training.saved.marker import choose_marker
from nla_ray.training.saved.source_files import GENERATION, copy, copy_tokenizer, write_config
from nla_ray.training.saved.system_turn import without_system_turn

SUFFIX_TOKENS = 4

BACKBONE, HEAD, _LM = "backbone.", "head.", "lm."
"""Where the parts of a model are in its state."""


@dataclass(frozen=True)
class Prompting:
    """How a new pair is prompted: templates with `{injection_char}` and `{explanation}`, and what goes in.

    Without a `marker` one is chosen.
    """

    av_template: str
    ar_template: str
    injection: Injection
    marker: str | None
    system_turn: bool = True


def new_sidecar(
    tokenizer: PreTrainedTokenizerBase, prompting: Prompting, *, d_model: int, layer: int
) -> Sidecar:
    """What a pair that starts as its target says about itself: templates, and the marker in its prompt.

    Raises CheckpointError where the marker is not one token of this tokenizer, or does not stand alone in the
    prompt.
    """
    bare = Sidecar(
        role="av", d_model=d_model, layer=layer, av_template=prompting.av_template,
        ar_template=prompting.ar_template, injection=prompting.injection, mse_scale=math.sqrt(d_model),
        marker=None,
    )  # fmt: skip
    if not prompting.system_turn:
        bare = without_system_turn(tokenizer, bare)
    suffix = ar_prompt_ids(tokenizer, bare, ["A"])[0][-SUFFIX_TOKENS:]
    marker = choose_marker(tokenizer, bare, prompting.marker)
    return replace(bare, marker=marker, ar_suffix_ids=tuple(suffix))


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
    write_mean(directory, model)
    copy_tokenizer(directory, model.source, model.tokenizer)
    write_sidecar(directory, replace(sidecar, role="av"))
    share(directory)


def write_mean(directory: Path, model: TrainableAV) -> None:
    """What a centred injection subtracts; raises OSError."""
    if model.mean_D is not None:
        save_file({"mean": model.mean_D.cpu().contiguous()}, directory / MEAN_NAME)


def write_ar(
    directory: Path, model: TrainableAR, weights: Mapping[str, torch.Tensor], sidecar: Sidecar
) -> None:
    """Write the AR with these weights (`whole_state`): blocks 0..K, the embedding, beside them its head."""
    directory.mkdir(parents=True, exist_ok=True)
    write_config(directory, model.source, model.backbone.config, model.stored)
    inside = within_lm(model)
    blocks = {f"{inside}{name}": tensor for name, tensor in Below(weights, BACKBONE).items()}
    _write(directory, blocks, model.stored)
    save_file(
        {name: tensor.contiguous() for name, tensor in Below(weights, HEAD).items()}, directory / HEAD_NAME
    )
    copy_tokenizer(directory, model.source, model.tokenizer)
    write_sidecar(directory, replace(sidecar, role="ar", injection=None))
    share(directory)


def within_lm(model: TrainableAR) -> str:
    """What the names of its blocks begin with in a causal LM of the family, such as `model.`."""
    return f"{model.backbone.base_model_prefix}."


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


def share(directory: Path) -> None:
    """Give every file the mode of the sidecar: safetensors are written for their owner's eyes alone."""
    mode = (directory / SIDECAR_NAME).stat().st_mode
    for file in directory.iterdir():
        file.chmod(mode)
