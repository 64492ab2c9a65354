"""What the kernel's reason for a failed connect says about whose trouble it is."""

import errno

from earwitness.model import Failure

_OUR_ROUTE = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_OUR_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES, errno.EPERM})


def connect_failure(number: int) -> Failure:
    """Return the class of a failed connect from its errno."""
    if number == errno.ECONNREFUSED:
        return Failure.CONNECTION_REFUSED
    if number == errno.ETIMEDOUT:
        return Failure.CONNECT_TIMEOUT
    if number in _OUR_ROUTE:
        return Failure.UPLINK_DOWN
    return Failure.MONITOR_ERROR if number in _OUR_LIMITS else Failure.CONNECTION_FAILED
