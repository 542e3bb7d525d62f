"""nla-at-home: pairs of one or of every layer, told the depth in their prompt, which begins the answer."""

from __future__ import annotations

from typing import Any

from nla_ray.nla.sidecar.dialects.seen import Seen

PLACE = "{depth_pct}"
TRANSFORMS = {"mean_subtract": "mean-subtracted", "pca_whiten": "whitened"}


def translate(seen: Seen) -> dict[str, Any]:
    """K is what was asked for, and the prompt holds the bucket of depth next to it.

    Raises CheckpointError where no layer is said, and for vectors that were centred or whitened by pickled
    statistics.
    """
    meta, training = dict(seen.meta or {}), seen.group("training")
    for key, word in TRANSFORMS.items():
        if training.get(key):
            raise seen.refuse(
                f"training.{key}",
                f"it reads {word} vectors, and their statistics are pickles: not an NLA of raw vectors",
            )
    # Its word for what `extraction.norm` says too; any other is refused by name where variants are.
    if training.get("injection_mode") == "normalize":
        del training["injection_mode"]
    meta |= {"training": training}
    if "variant" in meta:
        templates = {name: _at_depth(seen, text) for name, text in seen.group("prompt_templates").items()}
        meta |= {"prompt_templates": templates, "extraction_layer_index": _layer(seen)}
    if training.get("chat_template") is not True and seen.said("role") == "av":
        meta["pair"] = {"chat": False, "special_tokens": False} | seen.group("pair")
    return meta


def is_ours(seen: Seen) -> bool:
    """Whether the words of a pair of one layer are its trainer's: no other one says `normalize`."""
    training = seen.group("training")
    return bool(training.get("corpus") == "nla-at-home" or training.get("injection_mode") == "normalize")


def bucket(layer: int, blocks: int, buckets: list[int]) -> int:
    """The depth in percent that stands in the prompt, as its trainer chose it."""
    return min(buckets, key=lambda one: abs(one - layer * 100 / blocks))


def _layer(seen: Seen) -> int:
    layer, blocks = seen.facts.layer, seen.said("n_layers")
    if not isinstance(blocks, int) or isinstance(blocks, bool) or blocks < 1:
        raise seen.refuse("n_layers", "the number of blocks of its target was expected")
    if layer is None:
        raise seen.refuse(
            "variant", f"it reads every block, 0..{blocks - 1}: say which one as models.pair.layer"
        )
    if layer >= blocks:
        raise seen.refuse("n_layers", f"its target has blocks 0..{blocks - 1}, and {layer} was asked for")
    return layer


def _at_depth(seen: Seen, template: Any) -> Any:
    if not isinstance(template, str) or PLACE not in template:
        return template
    buckets = seen.said("depth_percentages")
    if not isinstance(buckets, list) or not buckets or not all(type(one) is int for one in buckets):
        raise seen.refuse("depth_percentages", "a list of percentages was expected")
    return template.replace(PLACE, str(bucket(_layer(seen), seen.said("n_layers"), buckets)))
