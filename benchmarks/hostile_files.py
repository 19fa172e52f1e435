"""What goes wrong with files: cut, changed bits, other content, extreme values."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = (
    *("0", "-1", "1e308", "1e-308", "1e400", "-1e308", "5e-324", "NaN", "Infinity", "null", "true"),
    *("9" * 400, "9" * 5000, "1e9", "100000", "0.5", '"7"', "[]", "{}", '"' + "x" * 5000 + '"'),
)


def _truncate(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _flip(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 4, 50))):
        if changed:
            # Headers stand at the front, directories of archives at the end.
            near = draw.choice((len(changed), min(len(changed), 300)))
            at = draw.choice((draw.randrange(near), len(changed) - 1 - draw.randrange(near)))
            changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _overwrite(draw: random.Random, content: bytes) -> bytes:
    at, size = draw.randrange(len(content) + 1), draw.choice((1, 4, 8, 64, 1000))
    filling = draw.choice((b"\0" * size, b"\xff" * size, draw.randbytes(size)))
    return content[:at] + filling + content[at + draw.choice((0, size)) :]


def _double(draw: random.Random, content: bytes) -> bytes:
    at = draw.randrange(len(content) + 1)
    return draw.choice((content + content, content[:at] * 2 + content[at:], content[at:]))


def _other(draw: random.Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    return draw.choice(
        (
            *(b"", b"\0", b"{}", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"PK\x03\x04", b"\n"),
            *(text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + content),
            *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": 1' + b"0" * 100_000 + b"}"),
            *(
                b"GGUF\x03\0\0\0" + b"\xff" * 16,
                b"\xff" * 7 + b"\x7f" + content,
                draw.randbytes(999),
            ),
            *(b'{"instruction": "\\ud800", "output": "\\udc00x"}\n' * 3,),
            b'{"instruction": "' + b"a b " * 2_600_000 + b'", "output": "x"}\n',
            b'{"text": "' + b"word " * 2_000_000 + b'"}\n' + content,
        )
    )


def _numbers(draw: random.Random, content: bytes) -> bytes:
    """Put extreme values in place of numbers and texts of JSON and the like."""
    import re

    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _flip(draw, content)
    found = list(re.finditer(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\"[^\"]*\"|true|null", text))
    for one in sorted(draw.sample(found, min(len(found), draw.choice((1, 2, 5)))), key=_start)[
        ::-1
    ]:
        text = text[: one.start()] + draw.choice(NUMBERS) + text[one.end() :]
    return text.encode()


def _start(found: Any) -> int:
    return int(found.start())


CORRUPTIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": _truncate,
    "bits": _flip,
    "bytes": _overwrite,
    "twice": _double,
    "other content": _other,
    "numbers": _numbers,
}


ARRAYS = ("place", "wide place", "paths", "departures", "tracks", "deepmimo")
"""Kinds that hold arrays, of which single values are changed, too."""


def corrupted(draw: random.Random, kind: str, source: Path, target: Path) -> str:
    """Write a corrupted copy of a file or of a folder, and return what was done to it.

    Parameters
    ----------
    draw : random.Random
    kind : str
        Of :func:`sound_files.sound`.
    source, target : Path
    """
    if kind in ARRAYS and draw.random() < 0.6:
        return _corrupt_arrays(draw, source, target)
    if source.is_dir():
        shutil.copytree(source, target)
        names = sorted(path.name for path in target.iterdir() if path.suffix != ".md")
        file = target / draw.choice(names)
        if draw.random() < 0.1:
            file.unlink()
            return f"{file.name}: missing"
    else:
        file = target
        shutil.copy(source, file)
        if draw.random() < 0.05:
            return _special(draw, file)
    done = draw.choice(tuple(CORRUPTIONS))
    content = file.read_bytes()
    file.write_bytes(CORRUPTIONS[done](draw, content))
    return f"{file.name}: {done}"


def _special(draw: random.Random, file: Path) -> str:
    """Put what is no plain file in its place."""
    file.unlink()
    kind = draw.choice(("folder", "pipe", "missing", "link to itself", "device"))
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "link to itself":
        file.symlink_to(file)
    return kind


def _corrupt_arrays(draw: random.Random, source: Path, target: Path) -> str:
    """Change values, types and shapes of the arrays of a file, or of one of a folder."""
    if source.is_dir():
        shutil.copytree(source, target)
        source = target = draw.choice(sorted(target.glob("*.npz")))
    with np.load(source) as file:
        arrays = {name: file[name] for name in file}
    said = []
    for name in draw.sample(sorted(arrays), min(len(arrays), draw.choice((1, 1, 2, 3)))):
        array, how = (
            arrays[name],
            draw.choice(("value", "value", "all", "type", "shape", "missing")),
        )
        said.append(f"{name}: {how}")
        extreme = draw.choice((np.nan, np.inf, 1e308, -1e308, 5e-324, 1e300, 1e-300, 0, -1, 1e5))
        if how == "missing":
            del arrays[name]
        elif array.dtype.kind == "U" and how != "shape":
            texts = ("", "x" * 100_000, "\x1b[31m\n", "../../file")
            arrays[name] = np.array(draw.choice((extreme, *texts)))
        elif how == "type":
            arrays[name] = array.astype(draw.choice(("U8", "S3", "c16", "i1", "?", "f2", "M8[s]")))
        elif how == "shape":
            one_less, flat = array[..., :-1] if array.ndim else array, array.reshape(-1)
            arrays[name] = draw.choice((one_less, flat, array[None], array.T, flat[:0]))
        else:
            kept = array.astype(complex if array.dtype.kind == "c" else float)
            if how == "all" or not kept.size:
                kept = np.full_like(kept, extreme)
            else:
                kept.reshape(-1)[draw.randrange(kept.size)] = extreme
            arrays[name] = kept
    np.savez(target, **arrays)
    return ", ".join(said)
