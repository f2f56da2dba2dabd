"""The native part: it answers what Python does, and touches no memory but what it was given.

It reads what an attacker wrote, in a language that does not look where it reads. So it is compiled anew here, with the
sanitizers of the compiler, which end the program where memory or arithmetic is misused, and given thousands of damaged
lines, each in memory of exactly its size.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import native
from ledger.disclosure import RESERVED, DisclosureTexts, members_text, parse_disclosure, salt_members
from ledger.evidence.entries import Run, check_run
from ledger.merkle import tree_root
from ledger.native import build
from tests.unit.test_plain_lines import (
    EXACT,
    FORGED_DISCLOSURES,
    FORGED_ENTRIES,
    FORGED_LINES,
    MANIFEST,
    NOT_NATIVE,
    PLAIN_ENTRIES,
    SOUND_BUT_NOT_PLAIN,
    TEXTS,
    VALUES,
    array,
    entry,
    line,
    needs_native,
    spelled,
)
from tests.unit.test_plain_lines import told as verdict

REPOSITORY = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("native_driver.c")
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
POSITION = 3


@pytest.fixture(scope="module", params=[(), ("-DLEDGER_PORTABLE",)], ids=["as built", "portable"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver with all sources, compiled with sanitizers."""
    compiler = next(filter(shutil.which, build.COMPILERS), None)
    if compiler is None:
        pytest.skip("there is no C compiler")
    made = tmp_path_factory.mktemp("native") / "driver"
    sources = [str(build.FOLDER / source) for source in build.SOURCES]
    command = [compiler, "-std=c11", "-O1", "-I", str(build.FOLDER), "-o", str(made), str(DRIVER), *sources]
    nothing = made.with_name("nothing.c")
    nothing.write_text("int main(void) { return 0; }\n")
    probe = subprocess.run([compiler, *SANITIZERS, "-o", str(made), str(nothing)], capture_output=True)
    if probe.returncode:
        pytest.skip("the compiler has no sanitizers")
    subprocess.run([*command, *SANITIZERS, *request.param], check=True)
    return made


