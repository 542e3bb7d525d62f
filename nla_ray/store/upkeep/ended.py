"""Runs that ended without their rows: abandoned before a commit, or retired, their files removed after it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationError

from nla_ray.errors import DamagedTablesError, InputError, NoFileError
from nla_ray.store.places.objects import Store
from nla_ray.store.record import Record
from nla_ray.store.runs.layout import (
    ABANDONED,
    COMMITS,
    NAME,
    RETIRED,
    commit_key,
    is_state,
    plan_key,
    run_of,
)

VERSION: Literal[1] = 1
State = Literal["abandoned", "retired"]
_FOLDERS: dict[State, str] = {"abandoned": ABANDONED, "retired": RETIRED}


class Ending(Record):
    """How a run ended and why. It is written once and stays, so that the run's id is not used again."""

    version: Literal[1] = VERSION
    run_id: Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
    state: State
    because: str
    at: str
    """UTC, ISO 8601."""
    sha256: str
    """Digest of the plan of an abandoned run, of the manifest of a retired one."""


def ended_runs(store: Store) -> dict[str, State]:
    """How each run ended that did so without its rows. A run that was committed was not abandoned."""
    retired = map(run_of, filter(is_state, store.keys(RETIRED)))
    given_up = {run_of(key) for key in store.keys(ABANDONED) if is_state(key)}
    if given_up:
        given_up -= {run_of(key) for key in store.keys(COMMITS)}
    states: dict[str, State] = dict.fromkeys(given_up, "abandoned")
    return states | dict.fromkeys(retired, "retired")


def ending_of(store: Store, run_id: str, state: State) -> Ending | None:
    """How a run ended. Raises InputError where that cannot be read."""
    key = _key(run_id, state)
    try:
        return Ending.model_validate_json(store.get(key))
    except FileNotFoundError:
        return None
    except ValidationError:
        raise DamagedTablesError(f"{store.url}/{key}: corrupt; restore it from a backup") from None


def next_id(store: Store, run_id: str) -> str:
    """The id to begin a run under: its own, and a number where that one was abandoned or retired."""
    ended, name, number = ended_runs(store), run_id, 1
    while name in ended:
        number += 1
        name = f"{run_id}.{number}"
    return name


def require_open(store: Store, run_id: str) -> None:
    """Raise InputError where a run was abandoned or retired: whoever works on it still must stop.

    A run that was committed was not abandoned, as in `ended_runs`.
    """
    for state in _FOLDERS:
        ending = ending_of(store, run_id, state)
        if ending is not None and not (state == "abandoned" and store.entries(commit_key(run_id))):
            raise InputError(
                f"{store.url}: run {run_id} was {state} at {ending.at} ({ending.because}); run the same "
                "command again to begin it anew"
            )


def abandon(store: Store, run_id: str, because: str = "") -> Ending:
    """Give up a run that is not committed: it is in nobody's way, what is written of it is for `collect`.

    A run that was abandoned before stays so, for the reason that was given then. Raises NoFileError where
    there is no such run, InputError where it is committed.
    """
    try:
        plan = store.get(plan_key(run_id))
    except FileNotFoundError:
        raise NoFileError(
            f"{store.url}: has no plan of run {run_id}; `nla-ray verify` names the runs"
        ) from None
    _refuse_committed(store, run_id)
    _, made = _put(store, "abandoned", run_id, because or "no reason was given", plan)
    _refuse_committed(store, run_id)
    return made


def retire(store: Store, run_id: str, because: str) -> bool:
    """Say that a committed run's files are to be removed: nobody reads it any more. Its manifest stays.

    False where somebody said so before. Raises InputError where it is not committed.
    """
    try:
        manifest = store.get(commit_key(run_id))
    except FileNotFoundError:
        raise InputError(f"{store.url}: run {run_id} is not committed, so it cannot be retired") from None
    return _put(store, "retired", run_id, because, manifest)[0]


def take_back(store: Store, run_id: str) -> None:
    """Take back that a run is retired, before any of its files was removed."""
    store.remove(_key(run_id, "retired"))


def _put(store: Store, state: State, run_id: str, because: str, of: bytes) -> tuple[bool, Ending]:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    ending = Ending(run_id=run_id, state=state, because=because, at=at, sha256=hashlib.sha256(of).hexdigest())
    if store.put_new(_key(run_id, state), ending.canonical().encode()):
        return True, ending
    return False, ending_of(store, run_id, state) or ending


def _refuse_committed(store: Store, run_id: str) -> None:
    if store.entries(commit_key(run_id)):
        raise InputError(
            f"{store.url}: run {run_id} is committed, so it cannot be abandoned; it stays readable"
        )


def _key(run_id: str, state: State) -> str:
    return f"{_FOLDERS[state]}{run_id}.json"
