"""Marks a function whose every call shall be a bar in the timeline."""

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from helpers.observe import events, recorder
from helpers.observe.tasks import describe

P = ParamSpec("P")
R = TypeVar("R")


def traced(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, its calls seen wherever a recorder is on; elsewhere it costs a comparison."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        here = recorder.current
        if here is None:
            return function(*args, **kwargs)
        thread, error = threading.get_ident(), ""
        here.emit(events.FUNCTION, function.__qualname__, thread)
        try:
            return function(*args, **kwargs)
        except BaseException as problem:
            error = describe(problem)
            raise
        finally:
            here.emit(events.FUNCTION_END, error, thread)

    return call
