"""The first blocks of a target in memory, for it alone or for several adapters of one base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nla_ray.nla.model.adapters.view import bottom_of
from nla_ray.nla.model.backbone import adapters_of, load_backbone

if TYPE_CHECKING:
    from nla_ray.nla.model.adapters.merge import Adapter


class Held:
    """A model of one directory, its adapters merged; once it is shared, the base alone."""

    def __init__(
        self,
        directory: Path,
        layers: int,
        dtype: torch.dtype,
        device: torch.device,
        trust_remote_code: bool,
    ) -> None:
        """Loads blocks 0..layers-1. Raises CheckpointError as `load_backbone` does."""
        self._directory, self._layers, self._trust = directory, layers, trust_remote_code
        self._dtype, self._device = dtype, device
        self.model = self._load(directory)

    def shared(self) -> tuple[Adapter, ...]:
        """Hold the base without adapters from now on; what comes back are those of the own directory.

        Weights that a merge has changed are read once more: taking it off again would leave its rounding.
        """
        base = bottom_of(self._directory)
        if base != self._directory:
            del self.model
            self.model = self._load(base)
        return self.adapters_of(self._directory)

    def adapters_of(self, directory: Path) -> tuple[Adapter, ...]:
        """The adapters of a directory whose base is held, without any change of the base."""
        return tuple(adapters_of(directory, self.model, trust_remote_code=self._trust))

    def _load(self, directory: Path) -> Any:
        return load_backbone(
            directory,
            layers=self._layers,
            final_norm=False,
            dtype=self._dtype,
            device=self._device,
            trust_remote_code=self._trust,
        )


@dataclass(frozen=True)
class Lent:
    """The first blocks of a model that another holds, and runs whole."""

    model: Any


@contextmanager
def over_base(model: Any, adapters: Sequence[Adapter] | None) -> Iterator[None]:
    """Within, a base runs as if adapters were merged into it; without adapters it runs as it is."""
    if not adapters:
        yield
        return
    from nla_ray.nla.model.adapters.over import merged_while_run

    with merged_while_run(model, adapters):
        yield
