"""Tables as earlier versions left them: a manifest of version 1, which lists its files itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nla_ray.store import open_store
from nla_ray.store.runs.layout import QUARANTINE, commit_key, list_key, table_of_key
from nla_ray.store.runs.manifest import files_of, get_manifest
from tests.store.tampering import replace


def make_old(place: str, run_id: str, previous: Mapping[str, str] | None = None) -> None:
    """Put a manifest of version 1 in the place of a run's manifest and list."""
    store = open_store(place)
    stored = get_manifest(store, run_id)
    assert stored is not None and stored.manifest.files_sha256 is not None
    files = defaultdict[str, list[dict[str, Any]]](list)
    for file in files_of(store, stored.manifest).records():
        values = asdict(file)
        del values["beside"]
        files[table_of_key(file.key)].append(values)
    head = json.loads(store.get(commit_key(run_id)))
    names = ("run_id", "table", "plan_sha256", "units", "rows", "quarantined", "record")
    old = {name: head[name] for name in names} | {
        "version": 1,
        "files": files[head["table"]],
        "quarantine": files[QUARANTINE],
        "sides": {side: files[side] for side in head["sides"]},
        "previous": head["previous"] if previous is None else dict(previous),
    }
    replace(place, commit_key(run_id), json.dumps(old, sort_keys=True, separators=(",", ":")).encode())
    replace(place, list_key(run_id, stored.manifest.files_sha256), None)
