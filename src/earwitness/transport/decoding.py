"""Bodies that arrive compressed, unpacked piece by piece, so that no bomb is ever whole in memory."""

import zlib
from collections.abc import Iterator

from earwitness.model import Failure
from earwitness.transport.errors import BrokenAnswerError

ACCEPTED = "gzip, deflate"
_OURS = frozenset({"gzip", "x-gzip", "deflate"})
_PACKINGS = _OURS | {
    "br",
    "zstd",
    "compress",
    "x-compress",
    "dcb",
    "dcz",
    "exi",
    "pack200-gzip",
    "aes128gcm",
}  # IANA's list
_PIECE = 64 * 1024  # bytes
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_MEMBER = b"\x1f\x8b"  # what a member of gzip begins with
_RAW_DEFLATE = -zlib.MAX_WBITS


class Identity:
    """A body as it is."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        """Nothing can be missing."""


class Inflater:
    """Unpacks gzip (of one or more members) and both things that servers call deflate (RFC 1950, RFC 1951).

    What follows and is no member is ignored, as browsers do: caches and old tools append to what is packed already.
    """

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._started = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` unpacks to, at most 64 KiB at a time. Raises BrokenAnswerError."""
        while data:
            piece = self._piece(data)
            data = self._unpack.unconsumed_tail
            if self._unpack.eof:
                data = self._next_member()
            if piece:
                yield piece

    def _piece(self, data: bytes) -> bytes:
        first, self._started = not self._started, True
        try:
            return self._unpack.decompress(data, _PIECE)
        except zlib.error as error:
            if not first or self._gzip:
                raise _broken(str(error)) from error
        self._unpack = zlib.decompressobj(_RAW_DEFLATE)
        try:
            return self._unpack.decompress(data, _PIECE)
        except zlib.error as error:
            raise _broken(str(error)) from error

    def _next_member(self) -> bytes:
        rest = self._unpack.unused_data
        if not rest or not self._gzip or not rest.startswith(_MEMBER[: len(rest)]):
            return b""
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
        return rest

    def finish(self) -> None:
        """Raise BrokenAnswerError if the body ended in the middle."""
        if self._started and not self._unpack.eof:
            raise _broken("it ends too early")


def _broken(what: str) -> BrokenAnswerError:
    return BrokenAnswerError(f"the compressed body cannot be unpacked: {what}", Failure.PROTOCOL_ERROR)


def decoder(encoding: str) -> Identity | Inflater:
    """Return what unpacks a body of this content-encoding. Raises BrokenAnswerError for one that nothing here unpacks.

    A word that is no coding at all (`none`, `utf-8`) is what some servers say of a body as it is, and browsers show it.
    """
    if not encoding:
        return Identity()
    named = [name for part in encoding.lower().split(",") if (name := part.strip()) not in ("", "identity")]
    if not _PACKINGS.intersection(named):
        return Identity()
    if len(named) == 1 and named[0] in _OURS:
        return Inflater(gzip=named[0] != "deflate")
    message = f"the body is encoded as {', '.join(named)!r}, which cannot be unpacked here"
    raise BrokenAnswerError(message, Failure.PROTOCOL_ERROR)
