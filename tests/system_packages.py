"""See to the system's programs that the tests need: install what is missing where that is allowed, else say so.

Run by `make test`. A missing program skips its tests, but in a pipeline (CI=true) it is a failure.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = {  # Debian's package: a command that it brings
    "nginx": "nginx",
    "chromium": "chromium",
    "libnss3-tools": "certutil",
    "tinyproxy": "tinyproxy",
    "prometheus": "promtool",
    "prometheus-alertmanager": "amtool",
    "mmdebstrap": "mmdebstrap",
    "systemd": "systemd-analyze",
    "procps": "kill",
    "faketime": "faketime",
    "curl": "curl",
}
WHERE = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
POLICY = Path("/usr/sbin/policy-rc.d")  # what Debian's packages ask before they start a daemon


def missing() -> list[str]:
    return [package for package, command in PACKAGES.items() if shutil.which(command, path=WHERE) is None]


@contextmanager
def no_daemons() -> Iterator[None]:
    """Keep packages from starting their daemons while the block runs; a policy that is there already stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def install(packages: list[str]) -> None:
    """Install the packages; what goes wrong is told, and shows again in what is still missing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *packages])
    with tempfile.TemporaryFile() as log, no_daemons():
        for command in commands:
            if subprocess.run(command, env=environment, stdout=log, stderr=log, check=False).returncode:
                log.seek(0)
                sys.stderr.write(f"{' '.join(command)} failed:\n{log.read().decode(errors='replace')[-2000:]}\n")
                return


def main() -> int:
    absent = missing()
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        install(absent)
        absent = missing()
    for package in absent:
        sys.stderr.write(f"missing: {PACKAGES[package]}, from Debian's package {package}; its tests are skipped\n")
    return 1 if absent and os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())
