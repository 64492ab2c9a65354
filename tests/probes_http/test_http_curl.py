"""The curl line of a failing request makes the same request again."""

import shlex
import subprocess
from asyncio import to_thread

import pytest
from web_servers import raw_server

pytestmark = pytest.mark.parametrize("engine", ["curl"], indirect=True)
BODY = '{"amount": "12 €", "note": "it\'s $HOME; `ls`"}'


async def test_it_makes_the_same_request_again(observe, drawer):
    came = []

    async def refuse(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.splitlines() if line.lower().startswith(b"content-length")
        )
        came.append((head.splitlines()[0], _own(head), await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()

    async with raw_server(refuse) as port:
        headers = {"accept-language": 'en;q="0.5"', "content-type": "application/json"}
        await observe(f"http://127.0.0.1:{port}/pay", method="POST", headers=headers, body=BODY)
        line = drawer.files["curl"]
        done = await to_thread(subprocess.run, ["sh", "-c", line], capture_output=True, check=False, timeout=20)
    assert b"503 Busy" in done.stdout, done.stderr
    assert came[0] == came[1]
    assert came[0][2] == BODY.encode()


async def test_what_is_secret_has_to_be_filled_in(observe, drawer):
    async def hang_up(reader, _writer):
        await reader.readuntil(b"\r\n\r\n")

    async with raw_server(hang_up) as port:
        headers = {"authorization": "Bearer a-secret-token"}
        await observe(f"http://127.0.0.1:{port}/pay?token=another-secret", headers=headers)
    line = drawer.files["curl"]
    assert "secret" not in line
    assert "authorization: ***" in shlex.split(line)


def _own(head):
    """Return the headers that are not of the connection, in any order."""
    lines = {line.lower() for line in head.splitlines()[1:] if line}
    return {line for line in lines if not line.startswith((b"host:", b"connection:", b"accept-encoding:"))}
