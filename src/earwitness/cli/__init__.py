"""The command line."""

from earwitness.cli.main import main

__all__ = ["main"]
