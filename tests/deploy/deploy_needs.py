"""What the tests of the deployment need of this machine."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
_SBIN = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def cannot(reason: str) -> NoReturn:
    """Skip, or fail in a pipeline."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def program(name: str) -> str:
    """Return the path of a program of the system; without it, skip, or fail in a pipeline."""
    found = shutil.which(name, path=_SBIN)
    return found or cannot(f"{name} is not installed")
