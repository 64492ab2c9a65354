"""A Debian of its own to run commands in, as a container engine would: chroot in namespaces that end with the command.

What differs from the base image of the Containerfile: Python is Debian's, in /usr instead of /usr/local, and there is a little
more of Debian (apt and its like). The same Debian release, the same minor version of Python; nothing of `.venv` is in it.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy_needs import cannot, program

_PACKAGES = "python3,python3-venv,ca-certificates"
_PIP_ACCESS = {  # how pip reaches an index; what it may do there is the Containerfile's business
    "index-url", "extra-index-url", "find-links", "no-index", "cert", "client-cert",
    "proxy", "trusted-host", "timeout", "default-timeout", "retries",
}  # fmt: skip
_ACCESS = re.compile(r"(https?_proxy|no_proxy|all_proxy|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE)", re.IGNORECASE)
_ENTER = """
set -e
root=$1 user=$2 folder=$3 read_only=$4; shift 4
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do mount --rbind "$1" "$root$2"; shift 2; done; shift
if [ "$read_only" = yes ]; then
    mount -o remount,bind,ro "$root"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
fi
exec chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$folder" "$@"
"""


@dataclass(frozen=True)
class Access:
    """How this machine reaches a package index: variables, and the files and folders that they name."""

    environment: Mapping[str, str]
    paths: tuple[Path, ...]


def host_access() -> Access:
    """Return what pip on this machine is told by its configuration and environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = {name: value for name, value in os.environ.items() if _ACCESS.fullmatch(name)}
    for line in sorted(listed.stdout.splitlines(), key=lambda text: text.startswith(":env:")):  # the environment wins
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in _PIP_ACCESS:
            found[f"PIP_{option.upper().replace('-', '_')}"] = str(ast.literal_eval(value))
    named = {path for value in found.values() for word in value.split() if (path := _local(word)) is not None}
    named |= {Path("/etc/resolv.conf"), Path("/etc/hosts")}
    return Access(found, tuple(sorted(path for path in named if path.exists())))


def _local(word: str) -> Path | None:
    """Return what a path or a file: URL names; an index by URL keeps its files beside it, hence its parent."""
    if word.startswith("file:"):
        return Path(unquote(urlsplit(word).path)).parent
    return Path(word) if word.startswith("/") else None


@dataclass(frozen=True)
class Command:
    """What to run in a root, and how."""

    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    read_only: bool = False
    mounts: Mapping[Path, str] = field(default_factory=dict)  # of this machine: where in the root

    def inside(self, root: Path) -> list[str]:
        """Return the words that run it in `root`."""
        mounts = [text for here, there in self.mounts.items() for text in (str(here), there)]
        for here, there in self.mounts.items():
            _mount_point(here, root / there.lstrip("/"))
        entering = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", _ENTER, "enter"]
        how = [str(root), self.user, self.folder, "yes" if self.read_only else "no"]
        return [*entering, *how, *mounts, "--", *self.words]


def _mount_point(here: Path, there: Path) -> None:
    if here.is_dir():
        there.mkdir(parents=True, exist_ok=True)
    elif not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        there.touch()


def debian(path: Path) -> Path:
    """Make a minimal Debian at `path`, from the mirror that this machine's apt uses. Takes half a minute."""
    if os.geteuid() != 0:
        cannot("a clean root needs chroot, and so the rights of root")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        cannot("this machine lets nobody make namespaces")
    release = _release()
    make = [program("mmdebstrap"), "--quiet", "--variant=essential", f"--include={_PACKAGES}", release, str(path)]
    done = subprocess.run([*make, *_apt_sources(release)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


def _release() -> str:
    text = Path("/etc/os-release").read_text()
    if not re.search(r"^ID=debian$", text, re.MULTILINE):
        cannot("a clean root is made from Debian's packages; this is another system")
    return re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)[1]


def _apt_sources(release: str) -> list[str]:
    """Return the files of apt's configuration that name Debian's main part of this release."""
    folder = Path("/etc/apt")
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    marks = (re.compile(rf"\b{release}\b"), re.compile(r"/debian\b"), re.compile(r"\bmain\b"))
    found = [f for f in files if f.is_file() and all(mark.search(f.read_text()) for mark in marks)]
    if not found:
        cannot(f"apt's configuration names no mirror of {release}")
    return [str(file) for file in found]


def copy_root(root: Path, to: Path) -> Path:
    """Copy a root with its owners, modes and device nodes."""
    subprocess.run(["cp", "--archive", "--reflink=auto", str(root), str(to)], check=True)
    return to


def copy_into(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
