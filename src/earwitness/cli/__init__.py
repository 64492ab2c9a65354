"""The command line."""

import sys


def main() -> None:
    """Entry point of the `earwitness` script. The daemon, which stays for months, loads no command but its own."""
    if sys.argv[1:2] == ["run"]:
        from earwitness.cli.main import app  # noqa: PLC0415
    else:
        from earwitness.cli.commands import app  # noqa: PLC0415
    app()
