"""The error tree: every mistake a user can make, in one line, with an exit code."""

from __future__ import annotations


class NlaError(Exception):
    """Base of all errors that nla_ray raises on purpose.

    The message is one line: what happened, where, what was allowed, and the way out.
    Entry points print it without a traceback and leave with `exit_code`.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
    """Nothing is there; the way out that the message names is a corpus's."""


class UnreachableError(InputError):
    """A store, a network or a disk failed: it says nothing of the input, which may be read another time."""

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

    exit_code = 9


class TrainingError(NlaError):
    """Training went wrong by itself: a guard tripped, a loss is not finite."""

    exit_code = 1
