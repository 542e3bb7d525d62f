"""How a command ends: the exit codes, and the tree of errors that a user can make, each in one line."""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from nla_ray.text import as_given, masked


class Exit(IntEnum):
    """The exit codes of every command and job, each with what it means."""

    means: str

    def __new__(cls, code: int, means: str = "") -> Self:
        one = int.__new__(cls, code)
        one._value_ = code
        one.means = means
        return one

    DONE = 0, "done, or finished before"
    CRASH = 1, "a fault of nla_ray itself, with a traceback; nothing else ends with it"
    UNUSABLE = (
        2,
        "something given is not usable: an option, a configuration, an input, a cluster",
    )
    NOT_REPORTABLE = 3, "a gate failed: the audit's numbers cannot be used"
    INSUFFICIENT = 4, "too little evidence to say anything"
    FINDINGS = 5, "findings that the policy fails on, or rates at its level that have risen"
    QUARANTINE = 6, "committed, with more rows in quarantine than allowed"
    MISSING = 7, "an input is not there: a corpus, a model, tables, a run, a configuration file"
    TRY_AGAIN = 8, "a passing fault of a store, a network, a disk or a cluster: the same command goes on"
    OVER_BUDGET = 9, "the budget is spent, or would be"
    NO = 10, "the command says no: a failed check, damaged tables, nothing explained, a guard of the training"
    EVERYWHERE = (
        11,
        "a property of nearly all documents, at a level that the policy fails on: not told from a habit",
    )
    HUNG_UP = 129, "stopped by SIGHUP; what is written stays"
    INTERRUPTED = 130, "stopped by SIGINT (Ctrl-C), or nobody read the output on; what is written stays"
    TERMINATED = 143, "stopped by SIGTERM; what is written stays"


class NlaError(Exception):
    """Base of all errors that nla_ray raises on purpose.

    The message is one line: what happened, where (by the name that was given), what was allowed, and the way
    out; secrets are masked.
    Entry points print it without a traceback and leave with `exit_code`.
    """

    exit_code = Exit.UNUSABLE

    def __init__(self, message: str) -> None:
        super().__init__(masked(as_given(" ".join(message.split()))))


class ConfigError(NlaError):
    """A configuration file, override or command-line value is not usable."""


class CheckpointError(NlaError):
    """A checkpoint, its sidecar or its tokenizer is not what it must be."""

    @classmethod
    def field(cls, file: object, field: str, found: object, remedy: str) -> CheckpointError:
        """Name the file, the field, what was found there and what to do."""
        return cls(f"{file}: {field}: found {found!r}; {remedy}")


class InputError(NlaError):
    """A corpus, a vector file or another input cannot be read as a whole (bad rows are rows, not errors)."""


class NoFileError(InputError):
    """Nothing is there, whatever kind of input was expected."""

    exit_code = Exit.MISSING


class DamagedTablesError(InputError):
    """Tables are not as they were written or committed: a file is missing, changed or no longer one."""

    exit_code = Exit.NO


class NoCheckpointError(CheckpointError, NoFileError):
    """A checkpoint is not there; one that lacks a part is a CheckpointError."""


class UnreachableError(InputError):
    """A store, a network, a disk or a cluster failed: the same command may succeed another time."""

    exit_code = Exit.TRY_AGAIN

    @classmethod
    def at(cls, where: object, what: object) -> UnreachableError:
        """Name the file or place and what it answered."""
        return cls(
            f"{where}: could not be read: {what}; mend that and run the same command again: it continues"
        )


class EngineError(NlaError):
    """A model runs but does not do what it must: an injection that does not arrive, a broken engine."""


class OverBudgetError(NlaError):
    """What is asked for costs more than was allowed."""

    exit_code = Exit.OVER_BUDGET


class TrainingError(NlaError):
    """Training went wrong by itself: a guard tripped, a loss is not finite."""

    exit_code = Exit.NO
