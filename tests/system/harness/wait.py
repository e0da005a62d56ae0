"""Waiting for something to become true, instead of sleeping."""
import time


def eventually(fn, timeout=5.0, interval=0.02):
    """Calls fn until it returns something true, and returns that. An assertion or a connection that fails counts
    as "not yet"; when time is up it is raised, or TimeoutError if fn merely kept returning something false."""
    deadline = time.monotonic() + timeout
    while True:
        problem = None
        try:
            result = fn()
            if result:
                return result
        except (AssertionError, OSError) as error:
            problem = error
        if time.monotonic() >= deadline:
            raise problem or TimeoutError(f"not true within {timeout} s: {getattr(fn, '__name__', fn)}")
        time.sleep(interval)
