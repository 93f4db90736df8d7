"""One prediction over the network, by gRPC or by REST, with a deadline and with retries.

A server that is starting, restarting or full is asked again, later and later; what a request itself
is refused for is not sent again.
"""

from __future__ import annotations

import abc
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from tfsep.client import protos
from tfsep.errors import InputError, JobError

#: The default limit of gRPC on one message.
MOST_BYTES = 4 << 20
_METHOD = "/tensorflow.serving.PredictionService/Predict"
_FIRST_WAIT, _WAIT_GROWTH = 0.2, 2.0
_TOO_LARGE = "larger than max"
_BUSY = (429, 502, 503, 504)


class Unavailable(Exception):
    """The server cannot answer now, and may later."""


class Transport(abc.ABC):
    """How requests travel.

    Args:
        address: of the server.
        model: its name there.
        version: of the model; None is the server's choice.
        timeout: seconds for one request, above 0.
        retries: how often a request is sent again to a server that cannot answer now, at least 0.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout: float, retries: int) -> None:
        """Check the arguments; nothing is sent."""
        if not timeout > 0.0 or retries < 0:
            raise InputError(f"timeout must be above 0 and retries at least 0, got {timeout:g} and {retries}")
        self.address, self.model, self.version, self.timeout, self.retries = address, model, version, timeout, retries

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask one signature: {input: array} -> {output: array}.

        Raises:
            InputError: if the server refuses the request; it says why.
            JobError: if there is no answer within the deadline and the retries.
        """
        wait = _FIRST_WAIT
        for left in reversed(range(self.retries + 1)):
            try:
                return self.once(signature, inputs)
            except Unavailable as error:
                if not left:
                    raise JobError(f"the server {self.address} does not answer: {_one_line(str(error))}") from error
            time.sleep(wait)
            wait *= _WAIT_GROWTH
        raise AssertionError("a loop of at least one try returns or raises")

    @abc.abstractmethod
    def once(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask once.

        Raises:
            Unavailable: if another try may succeed.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End connections."""


class Grpc(Transport):
    """Requests by gRPC, to HOST:PORT."""

    def __init__(self, address: str, model: str, version: int | None, timeout: float, retries: int) -> None:
        """Open a channel, which connects at the first request."""
        super().__init__(address, model, version, timeout, retries)
        self._channel = grpc.insecure_channel(address)
        self._call = self._channel.unary_unary(
            _METHOD,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=protos.PredictResponse.FromString,
        )

    def once(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask once; see :class:`Transport`."""
        message = protos.request(self.model, signature, inputs, self.version)
        try:
            answer: Any = self._call(message, timeout=self.timeout)
        except grpc.RpcError as error:
            code, details = error.code(), _one_line(error.details() or "")
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise JobError(f"the server {self.address} took more than {self.timeout:g} s for a request") from error
            busy = code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE not in details
            if code == grpc.StatusCode.UNAVAILABLE or busy:
                raise Unavailable(details) from error
            if code == grpc.StatusCode.INVALID_ARGUMENT:
                raise InputError(f"the server refuses the request: {details}") from error
            raise JobError(f"the server {self.address} answers {code.name}: {details}") from error
        return {name: protos.to_array(tensor) for name, tensor in answer.outputs.items()}

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class Rest(Transport):
    """Requests by REST, to http://HOST:PORT; numbers travel as text, several times as long."""

    def once(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask once; see :class:`Transport`."""
        version = "" if self.version is None else f"/versions/{self.version}"
        url = f"{self.address.rstrip('/')}/v1/models/{self.model}{version}:predict"
        body = {"signature_name": signature, "inputs": {name: each.tolist() for name, each in inputs.items()}}
        asked = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked, timeout=self.timeout) as answer:
                outputs = json.load(answer)["outputs"]
        except urllib.error.HTTPError as error:
            details = _rest_error(error)
            if error.code in _BUSY:
                raise Unavailable(details) from error
            if error.code == 400:
                raise InputError(f"the server refuses the request: {details}") from error
            raise JobError(f"the server {self.address} answers {error.code}: {details}") from error
        except TimeoutError as error:
            raise JobError(f"the server {self.address} took more than {self.timeout:g} s for a request") from error
        except (OSError, ValueError, KeyError) as error:
            raise Unavailable(str(error)) from error
        if not isinstance(outputs, dict):
            raise JobError(f"the server {self.address} answers one output without a name")
        return {name: _array(value) for name, value in outputs.items()}

    def close(self) -> None:
        """Do nothing: each request has a connection of its own."""


def _array(value: object) -> np.ndarray:
    """Return an output of REST as an array, floats as float32."""
    found = np.asarray(value)
    return found.astype(np.float32) if found.dtype.kind == "f" else found


def _rest_error(error: urllib.error.HTTPError) -> str:
    """Return what a server says about an error."""
    text = error.read().decode("utf-8", "replace")
    try:
        return _one_line(str(json.loads(text)["error"]))
    except (ValueError, KeyError, TypeError):
        return _one_line(text) or error.reason


def _one_line(text: str) -> str:
    """Return the first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
