"""The few words that make a server of another protocol begin TLS."""

import re
from typing import Literal

from earwitness.model import Failure
from earwitness.transport.connection import Connection
from earwitness.transport.errors import BrokenAnswerError

Starttls = Literal["smtp", "imap", "pop3", "postgres"]
_POSTGRES_ASKS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # SSLRequest: its length, and the number 80877103
_TALKS: dict[str, tuple[tuple[bytes, bytes], ...]] = {  # what we say, and what the last line of the answer is like
    "smtp": ((b"", rb"220[ \r\n]"), (b"EHLO earwitness\r\n", rb"250[ \r\n]"), (b"STARTTLS\r\n", rb"220[ \r\n]")),
    "imap": ((b"", rb"\* OK\b"), (b"a1 STARTTLS\r\n", rb"a1 OK\b")),
    "pop3": ((b"", rb"\+OK\b"), (b"STLS\r\n", rb"\+OK\b")),
}
_GOES_ON = {"smtp": rb"\d{3}-", "imap": rb"\* (?!BYE)", "pop3": rb"(?!)"}  # lines that are not the last of an answer
_LINES = 100  # that a server may send before it comes to the point


async def ask_for_tls(protocol: Starttls, connection: Connection) -> None:
    """Bring the server to begin TLS. Raises BrokenAnswerError (protocol_error) when it does something else."""
    if protocol == "postgres":
        connection.writer.write(_POSTGRES_ASKS)
        answer = await connection.reader.readexactly(1)
        if answer != b"S":
            raise _other(protocol, answer)
        return
    for words, wanted in _TALKS[protocol]:
        connection.writer.write(words)
        line = await _last_line(connection, protocol, wanted)
        if not re.match(wanted, line, re.IGNORECASE):
            raise _other(protocol, line)


async def _last_line(connection: Connection, protocol: Starttls, wanted: bytes) -> bytes:
    for _ in range(_LINES):
        try:
            line = await connection.reader.readline()
        except ValueError as error:  # longer than asyncio's limit
            raise BrokenAnswerError("the server sends a line without an end", Failure.PROTOCOL_ERROR) from error
        if not line:
            raise BrokenAnswerError("the server hung up before TLS began", Failure.CONNECTION_LOST)
        if re.match(wanted, line, re.IGNORECASE) or not re.match(_GOES_ON[protocol], line, re.IGNORECASE):
            return line
    raise BrokenAnswerError("the server sends more lines than make sense", Failure.PROTOCOL_ERROR)


def _other(protocol: Starttls, answer: bytes) -> BrokenAnswerError:
    shown = answer[:80].decode("utf-8", "replace").strip()
    return BrokenAnswerError(
        f"the server does not begin TLS by {protocol}'s STARTTLS: it says {shown!r}", Failure.PROTOCOL_ERROR
    )
