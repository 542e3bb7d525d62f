"""Families nobody named: read by the generic path where it is proven, refused where it is not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from nla_ray.errors import CheckpointError
from nla_ray.nla.engines.slots import SlotLayout
from nla_ray.nla.engines.transformers import TransformersVerbalizer
from nla_ray.nla.extraction import Extractor
from nla_ray.nla.model import backbone
from nla_ray.nla.model.backbone import load_backbone, load_causal_lm, load_config
from nla_ray.nla.model.blocks.cut import cut_config, cuts_alike
from nla_ray.nla.model.blocks.stack import find_stack
from tests import architectures
from tests.conftest import NlaDirs
from tests.tiny import D_MODEL, tiny_tokenizer

IDS = [7, 100, 42, 300, 8, 9, 10, 11, 12, 13, 14, 15]
CPU: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
TEXT = {
    "vocab_size": 360,
    "hidden_size": D_MODEL,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.15,
}
GRANITE = TEXT | {"embedding_multiplier": 6.0, "residual_multiplier": 0.5, "logits_scaling": 8.0}
BLOOM = {"vocab_size": 360, "hidden_size": D_MODEL, "n_layer": 4, "n_head": 4}
MAMBA = {"vocab_size": 360, "hidden_size": D_MODEL, "num_hidden_layers": 4, "state_size": 8}


def saved(config: transformers.PreTrainedConfig, path: Path, model: str | None = None) -> Any:
    """A random model of the configuration, saved at `path`."""
    torch.manual_seed(0)
    kind: Any = transformers.AutoModelForCausalLM if model is None else getattr(transformers, model)
    built = kind.from_config(config) if model is None else kind(config)
    with backbone.alone():
        built.eval().requires_grad_(False).save_pretrained(path)
    return built


def hooked(model: Any, layer: int) -> np.ndarray:
    """[tokens, d]: what block `layer` of the whole model gives for IDS."""
    seen: list[torch.Tensor] = []
    hook = (
        find_stack(model)
        .blocks[layer]
        .register_forward_hook(
            lambda _, __, output: seen.append(output[0] if isinstance(output, torch.Tensor) else output[0][0])
        )
    )
    model(input_ids=torch.tensor([IDS]), use_cache=False)
    hook.remove()
    return seen[0].numpy()


@pytest.mark.parametrize(
    "config",
    [transformers.GraniteConfig(**GRANITE), transformers.BloomConfig(**BLOOM)],
    ids=["granite", "bloom"],
)
@pytest.mark.parametrize("layer", [1, 3])
def test_an_unnamed_family_is_loaded_whole_and_cut(
    config: transformers.PreTrainedConfig, layer: int, tmp_path: Path
) -> None:
    assert config.model_type not in backbone.TESTED
    model = saved(config, tmp_path)
    found = Extractor(tmp_path, [layer]).extract([IDS, IDS[:3]], [range(len(IDS)), [2]])
    wanted = hooked(model, layer)
    np.testing.assert_allclose(found[0][:, 0], wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1][0, 0], wanted[2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["qwen3_5", "gemma4"])
def test_the_text_part_of_a_wrapper_is_its_decoder(family: str, tmp_path: Path) -> None:
    ids = {"vocab_size": 360, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    text = architectures.fields(family) | ids
    if family == "gemma4":
        text |= {"vocab_size_per_layer_input": 360}
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "head_dim": 8}
        vision |= {"num_attention_heads": 2, "num_key_value_heads": 2}
        config: Any = transformers.Gemma4Config(text_config=text, vision_config=vision, audio_config=None)
        model = saved(config, tmp_path, "Gemma4ForConditionalGeneration")
    else:
        vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "patch_size": 4}
        config = transformers.Qwen3_5Config(
            text_config=text, vision_config=vision | {"out_hidden_size": D_MODEL}
        )
        model = saved(config, tmp_path, "Qwen3_5ForConditionalGeneration")
    assert any(name.startswith("model.language_model.") for name in load_file(tmp_path / "model.safetensors"))
    (found,) = Extractor(tmp_path, [0, 3]).extract([IDS], [range(len(IDS))])
    for at, layer in enumerate((0, 3)):
        np.testing.assert_allclose(found[:, at], hooked(model, layer), rtol=1e-4, atol=1e-4)
    logits = load_causal_lm(tmp_path, **CPU)(input_ids=torch.tensor([IDS])).logits
    torch.testing.assert_close(logits, model(input_ids=torch.tensor([IDS])).logits, rtol=1e-4, atol=1e-4)


def test_what_lacks_a_list_of_blocks_is_refused_before_its_weights(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertConfig(**small).save_pretrained(tmp_path)
    for load in (load_causal_lm, lambda path, **kw: load_backbone(path, layers=1, final_norm=False, **kw)):
        with pytest.raises(CheckpointError, match="bert: no list of 2 decoder blocks in BertModel"):
            load(tmp_path, **CPU)


def test_hidden_states_that_are_not_what_a_block_gives_are_refused(tmp_path: Path) -> None:
    saved(transformers.MambaConfig(**MAMBA), tmp_path)
    with pytest.raises(
        CheckpointError, match=r"mamba: hidden_states\[2\] is not what block 1 gives"
    ) as error:
        Extractor(tmp_path, [1])
    assert "\n" not in str(error.value)


def test_a_stack_that_looks_ahead_is_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    directory = Path(shutil.copytree(checkpoint("gemma3"), tmp_path / "both-ways"))
    config = load_config(directory)
    config.use_bidirectional_attention = True
    config.save_pretrained(directory)
    with pytest.raises(CheckpointError, match="tokens to the right change those to the left"):
        Extractor(directory, [1])


@pytest.mark.parametrize(("family", "alike"), [("gemma4", False), ("nemotron_h", True), ("gpt2", True)])
def test_a_cut_configuration_is_compared_with_the_whole(
    family: str, alike: bool, checkpoint: Callable[[str], Path]
) -> None:
    config = load_config(checkpoint(family))
    assert cuts_alike(config, cut_config(config, 3, "here")) is alike


def test_blocks_above_need_not_be_there_where_the_whole_is_loaded(
    checkpoint: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(checkpoint("gemma4"), tmp_path / "cut"))
    file = directory / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if not name.startswith("model.layers.4.")}
    save_file(kept, file, metadata={"format": "pt"})
    whole, cut = (Extractor(one, [2]).extract([IDS], [[5]])[0] for one in (checkpoint("gemma4"), directory))
    np.testing.assert_array_equal(whole, cut)
    with pytest.raises(CheckpointError, match=r"missing, the first is layers\.4\."):
        Extractor(directory, [5])


def test_slots_without_what_a_family_does_to_its_logits_are_not_taken(
    nla: Callable[[str], NlaDirs], tmp_path: Path
) -> None:
    av = Path(shutil.copytree(nla("qwen2")[1], tmp_path / "av"))
    fields = GRANITE | {"vocab_size": len(tiny_tokenizer("qwen2"))}
    saved(transformers.GraniteConfig(**fields), av)
    assert TransformersVerbalizer(av, layout=SlotLayout(4)).kind == "plain"
