"""Lines that are checked many at a time: whatever they are, the verdict is that of the exact check of each.

The attacker here is who keeps the log: entries commit to whatever is disclosed, however it is spelled.
"""

from __future__ import annotations

import json
import re
import tracemalloc
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ledger import canonical, native
from ledger.disclosure import disclosed_names, parse_disclosure
from ledger.errors import InputError, MalformedInput
from ledger.evidence import entries
from ledger.evidence.entries import Run, Tally, check_run
from ledger.evidence.manifest import PUSHES, FileDigest, Manifest
from ledger.evidence.plain import check_plain
from ledger.types import BatchNo, Digest, Position, parse_origin, to_base64url

ORIGIN = parse_origin("ledger.example/acme-live")
RECEIVED = "2026-07-01T12:00:01.250Z"
MANIFEST = Manifest(
    origin=ORIGIN,
    since=0,
    until=2**45,
    first_batch=BatchNo(0),
    batches=1,
    first_event=Position(0),
    events=3,
    made=0,
    files=(FileDigest(PUSHES, 0, Digest(bytes(32))),),
)
UNSIGNED = replace(MANIFEST, files=())
SALTS = [to_base64url(bytes([n]) * 16) for n in range(16)]
ATTRIBUTES = {
    "id": "access-1",
    "phase": "storage",
    "source": "/s3/eu-west-1",
    "specversion": "1.0",
    "subject": "live-2026-07-01",
    "time": "2026-07-01T12:00:00Z",
    "type": "transfer-ledger.access.v1",
}


def spelled(array: str | bytes) -> str:
    """The base64url of an array, or of what passes itself off as one."""
    data = array.encode() if isinstance(array, str) else array
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def array(number: int, name: str, value: Any) -> str:
    return canonical.encode([SALTS[number], name, value]).decode()


def digest(text: str) -> str:
    return to_base64url(sha256(text.encode("utf-8", "surrogatepass")).digest())


def entry(texts: Sequence[str], **changes: Any) -> str:
    """An entry that commits to exactly these texts. Changes are of its members; of None, a member is taken away."""
    data = {"_sd": sorted(map(digest, texts)), "_sd_alg": "sha-256", "country": "JP", "outcome": "allowed"}
    value = {
        "data": data | changes.pop("data", {}),
        "event": ATTRIBUTES | changes.pop("event", {}),
        "log": ORIGIN,
        "party": "acme",
        "received": RECEIVED,
        "v": 1,
        **changes,
    }
    for members in (value, value["data"], value["event"]):
        for name in [name for name, member in members.items() if member is None]:
            del members[name]
    return canonical.encode(value).decode()


def line(position: int, texts: Sequence[str], said: str | None = None) -> bytes:
    whole = {
        "disclosures": list(texts),
        "entry": entry(texts) if said is None else said,
        "position": position,
    }
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


TEXTS = [spelled(array(n, name, n)) for n, name in enumerate(("principal", "action", "résumé"))]
GOOD = line(0, TEXTS)


def lines(*middle: bytes) -> list[bytes]:
    """These lines, which should be of the positions from 1 on, between good ones."""
    return [GOOD, *middle, line(len(middle) + 1, TEXTS)]


NOT_NATIVE = patch.object(native, "library", None)
EXACT = patch.object(entries, "check_plain", lambda origin, first, lines: [None] * len(lines))
"""No line is taken for a plain one by Python."""


def told(tally: Tally) -> Any:
    """All that a tally says, to be compared."""
    failure = tally.failure
    said = failure and (type(failure), failure.step, failure.message, failure.expected, failure.got)
    return [said, *(getattr(tally, name) for name in Tally.__slots__ if name != "failure")]


def alike(run: Sequence[bytes]) -> Tally:
    """The verdict on these lines, which is the same whether they are looked at natively, by Python, or exactly."""
    text = b"".join(run)
    whole = Run(0, text.count(b"\n") + (not text.endswith(b"\n")), text)
    checked, unsigned = check_run(MANIFEST, whole), check_run(UNSIGNED, whole)
    with NOT_NATIVE:
        assert told(unsigned) == told(check_run(UNSIGNED, whole))
        assert told(checked) == told(check_run(MANIFEST, whole))
        with EXACT:
            assert told(checked) == told(check_run(MANIFEST, whole))
    return checked


def is_plain(one: bytes, position: int = 1) -> bool:
    return check_plain(ORIGIN, position, [one]) != [None]


