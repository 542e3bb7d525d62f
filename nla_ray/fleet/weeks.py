"""ISO weeks: which one ended yesterday, and what is the name of one."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from nla_ray.errors import ConfigError


def week_of(moment: datetime) -> str:
    """The ISO week of the day before."""
    year, week, _ = (moment - timedelta(days=1)).isocalendar()
    return f"{year}-W{week:02}"


def is_week(text: str) -> bool:
    """Whether a text names an ISO week that there is."""
    try:
        return bool(re.fullmatch(r"\d{4}-W\d{2}", text) and date.fromisoformat(text))
    except ValueError:
        return False


def named_week(text: str | None) -> str:
    """The week that is named, else the one that ended yesterday (UTC). Raises ConfigError for no week."""
    if text is None:
        return week_of(datetime.now(UTC))
    if not is_week(text):
        raise ConfigError(f"--week: {text!r} is no ISO week; write it as 2026-W48")
    return text
