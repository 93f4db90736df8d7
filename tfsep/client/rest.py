"""Predictions by REST: numbers travel as text, several times as long as by gRPC."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Mapping

import numpy as np

from tfsep.client.transport import Transport, Unavailable, one_line
from tfsep.errors import InputError, JobError

_BUSY = (429, 502, 503, 504)
_OK, _BAD_REQUEST = 200, 400
_PART = 1 << 16


class Rest(Transport):
    """Requests by REST, to http://HOST:PORT, each by a connection of its own."""

    def __init__(self, address: str, model: str, version: int | None, timeout: float, retries: int) -> None:
        """Read the address; nothing is sent."""
        super().__init__(address, model, version, timeout, retries)
        rule = f"a server must be http://HOST:PORT, got {address!r}"
        try:
            url = urllib.parse.urlsplit(address)
            self._host, self._port, self._secure = url.hostname or "", url.port, url.scheme == "https"
            self._host.encode("idna")
        except ValueError as error:
            raise InputError(rule) from error
        if not self._host:
            raise InputError(rule)
        versions = "" if version is None else f"/versions/{version}"
        before = urllib.parse.quote(url.path.rstrip("/"), safe="/%")
        self._path = f"{before}/v1/models/{urllib.parse.quote(model, safe='')}{versions}:predict"

    def once(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask once; see :class:`Transport`."""
        body = {"signature_name": signature, "inputs": {name: each.tolist() for name, each in inputs.items()}}
        try:
            status, text = self._answer(json.dumps(body).encode())
        except TimeoutError as error:
            raise self.late() from error
        except OSError as error:
            raise Unavailable(str(error) or type(error).__name__) from error
        except http.client.HTTPException as error:
            raise self.unreadable(error) from error
        if status in _BUSY:
            raise Unavailable(_said(text) or f"status {status}")
        if status == _BAD_REQUEST:
            raise InputError(f"the server refuses the request: {_said(text)}")
        if status != _OK:
            raise JobError(f"the server {self.address} answers {status}: {_said(text)}")
        try:
            return _outputs(text)
        except (ValueError, RecursionError) as error:
            raise self.unreadable(error) from error

    def _answer(self, body: bytes) -> tuple[int, bytes]:
        """Send a body and return the status and the body of the answer.

        Raises:
            TimeoutError: if all of it took longer than the timeout.
            OSError: if there is no connection, or it breaks.
            http.client.HTTPException: if the answer is none of HTTP, or ends too early.
        """
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        end = time.monotonic() + self.timeout
        with contextlib.closing(kind(self._host, self._port, timeout=self.timeout)) as connection:
            connection.connect()
            # The connection gives its socket up to an answer that ends it.
            wire: socket.socket = connection.sock
            _until(end, wire)
            connection.request("POST", self._path, body, {"Content-Type": "application/json", "Connection": "close"})
            _until(end, wire)
            with connection.getresponse() as answer:
                parts = []
                while True:
                    _until(end, wire)
                    part = answer.read1(_PART)
                    if not part:
                        break
                    parts.append(part)
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
                return answer.status, b"".join(parts)


def _until(end: float, wire: socket.socket) -> None:
    """Let what a socket does next last up to a time of the monotonic clock at most."""
    left = end - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    wire.settimeout(left)


def _outputs(text: bytes) -> dict[str, np.ndarray]:
    """Return the outputs of an answer, floats as float32.

    Raises:
        ValueError: if it is no JSON object of named outputs, which are full arrays.
    """
    answer = json.loads(text)
    outputs = answer.get("outputs") if isinstance(answer, dict) else None
    if not isinstance(outputs, dict):
        raise ValueError("it has no named outputs")
    return {name: _array(name, value) for name, value in outputs.items()}


def _array(name: str, value: object) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype.kind not in "fiubU":
        raise ValueError(f"the output {name!r} is no array of numbers or of text")
    with np.errstate(over="ignore"):
        return found.astype(np.float32) if found.dtype.kind == "f" else found


def _said(text: bytes) -> str:
    """Return what a server says about an error."""
    words = text.decode("utf-8", "replace")
    try:
        return one_line(str(json.loads(words)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return one_line(words)
