"""The week that is meant: the one that ended, or the one that is named."""

from __future__ import annotations

from datetime import datetime

import pytest

from nla_ray.errors import ConfigError
from nla_ray.fleet.weeks import is_week, named_week, week_of


@pytest.mark.parametrize(
    ("monday", "week"),
    [("2026-11-30", "2026-W48"), ("2027-01-04", "2026-W53"), ("2025-12-29", "2025-W52")],
)
def test_a_monday_means_the_week_that_ended(monday: str, week: str) -> None:
    assert week_of(datetime.fromisoformat(f"{monday}T06:00:00+00:00")) == week
    assert is_week(week) and named_week(week) == week


def test_without_a_name_it_is_a_week_that_there_is() -> None:
    assert is_week(named_week(None))


@pytest.mark.parametrize("text", ["2026-W54", "2025-W53", "2026-W5", "2026-11-29", "W48", ""])
def test_what_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no ISO week; write it as 2026-W48"):
        named_week(text)
