"""An adapter's part of the preflight: it fits its base by names, shapes and tokens; no weights are read."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoModelForCausalLM, PreTrainedConfig

from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.files import read_config
from nla_ray.nla.model.adapters.view import Layers, layers_of, views_on
from nla_ray.nla.model.backbone import check_adapters, load_config
from nla_ray.nla.prompt import load_tokenizer


def describe_adapters(directory: Path, config: PreTrainedConfig | None, trust_remote_code: bool) -> str:
    """What they were trained over by their own words, in one line.

    Raises CheckpointError where one of them does not fit its base.
    """
    config = config or load_config(directory, trust_remote_code=trust_remote_code)
    check_adapters(AutoModelForCausalLM, directory, config, trust_remote_code=trust_remote_code)
    said = []
    for view in views_on(directory):
        layers = layers_of(view)
        if layers is not None:
            _check_tokens(view, layers, trust_remote_code)
            over = read_config(layers.adapter).get("base_model_name_or_path")
            words = "its files do not tell what it was trained over"
            if over is not None:
                words = f"by its own words it was trained over {over!r}"
            said.append(f"{layers.adapter.name} fits; {words}")
    return "; ".join(said)


def _check_tokens(view: Path, layers: Layers, trust_remote_code: bool) -> None:
    """Raise CheckpointError where a token of the base has another id for the adapter: it has another base."""
    file = "tokenizer.json"
    if (view / file).exists() and (view / file).resolve() == (layers.base / file).resolve():
        return
    own, base = (
        load_tokenizer(one, trust_remote_code=trust_remote_code).get_vocab() for one in (view, layers.base)
    )
    other = [token for token, index in base.items() if own.get(token) != index]
    if other:
        raise CheckpointError(
            f"{layers.adapter}: its tokenizer is not its base's: {len(other)} of {len(base)} tokens have "
            f"other ids or none, the first is {other[0]!r}; name what it was trained over, ADAPTER on BASE"
        )
