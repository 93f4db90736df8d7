"""Names of Keras layers counted from the start again, so that the same model gets the same names every time.

Keras numbers layers and variables without end. TensorFlow keeps a kernel of some 35 KB for every
name of a variable that it has met, for as long as the process lives: a model that is loaded again
and again would grow by that for each of its variables.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator

from keras.src.backend.common import global_state

_COUNTS = "object_name_uids"


@contextlib.contextmanager
def counted_anew() -> Iterator[None]:
    """Count names from the start within the block, and go on as before after it."""
    before = global_state.get_global_attribute(_COUNTS)
    global_state.set_global_attribute(_COUNTS, collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_COUNTS, before)
