"""Random bytes that are drawn ahead."""

from __future__ import annotations

import os
import threading

from ledger.adapters.chance import AHEAD, DrawnAhead


def counting() -> DrawnAhead:
    """Draws 0, 1, 2, … in groups of four bytes, for ever."""
    drawn = 0

    def draw(count: int) -> bytes:
        nonlocal drawn
        groups = count // 4 + 1
        numbers = b"".join(number.to_bytes(4) for number in range(drawn, drawn + groups))
        drawn += groups
        return numbers

    return DrawnAhead(draw)


def test_no_byte_is_given_twice_whoever_asks() -> None:
    draw, taken, lock = counting(), list[bytes](), threading.Lock()

    def work() -> None:
        mine = [draw(16) for _ in range(AHEAD // 16)]
        with lock:
            taken.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 4 * (AHEAD // 16)
    assert {len(salt) for salt in taken} == {16}


def test_more_may_be_asked_for_than_is_drawn_ahead() -> None:
    draw = counting()
    assert draw(4) != draw(4)
    assert len(draw(3 * AHEAD)) == 3 * AHEAD
    assert draw(0) == b""


def test_a_process_that_was_forked_off_has_bytes_of_its_own() -> None:
    draw = DrawnAhead()
    draw(16)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writing, draw(32))
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 32)
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 32
    assert theirs != draw(32)
