"""The lanes of a run, read from the files of its processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from helpers.language import _, ngettext
from helpers.observe.lanes import Bar, Lane, Line
from helpers.observe.reading import ProcessRecord

__all__ = ["Bar", "Lane", "Line", "Reading", "Timeline"]

POOLED = ("pool worker", "executor worker")


@dataclass
class Timeline:
    """All lanes of a run, the parent first, then depth first in the order in which each parent started its children."""

    lanes: list[Lane] = field(default_factory=list)
    duration: float = 0.0  # seconds from zero to the last thing known
    submitted: int = 0
    done: int = 0
    problem: str = ""  # what could not be recorded

    def tasks(self) -> list[Bar]:
        """Return all tasks in the order of the program's calls."""
        found = [(lane.path[:-1], bar.place, bar) for lane in self.lanes for bar in lane.bars if bar.kind == "task"]
        return [task[2] for task in sorted(found, key=lambda task: task[:2])]

    def words(self) -> list[str]:
        """Return every line once, in an order that does not depend on chance: see `said`."""
        return [line.text for _lane, line in self.said()]

    def said(self) -> list[tuple[Lane, Line]]:
        """Return each line with the lane that said it.

        The parent's lines come first, then those of the processes as they were started; those of a pool's workers by task,
        since it is chance which worker runs which task.
        """
        ranked = []
        for lane in self.lanes:
            tasks = [bar for bar in lane.bars if bar.kind == "task"] if lane.kind in POOLED else []
            group = self._first_of_pool(lane) if lane.kind in POOLED else lane.path
            current = 0
            for number, line in enumerate(lane.lines):
                while current < len(tasks) and (tasks[current].end or line.start) < line.start:
                    current += 1
                during = current < len(tasks) and tasks[current].start <= line.start
                place = (1, *tasks[current].place) if during else (0, 0, 0, 0)
                ranked.append((group, place, () if during else lane.path, number, lane, line))
        ranked.sort(key=lambda each: each[:4])
        return [each[4:] for each in ranked]

    def _first_of_pool(self, lane: Lane) -> tuple[int, ...]:
        """Return the path of the first worker that the same parent started: all of them stand in its place."""
        return min(other.path for other in self.lanes if other.kind == lane.kind and other.path[:-1] == lane.path[:-1])

    def sentence(self) -> str:
        """Say what the picture shows, without anything that differs from run to run."""
        kinds = Counter(lane.kind for lane in self.lanes)
        parts = [text for kind in _KINDS if kinds[kind] for text in [_counted(kind, kinds[kind])]]
        if total := max(self.submitted, self.done):
            if self.done == total:
                parts.append(ngettext("{n} task", "{n} tasks", total).format(n=total))
            else:
                parts.append(
                    ngettext("{done} of {n} task done", "{done} of {n} tasks done", total).format(n=total, done=self.done)
                )
        return _("{list}.").format(list=", ".join(parts)) if parts else _("Nothing was recorded.")


_KINDS = ("parent", "process", "pool worker", "executor worker", "manager", "program", "fork")


def _counted(kind: str, n: int) -> str:
    texts = {
        "parent": ngettext("{n} parent", "{n} parents", n),
        "process": ngettext("{n} process", "{n} processes", n),
        "pool worker": ngettext("{n} pool worker", "{n} pool workers", n),
        "executor worker": ngettext("{n} executor worker", "{n} executor workers", n),
        "manager": ngettext("{n} manager", "{n} managers", n),
        "program": ngettext("{n} program", "{n} programs", n),
        "fork": ngettext("{n} forked process", "{n} forked processes", n),
    }
    return texts[kind].format(n=n)


class Reading:
    """Reads a run's folder again and again while it grows, each time only what is new."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._known: dict[str, ProcessRecord] = {}

    def update(self, *, ended: bool = False) -> Timeline:
        """Return what is known by now. With `ended` nothing more is awaited: what still runs was cut off."""
        for file in self.folder.glob("r*.names"):
            if (base := file.name.removesuffix(".names")) not in self._known:
                self._known[base] = ProcessRecord.of(self.folder / base)
        records = sorted(self._known.values(), key=lambda record: record.path)
        zero = None
        for record in records:
            record.read(zero, ended=ended)
            zero = zero or record.begin
            if zero is None:
                return Timeline()
        lanes: dict[tuple[int, ...], Lane] = {}
        for record in records:
            _tell(lanes, record, zero or 0)
        timeline = Timeline([lanes[path] for path in sorted(lanes)])
        timeline.duration = (max((record.last for record in records), default=0) - (zero or 0)) / 1e9
        timeline.submitted = sum(record.submitted for record in records)
        timeline.done = sum(record.done for record in records)
        timeline.problem = _unseen(timeline.lanes, records)
        if ended:
            for lane in timeline.lanes:
                lane.end = timeline.duration if lane.end is None else lane.end
        return timeline


def _tell(lanes: dict[tuple[int, ...], Lane], record: ProcessRecord, zero: int) -> None:
    """Add what one process wrote of itself, then what it wrote of its children."""

    def seconds(time: int | None) -> float | None:
        return None if time is None else (time - zero) / 1e9

    lane = lanes.setdefault(record.path, Lane(record.path, start=seconds(record.begin) or 0.0))
    lane.kind = lane.kind if record.path else "parent"
    lane.name, lane.pid, lane.error = record.process, record.pid, record.error
    lane.ready, lane.bars, lane.lines = seconds(record.ready), record.bars, record.lines
    lane.end = lane.end if record.end is None else seconds(record.end)
    for order, child in record.children.items():
        path = (*record.path, order)
        lanes[path] = Lane(path, child.name, child.pid, child.kind, exitcode=child.exitcode)
        lanes[path].start, lanes[path].end = (child.asked - zero) / 1e9, seconds(child.ended)


def _unseen(lanes: list[Lane], records: list[ProcessRecord]) -> str:
    """Say how many processes ran without a record of their own."""
    seen = {record.path for record in records}
    missing = sum(lane.path not in seen and lane.kind not in ("program", "fork") and lane.exitcode == 0 for lane in lanes)
    if not missing:
        return ""
    return ngettext("{n} process could not be recorded.", "{n} processes could not be recorded.", missing).format(n=missing)
