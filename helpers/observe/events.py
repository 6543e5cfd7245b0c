"""The record that one event takes in the file of the process that writes it.

    field    bytes  meaning
    time     8      nanoseconds of `time.perf_counter_ns`, one clock for all processes of a machine
    detail   8      by kind, see below
    a, b, c  4 each by kind, see below
    name     2      index into the process's list of names
    kind     1      one of the constants below, written last: a record without it is not finished

    kind          name            detail            a             b              c
    BEGIN         process name                      pid           parent's pid
    READY         process name
    END           process name                      exit code
    STARTED       process name    time of asking    child's order child's pid    place in `LANE_KINDS`
    EXITED        process name                      child's order exit code
    SUBMITTED                     number of tasks   job
    SAID                          end in the file   descriptor
    RAISED        "Error: text"
    TASK          function        thread            job           chunk index    place in the chunk
    FUNCTION      function        thread
    WAIT          what for        thread
    TASK_END      "Error: text"   thread            end of words
    FUNCTION_END  "Error: text"   thread
    WAIT_END      "Error: text"   thread
"""

import struct
from typing import NamedTuple

RECORD = struct.Struct("<qqiiiHxB")

(
    BEGIN,
    READY,
    END,
    STARTED,
    EXITED,
    SUBMITTED,
    SAID,
    RAISED,
    TASK,
    TASK_END,
    FUNCTION,
    FUNCTION_END,
    WAIT,
    WAIT_END,
) = range(1, 15)

LANE_KINDS = ("process", "pool worker", "executor worker", "manager", "program", "fork", "parent")


class Event(NamedTuple):
    """One record, its name still an index."""

    time: int
    detail: int
    a: int
    b: int
    c: int
    name: int
    kind: int


def unpack(data: bytes) -> list[Event]:
    """Return the finished records of `data`, whose length is a multiple of the record's size."""
    return [event for event in map(Event._make, RECORD.iter_unpack(data)) if event.kind]
