"""In what two runs differ, and what may therefore not be concluded from a change between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from nla_ray.audit.report.model import Run
from nla_ray.audit.report.rates import NOT_KNOWN, Difference
from nla_ray.pages.data import Reference

MAY = "whether it differs cannot be told"


def differences(before: Run, after: Run) -> tuple[Difference, ...]:
    """What differs, the most disturbing first; what is not known of a run, or of both, may differ too."""
    return tuple(_found(before, after))


def _found(before: Run, after: Run) -> Iterator[Difference]:
    for what, of, so in _ASKED:
        was, now = of(before), of(after)
        if NOT_KNOWN in (was, now):
            yield Difference(what=what, before=was, after=now, so=f"{MAY}; if it does, {so}")
        elif was != now:
            was, now = _where_unlike(was, now)
            yield Difference(what=what, before=was, after=now, so=so)


def _where_unlike(was: str, now: str) -> tuple[str, str]:
    """Of two configurations only what differs, by dotted names; other texts as they are."""
    if not (was.startswith("{") and now.startswith("{")):
        return was, now
    one, other = (dict(_flat(json.loads(text))) for text in (was, now))
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    first, second = (
        ", ".join(f"{name} {each.get(name, 'not set')}" for name in names) for each in (one, other)
    )
    return first, second


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, ensure_ascii=False)


def _model(of: Callable[[Run], Reference]) -> Callable[[Run], str]:
    def told(run: Run) -> str:
        found = of(run)
        mark = found.sha256 or found.commit
        return found.ref if mark is None else f"{found.ref} ({mark[:12]})"

    return told


def _config(*names: str) -> Callable[[Run], str]:
    """Some parts of a run's configuration, as JSON."""

    def told(run: Run) -> str:
        config: dict[str, Any] = json.loads(run.config or "{}")
        found = {name: config[name] for name in names if name in config}
        return json.dumps(found, sort_keys=True) if found else NOT_KNOWN

    return told


def _injection(run: Run) -> str:
    """How vectors were to enter the verbalizer; its files are told apart by their digest."""
    models: dict[str, Any] | None = json.loads(run.config or "{}").get("models")
    return NOT_KNOWN if models is None else str(models.get("injection") or "as its files say")


def _reading(run: Run) -> str:
    """How the corpus was read: its configuration without its paths."""
    config: dict[str, Any] = json.loads(run.config or "{}").get("corpus") or {}
    rest = {name: value for name, value in config.items() if name not in ("paths", "meta", "limit")}
    return json.dumps(rest, sort_keys=True) if rest else NOT_KNOWN


def _corpus(run: Run) -> str:
    return run.corpus if run.corpus_sha256 is None else f"{run.corpus} ({run.corpus_sha256[:12]})"


_ASKED: tuple[tuple[str, Callable[[Run], str], str], ...] = (
    ("layer", lambda run: NOT_KNOWN if run.layer is None else str(run.layer),
     "layers of one model say different things: nothing follows about the model"),
    ("verbalizer", _model(lambda run: run.av),
     "another verbalizer says other things of the same vector: nothing follows about the model"),
    ("injection", _injection,
     "vectors given otherwise are read otherwise: nothing follows about the model"),
    ("reconstructor", _model(lambda run: run.ar),
     "fidelity is measured otherwise, and with it what counts as evidence"),
    ("target", _model(lambda run: run.target),
     "a change may be one of how well the pair reads each target: fidelity must hold for both"),
    ("text and template", _reading,
     "the target read other text around the same content"),
    ("positions", _config("positions", "sample", "continuation"),
     "other positions were read: equal numbers of them are compared, not equal ones"),
    ("sampling", _config("sampling"),
     "other text is drawn from the same vectors: a change may be one of how"),
    ("seed", _config("seed"),
     "other positions are chosen and other text is drawn, by chance alone"),
    ("corpus", _corpus,
     "the documents are others: without strata a change may be one of what they are about"),
)  # fmt: skip
