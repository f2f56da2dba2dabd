r"""Entries and disclosures, squeezed: they are most of what a ledger stores, and say much the same again and again.

::

    00 ‖ data                              as it is, where squeezing would not help or cannot be undone
    01 ‖ raw deflate of text ‖ lifted      RFC 1951, with `_DICTIONARY` as its preset dictionary

`text` is `data`, UTF-8, with its random parts lifted out, which deflate cannot shorten: a JSON string of 43 characters
that is base64url of 32 bytes (a digest) becomes the byte FF, one of 22 that is base64url of 16 bytes (a salt) the byte
FE, quotes included; neither byte occurs in UTF-8. `lifted` are those bytes, one after the other. So

    {"_sd":["X9yH0Ajrdm1Oij4tWso9UzzKJvPoDxwmuEcO3XAdRC0"],"_sd_alg":"sha-256"}

is squeezed as `{"_sd":[FF],"_sd_alg":"sha-256"}` and 32 bytes. What comes back is always exactly what went in.
"""

from __future__ import annotations

import re
import zlib
from base64 import urlsafe_b64encode
from binascii import a2b_base64

_PLAIN, _SQUEEZED = b"\x00", b"\x01"
_DIGEST, _SALT = b"\xff", b"\xfe"
_BYTES = {_DIGEST: 32, _SALT: 16}

# The last character's spare bits must be zero, or the bytes would be spelled otherwise on the way back.
_RANDOM = re.compile(rb'"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{21}[AQgw])"')
_MARKER = re.compile(b"[\xfe\xff]")
_PADDING = {43: b"=", 22: b"=="}
_STANDARD = bytes.maketrans(b"-_", b"+/")

_NAMES = b"""
    country source_system session_id pii_principal_id completeness version region data_categories
    tls_version retain_until purposes owner method cipher transformation title storage_locations started
    sequence scope retention_period recipients reason read_only rating public protocol principal_type
    principal_account processing_locations privacy_notice payload_digest_out payload_digest party outcome
    observer object_id node name location law lawful_basis kind key_country grants external_principals
    event_type ended encryption declared_path uri user_agent source_address record_id choice captured_at
    bytes asn from to api_call action principal resource
""".split()

# Frozen: rows are read with the dictionary they were written with. A better one comes with a first byte of its own.
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


def squeeze(data: bytes) -> bytes:
    """Sibling of `unsqueeze`."""
    if _DIGEST in data or _SALT in data:
        return _PLAIN + data
    # What does not match, what does, what does not, and so on.
    parts = _RANDOM.split(data)
    spelled = parts[1::2]
    parts[1::2] = [_DIGEST if len(it) == 43 else _SALT for it in spelled]
    lifted = [a2b_base64(it.translate(_STANDARD) + _PADDING[len(it)]) for it in spelled]
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    text = deflate.compress(b"".join(parts)) + deflate.flush()
    squeezed = b"".join((_SQUEEZED, text, *lifted))
    return squeezed if len(squeezed) <= len(data) else _PLAIN + data


def unsqueeze(stored: bytes) -> bytes:
    """The very bytes that `squeeze` was given. Raises ValueError if `stored` is nothing that it makes."""
    if stored[:1] == _PLAIN:
        return stored[1:]
    if stored[:1] != _SQUEEZED:
        raise ValueError("bytes stored in an unknown way")
    inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS, zdict=_DICTIONARY)
    try:
        text = inflate.decompress(stored[1:])
    except zlib.error:
        raise ValueError("bytes that cannot be inflated") from None
    lifted, place = inflate.unused_data, 0

    def put_back(match: re.Match[bytes]) -> bytes:
        nonlocal place
        start, place = place, place + _BYTES[match[0]]
        return b'"' + urlsafe_b64encode(lifted[start:place]).rstrip(b"=") + b'"'

    data = _MARKER.sub(put_back, text)
    if not inflate.eof or place != len(lifted):
        raise ValueError("bytes that are cut short or too long")
    return data
