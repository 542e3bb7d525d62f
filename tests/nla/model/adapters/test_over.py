"""Several adapters of one base: the base is held once, and each is read as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nla_ray.config.models.reference import ModelRef
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model.resolve import resolve
from tests.nla.model.adapters.trained import trained

Checkpoint = Callable[[str], Path]
KINDS: tuple[dict[str, Any], ...] = (
    {"target_modules": "all-linear", "use_rslora": True},
    {"use_dora": True, "modules_to_save": ["input_layernorm"]},
    {"target_modules": ["embed_tokens", "o_proj"]},
)
TEXTS, PLACES = [list(range(7, 30)), list(range(3, 9))], [[2, 22], [5]]


def views(base: Path, folder: Path) -> list[Path]:
    for n, options in enumerate(KINDS):
        trained(base, folder / f"tuned{n}", seed=n, **options)
    return [resolve(ModelRef.parse(f"{folder / f'tuned{n}'} on {base}")) for n in range(len(KINDS))]


def extracted(extractor: Extractor) -> np.ndarray:
    return np.concatenate(extractor.extract(TEXTS, PLACES))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_side_by_side_as_alone(checkpoint: Checkpoint, tmp_path: Path, dtype: torch.dtype) -> None:
    """The first was alone, and merged, until the second came; the base itself is one more target."""
    base = checkpoint("qwen2")
    directories = [*views(base, tmp_path), base]
    alone = [extracted(Extractor(one, [1, 2], dtype=dtype)) for one in directories]
    first = Extractor(directories[0], [1, 2], dtype=dtype)
    together = [first, *(first.beside(one) for one in directories[1:])]
    for _ in range(2):
        for extractor, wanted in zip(together, alone, strict=True):
            np.testing.assert_array_equal(extracted(extractor), wanted)
    assert len({one.tobytes() for one in alone}) == len(directories)


def test_beside_the_base_and_in_a_chain(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    trained(base, tmp_path / "sft", seed=1, use_dora=True)
    trained(base, tmp_path / "rl", seed=2, use_dora=True)
    chain = resolve(ModelRef.parse(f"{tmp_path / 'rl'} on {tmp_path / 'sft'} on {base}"))
    plain = Extractor(base, [2])
    np.testing.assert_array_equal(extracted(plain.beside(chain)), extracted(Extractor(chain, [2])))
    np.testing.assert_array_equal(extracted(plain), extracted(Extractor(base, [2])))


def test_three_adapters_hold_one_base(checkpoint: Checkpoint, tmp_path: Path) -> None:
    """Counted by what is reachable: the weights of one model, and beside them LoRA alone."""
    base = checkpoint("qwen2")
    first, *others = views(base, tmp_path)
    one = Extractor(first, [2])
    alone = _bytes([one])
    three = [one, *(one.beside(view) for view in others)]
    beside = sum(_adapter_bytes(extractor) for extractor in three)
    assert _bytes(three) == alone + beside
    assert beside < alone


def test_a_pass_that_fails_leaves_the_base_as_it_was(checkpoint: Checkpoint, tmp_path: Path) -> None:
    base = checkpoint("qwen2")
    plain = Extractor(base, [2])
    tuned = plain.beside(views(base, tmp_path)[0])
    wanted = extracted(plain)
    block = plain._held.model.layers[1]
    handle = block.mlp.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(torch.OutOfMemoryError):
        extracted(tuned)
    handle.remove()
    np.testing.assert_array_equal(extracted(plain), wanted)


def _bytes(extractors: list[Extractor]) -> int:
    """Of all different storages that extractors keep alive."""
    found = {}
    for extractor in extractors:
        tensors = [*extractor._held.model.parameters(), *_of_adapters(extractor)]
        found |= {one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}
    return sum(found.values())


def _adapter_bytes(extractor: Extractor) -> int:
    return sum(one.untyped_storage().nbytes() for one in _of_adapters(extractor))


def _of_adapters(extractor: Extractor) -> list[torch.Tensor]:
    tensors: list[torch.Tensor] = []
    for adapter in extractor._adapters or ():
        tensors += adapter.full.values()
        for layer in adapter.lora.values():
            own: Any = layer
            tensors += [one for name, one in own.named_parameters() if not name.startswith("base_layer.")]
    return tensors
