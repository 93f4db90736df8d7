"""One try of a generated case: it ends in time, and with nothing or with an error of one line."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from tfsep.errors import TfsepError

SECONDS = 10.0
_LONGEST_LINE = 2000


class _TooLongError(BaseException):
    """The try takes longer than it may; no handler of ordinary errors catches it."""


def fault(call: Callable[[], object], seconds: float = SECONDS) -> str | None:
    """Return what is wrong with a call, None where nothing is.

    Args:
        call: may return, or raise an error of tfsep whose text is one printable line.
        seconds: in which it must end. A signal interrupts it, so this is for the main thread.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        call()
    except TfsepError as error:
        text = str(error)
        if not text.isprintable() or len(text) > _LONGEST_LINE:
            return f"an error that is not one printable line: {ascii(text[:200])}"
    except _TooLongError:
        return f"no end within {seconds:g} s"
    except Exception as error:
        return f"{type(error).__name__}: {ascii(str(error)[:200])}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    return None
