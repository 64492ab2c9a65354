"""A journey in Python, for what steps cannot say: read and checked with the configuration, run with the browser's page.

    async def run(page, step):
        async with step("choose a seat", minor=2, major=8):
            await page.goto("https://shop.example/seats")
            ...

The script is the operator's own code: it runs in the monitor's process, with all that the monitor may do.
"""

import ast
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

from earwitness.config.fields import problem


@dataclass(frozen=True, slots=True)
class Script:
    """A script that compiles and has the function. What is run is what was read, whatever becomes of the file."""

    path: Path
    code: CodeType = field(repr=False)

    def function(self) -> Any:
        """Execute the module and return its `run`. Raises whatever the module raises."""
        space: dict[str, Any] = {"__name__": "earwitness_script", "__file__": str(self.path)}
        exec(self.code, space)  # noqa: S102  It is what the operator asks for.
        return space["run"]


def read_script(path: Path) -> Script:
    """Return the script; what is wrong with it is a problem of the configuration that names file and line."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise problem(f"cannot read {path}: {error.strerror}; write the script there", "script") from error
    except UnicodeDecodeError as error:
        raise problem(f"{path} is not text; write the script as UTF-8", "script") from error
    try:
        tree = ast.parse(text, str(path))
        code = compile(tree, str(path), "exec")
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise problem(f"{path}:{line}: is no Python: {getattr(error, 'msg', error)}", "script") from error
    _check_function(tree, path)
    return Script(path, code)


def _check_function(tree: ast.Module, path: Path) -> None:
    found = next(
        (n for n in tree.body if isinstance(n, ast.AsyncFunctionDef | ast.FunctionDef) and n.name == "run"), None
    )
    wanted = "async def run(page, step)"
    if found is None:
        raise problem(f"{path}:1: has no function run; write {wanted}", "script")
    arguments = [*found.args.posonlyargs, *found.args.args]
    takes_two = len(arguments) == 2 or (len(arguments) < 2 and found.args.vararg is not None)
    if isinstance(found, ast.FunctionDef) or not takes_two:
        raise problem(f"{path}:{found.lineno}: run cannot be used as it is; write {wanted}", "script")
