"""Who and what there is in the made-up year."""

from __future__ import annotations

import hashlib

from ledger.canonical import Object

HOME_ACCOUNT = "111122223333"
ABROAD_ACCOUNT = "444455556666"
OUTSIDE_ACCOUNT = "999988887777"

CITIES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    # city, country, countries on the way, region of the replays
    ("tokyo", "JP", ("HK",), "ap-northeast-1"),
    ("singapore", "SG", ("HK",), "ap-southeast-1"),
    ("berlin", "DE", ("SG", "NL"), "eu-central-1"),
    ("seoul", "KR", ("HK", "JP"), "ap-northeast-2"),
    ("los-angeles", "US", ("JP",), "us-west-2"),
    ("paris", "FR", ("SG", "DE"), "eu-west-3"),
    ("bangkok", "TH", ("HK", "SG"), "ap-southeast-7"),
    ("sydney", "AU", ("SG",), "ap-southeast-2"),
    ("dubai", "AE", ("SG", "IN"), "me-central-1"),
)
LANGUAGES = {"JP": "ja", "DE": "de", "KR": "ko", "FR": "fr", "TH": "th", "AE": "ar"}
NOTICE: Object = {
    "version": "2026-01",
    "hash": hashlib.sha256(b"privacy notice 2026-01").hexdigest(),
    "prominent": True,
}
UNDECLARED = "PA"
CIPHERS = {
    "1.3": "TLS_AES_128_GCM_SHA256",
    "1.2": "ECDHE-RSA-AES128-GCM-SHA256",
    "1.1": "ECDHE-RSA-AES128-SHA",
}
STAFF = ("replay-editor", "support-desk", "recommender", "order-sync", "backup")
FORMER_STAFF = "intern-2024"
"""May read everything still, and never does."""
VIEWERS = 4000

FAULTS = (
    "tls-1.1",  # a hop below the floor of TLS 1.2
    "undeclared-country",  # a hop through a country that nobody declared
    None,
    "watch-only-exported",  # interaction data of a viewer who chose to watch only
    "public-bucket",  # a snapshot in which anybody may read the replay
    None,
    "outside-account",  # an access by an account that no grant names
    "missing-snapshot",  # nothing says who may read the replay abroad
)
"""What is wrong with session n: `FAULTS[n % 8]`."""

WHOLE = 150
"""Events from which on a session has papers and prompts."""
