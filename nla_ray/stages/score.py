"""The third stage: every text is turned back into a vector and compared with the position's own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nla_ray.config.decode import DecodeConfig
from nla_ray.models import directory_of
from nla_ray.nla.model.ranks import spread
from nla_ray.nla.reconstruction.fidelity import cos
from nla_ray.nla.reconstruction.reconstructor import Reconstructor
from nla_ray.stages.controls import Mixer
from nla_ray.stages.device import device_of
from nla_ray.stages.rows import Score
from nla_ray.stages.stage import Stage
from nla_ray.stages.units.halves import in_halves
from nla_ray.stages.units.work import Work, places_of


class ScoreStage(Stage):
    """Fills in `scores`, one per answer: None without a text, a direction or a reconstructor."""

    name = "reconstruct"

    def __init__(self, config: DecodeConfig) -> None:
        self._config = config

    def setup(self) -> None:
        """Load the reconstructor, if there is one."""
        self._reconstructor: Reconstructor | None = None
        ar, engine = self._config.models.ar, self._config.engine
        if ar is not None:
            device, dtype = device_of(engine)
            self._reconstructor = spread(
                engine.ranks,
                Reconstructor,
                directory_of(ar),
                dtype=dtype,
                device=device,
                batch_tokens=engine.batch_tokens,
                facts=self._config.models.pair,
                trust_remote_code=ar.trust_remote_code,
            )

    def setup_beside(self, other: ScoreStage) -> None:
        """See Stage."""
        mine, others = self._config.models, other._config.models
        if (mine.ar, mine.pair, self._config.engine) == (others.ar, others.pair, other._config.engine):
            self._reconstructor = other._reconstructor
        else:
            self.setup()

    def __call__(self, work: Work) -> Work:
        """Equal texts are reconstructed once."""
        work.tally.saw_worker()
        texts = list(dict.fromkeys(answer.text for answer in work.said if answer.text))
        if self._reconstructor is None or not texts:
            work.scores = [None] * len(work.said)
            return work
        with work.tally.timed("reconstruct"):
            vectors: list[np.ndarray] = in_halves(self._reconstructor.reconstruct, texts)
            rebuilt = dict(zip(texts, vectors, strict=True))
            work.scores = [
                score_of(own, rebuilt[answer.text]) if answer.text else None
                for own, answer in zip(self._own_vectors(work), work.said, strict=True)
            ]
        work.tally.saw_worker()
        return work

    def _own_vectors(self, work: Work) -> Iterator[np.ndarray]:
        """For each answer the vector [d] of its own position, whatever was injected."""
        mixer = Mixer(places_of(work.readings), self._config.controls, self._config.seed)
        for planned in mixer.planned():
            if work.wanted(planned.place):
                yield from [work.vectors[planned.place.index]] * self._config.sampling.samples


def score_of(vector: np.ndarray, rebuilt: np.ndarray) -> Score | None:
    """Fidelity of one reconstruction [d]; None for a vector without a direction."""
    found = float(cos(vector, rebuilt))
    return None if np.isnan(found) else Score(found, 2.0 * (1.0 - found))