def driven(driver: Path, what: str, items: Iterable[bytes]) -> bytes:
    told = b"".join(struct.pack("=I", len(item)) + item for item in items)
    ran = subprocess.run([driver, what], input=told, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()[:3000]
    return ran.stdout


def messages() -> list[bytes]:
    chance = random.Random(1)
    return [chance.randbytes(size) for size in [*range(300), 1000, 65_536, 100_001]]


def test_sha256_is_sha256(driver: Path) -> None:
    assert driven(driver, "sha256", messages()) == b"".join(sha256(it).digest() for it in messages())


@pytest.mark.parametrize("count", [*range(1, 70), 1000, 1023, 1024, 1025])
@needs_native
def test_a_root_is_that_of_the_tree(count: int) -> None:
    assert native.library is not None
    leaves = [sha256(b"%d" % number).digest() for number in range(count)]
    assert native.library.tree_root(b"".join(leaves)) == tree_root(leaves)


def test_a_root_is_made_within_its_memory(driver: Path) -> None:
    many = [[sha256(b"%d" % number).digest() for number in range(count)] for count in range(1, 40)]
    assert driven(driver, "root", map(b"".join, many)) == b"".join(map(tree_root, many))


@needs_native
@pytest.mark.parametrize("leaves", [b"", b"x", bytes(33)])
def test_what_is_no_number_of_hashes_has_no_root(leaves: bytes) -> None:
    assert native.library is not None
    with pytest.raises(ValueError, match="not a whole number of hashes"):
        native.library.tree_root(leaves)


def corpus() -> list[bytes]:
    """Lines of the position, good and forged."""
    at = partial(line, POSITION)
    values = [at([spelled(array(1, "one", 1)), spelled(array(2, "value", value))]) for value in VALUES]
    entries = [at(TEXTS, entry(TEXTS, **changes)) for changes in PLAIN_ENTRIES.values()]
    forged = [at(TEXTS, change(entry(TEXTS))) for change in FORGED_ENTRIES.values()]
    return [at(TEXTS), at([]), *values, *entries, *forged, *map(at, FORGED_DISCLOSURES.values())] + [
        re.sub(rb'"position":[01]\b', b'"position":3', it)
        for it in (*FORGED_LINES.values(), *SOUND_BUT_NOT_PLAIN.values())
    ]


def damaged(chance: random.Random, text: bytes, other: bytes) -> bytes:
    """A text with one to three things wrong."""
    for _ in range(chance.randint(1, 3)):
        at, upto = sorted(chance.choices(range(len(text) + 1), k=2))
        few = text[at : at + chance.randint(0, 4)]
        put = chance.choice([b"", few * 2, chance.randbytes(1), b'"', b"\\", b"\n", b"\xe2", other[at:upto]])
        text = text[:at] + put + text[at + len(few) if chance.random() < 0.8 else upto :]
    return text


def held(text: bytes, position: int = POSITION) -> tuple[int, bytes, bytes, list[list[int]]]:
    """What the library says of a text: the end of its plain lines, and what they hold."""
    assert native.library is not None
    count = text.count(b"\n") + 1
    it = native.library.plain_lines(text, 0, position, count, longest=len(text), statements=True)
    return it.end, it.leaves, it.statements, it.numbers.tolist()


def test_whatever_a_line_is_only_its_memory_is_read(driver: Path) -> None:
    chance = random.Random(2)
    lines = corpus()
    good = line(POSITION, TEXTS)
    cut = [good[:size] for size in range(len(good))]
    items = [
        *lines,
        *cut,
        *(it + b"\n" for it in cut),
        *(it + b',"position":3}\n' for it in cut),
        *(damaged(chance, chance.choice(lines), chance.choice(lines)) for _ in range(20_000)),
    ]
    seen = driven(driver, "lines", items)
    if native.library is not None:
        told = list(map(held, items))
        assert seen == b"".join(
            struct.pack("=II", len(leaves) // 32, end)
            + struct.pack(f"={len(numbers)}I", *numbers)
            + leaves
            + statements
            for end, leaves, statements, numbers in told
        )
        accepted = [it[:end] for it, (end, *_) in zip(items, told, strict=True) if end > 0]
        assert 100 < len(accepted) < len(told) / 2
        runs = [Run(POSITION, text.count(b"\n"), text) for text in set(accepted)]
        natively = [verdict(check_run(MANIFEST, run)) for run in runs]
        with NOT_NATIVE, EXACT:
            assert natively == [verdict(check_run(MANIFEST, run)) for run in runs]


@needs_native
def test_lines_are_held_up_to_the_first_that_is_not_plain() -> None:
    assert native.library is not None
    one, two, other, three = line(0, TEXTS), line(1, []), b"{}\n", line(3, TEXTS)
    text = one + two + other + three
    plain = partial(native.library.plain_lines, text, longest=len(one), statements=False)
    assert plain(0, 0, 4).end == len(one + two)
    assert plain(0, 0, 1).end == len(one)
    assert plain(len(one), 1, 3).end == len(one + two)
    assert plain(len(one + two), 2, 2).end == len(one + two)
    assert plain(len(one + two + other), 3, 1).end == len(text)
    assert plain(len(text), 4, 1).end == len(text)
    assert native.library.plain_lines(text, 0, 0, 4, longest=len(one) - 1, statements=False).end == 0


@needs_native
def test_texts_are_told_of_the_first_line_that_has_them() -> None:
    assert native.library is not None
    types = [f"type-{number % 10}" for number in range(40)] + ["type-9"] * 3
    text = b"".join(
        line(number, [], entry([], event={"type": type_}, party="acme" if number < 5 else "cdn"))
        for number, type_ in enumerate(types)
    )
    it = native.library.plain_lines(text, 0, 0, len(types), longest=len(text), statements=False)
    assert [it.type_text(number).decode() for number in it.types] == types
    assert it.types[-3:] == [39, 39, 39]
    assert it.added == [0] * 5 + [5] * 38
    assert b"acme" in it.added_text(0)
    assert b"cdn" in it.added_text(5)
    assert it.statements == b""


# --- salting ------------------------------------------------------------------------------------------------

names = st.text(max_size=8).filter(lambda name: name not in RESERVED)
values_ = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e6, 1e6) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@needs_native
@given(st.lists(st.dictionaries(names, values_, max_size=12), max_size=5), st.randoms())
def test_members_are_salted_as_by_python(events: list[dict[str, Any]], chance: random.Random) -> None:
    assert native.library is not None
    members = [member for event in events for member in event.items()]
    text, salts = members_text(members), chance.randbytes(16 * len(members))
    counts = list(map(len, events))
    arrays, digests = native.library.salt_members(text, salts, counts)
    assert (arrays, digests) == salt_members(text, salts, counts)
    shown = [parse_disclosure(shown) for each in arrays for shown in DisclosureTexts(each)]
    assert [(it.name, it.value) for it in shown] == members
    assert sorted(it.digest for it in shown) == sorted(digests)


BOTH = pytest.mark.parametrize("by", ["python", "native"])


@BOTH
@pytest.mark.parametrize(
    ("members", "salts", "counts"),
    [
        (b'["a",1],\nX["b",2]', 32, [1, 1]),
        (b'["a",1],\n,', 16, [1]),
        (b'["a",1]', 16, [0]),
        (b'["a",1]', 32, [2]),
        (b'["a",1],\n,["b",2]', 16, [1]),
        (b'["a",1],\n,["b",2]', 48, [1, 2]),
        (b"", 16, [1]),
        (b'["a",1]', 15, [1]),
        (b'["a",1]', 17, [1]),
    ],
)
def test_members_salts_and_counts_have_to_be_as_many(
    by: str, members: bytes, salts: int, counts: list[int]
) -> None:
    salting = salt_members if by == "python" else native.library and native.library.salt_members
    if salting is None:
        pytest.skip("no native part")
    with pytest.raises(ValueError, match=r"not [0-9]+ (members|salts)"):
        salting(members, bytes(salts), counts)


def test_whatever_members_are_only_their_memory_is_read(driver: Path) -> None:
    chance = random.Random(3)
    good = b'["a",1],\n,["b","\xc3\xa9"],\n,["c",[1,2,{"d":null}]],\n,["e",true]'
    heads = [bytes([one, two, three]) for one in range(3) for two in range(3) for three in range(5)]
    texts = [good, b"", *(good[:size] for size in range(len(good)))]
    texts += [damaged(chance, good, b",\n,") for _ in range(500)]
    seen = driven(driver, "members", [head + text for head in heads for text in texts])
    if native.library is None:
        return
    told = []
    for counts in heads:
        for text in texts:
            try:
                arrays, digests = native.library.salt_members(text, bytes(16 * sum(counts)), list(counts))
            except ValueError:
                told.append(struct.pack("=i", 1))
            else:
                ends = itertools.accumulate(map(len, arrays))
                told += [
                    struct.pack("=i3I", 0, *ends),
                    *arrays,
                    *(b"%b\n" % each.encode() for each in digests),
                ]
    assert seen == b"".join(told)
    assert len(told) > len(heads) * len(texts)


# --- building and choosing ----------------------------------------------------------------------------------

SHOWN = "from ledger import native; print(native.library is not None)"


def shown(**environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", SHOWN],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@needs_native
def test_it_can_be_done_without() -> None:
    assert shown() == "True"
    assert shown(TRANSFER_LEDGER_NATIVE="no") == "False"


@needs_native
@pytest.mark.parametrize("said", ["0", "False", "off", " no", "none", "disable"])
def test_whatever_is_not_yes_means_no(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build.FOLDER / build.LIBRARY
    monkeypatch.setenv(native.VARIABLE, "Yes")
    assert native.loaded(path) is not None
    monkeypatch.setenv(native.VARIABLE, said)
    assert native.loaded(path) is None


@pytest.mark.parametrize("content", [None, b"", b"not a library"], ids=["none", "empty", "garbage"])
def test_what_is_no_library_is_done_without(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / build.LIBRARY
    if content is not None:
        path.write_bytes(content)
    assert native.loaded(path) is None


@needs_native
def test_a_library_of_other_sources_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    path = build.FOLDER / build.LIBRARY
    assert native.loaded(path) is not None
    monkeypatch.setattr(native, "form", lambda: build.form() ^ 1)
    assert native.loaded(path) is None


def test_where_there_is_a_compiler_it_was_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So none of the tests here that need the library is left out unseen."""
    monkeypatch.delenv(native.VARIABLE, raising=False)
    try:
        build.build(tmp_path)
    except build.NotBuilt as why:
        pytest.skip(str(why))
    assert native.loaded(build.FOLDER / build.LIBRARY) is not None, "run scripts/setup"


@needs_native
def test_a_compiler_may_be_named_with_arguments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", f"{next(filter(shutil.which, build.COMPILERS))} -O1")
    library = build.build(tmp_path)
    assert native.loaded(library) is not None
    assert list(tmp_path.iterdir()) == [library]


def test_without_a_compiler_nothing_is_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", " ")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.NotBuilt, match="no C compiler"):
        build.build(tmp_path)


@pytest.mark.parametrize("command", ["/no/such/compiler", "false", "echo", 'cc "'])
def test_with_a_compiler_that_fails_nothing_is_built(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(build.NotBuilt):
        build.build(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("compiler", ["", "false"], ids=["with", "without"])
def test_a_wheel_has_it_where_there_is_a_compiler(
    compiler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CC", compiler)
    ran = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    [wheel] = tmp_path.iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert f"ledger/native/{build.SOURCES[0]}" in names
    if compiler:
        assert f"ledger/native/{build.LIBRARY}" not in names
        assert wheel.name.endswith("-py3-none-any.whl")
    elif native.library is not None:
        assert f"ledger/native/{build.LIBRARY}" in names
        assert not wheel.name.endswith("-any.whl")


def test_without_a_place_for_it_nothing_is_built(tmp_path: Path) -> None:
    with pytest.raises(build.NotBuilt):
        build.build(tmp_path / "none")