def is_natively_plain(one: bytes, position: int = 1) -> bool:
    assert native.library is not None
    return native.library.plain_lines(one, 0, position, 1, longest=len(one), statements=True).end == len(one)


needs_native = pytest.mark.skipif(native.library is None, reason="no native part: there was no C compiler")


# --- what is plain ------------------------------------------------------------------------------------------


VALUES = [
    "", "x", "日本 \u2028\x7f😀", 'a "quoted" \\ word/\b\f\n\r\t', 0, -1, 10**14, 1.5, -0.25, True, False, None,
    [], {}, ["JP", "SG"], [[1], {"a": [{"b": None}]}], {"rating": "adequate", "country": "JP"},
]  # fmt: skip
ODD_VALUES = [
    1e300,
    1e-300,
    {str(n): n for n in range(33)},
    [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]],
]


@pytest.mark.parametrize("value", VALUES + ODD_VALUES, ids=repr)
def test_whatever_is_disclosed_a_line_of_the_ledgers_is_plain(value: Any) -> None:
    texts = [spelled(array(1, "before", 1)), spelled(array(2, "value", value)), spelled(array(3, "after", 3))]
    assert is_plain(line(1, texts))
    assert alike(lines(line(1, texts))).failure is None


@pytest.mark.parametrize("array_", [f'["{SALTS[2]}", "two", 2]', f'[\n"{SALTS[2]}",\n"two",\n2\n]\n'])
def test_so_it_is_however_a_disclosure_is_spelled(array_: str) -> None:
    texts = [spelled(array(1, "before", 1)), spelled(array_), spelled(array(3, "after", 3))]
    assert is_plain(line(1, texts))
    assert alike(lines(line(1, texts))).failure is None


@pytest.mark.parametrize("name", ["", 'a "name"', "\n", "日本", "résumé", "a,b", "a:b"])
def test_so_it_is_whatever_its_name(name: str) -> None:
    texts = [spelled(array(1, "before", 1)), spelled(array(2, name, "value"))]
    assert is_plain(line(1, texts))
    assert alike(lines(line(1, texts))).failure is None


PLAIN_ENTRIES: dict[str, Any] = {
    "no visible member": {"data": {"country": None, "outcome": None}},
    "a visible list": {"data": {"countries": ["JP", {"code": "SG"}]}},
    "visible text with an escape": {"data": {"path": 'C:\\"'}},
    "visible text that is not ASCII": {"data": {"country": "日本"}},
    "a float": {"data": {"share": 0.5}},
    "all optional attributes": {
        "event": {
            "datacontenttype": "application/json",
            "dataschema": "https://schema.example/v1",
            "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        }
    },
    "a time with an offset": {"event": {"time": "2026-07-01T23:59:59.123456789+09:30"}},
    "another phase": {"event": {"phase": "before"}},
}


@pytest.mark.parametrize("what", PLAIN_ENTRIES)
def test_an_entry_is_plain_with(what: str) -> None:
    one = line(1, TEXTS, entry(TEXTS, **PLAIN_ENTRIES[what]))
    assert is_plain(one)
    assert alike(lines(one)).failure is None


@pytest.mark.parametrize("shown", [TEXTS[:0], TEXTS[:1], TEXTS[1:], TEXTS[::-1]])
def test_a_line_is_plain_whatever_part_of_it_is_disclosed(shown: list[str]) -> None:
    one = line(1, shown, entry(TEXTS))
    assert is_plain(one)
    tally = alike(lines(one))
    assert (tally.disclosed, tally.withheld) == (6 + len(shown), 3 - len(shown))


def test_a_line_that_commits_to_nothing_is_plain() -> None:
    assert is_plain(line(1, []))
    assert alike(lines(line(1, []))).failure is None


@needs_native
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_nearly_all_that_is_disclosed_is_natively_plain(value: Any) -> None:
    texts = [spelled(array(1, "before", 1)), spelled(array(2, "value", value)), spelled(array(3, "after", 3))]
    assert is_natively_plain(line(1, texts))


@needs_native
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_what_is_disclosed_seldom_is_left_to_python(value: Any) -> None:
    assert not is_natively_plain(line(1, [spelled(array(2, "value", value))]))


@needs_native
@pytest.mark.parametrize("what", sorted(PLAIN_ENTRIES.keys() - {"a float"}))
def test_an_entry_is_natively_plain_with(what: str) -> None:
    assert is_natively_plain(line(1, TEXTS, entry(TEXTS, **PLAIN_ENTRIES[what])))


@needs_native
@pytest.mark.parametrize("shown", [TEXTS[:0], TEXTS[:1], TEXTS[1:], TEXTS[::-1]])
def test_a_line_is_natively_plain_whatever_part_of_it_is_disclosed(shown: list[str]) -> None:
    assert is_natively_plain(line(1, shown, entry(TEXTS)))


@needs_native
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 9, 33, 64])
def test_a_line_is_natively_plain_with_so_many_disclosures(count: int) -> None:
    texts = [spelled(array(n % 16, f"name-{n}", "x" * n)) for n in range(count)]
    assert is_natively_plain(line(1, texts))
    assert alike(lines(line(1, texts))).failure is None


