"""The command line."""

import signal
import sys


def main() -> None:
    """Entry point of the `earwitness` script. The daemon, which stays for months, loads no command but its own."""
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the configuration is read there is none to reload
        from earwitness.cli.main import app  # noqa: PLC0415
    else:
        from earwitness.cli.commands import app  # noqa: PLC0415
    app()
