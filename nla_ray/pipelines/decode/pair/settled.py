"""What the table of known pairs adds to a configuration: it is written into the plan, for all workers."""

from __future__ import annotations

from pathlib import Path

from nla_ray.config.decode import Models
from nla_ray.config.pairs.facts import PairFacts
from nla_ray.nla.sidecar.known import facts_of, known_of
from nla_ray.nla.sidecar.read import read_sidecar, require_injection, with_layer

_OF_AR = ("ar_template", "ar_blocks", "ar_norm")


def settled_pair(models: Models, av: Path, ar: Path | None) -> Models:
    """The models with injection and facts as they will be used, where the table or the AR tells them.

    Raises CheckpointError where the two contradict what the verbalizer's files say.
    """
    known = known_of(av)
    facts = facts_of(known, models.pair)
    if ar is not None:
        others = facts_of(known_of(ar), None)
        facts = facts.over(PairFacts(**{name: getattr(others, name) for name in _OF_AR}))
    facts = with_layer(facts, av, ar) or facts
    injection = models.injection
    if known is not None and known.injection is not None:
        sidecar = read_sidecar(av, role="av", injection=injection, facts=facts)
        injection = str(require_injection(sidecar))
    return models.model_copy(update={"injection": injection, "pair": facts if facts.said() else None})
