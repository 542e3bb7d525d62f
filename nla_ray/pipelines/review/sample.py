"""What there is to be judged of the runs that an audit names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nla_ray.audit.detect.judge import Judge
from nla_ray.audit.detect.others import Helpers, asking, check_helpers
from nla_ray.audit.review.draw import Item, draw, note_near_misses, sample_of
from nla_ray.config.audit import AuditConfig
from nla_ray.config.detectors.packs import Packs
from nla_ray.errors import ConfigError, InputError
from nla_ray.pipelines.audit.run import Doing, embedder_of, open_source, packs_of, search
from nla_ray.store import open_store
from nla_ray.store.places.objects import Store

EACH = 60
"""Hits of each detector that are drawn; some of them will be unclear, and 50 are needed."""


@dataclass(frozen=True)
class Review:
    """A drawn sample, and where its verdicts are kept."""

    review_id: str
    runs: tuple[str, ...]
    packs: Packs
    items: Mapping[str, Item]
    """By the id of the hit, in the order in which they are asked about."""
    store: Store

    @property
    def claims(self) -> dict[str, str]:
        """What each detector claims, by its id."""
        return {one.id: f"{one.title}: {one.description}" for one in self.packs.detectors}


def open_review(
    config: AuditConfig,
    detectors: Collection[str] = (),
    *,
    each: int = EACH,
    seed: int = 0,
    doing: Doing = lambda what: None,
) -> Review:
    """Search the runs that the audit names and draw the sample; nothing is written.

    `detectors` are those to ask about, all of the audit's without. Raises InputError where no detector has a
    row to ask about, and as `audit` does.
    """
    packs = packs_of(config)
    packs = packs.only(detectors) if detectors else packs
    if not packs.detectors:
        raise ConfigError("packs: hold no detector, so there is nothing to review; name others")
    helpers = Helpers(
        ask=asking(config.source.tables, config.source.runs or None),
        embed=embedder_of(config, packs),
        judge=None if config.judge is None else Judge(config.judge),
    )
    check_helpers(packs.detectors, helpers)
    doing("reading the tables")
    opened = open_source(config.source)
    doing("searching for hits and near misses")
    note_near_misses(opened.connection, packs, tuple(opened.runs), helpers)
    search(opened, packs, config, helpers)
    if helpers.judge is not None:
        helpers.judge.close()
    review_id = sample_of(opened.runs, seed)
    items = draw(opened.connection, packs.detectors, review_id, each)
    if not items:
        raise InputError(
            f"{config.source.tables}: none of {len(packs.detectors)} detectors has an explanation in scope; "
            "nothing can be reviewed"
        )
    store = open_store(config.results or config.source.tables)
    return Review(review_id, tuple(opened.runs), packs, {one.hit: one for one in items}, store)
