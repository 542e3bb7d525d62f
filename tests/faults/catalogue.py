"""The list of faults that `make faults` injects."""

from __future__ import annotations

import signal

from tests.faults.kinds import (
    PASSING_FAULT,
    Fault,
    harmful,
    killed_at_request,
    killed_some_time,
    of_storage,
    outage,
    two_drivers,
    workers_killed,
)

KILLED = frozenset({-signal.SIGKILL, 0})
TOLD = frozenset({PASSING_FAULT, 0})

PROCESSES = [
    Fault("driver killed at a request", killed_at_request(), KILLED),
    Fault("driver killed while it commits", killed_at_request(committing=True), KILLED),
    Fault("driver killed, tables in a folder", killed_some_time(), KILLED, place="folder"),
    Fault("driver killed, continuation", killed_at_request(), KILLED, variant="continuation"),
    *(
        Fault(f"driver gets {one.name}", killed_at_request(number=one), frozenset({128 + one, 0, PASSING_FAULT}))
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    ),
    Fault("two drivers at once", two_drivers, KILLED),
    Fault("two drivers at once, in a folder", two_drivers, KILLED, place="folder"),
    Fault("driver killed, on Ray", killed_some_time(), KILLED, variant="ray"),
    Fault("actors killed, on Ray", workers_killed, frozenset({0}), variant="ray"),
    Fault("actors of any stage killed, pools", workers_killed, frozenset({0}), variant="pools"),
]

STORAGE = [
    Fault(f"{fault} from the {name}, now and then", of_storage(fault, where), TOLD)
    for name, where in (("corpus", "corpus.jsonl"), ("tables", "/tables/"))
    for fault in ("InternalError", "SlowDown", "silent", "reset", "lost", "cut", "short", "flip")
] + [
    Fault(f"{fault} from request n on", outage(fault, "", commands), TOLD)
    for fault, commands in (
        ("ExpiredToken", ("GET", "PUT", "HEAD")),
        ("RequestTimeTooSkewed", ("GET", "PUT", "HEAD")),
        ("AccessDenied", ("PUT",)),
        ("SlowDown", ("GET", "PUT", "HEAD")),
    )
]

BAD = "world-9100-3"
INPUTS = [
    Fault("a document that raises", harmful("raise", BAD), frozenset({6}), poisoned=(BAD,)),
    Fault("a document that asks for too much memory", harmful("memory", BAD), frozenset({6}), poisoned=(BAD,)),
    Fault("a document that raises once", harmful("raise", BAD, once=True), frozenset({0})),
    Fault("a document that kills its process, on Ray", harmful("kill", BAD), frozenset({6}),
          variant="ray", poisoned=(BAD,)),
    Fault("a worker that is killed once, on Ray", harmful("kill", BAD, once=True), frozenset({0}), variant="ray"),
]  # fmt: skip

FAULTS = [*PROCESSES, *STORAGE, *INPUTS]
