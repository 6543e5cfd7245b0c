"""The flight recorder of one process: files of its own, into which it writes what happens.

No queue, no lock between processes and no server stand between an event and its file, so nothing here can deadlock,
while what is written survives a SIGKILL. A failure to record never reaches the recorded program.
"""

import io
import itertools
import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from helpers.observe import events

FIRST_SEGMENT = 16 * 1024  # bytes: 512 events; a child that does little writes little
SEGMENT = 1024 * 1024  # bytes of every later segment: 32,768 events
MOST_NAMES = 65_535
OTHER_NAME = "…"

current: "Recorder | None" = None  # the recorder of this process, None while nothing is recorded


class Recorder:
    """Writes the events of one process, the lane `lane` ("r" is the parent, "r.2.0" the first child of its third child).

    The files are `<lane>-<pid>.<n>.events`, `<lane>-<pid>.names` and `<lane>-<pid>.words` in `folder`.
    `mapped=False` appends each record by a system call instead, for file systems that cannot map files.
    Raises OSError when the folder cannot be written.
    """

    def __init__(self, folder: str, lane: str, *, mapped: bool = True):
        self.folder, self.lane, self.pid = folder, lane, os.getpid()
        self.base = os.path.join(folder, f"{lane}-{self.pid}")
        self.order = itertools.count().__next__  # of the children that this process starts
        self._names: dict[str, int] = {}
        self._segments = itertools.count()
        self._growing = threading.Lock()
        self._names_fd = os.open(self.base + ".names", _APPEND, 0o600)
        self.words_fd = -1
        self.name("")
        if mapped:
            try:
                self.emit = self._mapped_emit(*self._segment(FIRST_SEGMENT))
                return
            except (OSError, ValueError):
                pass  # no room to reserve or no mapping on this file system: append instead
        self.emit = self._appended_emit()

    # `emit(kind, name, detail, a, b, c)` is made as a closure: local variables keep a record under a microsecond.
    def _mapped_emit(self, buffer: mmap.mmap, slot: Callable[[], int]) -> Callable[..., None]:
        pack, clock, names, name_of = events.RECORD.pack_into, time.perf_counter_ns, self._names, self.name
        state = (buffer, slot)

        def emit(kind: int, name: str = "", detail: int = 0, a: int = 0, b: int = 0, c: int = 0) -> None:
            nonlocal state
            buffer, slot = here = state
            try:
                index = names[name]
            except KeyError:
                index = name_of(name)
            try:
                pack(buffer, slot(), clock(), detail, a, b, c, index, kind)
            except events.struct.error:  # past the end of the segment: the check that costs nothing until then
                with self._growing:
                    if state is here:
                        try:
                            state = self._segment(SEGMENT)
                        except (OSError, ValueError):
                            self.emit = _silent
                            return
                pack(state[0], state[1](), clock(), detail, a, b, c, index, kind)

        return emit

    def _appended_emit(self) -> Callable[..., None]:
        pack, clock, names, name_of, write = events.RECORD.pack, time.perf_counter_ns, self._names, self.name, os.write
        fd = os.open(f"{self.base}.{next(self._segments)}.events", _APPEND, 0o600)

        def emit(kind: int, name: str = "", detail: int = 0, a: int = 0, b: int = 0, c: int = 0) -> None:
            index = names[name] if name in names else name_of(name)
            try:
                write(fd, pack(clock(), detail, a, b, c, index, kind))
            except OSError:
                self.emit = _silent

        return emit

    def _segment(self, size: int) -> tuple[mmap.mmap, Callable[[], int]]:
        fd = os.open(f"{self.base}.{next(self._segments)}.events", os.O_RDWR | os.O_CREAT | _BINARY, 0o600)
        try:
            # Written and not truncated to size: a sparse page of a full disk would kill this process with SIGBUS.
            if os.write(fd, bytes(size)) < size:
                raise OSError("no room for events")
            return mmap.mmap(fd, size), itertools.count(0, events.RECORD.size).__next__
        finally:
            os.close(fd)

    def name(self, text: str) -> int:
        """Return the index of `text` in this process's list of names, which holds at most 65,535 of 65,535 bytes."""
        with self._growing:
            if text in self._names:
                return self._names[text]
            if len(self._names) == MOST_NAMES:
                return self._names.setdefault(OTHER_NAME, MOST_NAMES - 1)
            data = text.encode("utf-8", "backslashreplace")[:65_535]
            try:
                os.write(self._names_fd, len(data).to_bytes(2, "little") + data)
            except OSError:
                return 0
            return self._names.setdefault(text, len(self._names))

    def close(self) -> None:
        """Stop writing; what is written stays."""
        self.emit = _silent
        if self._names_fd >= 0:
            os.close(self._names_fd)
            self._names_fd = -1

    def catch_words(self) -> None:
        """Point the descriptors 1 and 2, with `sys.stdout` and `sys.stderr`, at this process's words file."""
        self.words_fd = os.open(self.base + ".words", _APPEND, 0o600)
        for fd, stream in ((1, "stdout"), (2, "stderr")):
            os.dup2(self.words_fd, fd)  # `os.write`, `faulthandler` and subprocesses follow the descriptor
            text = io.TextIOWrapper(
                _Said(fd, self), encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True
            )
            setattr(sys, stream, text)
            setattr(sys, f"__{stream}__", text)

    def end_of_words(self) -> int:
        """Return the number of bytes said so far, 0 where words are not caught."""
        try:
            return os.lseek(self.words_fd, 0, os.SEEK_CUR) if self.words_fd >= 0 else 0
        except OSError:
            return 0


class _Said(io.FileIO):
    """A descriptor whose every write is an event as well."""

    def __init__(self, fd: int, recorder: Recorder):
        super().__init__(fd, "w", closefd=False)
        self._recorder = recorder

    def write(self, data) -> int:
        written = super().write(data)
        self._recorder.emit(events.SAID, "", self._recorder.end_of_words(), self.fileno())
        return written


def _silent(*_: object) -> None:
    """Take an event where recording has failed."""


def switch_on(folder: str | Path, lane: str, *, words: bool, mapped: bool = True) -> Recorder | None:
    """Make this process write its events into `folder` from now on; None when that is impossible."""
    global current
    try:
        current = Recorder(str(folder), lane, mapped=mapped)
        if words:
            current.catch_words()
    except OSError as error:
        current = None
        print(f"This process could not be recorded: {error}", file=sys.stderr)
    return current


def switch_off() -> None:
    """Stop recording in this process."""
    global current
    if current is not None:
        current.close()
    current = None


_BINARY = getattr(os, "O_BINARY", 0)
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY
