"""Programs under measurement: started, followed until they answer, accounted for by the operating system, ended."""

import contextlib
import os
import subprocess
import time
import urllib.request
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")  # clock ticks a second
_PAGE = os.sysconf("SC_PAGE_SIZE")  # bytes
_PATIENCE = 60.0  # seconds for anything to start


class Process:
    """A program, with what its children use counted in."""

    def __init__(self, folder, *command, **environment):
        self.log = folder / f"{Path(command[0]).name}.log"
        self.began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in command], stdout=log, stderr=log, env={**os.environ, **environment}
            )

    @property
    def _family(self):
        """The process ids of the program and of everything that it started."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parents[int(stat.parent.name)] = int(_fields(stat)[1])
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def cpu(self):
        """Seconds of CPU until now, of children that ended as well."""
        total = 0
        for pid in self._family:
            with contextlib.suppress(OSError):
                total += sum(int(ticks) for ticks in _fields(Path(f"/proc/{pid}/stat"))[11:15])
        return total / _TICK

    def resident(self):
        """Bytes in memory now."""
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._family) * _PAGE

    def ready(self, url):
        """Wait until the URL answers 200; return the seconds since the start."""
        while time.monotonic() - self.began < _PATIENCE:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                fetch(url)
                return time.monotonic() - self.began
            time.sleep(0.02)
        raise RuntimeError(f"{self._process.args[0]} does not answer at {url}: {self.log.read_text()[-2000:]}")

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _fields(stat):
    """The fields of /proc/PID/stat from the third (state) on; the second may hold spaces."""
    return stat.read_text().rpartition(")")[2].split()


def fetch(url):
    """Return the text of a page of this machine. Raises OSError unless it answers 200."""
    with urllib.request.urlopen(url, timeout=30) as reply:
        return reply.read().decode()
