"""Reads a compressed body piece by piece, so that a small one cannot become a huge one in memory. No Django."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE = 64 * 1024  # bytes that are unpacked at a time
MEMBERS = 1_000  # of one body; a flood of empty ones would be nothing but work

#: What zlib is told by the encoding: gzip has a header of its own.
BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Inflate:
    """Of one body. Raises zlib.error for what is not of that encoding, or ends before its end."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._members = 0
        self._has_ended = True  # an empty body is none that was cut

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk of the body unpacks to, at most PIECE at a time."""
        while chunk:
            stream = self._stream = self._stream or self._begun(chunk)
            self._has_ended = False
            if piece := stream.decompress(chunk, PIECE):
                yield piece
            chunk = stream.unconsumed_tail
            if stream.eof:
                # Another member may follow: files that were put together are one file too.
                chunk, self._stream, self._has_ended = stream.unused_data.lstrip(b"\x00"), None, True

    def close(self) -> None:
        """Raises zlib.error where the body was cut."""
        if not self._has_ended:
            raise zlib.error("it ends too early")

    def _begun(self, chunk: bytes) -> zlib._Decompress:
        self._members += 1
        if self._members > MEMBERS:
            raise zlib.error(f"it has more than {MEMBERS:,} parts")
        return zlib.decompressobj(self._bits(chunk))

    def _bits(self, chunk: bytes) -> int:
        """“deflate” comes with the header of the standard, and from some servers without any."""
        has_header = self._encoding != "deflate" or (chunk[0] & 0x0F == 8 and chunk[0] >> 4 <= 7)
        return BITS[self._encoding] if has_header else -zlib.MAX_WBITS
