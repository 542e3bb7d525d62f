"""The list of faults that `make faults` injects."""

from __future__ import annotations

import signal

from tests.faults.inputs import BROKEN, EMPTY, broken, empty, endless
from tests.faults.kinds import (
    PASSING_FAULT,
    UNUSABLE,
    Fault,
    fed,
    harmful,
    killed_at_request,
    killed_some_time,
    of_storage,
    outage,
    two_drivers,
    workers_killed,
)
from tests.faults.machines import full_disk, raylet_killed, spilled, undisturbed_nodes

KILLED = frozenset({-signal.SIGKILL, 0})
TOLD = frozenset({PASSING_FAULT, 0})
REFUSED = TOLD | {UNUSABLE}

PROCESSES = [
    Fault("driver killed at a request", killed_at_request(), KILLED),
    Fault("driver killed while it commits", killed_at_request(committing=True), KILLED),
    Fault("driver killed, tables in a folder", killed_some_time(), KILLED, place="folder"),
    Fault("driver killed, continuation", killed_at_request(), KILLED, variant="continuation"),
    *(
        Fault(
            f"driver gets {one.name}", killed_at_request(number=one), frozenset({128 + one, 0, PASSING_FAULT})
        )
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
]
STORAGE += [
    Fault(f"{fault} from the models, now and then", of_storage(fault, "/models/"), TOLD, variant="models")
    for fault in ("InternalError", "SlowDown", "silent", "reset", "cut", "short", "flip")
]
STORAGE += [
    Fault(f"{fault} from request n on", outage(fault, "", commands), codes)
    for fault, commands, codes in (
        ("ExpiredToken", ("GET", "PUT", "HEAD"), TOLD),
        ("RequestTimeTooSkewed", ("GET", "PUT", "HEAD"), REFUSED),
        ("AccessDenied", ("PUT",), REFUSED),
        ("SlowDown", ("GET", "PUT", "HEAD"), TOLD),
    )
]

BAD = "world-9100-3"
INPUTS = [
    Fault("a document that raises", harmful("raise", BAD), frozenset({6}), poisoned=(BAD,)),
    Fault("a document that takes too much memory", harmful("memory", BAD), frozenset({6}), poisoned=(BAD,)),
    Fault("a document that raises once", harmful("raise", BAD, once=True), frozenset({0})),
    Fault("a document for which the kernel kills its worker", harmful("kill", BAD), frozenset({6}),
          variant="ray", poisoned=(BAD,)),
    Fault("a worker killed once, on Ray", harmful("kill", BAD, once=True), frozenset({0}), variant="ray"),
]  # fmt: skip

INPUTS += [
    Fault(
        "a document whose vectors are not finite", harmful("not finite", BAD), frozenset({0}), failed=(BAD,)
    ),
    Fault("lines that are no documents", fed(broken), frozenset({0}), others=len(BROKEN)),
    Fault("100k empty documents", fed(empty, "corpus.unit_documents=5000"), frozenset({0}), others=EMPTY),
    Fault("a document of a million tokens", fed(endless), frozenset({0}), others=0),
]

MACHINES = [
    Fault("nothing, on two nodes", undisturbed_nodes, frozenset({0}), variant="ray"),
    Fault("the raylet of a second node killed", raylet_killed, frozenset({0}), variant="ray"),
    Fault("object store spills, pools", spilled, frozenset({0}), variant="pools"),
    Fault("disk full", full_disk, frozenset({PASSING_FAULT}), place="folder"),
]

FAULTS = [*PROCESSES, *STORAGE, *INPUTS, *MACHINES]
