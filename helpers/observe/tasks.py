"""Sees each task of `Pool` or `ProcessPoolExecutor` at the input queue of the worker that takes it.

    parent:  apply_async, map, submit … ──> SUBMITTED(job, how many)
    worker:  queue.get() ──> the task's function becomes Seen(function) ──> TASK … TASK_END

A task is known by its place in the call: job, index of the chunk, place in the chunk.
"""

import functools
import threading

from helpers.observe import events, recorder


class Seen:
    """Calls a task's function between two events."""

    def __init__(self, function, job: int, index: int):
        self.function, self.job, self.index, self.place = function, job, index, 0
        self.name = name_of(function)

    def __call__(self, *args, **kwargs):
        here = recorder.current
        if here is None:
            return self.function(*args, **kwargs)
        thread, error = threading.get_ident(), ""
        here.emit(events.TASK, self.name, thread, self.job, self.index, self.place)
        self.place += 1
        try:
            return self.function(*args, **kwargs)
        except BaseException as problem:
            error = describe(problem)
            raise
        finally:
            here.emit(events.TASK_END, error, thread, here.end_of_words())


class PoolInput:
    """The queue from which a worker of `multiprocessing.Pool` takes tasks."""

    def __init__(self, queue):
        self.__dict__["queue"] = queue

    def __getattr__(self, name):
        return getattr(self.queue, name)

    def get(self):
        task = self.queue.get()
        if task is None:
            return task
        from multiprocessing import pool

        job, index, function, args, kwargs = task
        if function in (pool.mapstar, pool.starmapstar):  # a chunk: ((function, items),)
            (inner, items), *rest = args
            args = ((Seen(inner, job, index), items), *rest)
        elif function is not pool._helper_reraises_exception:
            function = Seen(function, job, index)
        return job, index, function, args, kwargs


class ExecutorInput:
    """The queue from which a worker of `ProcessPoolExecutor` takes calls."""

    def __init__(self, queue):
        self.__dict__["queue"] = queue

    def __getattr__(self, name):
        return getattr(self.queue, name)

    def get(self, *args, **kwargs):
        call = self.queue.get(*args, **kwargs)
        if call is not None:
            from concurrent.futures import process as futures

            if getattr(call.fn, "func", None) is futures._process_chunk:
                call.fn = functools.partial(futures._process_chunk, Seen(call.fn.args[0], call.work_id, 0))
            else:
                call.fn = Seen(call.fn, call.work_id, 0)
        return call


WORKERS = {
    ("multiprocessing.pool", "worker"): ("pool worker", PoolInput),
    ("concurrent.futures.process", "_process_worker"): ("executor worker", ExecutorInput),
}


def target_of(process) -> tuple[str, str]:
    """Return module and qualified name of what `process` will run."""
    target = getattr(process, "_target", None)
    return getattr(target, "__module__", "") or "", getattr(target, "__qualname__", "") or ""


def see_tasks(process) -> None:
    """In a child that is a worker of a pool, put the watched queue in the place of its input queue."""
    if (worker := WORKERS.get(target_of(process))) is not None:
        process._args = (worker[1](process._args[0]), *process._args[1:])


def see_submitting(modules: dict) -> None:
    """Let those pool classes that `modules` (`sys.modules`) holds by now tell how many tasks they are given."""
    pool, futures = modules.get("multiprocessing.pool"), modules.get("concurrent.futures.process")
    if pool is not None and "_seen_submitting" not in vars(pool.Pool):
        pool.Pool._seen_submitting = True
        _wrap(pool.Pool, "apply_async", lambda result: (result._job, 1))
        _wrap(pool.Pool, "_map_async", lambda result: (result._job, result._length))
        _count_lazily(pool.Pool)
    if futures is not None and "_seen_submitting" not in vars(futures.ProcessPoolExecutor):
        futures.ProcessPoolExecutor._seen_submitting = True
        _wrap(futures.ProcessPoolExecutor, "submit", None)


def _wrap(owner, method: str, told) -> None:
    original = getattr(owner, method)

    @functools.wraps(original)
    def call(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        if (here := recorder.current) is not None:
            job, count = told(result) if told else (self._queue_count - 1, _chunk_length(args))
            here.emit(events.SUBMITTED, "", count, job)
        return result

    setattr(owner, method, call)


def _chunk_length(args: tuple) -> int:
    """Return how many tasks a call of `ProcessPoolExecutor.submit` holds: `map` submits chunks as (partial, items)."""
    from concurrent.futures import process as futures

    if args and getattr(args[0], "func", None) is futures._process_chunk and len(args) > 1:
        return len(args[1])
    return 1


def _count_lazily(owner) -> None:
    """`imap` draws its tasks from an iterator: count them as they are drawn."""
    original = owner._guarded_task_generation

    @functools.wraps(original)
    def generate(self, job, function, iterable):
        from multiprocessing import pool

        chunks = function in (pool.mapstar, pool.starmapstar)
        lazy = isinstance(self._cache.get(job), pool.IMapIterator)
        for task in original(self, job, function, iterable):
            if lazy and (here := recorder.current) is not None:
                here.emit(events.SUBMITTED, "", len(task[3][0][1]) if chunks else 1, job)
            yield task

    owner._guarded_task_generation = generate


def name_of(function) -> str:
    """Return a name that a reader knows `function` by."""
    function = getattr(function, "func", function)  # a partial is known by what it calls
    return getattr(function, "__qualname__", None) or type(function).__name__


def describe(problem: BaseException) -> str:
    """Return an exception as one line of at most 300 characters."""
    try:
        text = str(problem)
    except Exception:  # an exception whose own __str__ fails must not harm the program
        text = ""
    return f"{type(problem).__name__}: {text}"[:300].replace("\n", " ") if text else type(problem).__name__
