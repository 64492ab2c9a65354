import asyncio
import configparser
import ctypes
import os
import re
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from deploy_needs import DEPLOY, program
from scraped_stage import EARWITNESS, Theatre

UNIT = DEPLOY / "systemd" / "earwitness.service"
MOST_EXPOSURE = 2.0
PR_SET_MDWE = 65  # Linux 6.3 and later


class Repeated(dict):
    """Keeps every value of a key that a unit file repeats."""

    def __setitem__(self, key, value):
        super().__setitem__(key, [*self[key], *value] if isinstance(value, list) and key in self else value)


@pytest.fixture
def service():
    unit = configparser.RawConfigParser(strict=False, dict_type=Repeated, interpolation=None)
    unit.optionxform = str
    unit.read_string(UNIT.read_text())
    return {key: value.split("\n") for key, value in unit["Service"].items()}


@pytest.fixture
def tree(tmp_path) -> Path:
    """A machine's files with the unit installed: the unit, systemd's own, and the programs that the unit starts."""
    units = Path("/lib/systemd/system")
    program("systemd-analyze")
    shutil.copytree(units, tmp_path / "lib/systemd/system", symlinks=True)
    for source, target in (
        (UNIT, "etc/systemd/system/earwitness.service"),
        (Path(EARWITNESS), "opt/earwitness/bin/earwitness"),
        (Path(program("kill")), "bin/kill"),
    ):
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, tmp_path / target)
    return tmp_path


def analyze(tree, *words):
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_UTF8": "0", "SYSTEMD_PAGER": ""}
    command = ["systemd-analyze", *words, f"--root={tree}", "earwitness.service"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_verify_has_nothing_to_say(tree):
    verified = analyze(tree, "verify")
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("ProtectHome=", "ProtectHomes="), ("/opt/earwitness/bin/earwitness", "/opt/earwitness/bin/earwitnes")],
)
def test_verify_finds_a_mistake(tree, right, wrong):
    installed = tree / "etc/systemd/system/earwitness.service"
    installed.write_text(installed.read_text().replace(right, wrong))
    assert analyze(tree, "verify").stderr


def test_exposure_is_low(tree):
    assessed = analyze(tree, "security", "--offline=true")
    assert assessed.returncode == 0, assessed.stderr
    exposure = float(re.search(r"Overall exposure level for earwitness\.service: ([\d.]+)", assessed.stdout)[1])
    assert exposure <= MOST_EXPOSURE


def test_it_waits_longer_for_the_end_than_the_daemon_takes(service):
    assert int(service["TimeoutStopSec"][0]) > 20
    assert service["Type"] == ["notify"]
    assert int(service["WatchdogSec"][0]) > 15  # seconds without a tick until the daemon calls itself stalled


def filtered_system_calls(service) -> set[str]:
    """Return the calls that the unit's filters leave, by systemd's own lists."""
    allowed: set[str] = set()
    for line in service["SystemCallFilter"]:
        names = {call for group in line.lstrip("~").split() for call in members(group)}
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


def members(group: str) -> set[str]:
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    words = [line.strip() for line in listed.stdout.splitlines()[1:]]
    names = {word for word in words if word and not word.startswith(("#", "@"))}
    return names.union(*(members(word) for word in words if word.startswith("@")))


def test_the_filters_leave_what_daemon_needs(service):
    allowed = filtered_system_calls(service)
    assert {"execve", "mmap", "futex", "epoll_wait", "sendmmsg", "flock", "fsync", "getrandom", "clone3"} <= allowed
    assert not {"mount", "ptrace", "bpf", "init_module", "reboot", "chroot", "setuid"} & allowed


def deny_executable_memory():
    """Do to this process and its children what MemoryDenyWriteExecute=yes does."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "this kernel has no PR_SET_MDWE")


def test_the_unit_denies_executable_memory(service):
    assert service["MemoryDenyWriteExecute"] == ["yes"]


async def test_calls_and_pages_are_tried_without_executable_memory(tmp_path):
    """The libraries in C, pycurl, pycares, numpy and others, make no code while they run."""
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3):
        pytest.skip("this kernel cannot deny executable memory to one process")
    async with AsyncExitStack() as exits:
        theatre = Theatre(tmp_path, exits)
        await theatre.prepare([])
        probes = ("--probe", "pay-by-phone", "--probe", "look-on-web")
        checking = await asyncio.create_subprocess_exec(
            *(EARWITNESS, "check", "--config", str(theatre.config), "--max-spend", "5 USD", *probes),
            env={**os.environ, **theatre.variables},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=deny_executable_memory,
        )
        said, _ = await checking.communicate()
    assert checking.returncode == 0, said.decode()
