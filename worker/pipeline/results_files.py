"""Replace a results file safely: one writer at a time, written aside, never by an older state."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from worker.effects import effect
from worker.errors import RefusedHereError

_BEGUN, _WHOLE = b"begun", b"whole"
# Two parts of a fixed length, each written at once: the state that the file holds; how far the campaign was seen to come, and
# when it was created (ms).
_HELD, _SEEN = b"%020d %s ", b"%020d %020d\n"
_HELD_SIZE, _SIZE = 27, 69


class ResultsFile:
    """A results file and, hidden beside it, the sequence number of the state that it holds, and of the latest that was seen.

    The hidden file is also the lock of those who write. It is raised before the file is renamed and marked afterwards:
    where a crash comes between the two, nothing older is let in, and the mark is missing.
    """

    def __init__(self, path: Path, campaign_id: str) -> None:
        self.path = path
        self.seq = 0
        # A copy under another name has a number of its own: it says nothing of how fresh the campaign's own file is.
        own = f".{campaign_id}" if path.name == f"{campaign_id}.csv" else f".{path.name}.{campaign_id}"
        self._hidden = path.parent / f"{own}.seq"
        self._lock = -1

    @property
    def is_ours(self) -> bool:
        """Tell whether the file is there, and was written by us."""
        return self.path.exists() and self._hidden.exists()

    def kept_seq(self) -> int:
        """Read the sequence number of the state that the file certainly holds, without waiting for a turn; else 0."""
        try:
            number, mark = self._hidden.read_bytes()[:_HELD_SIZE].split()
        except (OSError, ValueError):
            return 0
        return int(number) if mark == _WHOLE and self.path.exists() else 0

    def seen(self) -> int:
        """Tell how far the campaign has been seen to come; 0 where nothing was noted."""
        return self._noted()[0]

    def created_ms(self) -> int:
        """Tell when the campaign was created, by Redis's clock; 0 where nothing was noted."""
        return self._noted()[1]

    def note_seen(self, seq: int, created_ms: int) -> None:
        """Note how far the campaign has come: a ledger that has not come so far is an older one.

        Nothing is waited for, neither a turn nor the disk: this is done often, and the next time makes good for it.
        """
        if seq <= self._noted()[0]:
            return
        with effect("note_seen"), self._in_words():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            hidden = os.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Its own part can be written beside a writer of the file; the first record is a writer's alone.
                if os.fstat(hidden).st_size == _SIZE:
                    os.pwrite(hidden, _SEEN % (seq, created_ms), _HELD_SIZE)
                elif self._try_lock(hidden, wait=False):
                    os.pwrite(hidden, (_HELD + _SEEN) % (0, _BEGUN, seq, created_ms), 0)
            finally:
                os.close(hidden)

    @contextlib.contextmanager
    def turn(self, *, wait: bool) -> Iterator[bool]:
        """Be the only writer meanwhile; False, without `wait`, where another is."""
        with self._in_words():
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._in_words():
                has_turn = self._try_lock(self._lock, wait=wait)
                self.seq = self._read() if has_turn else 0
            yield has_turn
        finally:
            os.close(self._lock)

    @contextlib.contextmanager
    def replacing(self, seq: int, created_ms: int = 0) -> Iterator[TextIO]:
        """Write a new version aside; when it is whole and on disk, it takes the file's place.

        `created_ms`: when the campaign was created.
        """
        with self._in_words():
            # What a writer left that was killed: its turn is over, and customers' data must not pile up.
            for rest in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.part"):
                rest.unlink(missing_ok=True)
            handle, name = tempfile.mkstemp(
                prefix=f".{self.path.name}.", suffix=".part", dir=self.path.parent
            )
        try:
            with self._in_words():
                with (
                    effect("write_results"),
                    os.fdopen(handle, "w", encoding="utf-8", newline="", buffering=1 << 18) as stream,
                ):
                    yield stream
                    stream.flush()
                    os.fsync(stream.fileno())
                with effect("mark_results_begun"):
                    self._write(seq, _BEGUN, created_ms)
                with effect("rename_results"):
                    Path(name).replace(self.path)
                    self._sync_folder()
                with effect("mark_results_whole"):
                    self._write(seq, _WHOLE, created_ms)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise

    @staticmethod
    def _try_lock(hidden: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(hidden, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _read(self) -> int:
        number = os.pread(self._lock, 32, 0)[:20]
        return int(number) if number.isdigit() else 0

    def _write(self, seq: int, mark: bytes, created_ms: int) -> None:
        # In place, in one write of always the same length, so that there is never half a number.
        record = _HELD % (seq, mark)
        if os.fstat(self._lock).st_size != _SIZE:
            record += _SEEN % (seq, created_ms)
        os.pwrite(self._lock, record, 0)
        os.fsync(self._lock)

    def _noted(self) -> tuple[int, int]:
        try:
            record = self._hidden.read_bytes()
            held, _, seen, created_ms = record.split()
        except (OSError, ValueError):
            return 0, 0
        return max(int(held), int(seen)), int(created_ms)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RefusedHereError(
                f"The results file {self.path} cannot be written: {(error.strerror or str(error)).lower()}.",
                "See that there is room and that this user may write there; the ledger has lost nothing.",
            ) from error
