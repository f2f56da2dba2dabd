r"""Entries and disclosures, squeezed: they are most of what a ledger stores, and say much the same again and again.

::

    00 ‖ data                              as it is, where squeezing would not help
    28 B5 2F FD ‖ …                        a Zstandard frame (RFC 8878), with the dictionary that it names, if any
    01 ‖ raw deflate of text ‖ lifted      written before: RFC 1951, with `_DICTIONARY` as its preset dictionary

The dictionary of the frames, number 32768, is the file `squeeze.dictionary` beside this one. It holds what events are
spelled with, and how often each character comes, so that even a digest's base64url takes little more than its bytes.
`scripts/dictionary.py` made it. Dictionaries are frozen: rows are read with the one that they were written with, and a
better one comes with a number of its own. What is long enough to repeat itself needs none, and is squeezed in half the
time without.

In the older form, `text` is `data` with its random parts lifted out: a JSON string of 43 characters that is base64url
of 32 bytes became the byte FF, one of 22 that is base64url of 16 bytes the byte FE, quotes included; neither byte is in
UTF-8. `lifted` are those bytes, one after the other. What comes back is always exactly what went in.
"""

from __future__ import annotations

import re
import threading
import zlib
from pathlib import Path

import zstandard

from ledger.types import to_base64url

_PLAIN, _DEFLATED, _FRAME = b"\x00", b"\x01", zstandard.FRAME_HEADER
_LEVEL = 1

_LONG = 32 << 10
"""Bytes from which on a dictionary is of little help."""

MOST = 64 << 20
"""Bytes that stored ones may have been: far more than any event has, and little enough to be held."""

_FROZEN = zstandard.ZstdCompressionDict(Path(__file__).with_suffix(".dictionary").read_bytes())
_FROZEN.precompute_compress(level=_LEVEL)


class _Zstandard(threading.local):
    """Each thread's own: a compressor must not be used by two at once, and is costly to make."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_LEVEL, dict_data=_FROZEN).compress
        self.compress_long = zstandard.ZstdCompressor(level=_LEVEL).compress
        self.decompress = zstandard.ZstdDecompressor(dict_data=_FROZEN).decompress


_zstandard = _Zstandard()


def squeeze(data: bytes) -> bytes:
    """Sibling of `unsqueeze`."""
    squeezed = _zstandard.compress(data) if len(data) < _LONG else _zstandard.compress_long(data)
    return squeezed if len(squeezed) <= len(data) else _PLAIN + data


def unsqueeze(stored: bytes) -> bytes:
    """The very bytes that `squeeze` was given. Raises ValueError if `stored` is nothing that it makes."""
    if stored.startswith(_FRAME):
        try:
            if zstandard.frame_content_size(stored) > MOST:
                raise ValueError("bytes that would be too many")
            return _zstandard.decompress(stored, allow_extra_data=False)
        except (zstandard.ZstdError, MemoryError):  # a damaged frame may claim to hold anything
            raise ValueError("bytes that cannot be decompressed") from None
    if stored[:1] == _PLAIN:
        return stored[1:]
    if stored[:1] == _DEFLATED:
        return _inflate(stored[1:])
    raise ValueError("bytes stored in an unknown way")


# --- The older form, which is only read --------------------------------------------------------------------------

_BYTES = {b"\xff": 32, b"\xfe": 16}
_MARKER = re.compile(b"[\xfe\xff]")

_NAMES = b"""
    country source_system session_id pii_principal_id completeness version region data_categories
    tls_version retain_until purposes owner method cipher transformation title storage_locations started
    sequence scope retention_period recipients reason read_only rating public protocol principal_type
    principal_account processing_locations privacy_notice payload_digest_out payload_digest party outcome
    observer object_id node name location law lawful_basis kind key_country grants external_principals
    event_type ended encryption declared_path uri user_agent source_address record_id choice captured_at
    bytes asn from to api_call action principal resource
""".split()

_DICTIONARY = (
    b"".join(b'[\xfe,"%s","' % name for name in _NAMES)
    + b"2026-01-01T00:00:00Z203.0.113.198.51.100.0.0:443arn:aws:s3:::arn:aws:iam::user/GetObjectread"
    + b'"datacontenttype":"application/json","dataschema":"traceparent":"00-"before","source":"/storage","source":"/'
    + b"permission-snapshot.v1storage.v1hop.v1consent.v1"
    + b'{"data":{"_sd":[\xff,\xff,\xff,\xff,\xff,\xff,\xff,\xff,\xff],"_sd_alg":"sha-256","completeness":"complete",'
    + b'"country":"SG","outcome":"allowed","protocol":"public":false,"source_system":"tls_version":"TLSv1.3"},'
    + b'"event":{"id":"","phase":"transit","source":"/","specversion":"1.0","subject":"live-2026-",'
    + b'"time":"2026-01-01T00:00:00.000Z","type":"transfer-ledger.access.v1"},"log":"ledger.example/'
    + b'","party":"","received":"2026-01-01T00:00:00.000Z","v":1}'
)


def _inflate(stored: bytes) -> bytes:
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    try:
        text = inflate.decompress(stored, MOST)
    except zlib.error:
        raise ValueError("bytes that cannot be inflated") from None
    lifted, place = inflate.unused_data, 0

    def put_back(match: re.Match[bytes]) -> bytes:
        nonlocal place
        start, place = place, place + _BYTES[match[0]]
        return b'"' + to_base64url(lifted[start:place]).encode() + b'"'

    data = _MARKER.sub(put_back, text)
    if not inflate.eof or place != len(lifted):
        raise ValueError("bytes that are cut short or too long")
    return data
