"""The image: its steps run in a clean Debian, and the result works as the image's user with nothing to write to but its volume."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest
from clean_root import debian
from containerfile import read
from deploy_needs import DEPLOY, REPOSITORY
from image_builder import Builder

FILE = DEPLOY / "Containerfile"
EXAMPLE = REPOSITORY / "config" / "earwitness.example.yaml"
CONFIG = """
environment: production
http: {listen: "127.0.0.1:0"}
journeys: {pay: {title: Pay}}
probes: {web: {journey: pay, every: 1h, http: {url: "https://shop.example/pay", expect: {status: 200}}}}
"""


@pytest.fixture
def stages():
    return read(FILE)


def test_bases_are_pinned_by_tag_and_the_user_is_not_root(stages):
    for stage in stages:
        assert re.fullmatch(r"docker\.io/library/python:3\.\d+-slim-\w+", stage.base)
    user, group = stages[-1].last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


def test_an_unknown_instruction_is_refused(tmp_path):
    (tmp_path / "Containerfile").write_text("FROM base:1\nADD https://example.com/x /x\n")
    with pytest.raises(ValueError, match="ADD"):
        read(tmp_path / "Containerfile")


def test_what_builds_the_wheel_is_what_developers_have():
    developers = (REPOSITORY / "requirements-dev.lock").read_text()
    ours = re.findall(r"^\w\S+==(?:.|\\\n)+", (DEPLOY / "build.lock").read_text(), re.MULTILINE)
    assert ours
    for requirement in ours:
        assert requirement.rstrip() in developers


def test_every_copied_file_is_let_into_the_context(stages):
    let_in = {line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = [text.split()[:-1] for word, text in stages[0].steps if word == "COPY"]
    assert let_in == {source for sources in copied for source in sources}


def run(image, *words, mounts=None, variables=None):
    command = image.command(*words, mounts=mounts)
    environment = {**image.environment, **(variables or {})}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def the_command_line_answers(image, _folder):
    answered = run(image, "earwitness", "--help")
    assert answered.returncode == 0, answered.stderr
    assert "most demanding customer" in answered.stdout


def the_shipped_example_is_read(image, folder):
    """With the secrets, variables and recordings that it names."""
    for name in ("config/prompts", "secrets"):
        (folder / name).mkdir(parents=True)
    shutil.copy(EXAMPLE, folder / "config")
    for file in re.findall(r"^[^#\n]*_file: /run/secrets/([\w-]+)", EXAMPLE.read_text(), re.MULTILINE):
        (folder / "secrets" / file).write_text("https://secret.example/of-this-test")  # some are addresses
    mounts = {folder / "config": "/etc/earwitness", folder / "secrets": "/run/secrets"}
    variables = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TEST_CARD": "4111111111111111", "TEST_PASSWORD": "open sesame"}
    words = ("earwitness", "validate", "--config", "/etc/earwitness")
    answered = run(image, *words, mounts=mounts, variables=variables)
    assert answered.returncode == 0, answered.stderr


def nothing_that_builds_is_left(image, _folder):
    for name in ("gcc", "cc", "make", "pip", "git", "hatchling"):
        assert run(image, "sh", "-c", f"command -v {name}").returncode == 127, name


def nothing_of_the_image_can_be_written(image, _folder):
    for path in ("/etc/x", "/opt/earwitness/x", "/usr/x"):
        assert run(image, "touch", path).returncode != 0, path


def the_daemon_lives_and_ends_as_its_user(image, folder):
    with daemon(image, folder) as (url, process):
        with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:
            assert answer.read() == b"ready\n"
        assert {path.stat().st_uid for path in (folder / "data").iterdir()} == {10001}
        os.kill(first_inside(process.pid), signal.SIGTERM)
        assert process.wait(timeout=30) == 0


def test_the_image_is_built_in_a_clean_root_and_works(stages, tmp_path, subtests):
    checks = (
        the_command_line_answers,
        the_shipped_example_is_read,
        nothing_that_builds_is_left,
        nothing_of_the_image_can_be_written,
        the_daemon_lives_and_ends_as_its_user,
    )
    with tempfile.TemporaryDirectory() as folder:  # a gigabyte that nobody wants to keep
        work = Path(folder)
        image = Builder(debian(work / "debian"), REPOSITORY, work).build(stages)
        for check in checks:
            with subtests.test(check.__name__):
                (tmp_path / check.__name__).mkdir()
                check(image, tmp_path / check.__name__)


@contextlib.contextmanager
def daemon(image, folder):
    """Run the image's own entry point and command; yield its URL, once it has started, and its process."""
    (folder / "config").mkdir()
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    (folder / "config/earwitness.yaml").write_text(CONFIG)
    mounts = {folder / "config": "/etc/earwitness", folder / "data": "/var/lib/earwitness"}
    command = image.command(*image.start, mounts=mounts)
    with subprocess.Popen(command, env=image.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            yield started(process), process
        finally:
            process.kill()


def first_inside(pid) -> int:
    """Return the process that is number 1 inside the namespace that `pid` made."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


def started(process) -> str:
    said = []
    for line in process.stdout:
        said.append(line.decode())
        if '"started"' in said[-1]:
            return json.loads(said[-1])["url"]
    raise AssertionError("".join(said))
