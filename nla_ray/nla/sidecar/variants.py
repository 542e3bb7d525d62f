"""Words of other trainers for an injection that overwrites no embedding: refused, never guessed."""

from __future__ import annotations

from nla_ray.config.models.injection import WORDS
from nla_ray.nla.sidecar.fields import Fields

# No published format has one field for it, so every spelling of "how is it injected" is looked at.
_INJECTION_GROUPS = ("", "extraction", "training", "injection", "extraction.injection")
_VARIANT_WORDS = ("mode", "method", "type", "kind", "variant")
_VARIANT_KEYS = tuple(
    f"{stem}{word}" for stem in ("inject", "injection") for word in ("", *(f"_{w}" for w in _VARIANT_WORDS))
)
_REPLACING = ("replace", "replacement", "overwrite", "embedding_replace", "embedding_replacement")


def refuse_variants(fields: Fields) -> None:
    """Raise CheckpointError for words of others that tell of an injection that is no replacement."""
    for group in _INJECTION_GROUPS:
        for key, value in fields.group(group).items():
            if _is_other_injection(group, str(key).lower(), value):
                raise fields.refuse(
                    f"{group}.{key}".lstrip("."),
                    "this is not the replacement of the marker's embedding, and does not tell the place: say "
                    f"what its publisher states as models.injection, {WORDS}, and prove it (check --prove)",
                )


def _is_other_injection(group: str, key: str, value: object) -> bool:
    """Whether this entry states an injection that is not the overwriting of one embedding."""
    if "karvonen" in key or "additive" in key:
        return bool(value)
    names = _VARIANT_WORDS if group.endswith("injection") else _VARIANT_KEYS
    if key not in names or value is None or isinstance(value, dict):
        return False
    return not isinstance(value, str) or value.strip().lower().replace("-", "_") not in _REPLACING
