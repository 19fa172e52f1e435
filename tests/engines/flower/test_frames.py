"""What passes between processes: what is packed comes out, what is no message is refused."""

from __future__ import annotations

import pickle
import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from airtune.engines.flower import frames
from airtune.errors import FailedError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
arrays = arrays_of.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
    arrays_of.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=4),
)


@given(st.dictionaries(st.text(), values, max_size=3), st.dictionaries(names, arrays, max_size=3))
def test_what_is_packed_comes_out(header, held) -> None:
    found, others = frames.unpack(frames.pack(header, held))
    assert found == header
    assert set(others) == set(held)
    for name, array in held.items():
        assert others[name].dtype == array.dtype
        assert others[name].tobytes() == array.tobytes()
        assert others[name].shape == array.shape


@given(st.binary(max_size=200))
def test_what_is_no_message_is_refused(junk: bytes) -> None:
    with pytest.raises(FailedError, match="a message cannot be read"):
        frames.unpack(junk)


def test_nothing_in_a_message_is_executed(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    with pytest.raises(FailedError, match="a message cannot be read"):
        frames.unpack(pickle.dumps(Evil()))
    assert not (tmp_path / "made").exists()


def test_a_message_crosses_a_socket_in_parts_and_nothing_is_left_over() -> None:
    one, other = socket.socketpair()
    sent = [frames.pack({"n": n}, {"a": np.arange(n)}) for n in (0, 3, 300_000)]
    with one, other:
        writer = threading.Thread(target=lambda: [frames.send(one, message) for message in sent])
        writer.start()
        assert [frames.receive(other) for _ in sent] == sent
        writer.join()
        one.close()
        with pytest.raises(ConnectionError):
            frames.receive(other)


def test_a_length_above_the_limit_is_refused_before_it_is_read() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(struct.pack(">Q", 1 << 60))
        with pytest.raises(FailedError, match="of 1152921504606846976 bytes was announced"):
            frames.receive(other)


def test_a_message_that_flower_cannot_carry_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(frames, "LIMIT", 100)
    with pytest.raises(FailedError, match=r"message of 800 bytes .* a smaller model\.lora\.rank"):
        frames.pack({}, {"a": np.zeros(100)})
