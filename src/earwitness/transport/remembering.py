"""Memory for functions of texts: the short ones that a probe says are the same in each of its runs."""

from collections.abc import Callable
from functools import lru_cache, wraps

_SHORT = 200  # characters
_KEPT = 32_768  # texts; fewer than the probes have would be none at all, since they come round in turn


def remembering(work: Callable[[str], str]) -> Callable[[str], str]:
    """Return the function with a memory for what became of short texts. It must depend on its text alone."""
    known = lru_cache(maxsize=_KEPT)(work)

    @wraps(work)
    def remembered(text: str) -> str:
        return known(text) if len(text) <= _SHORT else work(text)

    return remembered