def test_more_disclosures_than_are_looked_at_natively_are_seen_alike() -> None:
    texts = [spelled(array(n % 16, f"name-{n}", n)) for n in range(65)]
    visible = {f"visible-{n:03}": n for n in range(65)}
    assert alike(lines(line(1, texts))).failure is None
    assert alike(lines(line(1, TEXTS, entry(TEXTS, data=visible)))).failure is None


@pytest.mark.parametrize(
    "spelled_",
    ["-0", "-0.0", "0e-0", "1.0", "1e5", "1E-5", "1e-5", "-1.5e-05", "1e-400", "999999999999999.9"],
)
def test_a_number_is_seen_alike_however_it_is_spelled(spelled_: str) -> None:
    texts = [spelled(array(1, "one", "x").replace('"x"', spelled_))]
    assert alike(lines(line(1, texts))).failure is None


@pytest.mark.parametrize("every", [2, 3, 7, 60])
def test_lines_that_do_not_hold_natively_may_stand_among_those_that_do(every: int) -> None:
    odd = entry(TEXTS, data={"share": 0.5})
    many = [line(n, TEXTS, odd if n % every == 1 else None) for n in range(150)]
    tally = alike(many)
    assert (tally.failure, len(tally.received)) == (None, 150)
    many[100] = many[99]
    assert len(alike(many).received) == 100


def test_many_lines_take_no_more_room_than_is_needed() -> None:
    """How many there seem to be is said by who made the package."""
    run = Run(0, 2**20 + 1, GOOD + b"\n" * 2**20)
    tracemalloc.start()
    tally = check_run(MANIFEST, run)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert tally.failure is not None
    assert len(tally.received) == 1
    assert most < 2**20


@pytest.mark.parametrize("position", [2**53 - 1, 2**53])
def test_a_position_is_an_integer_that_json_holds(position: int) -> None:
    run = Run(position, 1, line(position, TEXTS))
    checked = told(check_run(MANIFEST, run))
    with NOT_NATIVE:
        assert told(check_run(MANIFEST, run)) == checked
        with EXACT:
            assert told(check_run(MANIFEST, run)) == checked
    assert (checked[0] is None) == (position < 2**53)


SOUND_BUT_NOT_PLAIN = {
    "white space": GOOD.replace(b'"entry":', b'"entry" : '),
    "another order": json.dumps(dict(reversed(json.loads(GOOD).items()))).encode() + b"\n",
    "long visible members": line(0, TEXTS, entry(TEXTS, data={"country": "x" * 5000})),
    "a visible member before the digests": line(0, TEXTS, entry(TEXTS, data={"Country": "JP"})),
    "visible members that look like the event": line(
        0, TEXTS, entry(TEXTS, data={"country": {"code": "JP"}, "event": {"id": "x"}})
    ),
}


@pytest.mark.parametrize("what", SOUND_BUT_NOT_PLAIN)
def test_what_is_not_plain_is_checked_all_the_same(what: str) -> None:
    one = SOUND_BUT_NOT_PLAIN[what]
    assert not is_plain(one, 0)
    tally = alike([one, line(1, TEXTS)])
    assert (tally.failure, len(tally.received)) == (None, 2)


# --- what is not sound --------------------------------------------------------------------------------------

ONE, TWO = array(1, "one", "1"), array(2, "two", "2")


