"""A store of hidden states on disk: memory-mapped, keyed by content, bounded, safe after a kill, shared by processes.

States are appended to one file, and a line of the index names them once they are on the disk: what an interrupted
process left behind the last whole line is overwritten. It knows nothing of models.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

DEFAULT_LIMIT = 8 * 2**30
"""Bytes that all stores of a folder may take; the longest unused are removed first."""


class StateStore:
    """Arrays [length, width] of float32 by key, in `folder`; `room` bytes at most.

    Several may be open on one folder, in one process or in many: each writes alone, and reads what the others wrote.
    """

    def __init__(self, folder: Path, width: int, room: int = DEFAULT_LIMIT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.width, self.room = width, room
        self._index: dict[str, tuple[int, int]] = {}
        self._rows = self._read = 0  # of the states, and bytes of the index
        self._map: npt.NDArray[np.float32] | None = None
        self._may_write = True
        self._file: IO[bytes] = open(folder / "states.bin", "a+b", buffering=0)  # noqa: SIM115
        self._log: IO[bytes] = open(folder / "index.jsonl", "a+b", buffering=0)  # noqa: SIM115
        os.utime(folder)
        with suppress(OSError):  # a file system without locks has nobody's store removed but by hand
            fcntl.flock(self._log, fcntl.LOCK_SH | fcntl.LOCK_NB)
        self._read_index()

    def get(self, key: str) -> npt.NDArray[np.float32] | None:
        """The array of `key`, or None."""
        if key not in self._index:
            self._read_index()
        place = self._index.get(key)
        if place is None:
            return None
        start, length = place
        if self._map is None or (start + length) > len(self._map):
            # The file itself, not its name: make_room of another process may have removed that.
            self._map = np.memmap(self._file, dtype=np.float32, mode="r", shape=(self._rows, self.width))
        return self._map[start : start + length]

    def put(self, arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        """Keeps new arrays until they first find no room; a full disk ends keeping, not the run."""
        if not self._may_write or all(key in self._index for key in arrays):
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._append(arrays)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:
            self._may_write = False
        self._read_index()

    def close(self) -> None:
        """Lets `make_room` remove the store."""
        self._log.close()
        self._file.close()

    def _append(self, arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        self._read_index()
        self._log.truncate(self._read)
        self._file.truncate(self._rows * self.width * 4)
        new = {key: array for key, array in arrays.items() if key not in self._index}
        if self._rows * self.width * 4 + sum(array.nbytes for array in new.values()) > self.room:
            self._may_write = False  # it only grows
            return
        lines, rows = [], self._rows
        for key, array in new.items():
            self._file.write(np.ascontiguousarray(array, np.float32).tobytes())
            lines.append(json.dumps([key, rows, len(array)]).encode() + b"\n")
            rows += len(array)
        os.fsync(self._file.fileno())
        self._log.write(b"".join(lines))

    def _read_index(self) -> None:
        """Takes the whole lines that have come since the last reading and whose states are on the disk."""
        come = os.fstat(self._log.fileno()).st_size - self._read
        if come <= 0:
            return
        whole = os.fstat(self._file.fileno()).st_size // (4 * self.width)
        for line in os.pread(self._log.fileno(), come, self._read).splitlines(keepends=True):
            try:
                key, start, length = json.loads(line)
            except ValueError:
                return
            if not line.endswith(b"\n") or start + length > whole:
                return
            self._index[key] = (start, length)
            self._rows, self._read = start + length, self._read + len(line)


def make_room(root: Path, keep: str, limit: int = DEFAULT_LIMIT) -> None:
    """Removes the longest unused stores below `root` until the rest takes at most half of `limit`; never the one called
    `keep`, which is about to be opened, nor one that is open."""
    stores = sorted((f for f in root.glob("*") if f.is_dir()), key=lambda f: f.stat().st_mtime)
    sizes = {store: sum(f.stat().st_size for f in store.glob("*")) for store in stores}
    for store in stores:
        if sum(sizes.values()) <= limit // 2:
            return
        if store.name != keep and not _is_open(store):
            shutil.rmtree(store, ignore_errors=True)
            del sizes[store]


def _is_open(store: Path) -> bool:
    """Whether somebody holds a lock on the store's index."""
    try:
        with open(store / "index.jsonl", "rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
