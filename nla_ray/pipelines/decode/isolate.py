"""Units that no worker could make: tried again, then halved until the documents at fault are known."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from nla_ray.errors import EngineError
from nla_ray.stages.units.work import Done, Failed, Result, Task

Stream = Callable[[Sequence[Task]], Iterator[Result]]

Failures = dict[str, tuple[Task, str]]
"""Units by id that could not be made, each with the reason."""

DIED = "its worker died twice (killed, out of memory, or a fault in a library)"

PATIENCE = 3
"""Errors that would end the run (a store that does not answer) and may pass, before they do end it."""


def isolate(
    tasks: Sequence[Task], stream: Stream, *, allowed: float, alone: bool
) -> Generator[Done, None, None]:
    """Make units that failed, leaving out the documents at fault; all of them come back done.

    Every unit is tried once more first. `allowed` documents may be left out; once that is passed, what still
    fails is left out as it stands, for the run has failed and halving would only cost time. `alone`: this
    attempt made no other unit. Raises EngineError where workers, not documents, are at fault.
    """
    failed = yield from retry(tasks, stream)
    if not failed:
        return
    suspects = [task for task, _ in failed.values()]
    left_out, sound = find_documents(suspects, stream, allowed=allowed)
    if alone and not sound and sum(map(len, left_out.values())) > allowed:
        raise EngineError(
            f"no worker can make any document of {len(suspects)} units: {next(iter(failed.values()))[1]}; "
            "what is written stays: mend the workers and run the same command again"
        )
    final = [replace(task, skip=left_out.get(task.unit_id, {})) for task in suspects]
    still = yield from retry(final, stream)
    for task, why in still.values():
        if not task.skip:
            raise EngineError(
                f"unit {task.unit_id} fails as a whole, but each half of it can be made: {why}; lower "
                f"corpus.unit_documents ({task.documents} are too many at once) or engine.slots"
            )
    again = [replace(task, skip=whole(task, why)) for task, why in still.values()]
    hopeless = yield from retry(again, stream)
    if hopeless:
        task, reason = next(iter(hopeless.values()))
        raise EngineError(f"unit {task.unit_id} fails even with its documents left out: {reason}")


def retry(tasks: Sequence[Task], stream: Stream, *, patience: int = 0) -> Generator[Done, None, Failures]:
    """Yield the units that are made; returns the others by id, each with the reason.

    An error that ends the run does so once there were more than `patience` of them.
    """
    failed = {task.unit_id: (task, DIED) for task in tasks}
    for result in stream(tasks):
        if isinstance(result, Failed):
            patience -= result.fatal is not None
            if patience < 0:
                raise_fatal(result)
            failed[result.task.unit_id] = (result.task, result.reason)
        else:
            failed.pop(result.task.unit_id, None)
            yield result
    return failed


def find_documents(
    tasks: Sequence[Task], stream: Stream, *, allowed: float
) -> tuple[dict[str, dict[int, str]], bool]:
    """The documents at fault by unit, each with the reason: halves that fail are halved again.

    The second value says whether any half could be made.
    """
    found: dict[str, dict[int, str]] = {}
    sound = False
    suspects = [half for task in tasks for half in halves(task, range(task.documents))]
    while suspects:
        reasons = {(trial.unit_id, trial.only): DIED for trial in suspects}
        for result in stream(suspects):
            key = (result.task.unit_id, result.task.only)
            if isinstance(result, Failed):
                raise_fatal(result)
                reasons[key] = result.reason
            else:
                reasons.pop(key, None)
                sound = True
        failed = [trial for trial in suspects if (trial.unit_id, trial.only) in reasons]
        suspects = []
        for trial in failed:
            only = sorted(trial.only or ())
            if len(only) == 1 or sum(map(len, found.values())) > allowed:
                why = reasons[trial.unit_id, trial.only]
                found.setdefault(trial.unit_id, {}).update(dict.fromkeys(only, why))
            else:
                suspects += halves(trial, only)
    return found, sound


def halves(task: Task, documents: Sequence[int]) -> list[Task]:
    """Trials of the two halves of some documents of a unit."""
    middle = len(documents) // 2
    return [task.trial(half) for half in (documents[:middle], documents[middle:]) if half]


def whole(task: Task, reason: str) -> dict[int, str]:
    """All documents of a unit, left out."""
    return dict.fromkeys(range(task.documents), f"the unit fails as a whole: {reason}")


def raise_fatal(failed: Failed) -> None:
    """Raise the error of a failure that ends the run."""
    if failed.fatal is not None:
        raise failed.fatal
