"""Reads the files of one process while it is still writing them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

from helpers.observe import events
from helpers.observe.lanes import Bar, Line

_STARTS = {events.TASK: "task", events.FUNCTION: "function", events.WAIT: "wait"}
_ENDS = {events.TASK_END: "task", events.FUNCTION_END: "function", events.WAIT_END: "wait"}


@dataclass
class Child:
    """What a parent tells of a child; times are nanoseconds."""

    name: str
    pid: int
    kind: str
    asked: int
    exitcode: int | None = None
    ended: int | None = None


@dataclass
class ProcessRecord:
    """Everything that one process has written so far; times are nanoseconds, but for the bars' and lines'."""

    base: Path
    path: tuple[int, ...]
    pid: int
    process: str = ""
    begin: int | None = None
    ready: int | None = None
    end: int | None = None
    error: str = ""
    submitted: int = 0
    done: int = 0
    events: int = 0
    last: int = 0
    bars: list[Bar] = field(default_factory=list)
    children: dict[int, Child] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    _words: bytes = b""
    _marks: list[tuple[int, int, str]] = field(default_factory=list)  # (end in the words, time, stream)
    _dated: tuple[int, int] = (0, 0)
    _names: list[str] = field(default_factory=list)
    _names_read: int = 0
    _threads: dict[int, int] = field(default_factory=dict)
    _open: dict[tuple[int, str], list[Bar]] = field(default_factory=dict)
    _segment: int = 0
    _offset: int = 0

    @classmethod
    def of(cls, base: Path) -> ProcessRecord:
        """Return the empty record of the process whose files begin with `base`, "<lane>-<pid>"."""
        lane, _, pid = base.name.rpartition("-")
        return cls(base, tuple(int(part) for part in lane.split(".")[1:]), int(pid))

    def read(self, zero: int | None, *, ended: bool) -> None:
        """Take in what is new; `zero` is the run's first moment, None if it is this process's.

        A record that is begun and not finished is awaited; when the run has `ended` it is passed over.
        """
        self._words += _rest(self._file("words"), len(self._words))
        size = events.RECORD.size
        while (data := _rest(self._file(f"{self._segment}.events"), self._offset, missing=None)) is not None:
            used = len(data.rstrip(b"\0")) + size - 1  # the kind is a record's last byte
            fresh = data[: used // size * size]
            self._read_names()
            for number, fields in enumerate(events.RECORD.iter_unpack(fresh)):
                event = events.Event._make(fields)
                if event.kind:
                    if zero is None:
                        zero = event.time
                    self._take(event, zero)
                elif not ended:
                    fresh = fresh[: number * size]
                    break
            self._offset += len(fresh)
            if not self._file(f"{self._segment + 1}.events").exists():
                break
            if not ended and len(fresh) < len(data) // size * size:
                break
            self._segment, self._offset = self._segment + 1, 0
        self._date_lines(zero or 0)

    def _file(self, ending: str) -> Path:
        return self.base.with_name(f"{self.base.name}.{ending}")

    def _read_names(self) -> None:
        data = _rest(self._file("names"), self._names_read)
        place = 0
        while place + 2 <= len(data):
            length = int.from_bytes(data[place : place + 2], "little")
            if place + 2 + length > len(data):
                break
            self._names.append(data[place + 2 : place + 2 + length].decode("utf-8", "replace"))
            place += 2 + length
        self._names_read += place

    def _name(self, index: int) -> str:
        return self._names[index] if index < len(self._names) else "…"

    def _take(self, event: events.Event, zero: int) -> None:
        self.events += 1
        self.last = max(self.last, event.time)
        kind = event.kind
        if kind in _STARTS:
            self._open_bar(_STARTS[kind], event, zero)
        elif kind in _ENDS:
            self._close_bar(_ENDS[kind], event, zero)
        elif kind == events.SAID:
            self._marks.append((event.detail, event.time, "stderr" if event.a == 2 else "stdout"))
        elif kind == events.SUBMITTED:
            self.submitted += event.detail
        elif kind == events.STARTED:
            self.children[event.a] = Child(self._name(event.name), event.b, events.LANE_KINDS[event.c], event.detail)
        elif kind == events.EXITED:
            if (child := self.children.get(event.a)) is not None:
                child.exitcode, child.ended = event.b, event.time
        elif kind == events.BEGIN:
            self.begin, self.process = event.time, self._name(event.name)
        elif kind == events.READY:
            self.ready = event.time
        elif kind == events.END:
            self.end = event.time
        elif kind == events.RAISED:
            self.error = self._name(event.name)

    def _open_bar(self, kind: str, event: events.Event, zero: int) -> None:
        thread = self._threads.setdefault(event.detail, len(self._threads))
        place = (event.a, event.b, event.c) if kind == "task" else (None, None, None)
        bar = Bar(kind, self._name(event.name), (event.time - zero) / 1e9, None, *place, thread=thread)
        self.bars.append(bar)
        self._open.setdefault((event.detail, kind), []).append(bar)

    def _close_bar(self, kind: str, event: events.Event, zero: int) -> None:
        if running := self._open.get((event.detail, kind)):
            bar = running.pop()
            bar.end, bar.error = (event.time - zero) / 1e9, self._name(event.name)
        if kind == "task":
            self.done += 1
            if event.a:  # words that no event told of, by `os.write` or a program, are the task's
                self._marks.append((event.a, event.time, "stdout"))

    def _date_lines(self, zero: int) -> None:
        """Date each line by the event that covers its last byte."""
        if self._dated == (state := (len(self._words), len(self._marks))):
            return
        self._dated, self.lines, place = state, [], 0
        ends = [mark[0] for mark in self._marks]
        for raw in self._words.splitlines(keepends=True):
            place += len(raw)
            covering = bisect_left(ends, place - raw.endswith(b"\n"))
            time, stream = self._marks[covering][1:] if covering < len(ends) else (self.end or self.last, "stdout")
            self.lines.append(Line((time - zero) / 1e9, stream, raw.decode("utf-8", "replace").rstrip("\r\n")))


def _rest(file: Path, offset: int, missing: bytes | None = b"") -> bytes | None:
    """Return what stands in `file` from `offset` on, `missing` where there is no such file."""
    try:
        with open(file, "rb") as opened:
            opened.seek(offset)
            return opened.read()
    except FileNotFoundError:
        return missing
