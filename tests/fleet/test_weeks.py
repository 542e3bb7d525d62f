"""Names of ISO weeks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nla_ray.errors import ConfigError
from nla_ray.fleet.weeks import is_week, named_week, week_of


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ((2026, 11, 30), "2026-W48"),
        ((2026, 11, 29), "2026-W48"),
        ((2027, 1, 4), "2026-W53"),
        ((2024, 12, 31), "2025-W01"),
    ],
)
def test_the_week_is_the_one_of_yesterday(day: tuple[int, int, int], week: str) -> None:
    assert week_of(datetime(*day, tzinfo=UTC)) == week and is_week(week)


@pytest.mark.parametrize("text", ["2026-W54", "2026-W00", "2026-48", "2026-W48-1", "../2026-W48", ""])
def test_what_is_no_week_is_refused(text: str) -> None:
    assert not is_week(text)
    with pytest.raises(ConfigError, match="is no ISO week; write it as 2026-W48"):
        named_week(text)