def twisted(text: str, bits: int) -> str:
    """A text whose last character has other spare bits."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) ^ bits]


def padded(data: str, size: int) -> str:
    """A disclosure with a value that makes its size what is wanted modulo 3."""
    return next(
        made for n in range(3) if len(made := data.replace("VALUE", "x" * n).encode()) % 3 == size
    )  # fmt: skip


ANY = f'["{SALTS[3]}","any","VALUE"]'
OPEN = f'["{SALTS[4]}","open","VALUE'

FORGED_DISCLOSURES: dict[str, list[str]] = {
    "two arrays in one text": [spelled(f"{ONE},{TWO}")],
    "two arrays in one text, for one too few": [spelled(f"{ONE},{TWO}"), ""],
    "two arrays in one text, as if each stood in a line": [spelled(f"{ONE}\n,{TWO}")],
    "two arrays in one text, and one array in two": [
        spelled(f"{ONE}\n\n,{TWO}"), spelled(f'["{SALTS[3]}","three"'), spelled('"3"]'),
    ],
    "two arrays in one text, and a string in two": [
        spelled(f"{ONE}\n,{TWO}"), spelled(f'["{SALTS[3]}","three","half'), spelled('half"]'),
    ],
    "two arrays in one text, and an array in another": [
        spelled(f"{ONE}\n,{TWO}"), spelled(f'["{SALTS[3]}","three",[0'), spelled('["a","b",1]]]'),
    ],
    "arrays that only together are balanced": [spelled(ONE[:-1]), spelled(f"{TWO}]")],
    "a line feed and rest, for one array too many": [spelled(f"{ONE}\n,{TWO}"), spelled("x\ny"), spelled("[]")],
    "a comma behind": [spelled(ONE + ",")],
    "a comma behind, for none": [spelled(ONE + "\n,"), ""],
    "a comma before": [spelled("," + ONE)],
    "text before, as if in a line of its own": [spelled("x\n" + ONE)],
    "text behind": [spelled(ONE + "x")],
    "a zero byte behind": [spelled(ONE + "\0")],
    "nothing": [""],
    "a single character": ["W"],
    "a character too many": [spelled(ONE) + ("A" if len(spelled(ONE)) % 4 == 0 else "AA" * 2)],
    "padding": [spelled(ONE) + "="],
    "the other alphabet": [spelled(array(1, "one", "????>>>>")).replace("_", "/").replace("-", "+")],
    "a space": [spelled(ONE)[:8] + " " + spelled(ONE)[8:]],
    "a line feed": [spelled(ONE) + "\n"],
    **{f"four of {char!r}": [spelled(ONE)[:8] + char * 4 + spelled(ONE)[8:]] for char in " =+\n!"},
    "a quotation mark": [spelled(ONE)[:8] + '"' + spelled(ONE)[8:]],
    "no ASCII": [spelled(ONE)[:8] + "é" + spelled(ONE)[8:]],
    "no UTF-8": [spelled(ONE.encode().replace(b'"1"', b'"\xff"'))],
    "a surrogate": [spelled(ONE.replace('"1"', '"\\ud800"'))],
    "a surrogate in UTF-8": [spelled(ONE.encode().replace(b'"1"', b'"\xed\xa0\x80"'))],
    "a byte order mark": [spelled("\ufeff" + ONE)],
    "a control character": [spelled(ONE.replace('"1"', '"\x1f"'))],
    "an escape that is none": [spelled(ONE.replace('"1"', '"\\x"'))],
    "a short salt": [spelled(ONE.replace(SALTS[1], SALTS[1][:21]))],
    "a salt in another alphabet": [spelled(ONE.replace(SALTS[1], "+" * 22))],
    "no salt": [spelled('["one","1"]')],
    "four elements": [spelled(ONE[:-1] + ",1]")],
    "two elements": [spelled(f'["{SALTS[1]}","one"]')],
    "a number for a name": [spelled(f'["{SALTS[1]}",1,"1"]')],
    "a reserved name": [spelled(array(1, "_sd", 1))],
    "a reserved name, in dots": [spelled(array(1, "...", 1))],
    "a reserved name, escaped": [spelled(ONE.replace('"one"', '"_s\\u0064"'))],
    "one name twice": [spelled(array(1, "one", 1)), spelled(array(2, "one", 2))],
    "one name twice, once escaped": [spelled(ONE), spelled(array(2, "one", 2).replace("one", "\\u006fne"))],
    "one empty name twice": [spelled(array(1, "", 1)), spelled(array(2, "", 2))],
    "a visible member's name": [spelled(array(1, "outcome", "denied"))],
    "a visible member's name, escaped": [spelled(ONE.replace('"one"', '"outc\\u006fme"'))],
    "an infinite number": [spelled(ONE.replace('"1"', "1e999"))],
    "an integer out of range": [spelled(ONE.replace('"1"', str(2**53)))],
    "a float that rounds to an integer out of range": [spelled(ONE.replace('"1"', "9007199254740991.5"))],
    "a number with a leading zero": [spelled(ONE.replace('"1"', "01"))],
    "a number that ends in a point": [spelled(ONE.replace('"1"', "1."))],
    "not a number": [spelled(ONE.replace('"1"', "NaN"))],
    "one name twice in a value": [spelled(ONE.replace('"1"', '{"a":1,"a":2}'))],
    "a value nested too deep": [spelled(ONE.replace('"1"', "[" * 64 + "]" * 64))],
    **{
        f"spare bits {bits} of {size} bytes more": [twisted(spelled(padded(ANY, size)), bits)]
        for size, all_bits in ((1, range(1, 16)), (2, range(1, 4)))
        for bits in all_bits
    },
    **{
        f"spare bits {bits} of {size} bytes more hold a string open": [
            spelled(f"{ONE}\n,{TWO}"), twisted(spelled(padded(OPEN, size)), bits), spelled('"]'),
        ]
        for size, all_bits in ((1, range(1, 16)), (2, range(1, 4)))
        for bits in all_bits
    },
}  # fmt: skip


@pytest.mark.parametrize("attack", FORGED_DISCLOSURES)
def test_a_forged_disclosure_is_refused_though_the_entry_commits_to_it(attack: str) -> None:
    texts = FORGED_DISCLOSURES[attack]
    tally = alike(lines(line(1, texts)))
    assert tally.failure is not None
    assert (tally.failure.step, len(tally.received)) == ("disclosures", 1)


def replaced(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


FORGED_ENTRIES: dict[str, Callable[[str], str]] = {
    "digests unsorted": lambda text: re.sub(r'\["([^]"]+)","([^]"]+)"', r'["\2","\1"', text),
    "a digest twice": lambda text: re.sub(r'\["([^]"]+)",', r'["\1","\1",', text),
    "another digest": lambda text: re.sub(r'\["([^]"]+)"', f'["{"A" * 43}"', text),
    "one digest more, of 31 bytes": lambda text: text.replace('_sd":[', f'_sd":["{"A" * 42}",'),
    "one digest more, with spare bits": lambda text: text.replace('_sd":[', f'_sd":["{"A" * 42}B",'),
    "a number among digests": replaced('_sd":[', '_sd":[1,'),
    "a comma among digests": replaced('_sd":[', '_sd":[,'),
    "another algorithm": replaced("sha-256", "sha-512"),
    "another name for the data": replaced('{"data":', '{"Data":'),
    "no algorithm": replaced('"_sd_alg":"sha-256",', ""),
    "a reserved visible name": replaced('"country"', '"..."'),
    "digests twice": replaced('"country":"JP"', '"_sd":[],"country":"JP"'),
    "a visible name twice": replaced('"country":"JP"', '"country":"JP","country":"JP"'),
    "visible names unsorted": replaced('"country":"JP","outcome":"allowed"', '"outcome":"allowed","country":"JP"'),
    "a visible member that a disclosure has, too": replaced('"country"', '"action"'),
    "a comma too many": replaced('"allowed"}', '"allowed",}'),
    "only a comma": replaced(',"country":"JP","outcome":"allowed"', ","),
    "no comma": replaced('"sha-256",', '"sha-256"'),
    "a space for a comma": replaced('"sha-256",', '"sha-256" '),
    "white space": replaced('"country":"JP"', '"country": "JP"'),
    "a float for an integer": replaced('"JP"', "1.0"),
    "an escape that is not canonical": replaced('"JP"', '"\\u004aP"'),
    "an integer out of range": replaced('"JP"', str(2**53)),
    "nested too deep": replaced('"JP"', "[" * 63 + "]" * 63),
    "the rest within the data": lambda text: text.replace('"JP"', '{"a":1},' + text[text.index('"event":') :]),
    "no event": lambda text: re.sub(r'"event":\{[^}]*\},', "", text),
    "data and event in another order": lambda text: re.sub(r'("data":\{.*\}),("event":\{[^}]*\})', r"\2,\1", text),
    "an attribute more": replaced('"id":', '"host":"10.0.0.1","id":'),
    "an attribute twice": replaced('"id":"access-1"', '"id":"access-1","id":"access-1"'),
    "no id": replaced('"id":"access-1",', ""),
    "an e-mail address for an id": replaced("access-1", "ann@example.com"),
    "another phase": replaced('"storage"', '"after"'),
    "another specversion": replaced('"1.0"', '"1.1"'),
    "no such day": replaced("2026-07-01T12:00:00Z", "2026-02-30T12:00:00Z"),
    "no such hour": replaced("2026-07-01T12:00:00Z", "2026-07-01T24:00:00Z"),
    "a time without its offset": replaced("T12:00:00Z", "T12:00:00"),
    "a time before all": replaced("2026-07-01T12:00:00Z", "0001-01-01T00:00:00+01:00"),
    "a time after all": replaced("2026-07-01T12:00:00Z", "9999-12-31T23:59:59-01:00"),
    "an attribute with a line feed": replaced("access-1", "access-1\\n"),
    "another log": replaced(ORIGIN, "ledger.example/other"),
    "a party that is none": replaced('"acme"', '"Acme"'),
    "a time of receipt that is none": replaced(RECEIVED, RECEIVED.replace(".250", "")),
    "received before": replaced(RECEIVED, RECEIVED.replace("2026", "2025")),
    "another version": replaced('"v":1', '"v":2'),
    "a version that is true": replaced('"v":1', '"v":true'),
    "a member behind": replaced('"v":1', '"v":1,"w":1'),
    "text behind": lambda text: text + " ",
    "two entries": lambda text: f"{text},{text}",
    "nothing": lambda text: "",
}  # fmt: skip


@pytest.mark.parametrize("shown", [TEXTS, TEXTS[1:], []], ids=["all shown", "some shown", "nothing shown"])
@pytest.mark.parametrize("attack", FORGED_ENTRIES)
def test_a_forged_entry_is_refused_though_all_else_fits_it(attack: str, shown: list[str]) -> None:
    forged = FORGED_ENTRIES[attack](entry(TEXTS))
    assert forged != entry(TEXTS)
    tally = alike(lines(line(1, shown, forged)))
    if attack not in {"a visible member that a disclosure has, too", "another digest"} or len(shown) > 2:
        assert tally.failure is not None
        assert len(tally.received) == 1


FORGED_LINES: dict[str, bytes] = {
    "another position": line(2, TEXTS),
    "a position that is true": line(1, TEXTS).replace(b":1}\n", b":true}\n"),
    "a position that is a float": line(1, TEXTS).replace(b":1}\n", b":1.0}\n"),
    "a member more": line(1, TEXTS).replace(b'"position":1', b'"more":0,"position":1'),
    "the position twice": line(1, TEXTS).replace(b'"position":1', b'"position":0,"position":1'),
    "the entry twice": line(1, TEXTS).replace(b',"position"', b',"entry":"x","position"'),
    "the disclosures twice": b'{"disclosures":[],' + line(1, TEXTS)[1:],
    "no end": line(1, TEXTS)[:-1],
    "two lines in one": line(1, TEXTS)[:-1] + b"," + line(1, TEXTS),
    "an entry that is an object": line(1, TEXTS).replace(
        json.dumps(entry(TEXTS)).encode(), entry(TEXTS).encode()
    ),
    "an entry that is no UTF-8": line(1, TEXTS).replace(b"allowed", b"allow\xff"),
    "an entry with a surrogate": line(1, TEXTS).replace(b"allowed", b"\\ud800"),
    "a disclosure that is a number": line(1, TEXTS).replace(b'{"disclosures":["', b'{"disclosures":[1,"'),
    "a disclosure twice": line(1, [*TEXTS, TEXTS[0]], entry(TEXTS)),
    "a disclosure of another entry": line(1, [*TEXTS, spelled(ONE)], entry(TEXTS)),
    "an empty text for all digests": line(1, [], entry([]).replace('_sd":[]', '_sd":[""]')),
    "two empty texts for digests": line(1, [], entry([]).replace('_sd":[]', '_sd":["",""]')),
    "an empty line": b"\n",
    "a byte order mark": b"\xef\xbb\xbf" + line(1, TEXTS),
}


@pytest.mark.parametrize("attack", FORGED_LINES)
def test_a_forged_line_is_refused(attack: str) -> None:
    assert FORGED_LINES[attack] != line(1, TEXTS)
    tally = alike(lines(FORGED_LINES[attack]))
    assert tally.failure is not None
    assert len(tally.received) == 1


# --- whatever else ------------------------------------------------------------------------------------------

FRAGMENTS = st.sampled_from(
    [
        ONE, TWO, "[", "]", ",", "\n", "\n,", "\n\n,", '"', "{", "}", ":", "\\", "\\u000a", "1", "null", "x", "é", "\0",
        '{"a":1,"a":2}', f'["{SALTS[3]}","three",', f'["{SALTS[4]}","four","', '"4"]', '["a","b",1]]', "[[]]]", " ",
        array(5, "five", 5), array(6, "six", ["6"]), array(7, "seven", {"7": 7}), array(8, "_sd", 8),
    ]
)  # fmt: skip
DECODED = st.lists(FRAGMENTS, min_size=1, max_size=4).map("".join)
SPELLED = st.one_of(
    DECODED.map(spelled),
    st.sampled_from([ONE, TWO, array(5, "five", [5])]).map(spelled),
    st.tuples(DECODED.map(spelled), st.integers(1, 15)).map(lambda drawn: twisted(*drawn)),
    st.text(alphabet='AW_-+/=\n ",é', max_size=5),
)


def halves(whole: str, at: int) -> list[str]:
    return [spelled(whole[:at]), spelled(whole[at:])]


CUT = st.builds(halves, DECODED, st.integers(0, 60))
SEVERAL = st.lists(st.one_of(SPELLED.map(lambda text: [text]), CUT), max_size=4).map(
    lambda some: [text for texts in some for text in texts]
)


@settings(max_examples=300)
@given(SEVERAL, SEVERAL)
@example([spelled(f"{ONE}\n\n,{TWO}")], halves(array(5, "five", 5), 20))
def test_any_texts_are_disclosures_exactly_where_each_by_itself_is_one(
    first: list[str], second: list[str]
) -> None:
    alike(lines(line(1, first), line(2, second)))


@given(SEVERAL)
def test_names_are_those_of_the_texts_each_by_itself(texts: list[str]) -> None:
    try:
        names = [parse_disclosure(text).name for text in texts]
    except InputError:
        with pytest.raises(MalformedInput):
            disclosed_names([text.encode() for text in texts])
    else:
        assert disclosed_names([text.encode() for text in texts]) == names


WHOLE = line(1, [spelled(ONE), spelled(array(2, "two", [2])), *TEXTS])
PIECES = [b'"', b"\\", b",", b"[", b"]", b"{", b"}", b":", b"1", b"A", b"=", b"\n", b" ", b"\xff", b"\0", b""]


@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 3),
    st.sampled_from(PIECES) | st.binary(max_size=2),
    st.booleans(),
)
def test_any_change_to_a_line_is_seen_alike(at: int, gone: int, put: bytes, ended: bool) -> None:
    changed = WHOLE[:at] + put + WHOLE[at + gone :]
    alike(lines(changed if not ended else changed.rstrip(b"\n") + b"\n"))


@given(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE)))
def test_any_piece_of_a_line_elsewhere_is_seen_alike(start: int, stop: int, at: int) -> None:
    alike(lines(WHOLE[:at] + WHOLE[start:stop] + WHOLE[at:]))


@given(
    st.from_regex(
        r"(0001|0002|1970|2026|9998|9999)-(01|02|12|13)-(01|28|29|30|31)T([01][0-9]|2[0-4]):[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,10})?(Z|[+-]([01][0-9]|2[0-4]):[0-6][0-9])",
        fullmatch=True,
    )
)
def test_any_time_is_seen_alike(time: str) -> None:
    alike(lines(line(1, TEXTS, entry(TEXTS, event={"time": time}))))


names_ = st.sampled_from(
    ["...", "_sd", "_sd_", "_sd_alg", "_sd_alh", "A", "a", "principal", "b", "é", "\U0001f600"]
)
visible_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**53 - 1) | st.floats(-1e3, 1e3) | st.text("}\"],:\\\n{é", max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names_, inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(st.dictionaries(names_, visible_values, max_size=3), st.booleans())
def test_any_visible_members_are_seen_alike(visible: dict[str, Any], is_canonical: bool) -> None:
    text = entry(TEXTS, data={"country": None, "outcome": None, **visible})
    if not is_canonical:
        text = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    alike(lines(line(1, TEXTS, text)))
