"""Which model an adapter was trained over, as its own files tell it: only ever a name on the hub."""

from __future__ import annotations

import re
from pathlib import Path

from nla_ray.config.models.reference import ModelRef, local_path
from nla_ray.errors import CheckpointError
from nla_ray.nla.model.adapters.contents import CONFIG_NAME, sidecar_of
from nla_ray.nla.model.adapters.files import read_config
from nla_ray.nla.sidecar.fields import Fields, load_mapping

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_WAY_OUT = "say it yourself: ADAPTER on BASE"


def said_base(directory: Path) -> ModelRef:
    """The base that an adapter's sidecar names, else its configuration (which may hold a trainer's path).

    Raises CheckpointError where neither names a model of the hub, and where they name different ones: what an
    adapter of a second training sits on, the merged first one or the raw model, is told by nothing else.
    """
    config = read_config(directory)
    trained_over, of_sidecar = config.get("base_model_name_or_path"), _of_sidecar(directory)
    said = trained_over if isinstance(trained_over, str) and trained_over.strip() else None
    if said and of_sidecar and _last(said) != _last(of_sidecar):
        raise CheckpointError(
            f"{directory}: its sidecar names {of_sidecar!r} and its {CONFIG_NAME} {said!r} as its base, and "
            f"on another base it is another model; {_WAY_OUT}"
        )
    name = of_sidecar or said
    if name is None:
        raise CheckpointError(
            f"{directory}: an adapter, whose files do not name the model that it was trained over; {_WAY_OUT}"
        )
    if not _HUB_ID.fullmatch(name) or local_path(name) is not None:
        raise CheckpointError(
            f"{directory}: an adapter over {name!r}, by its own files; of them only a hub id (owner/name) is "
            f"followed, never a path; {_WAY_OUT}"
        )
    revision = config.get("revision") if name == said else None
    return ModelRef(path=name, revision=revision if isinstance(revision, str) and revision else None)


def _of_sidecar(directory: Path) -> str | None:
    file = sidecar_of(directory)
    if file is None:
        return None
    fields = Fields(file, load_mapping(file))
    name = fields.first(("extraction.base_model", "base_model"))
    return None if name is None else fields.text(name)


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()
