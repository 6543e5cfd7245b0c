"""Follows every process from its parent's `start` to its exit code, whatever runs in it.

    parent: start() ──> Switch in the child's `_config` ──> STARTED … EXITED when the parent learns the exit code
    child:  Switch unpickled (spawn, forkserver) or found in `_bootstrap` (fork) ──> BEGIN, READY, RAISED, END

The Switch is unpickled before the child's target is, so even a child that dies at its target's import is seen.
`os.fork` is seen through `os.register_at_fork`, `subprocess.Popen` from its parent's side only.
"""

import functools
import os
import sys
import threading
import time
from multiprocessing import process
from pathlib import Path

from helpers.observe import events, recorder
from helpers.observe.tasks import WORKERS, describe, see_submitting, see_tasks, target_of
from helpers.observe.waiting import see_waiting

CONFIG = "process_lab_recorder"  # the key in `_config`
_starting = threading.local()  # set while multiprocessing itself forks
_own_group = False
_forked: list = []  # the lane that the next raw fork's child will have


class Switch:
    """Travels to a child in `_config`; unpickling it switches recording on before the child's own code runs."""

    def __init__(self, folder: str, lane: str, own_group: bool):
        self.folder, self.lane, self.own_group = folder, lane, own_group

    def __reduce__(self):
        return _arrive, (self.folder, self.lane, self.own_group)


def record(folder: str | Path, *, words: bool = True, own_group: bool = False, mapped: bool = True) -> bool:
    """Record this process as the parent, with all processes that it starts from now on; False when impossible.

    `words` catches what it prints as well. `own_group` puts each child into a process group of its own, so that an
    interrupt of this process's group (JupyterLab's stop button) does not reach children, while one sent to a child does.
    """
    global _own_group
    _own_group = own_group
    here = recorder.switch_on(folder, "r", words=words, mapped=mapped)
    if here is None:
        return False
    _see_processes()
    here.emit(events.BEGIN, process.current_process().name, 0, os.getpid(), os.getppid())
    here.emit(events.READY, process.current_process().name)
    return True


def stop_recording(code: int = 0) -> None:
    """End the parent's record."""
    if (here := recorder.current) is not None:
        here.emit(events.END, "", code)
    recorder.switch_off()


def _arrive(folder: str, lane: str, own_group: bool) -> Switch:
    _begin(folder, lane, own_group, process.current_process().name)
    return Switch(folder, lane, own_group)


def _begin(folder: str, lane: str, own_group: bool, name: str) -> None:
    """Open this child's files, unless unpickling the Switch did so."""
    here = recorder.current
    if here is not None and here.pid == os.getpid() and here.lane == lane:
        return
    global _own_group
    _own_group = own_group
    if own_group and hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    here = recorder.switch_on(folder, lane, words=True)
    if here is not None:
        _see_processes()
        here.emit(events.BEGIN, name, 0, os.getpid(), os.getppid())


def _see_processes() -> None:
    """Wrap, once in a process, what starts processes."""
    base = process.BaseProcess
    if hasattr(base.start, "_sees"):
        return
    base.start = _seen_start(base.start)
    base._bootstrap = _seen_bootstrap(base._bootstrap)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child, after_in_parent=_after_fork)


def _seen_start(original):
    @functools.wraps(original)
    def start(self):
        here = recorder.current
        if here is None:
            return original(self)
        see_submitting(sys.modules)
        see_waiting(sys.modules)
        if "subprocess" in sys.modules:
            _see_programs(sys.modules["subprocess"])
        order, asked, kind = here.order(), time.perf_counter_ns(), _kind(self)
        self._config[CONFIG] = Switch(here.folder, f"{here.lane}.{order}", _own_group)
        _starting.on = True
        try:
            original(self)
        finally:
            _starting.on = False
            self._config.pop(CONFIG, None)
        here.emit(events.STARTED, self.name, asked, order, self._popen.pid, events.LANE_KINDS.index(kind))
        _see_exit(self._popen, here, order, self.name)

    start._sees = True
    return start


def _kind(child) -> str:
    where = target_of(child)
    if where in WORKERS:
        return WORKERS[where][0]
    return "manager" if where[1].endswith("Manager._run_server") else "process"


def _see_exit(popen, here: recorder.Recorder, order: int, name: str) -> None:
    """Tell the exit code at the moment when the parent learns it."""
    told = threading.Lock()  # held for ever once the code is told

    def tell() -> None:
        if popen.returncode is not None and told.acquire(blocking=False):
            here.emit(events.EXITED, name, 0, order, _as_int32(popen.returncode))

    def seen(original):
        @functools.wraps(original)
        def ask(*args, **kwargs):
            code = original(*args, **kwargs)
            tell()
            return code

        return ask

    popen.poll, popen.wait = seen(popen.poll), seen(popen.wait)


def _seen_bootstrap(original):
    @functools.wraps(original)
    def bootstrap(self, *args, **kwargs):
        switch = self._config.pop(CONFIG, None)
        if switch is None:  # its parent is not recorded: neither is this fork of it
            recorder.current = None
            return original(self, *args, **kwargs)
        _begin(switch.folder, switch.lane, switch.own_group, self.name)
        here = recorder.current
        if here is None:
            return original(self, *args, **kwargs)
        see_tasks(self)
        self.run = _seen_run(self.run, here, self.name)
        code = None
        try:
            code = original(self, *args, **kwargs)
            return code
        finally:
            here.emit(events.END, self.name, _as_int32(code) if isinstance(code, int) else 1)

    return bootstrap


def _seen_run(original, here: recorder.Recorder, name: str):
    def run():
        here.emit(events.READY, name)
        try:
            original()
        except SystemExit:
            raise
        except BaseException as problem:
            here.emit(events.RAISED, describe(problem))
            raise

    return run


def _see_programs(subprocess) -> None:
    """Show a program started by `subprocess` as a lane without events of its own."""
    if hasattr(subprocess.Popen.__init__, "_sees"):
        return
    original = subprocess.Popen.__init__

    @functools.wraps(original)
    def init(self, args, *rest, **kwargs):
        here, asked = recorder.current, time.perf_counter_ns()
        original(self, args, *rest, **kwargs)
        if here is not None:
            order = here.order()
            name = os.path.basename(str(args if isinstance(args, (str, os.PathLike)) else list(args)[0]).split(" ")[0])
            here.emit(events.STARTED, name, asked, order, self.pid, events.LANE_KINDS.index("program"))
            _see_exit(self, here, order, name)

    init._sees = True
    subprocess.Popen.__init__ = init


def _before_fork() -> None:
    if (here := recorder.current) is not None and not getattr(_starting, "on", False):
        _forked.append((here, here.order(), time.perf_counter_ns()))


def _after_fork_in_child() -> None:
    if getattr(_starting, "on", False) or not _forked:
        return
    here, order, asked = _forked.pop()
    _forked.clear()
    lane = f"{here.lane}.{order}"
    recorder.current = None
    _begin(here.folder, lane, _own_group, "fork")
    if (child := recorder.current) is not None:
        child.emit(events.READY, "fork")


def _after_fork() -> None:
    if _forked and not getattr(_starting, "on", False):
        here, order, asked = _forked.pop()
        here.emit(events.STARTED, "fork", asked, order, 0, events.LANE_KINDS.index("fork"))


def _as_int32(code: int) -> int:
    """Windows gives exit codes as unsigned numbers of 32 bits."""
    return code if -(2**31) <= code < 2**31 else code - 2**32
