"""Checkpoints of a stage on a folder or S3: complete or absent, written beside the training, the best kept.

A checkpoint is a folder of safetensors, one file per rank (torch.distributed.checkpoint), and beside it a
record that is written last. What has no record does not exist: it is overwritten by nothing and read by
nobody. No file is ever unpickled.
"""

from __future__ import annotations

import json
import math
import secrets
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.staging import BlockingAsyncStager
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from nla_ray.errors import InputError
from nla_ray.store.places.tree import Tree, full
from nla_ray.training.loop.learner import FVE, Metrics
from nla_ray.training.saved.records import Record, records
from nla_ray.training.world import World


class Checkpoints:
    """The checkpoints of one stage below `tree`/`prefix`; all ranks call its methods, in the same order."""

    def __init__(self, tree: Tree, prefix: str, world: World, keep: int) -> None:
        self._tree, self._prefix, self._world, self._keep = tree, prefix, world, keep
        self._group = distributed.new_group(backend="gloo") if world.size > 1 else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        if world.first:
            self._clear()

    def records(self) -> list[Record]:
        """The complete ones, oldest first."""
        return records(self._tree, self._prefix)

    def best(self) -> Record | None:
        """The one with the highest `fve_nrm`; the newest where none was measured. The first rank decides."""
        return self._agreed(lambda: max(self.records(), key=_worth, default=None))

    def newest(self) -> Record | None:
        """The one to go on from. The first rank decides."""
        return self._agreed(lambda: next(reversed(self.records()), None))

    def save(self, step: int, state: dict[str, Any], held_out: Metrics) -> None:
        """Save `state` (Stateful objects) as it is now; it is written while training goes on.

        Waits for the one before. Raises InputError where that could not be written, and where the tree has
        another owner; older ones stay usable.
        """
        self.wait()
        if self._world.first:
            self._tree.require_owner()
        record = Record(step, f"step-{step:08d}-{self._attempt():06x}", held_out)
        local = self._local(record.folder)
        local.mkdir(parents=True, exist_ok=True)
        copied = BlockingAsyncStager().stage({name: part.state_dict() for name, part in state.items()})
        self._pending = self._thread.submit(self._write, copied, record, local)

    def wait(self) -> None:
        """Until the last checkpoint is complete.

        Raises InputError where it could not be written, and RuntimeError where another worker died meanwhile.
        """
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        try:
            pending.result()
        except (Exception, CheckpointException) as error:
            where, causes = f"{self._tree.url}: {self._prefix}", _causes(error)
            _require_workers(causes)
            said = next((text for one in causes if (text := full(where, one))), None)
            raise InputError(said or f"{where}: a checkpoint cannot be written: {causes[-1]}") from error

    def restore(self, record: Record, state: dict[str, Any]) -> None:
        """Load a checkpoint into `state`, whatever the number of workers that wrote it."""
        with tempfile.TemporaryDirectory(prefix="nla_ray-") as scratch:
            folder = self._tree.fetch(f"{self._prefix}/{record.folder}", Path(scratch))
            tensors = {name: part.state_dict() for name, part in state.items()}
            try:
                with _alone():
                    load(
                        tensors, storage_reader=HuggingFaceStorageReader(str(folder)),
                        process_group=self._group, no_dist=self._world.size == 1,
                    )  # fmt: skip
            except (Exception, CheckpointException) as error:
                causes = _causes(error)
                _require_workers(causes)
                raise InputError(
                    f"{self._tree.url}/{self._prefix}/{record.folder}: this checkpoint cannot be read: "
                    f"{causes[-1]}; remove it and its .json to go on from the one before"
                ) from error
            for name, part in state.items():
                part.load_state_dict(tensors[name])

    def close(self) -> None:
        """Wait for what is being written, and end the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _agreed(self, choose: Callable[[], Record | None]) -> Record | None:
        """The first rank's choice: another one may not see the newest record yet."""
        chosen = [choose() if self._world.first else None]
        if self._group is not None:
            distributed.broadcast_object_list(chosen, src=0, group=self._group)
        return chosen[0]

    def _attempt(self) -> int:
        """A number that all ranks agree on and that no attempt before had: shards of two must not mix."""
        drawn = secrets.randbelow(1 << 24) if self._world.first else 0
        return int(self._world.total(torch.tensor(drawn, device=self._world.device)))

    def _local(self, folder: str) -> Path:
        if self._tree.folder is not None:
            return self._tree.folder / self._prefix / folder
        return Path(tempfile.gettempdir(), f"nla_ray-{folder}-{self._world.rank}")

    def _write(self, copied: dict[str, Any], record: Record, local: Path) -> None:
        """In the thread: this rank's part; once all have theirs the record; then what is not kept goes."""
        written = torch.zeros(1)
        try:
            with _alone():
                save(
                    copied, storage_writer=HuggingFaceStorageWriter(str(local), save_distributed=True),
                    process_group=self._group, no_dist=self._world.size == 1,
                )  # fmt: skip
            self._tree.upload(local, f"{self._prefix}/{record.folder}")
            written += 1
        finally:
            if self._tree.folder is None:
                shutil.rmtree(local, ignore_errors=True)
            if self._group is not None:
                distributed.all_reduce(written, group=self._group)
        if written != self._world.size:
            raise InputError(f"{record.folder}: another worker could not write its part")
        if self._world.first:
            self._tree.write(f"{self._prefix}/{record.folder}.json", json.dumps(asdict(record)).encode())
            self._prune()

    def _clear(self) -> None:
        """Remove what an interrupted training left without a record."""
        complete = {record.folder for record in self.records()}
        for folder in self._tree.folders(self._prefix):
            if folder not in complete:
                self._tree.remove(f"{self._prefix}/{folder}")

    def _prune(self) -> None:
        records = self.records()
        best = max(records, key=_worth)
        for record in records[: -self._keep]:
            if record != best:
                self._tree.remove(f"{self._prefix}/{record.folder}.json")
                self._tree.remove(f"{self._prefix}/{record.folder}")


@contextmanager
def _alone() -> Iterator[None]:
    """A single process is meant, and needs no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def _worth(record: Record) -> tuple[float, int]:
    fve = record.held_out.get(FVE, math.nan)
    return (fve if math.isfinite(fve) else -math.inf, record.step)


def _require_workers(causes: list[BaseException]) -> None:
    """Raise RuntimeError where it is the connection to another worker that broke: that is nobody's mistake.

    Gloo's own errors have no type of their own.
    """
    lost = next((one for one in causes if isinstance(one, distributed.DistError) or "gloo" in str(one)), None)
    if lost is not None:
        raise RuntimeError(f"another worker died while a checkpoint was under way: {lost}") from lost


def _causes(error: BaseException | None) -> list[BaseException]:
    """The error and what it was made from; torch puts those of other ranks into a mapping."""
    found: list[BaseException] = []
    while error is not None:
        found.append(error)
        failures = getattr(error, "failures", {})
        found += [one[0] for one in failures.values()]
        error = error.__cause__ or error.__context__
    return found
