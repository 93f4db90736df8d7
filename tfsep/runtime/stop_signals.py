"""Signals that end a program, answered in time even while the main thread is inside a compiler.

Python runs a handler only between two of its own instructions. A program that XLA compiles for
minutes would keep SIGTERM waiting as long, so a second thread watches for the signal too.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from types import FrameType, TracebackType

from tfsep.locks import remove_temporary

_LOOK_EVERY = 0.1
#: What a shell adds to a signal's number to get the exit code.
SIGNAL_EXIT = 128


class Handling:
    """Answer signals within a block; in another than the main thread, leave everything as it is.

    The first signal calls ``handler`` and brings back the handlers of before the block. Where
    ``handler`` has not been called within the patience, the process removes its temporary folders
    and ends at once.
    """

    def __init__(
        self,
        numbers: Collection[int],
        handler: Callable[[int], None],
        patience: Callable[[], float | None],
        watched: Collection[int] = (signal.SIGTERM,),
    ) -> None:
        """Keep what is to be done; nothing is handled before the block.

        Args:
            numbers: of the signals; those that the process ignores stay ignored.
            handler: is called with the number, in the main thread.
            patience: returns the seconds in which ``handler`` must have been called, or None for
                as long as it takes. It is asked again and again while a signal waits.
            watched: signals that do not wait longer than that.
        """
        self._numbers, self._handler, self._patience = tuple(numbers), handler, patience
        self._watched = frozenset(watched)
        self._before: dict[int, signal._HANDLER] = {}
        self._answered = threading.Event()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Handling:
        """Install the handlers and start to watch."""
        if threading.current_thread() is not threading.main_thread():
            return self
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in self._numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        self._watcher = threading.Thread(target=self._watch, name="tfsep signals", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Bring back what was there before."""
        self.restore()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            self._answered.set()
            signal.set_wakeup_fd(self._wakeup_before)
            os.close(self._writer)
            watcher.join()
            os.close(self._reader)

    def restore(self) -> None:
        """Bring back the handlers of before the block: a further signal acts as it did there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _receive(self, number: int, _: FrameType | None) -> None:
        self._answered.set()
        self.restore()
        self._handler(number)

    def _watch(self) -> None:
        """Wait for signals until the pipe is closed, and see that they are answered."""
        while received := os.read(self._reader, 64):
            for number in received:
                if number in self._watched:
                    self._see_to(number)

    def _see_to(self, number: int) -> None:
        since = time.monotonic()
        while not self._answered.wait(_LOOK_EVERY):
            patience = self._patience()
            if patience is not None and time.monotonic() - since > patience:
                print(f"{signal.Signals(number).name}: ended in the middle of a computation", file=sys.stderr)
                sys.stderr.flush()
                remove_temporary()
                os._exit(SIGNAL_EXIT + number)
