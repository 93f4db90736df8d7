"""The two ways in which a user's request fails, each with the exit code of its command.

An error's text is one line that names the rule and the value that broke it; commands print it
without a traceback.
"""

from __future__ import annotations


class TfsepError(Exception):
    """A failure that is explained to the user in one line."""

    exit_code = 1


class InputError(TfsepError):
    """The request itself is wrong: an argument, a configuration, a model name or a model folder (exit code 2)."""

    exit_code = 2


class JobError(TfsepError):
    """The request was sound and its job failed: an unreadable file, a folder that cannot be written (exit code 1)."""

    exit_code = 1
