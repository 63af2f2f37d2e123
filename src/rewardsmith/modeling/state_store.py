"""A store of hidden states on disk: memory-mapped, keyed by content, bounded, safe after a kill.

States are appended to one file, and a line of the index names them once they are on the disk: what an interrupted
process left behind the last whole line is overwritten. It knows nothing of models.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

DEFAULT_LIMIT = 8 * 2**30
"""Bytes that all stores of a folder may take; the longest unused are removed first."""


class StateStore:
    """Arrays [length, width] of float32 by key, in `folder`; `room` bytes at most.

    One process writes at a time; others read what is there and keep nothing.
    """

    def __init__(self, folder: Path, width: int, room: int = DEFAULT_LIMIT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.width, self.room = width, room
        self._index: dict[str, tuple[int, int]] = {}
        # Open as long as the store is: the lock on the index is held by its file.
        self._file: IO[bytes] = open(folder / "states.bin", "a+b")  # noqa: SIM115
        self._log: IO[bytes] = open(folder / "index.jsonl", "a+b")  # noqa: SIM115
        self._map: npt.NDArray[np.float32] | None = None
        self._rows = 0
        os.utime(folder)
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._may_write = True
        except OSError:
            self._may_write = False
        self._read_index()

    def get(self, key: str) -> npt.NDArray[np.float32] | None:
        """The array of `key`, or None."""
        place = self._index.get(key)
        if place is None:
            return None
        start, length = place
        if self._map is None or (start + length) > len(self._map):
            self._file.flush()
            # The file itself, not its name: make_room of another process may have removed that.
            self._map = np.memmap(self._file, dtype=np.float32, mode="r").reshape(-1, self.width)
        return self._map[start : start + length]

    def put(self, arrays: dict[str, npt.NDArray[np.float32]]) -> None:
        """Keeps new arrays, while there is room and no other process writes; a full disk ends keeping, not the run."""
        new = {key: array for key, array in arrays.items() if key not in self._index}
        if not self._may_write or not new:
            return
        rows = self._rows
        size = sum(array.nbytes for array in new.values())
        if rows * self.width * 4 + size > self.room:
            return
        try:
            self._file.seek(0, os.SEEK_END)
            for array in new.values():
                self._file.write(np.ascontiguousarray(array).tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
            for key, array in new.items():
                self._log.write(json.dumps([key, rows, len(array)]).encode() + b"\n")
                self._index[key] = (rows, len(array))
                rows += len(array)
            self._log.flush()
        except OSError:
            self._may_write = False
        self._rows = rows

    def close(self) -> None:
        """Lets others write."""
        self._log.close()
        self._file.close()

    def _read_index(self) -> None:
        """Takes the whole lines whose states are on the disk; who may write cuts off what a kill left behind them."""
        self._log.seek(0)
        kept = rows = 0
        whole = os.path.getsize(self._file.name) // (4 * self.width)
        for line in self._log:
            try:
                key, start, length = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or start + length > whole:
                break
            self._index[key] = (start, length)
            rows, kept = start + length, kept + len(line)
        self._rows = rows
        if self._may_write and (kept < os.path.getsize(self._log.name) or rows < whole):
            self._log.truncate(kept)
            self._file.truncate(rows * 4 * self.width)


def make_room(root: Path, keep: str, limit: int = DEFAULT_LIMIT) -> None:
    """Removes the longest unused stores below `root` until the rest takes at most half of `limit`; never the one called
    `keep`, which is about to be opened, nor one that is being written."""
    stores = sorted((f for f in root.glob("*") if f.is_dir()), key=lambda f: f.stat().st_mtime)
    sizes = {store: sum(f.stat().st_size for f in store.glob("*")) for store in stores}
    for store in stores:
        if sum(sizes.values()) <= limit // 2:
            return
        if store.name != keep and not _is_written(store):
            shutil.rmtree(store, ignore_errors=True)
            del sizes[store]


def _is_written(store: Path) -> bool:
    """Whether a process holds the lock on the store's index."""
    try:
        with open(store / "index.jsonl", "rb") as log:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
