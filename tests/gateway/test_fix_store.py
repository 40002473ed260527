"""The session store: everything that was written comes back, whatever the crash has cut off."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fix import store as store_module
from gateway.fix.store import Numbering, ProgressFile, SessionStore, StoreError

HEADER_SIZE = 28
RECEIVED_RECORD_SIZE = 8 + 9
NUMBERING = Numbering("FIX.4.4", 1_704_187_800, is_reset_owed=True, is_version_open=False)


def fill(store):
    """Eight records: five messages, two marks, a change of the numbering."""
    store.append_sent(1, b"logon", event_seq=0, answered_seq=0, is_admin=True)
    store.append_sent(2, b"report", event_seq=17, answered_seq=0, is_admin=False)
    store.append_received(2)
    store.append_sent(3, b"refusal", event_seq=0, answered_seq=4, is_admin=False)
    store.append_sent(4, b"heartbeat", event_seq=0, answered_seq=0, is_admin=True)
    store.append_sent(5, b"report" * 100, event_seq=23, answered_seq=0, is_admin=False)
    store.append_numbering(NUMBERING)
    store.append_received(3)
    store.flush()


def facts(store):
    sent = list(store.read_sent(1, store.next_out - 1)) if store.next_out > 1 else []
    return (
        store.next_out,
        store.received_through,
        store.last_event_seq,
        sorted(store.answered),
        store.resets,
        sent,
        store.numbering,
    )


def test_everything_comes_back_after_opening_again(tmp_path):
    store = SessionStore(tmp_path / "s.store")
    fill(store)
    before = facts(store)
    again = SessionStore(tmp_path / "s.store")  # the first one was not closed: it was killed
    assert facts(again) == before
    assert before[:5] == (6, 3, 23, [4], 0)
    assert before[5][4] == (5, False, b"report" * 100)
    assert before[6] == NUMBERING


def test_nothing_is_written_before_flush(tmp_path):
    store = SessionStore(tmp_path / "s.store")
    store.append_sent(1, b"x", event_seq=1, answered_seq=0, is_admin=False)
    assert SessionStore(tmp_path / "s.store").next_out == 1
    store.flush()
    assert SessionStore(tmp_path / "s.store").next_out == 2


def test_a_file_cut_at_any_byte_gives_what_was_written_before(tmp_path):
    path = tmp_path / "s.store"
    states = []  # (size of the file, facts) after each record
    store = SessionStore(path)
    states.append((path.stat().st_size, facts(store)))
    steps = [
        lambda: store.append_sent(1, b"a" * 9, event_seq=0, answered_seq=0, is_admin=True),
        lambda: store.append_sent(2, b"b" * 33, event_seq=5, answered_seq=0, is_admin=False),
        lambda: store.append_received(7),
        lambda: store.append_sent(3, b"c", event_seq=0, answered_seq=9, is_admin=False),
        lambda: store.append_sent(4, b"d" * 50, event_seq=8, answered_seq=0, is_admin=False),
    ]
    for step in steps:
        step()
        store.flush()
        states.append((path.stat().st_size, facts(store)))
    data = path.read_bytes()
    header_size = states[0][0]
    for size in range(header_size, len(data) + 1):
        cut = tmp_path / "cut.store"
        cut.write_bytes(data[:size])
        opened = SessionStore(cut)
        expected = [state for end, state in states if end <= size][-1]
        assert facts(opened) == expected, size
        seq = opened.next_out
        opened.append_sent(seq, b"next", event_seq=99, answered_seq=0, is_admin=False)
        opened.close()
        reopened = SessionStore(cut)
        assert reopened.next_out == seq + 1, size
        assert next(reopened.read_sent(seq, seq)).frame == b"next"
        reopened.close()


def test_a_header_cut_short_is_refused(tmp_path):
    path = tmp_path / "s.store"
    SessionStore(path).close()
    data = path.read_bytes()
    for size in range(HEADER_SIZE):
        path.write_bytes(data[:size])
        with pytest.raises(StoreError, match="not a FIX session store"):
            SessionStore(path)


@pytest.mark.parametrize("bit", range(8))
def test_each_changed_bit_is_refused_wherever_it_is(tmp_path, bit):
    path = tmp_path / "s.store"
    store = SessionStore(path)
    fill(store)
    data = path.read_bytes()
    for position in range(len(data)):
        changed = bytes([data[position] ^ 1 << bit])
        path.write_bytes(data[:position] + changed + data[position + 1 :])
        with pytest.raises(StoreError):
            SessionStore(path)


@pytest.mark.parametrize("needle", [b"logon", b"report" * 100], ids=["middle", "last record"])
def test_damage_is_refused_and_says_what_to_do(tmp_path, needle):
    path = tmp_path / "s.store"
    store = SessionStore(path)
    fill(store)
    data = bytearray(path.read_bytes()[:-RECEIVED_RECORD_SIZE])
    data[data.index(needle)] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"damaged; move the file away.*141"):
        SessionStore(path)


def test_a_last_record_whose_sectors_never_reached_the_disk_is_cut_off(tmp_path):
    path = tmp_path / "s.store"
    store = SessionStore(path)
    fill(store)
    before = facts(store)
    sound = path.stat().st_size
    store.append_sent(6, b"x" * 3_000, event_seq=24, answered_seq=0, is_admin=False)
    store.flush()
    data = path.read_bytes()
    first = sound + -sound % 512  # the first sector that begins in the record
    for start in range(first, len(data), 512):
        end = min(start + 512, len(data))
        path.write_bytes(data[:start] + bytes(end - start) + data[end:])
        assert facts(SessionStore(path)) == before, (start, end)
    path.write_bytes(data[:sound] + bytes(len(data) - sound))
    assert facts(SessionStore(path)) == before


def test_a_file_of_format_version_1_is_read_as_fix_4_4_and_goes_on_as_version_2(
    tmp_path, monkeypatch
):
    path = tmp_path / "s.store"
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "FORMAT_VERSION", 1)
        patch.setattr(store_module, "_numbering_record", lambda numbering: b"")
        store = SessionStore(path)
        store.append_sent(1, b"report", event_seq=7, answered_seq=0, is_admin=False)
        store.close()
    assert path.read_bytes()[8] == 1
    for _ in range(2):
        store = SessionStore(path)
        assert (store.next_out, store.last_event_seq) == (2, 7)
        assert store.numbering == Numbering("FIX.4.4")
        assert [message.frame for message in store.read_sent(1, 1)] == [b"report"]
        store.close()
    assert path.read_bytes()[8] == 2


def test_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "s.store"
    SessionStore(path).close()
    data = bytearray(path.read_bytes())
    data[8] = 3
    path.write_bytes(data)
    with pytest.raises(StoreError, match="format version 3, this program reads 1 to 2"):
        SessionStore(path)


def test_reset_forgets_messages_and_keeps_events_and_counts(tmp_path):
    path = tmp_path / "s.store"
    numbering = Numbering("FIX.4.2", 1_704_274_200, is_version_open=True)
    store = SessionStore(path)
    fill(store)
    store.reset(40, numbering)
    assert facts(store) == (1, 0, 40, [], 1, [], numbering)
    store.append_sent(1, b"new", event_seq=41, answered_seq=0, is_admin=False)
    store.flush()
    again = SessionStore(path)
    assert facts(again) == (2, 0, 41, [], 1, [(1, False, b"new")], numbering)
    again.reset(30, Numbering())  # an older event cannot take back what is known
    assert again.last_event_seq == 41
    assert SessionStore(path).resets == 2


def test_a_reset_that_finds_the_disk_full_leaves_the_old_file_to_be_closed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = SessionStore(tmp_path / "a.store")
    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        store.reset(7, NUMBERING)
    store.abandon()
    with pytest.raises(OSError, match="Bad file descriptor"):
        store.abandon()


def test_a_crash_during_reset_leaves_the_old_or_the_new_file(tmp_path):
    path = tmp_path / "s.store"
    store = SessionStore(path)
    fill(store)
    before = facts(store)
    (tmp_path / "s.new").write_bytes(b"half a hea")  # died before the rename
    assert facts(SessionStore(path)) == before


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=200), st.booleans()), min_size=1),
    st.data(),
)
def test_any_range_can_be_read(tmp_path_factory, messages, data):
    path = tmp_path_factory.mktemp("store") / "s.store"
    store = SessionStore(path)
    for seq, (frame, is_admin) in enumerate(messages, 1):
        store.append_sent(seq, frame, event_seq=seq, answered_seq=0, is_admin=is_admin)
        if seq % 3 == 0:
            store.append_received(seq)
    first = data.draw(st.integers(1, len(messages)))
    last = data.draw(st.integers(first, len(messages)))
    expected = [(seq, admin, frame) for seq, (frame, admin) in enumerate(messages, 1)]
    assert list(store.read_sent(first, last)) == expected[first - 1 : last]
    store.close()


def test_ranges_longer_than_one_read_are_whole(tmp_path):
    store = SessionStore(tmp_path / "s.store")
    for seq in range(1, 3_001):
        store.append_sent(seq, b"%d" % seq * 90, event_seq=seq, answered_seq=0, is_admin=False)
    found = list(store.read_sent(1, 3_000))
    assert [message.seq for message in found] == list(range(1, 3_001))
    assert found[-1].frame == b"3000" * 90


def test_progress_comes_back_and_survives_a_torn_slot(tmp_path):
    path = tmp_path / "progress"
    progress = ProgressFile(path)
    assert progress.event_seq == 0
    for event_seq in (10, 20, 30):
        progress.write(event_seq)
    assert ProgressFile(path).event_seq == 30
    data = path.read_bytes()
    for position in range(16, len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert ProgressFile(path).event_seq in (20, 30), position
    path.write_bytes(b"something else")
    with pytest.raises(StoreError, match="progress"):
        ProgressFile(path)


def test_sync_store_calls_fdatasync_once_per_flush(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    store = SessionStore(tmp_path / "s.store", sync=True)
    fill(store)
    assert len(calls) == 1
    store.flush()
    assert len(calls) == 1
