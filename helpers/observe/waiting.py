"""Sees where the main thread of a process waits for other processes."""

import functools
import threading

from helpers.observe import events, recorder
from helpers.observe.tasks import describe


def see_waiting(modules: dict) -> None:
    """Let those waiting methods that `modules` (`sys.modules`) holds by now tell when they begin or end to wait."""
    wrap = _waits
    if (process := modules.get("multiprocessing.process")) is not None:
        wrap(process.BaseProcess, "join", lambda it: f"join {it.name}")
    if (pool := modules.get("multiprocessing.pool")) is not None:
        wrap(pool.Pool, "join", lambda it: "join pool")
        wrap(pool.ApplyResult, "wait", lambda it: "result", lambda it: it._event.is_set())
        wrap(pool.IMapIterator, "next", lambda it: "next result", lambda it: bool(it._items))
        pool.IMapIterator.__next__ = pool.IMapIterator.next
    if (futures := modules.get("concurrent.futures._base")) is not None:
        wrap(futures.Future, "result", lambda it: "result", lambda it: it.done())
        wrap(futures.Future, "exception", lambda it: "result", lambda it: it.done())
    if (executor := modules.get("concurrent.futures.process")) is not None:
        wrap(executor.ProcessPoolExecutor, "shutdown", lambda it: "shutdown")


def _waits(owner, method: str, label, done=lambda it: False) -> None:
    """Wrap `owner.method` once: it waits for `label(self)` unless `done(self)` is already true."""
    original = getattr(owner, method)
    if hasattr(original, "_sees_waiting"):
        return

    @functools.wraps(original)
    def wait(self, *args, **kwargs):
        here = recorder.current
        if here is None or threading.current_thread() is not threading.main_thread() or done(self):
            return original(self, *args, **kwargs)
        thread, error = threading.get_ident(), ""
        here.emit(events.WAIT, label(self), thread)
        try:
            return original(self, *args, **kwargs)
        except StopIteration:
            raise
        except BaseException as problem:
            error = describe(problem)
            raise
        finally:
            here.emit(events.WAIT_END, error, thread)

    wait._sees_waiting = True
    setattr(owner, method, wait)
