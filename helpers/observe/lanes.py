"""What is known of one process, in seconds since its run began."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Bar:
    """A stretch of time in a process; `end` is None while it runs, also when its process died in the middle."""

    kind: str  # "task" of a pool, traced "function", "wait"
    name: str  # the function, or what is waited for
    start: float
    end: float | None
    job: int | None = None  # a task's place in its program's calls: job, chunk, place in the chunk
    index: int | None = None
    position: int | None = None
    error: str = ""  # "ValueError: …" when it raised
    thread: int = 0  # threads of a process are numbered as they appear

    @property
    def place(self) -> tuple[int, int, int]:
        """Where a task stands in its program's calls."""
        return (self.job or 0, self.index or 0, self.position or 0)


@dataclass(slots=True)
class Line:
    """One line that a process printed, without its line end."""

    start: float
    stream: str  # "stdout" or "stderr"
    text: str


@dataclass
class Lane:
    """One process; `path` is its place among its parent's children: () is the parent, (0, 2) the third child of its first."""

    path: tuple[int, ...]
    name: str = ""
    pid: int = 0
    kind: str = "process"  # one of `events.LANE_KINDS`
    start: float = 0.0  # when its parent asked for it
    ready: float | None = None  # when its own code began
    end: float | None = None
    exitcode: int | None = None  # as its parent saw it; negative: the signal that ended it
    error: str = ""  # the exception that ended it
    bars: list[Bar] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
