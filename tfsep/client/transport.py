"""One prediction over the network, with a deadline and with retries; here by gRPC, in :mod:`tfsep.client.rest` by REST.

A server that is starting, restarting or full is asked again, later and later; what a request itself
is refused for is not sent again, and neither is one whose answer cannot be read.
"""

from __future__ import annotations

import abc
import numbers
import time
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from tfsep.client import protos
from tfsep.errors import InputError, JobError

#: The default limit of gRPC on one message.
MOST_BYTES = 4 << 20
#: Seconds that a request may be given at most.
LONGEST_TIMEOUT = 1e6
_METHOD = "/tensorflow.serving.PredictionService/Predict"
_FIRST_WAIT, _WAIT_GROWTH = 0.2, 2.0
_TOO_LARGE = "larger than max"


class Unavailable(Exception):
    """The server cannot answer now, and may later."""


class DeadlineError(JobError):
    """A request took longer than the timeout."""


class Transport(abc.ABC):
    """How requests travel.

    Args:
        address: of the server.
        model: its name there.
        version: of the model, from 1 to 2^63 - 1; None is the server's choice.
        timeout: seconds for one request, above 0 and at most :data:`LONGEST_TIMEOUT`.
        retries: how often a request is sent again to a server that cannot answer now, at least 0.

    Raises:
        InputError: for an argument out of range.
    """

    def __init__(self, address: str, model: str, version: int | None, timeout: float, retries: int) -> None:
        """Check the arguments; nothing is sent."""
        if not 0.0 < timeout <= LONGEST_TIMEOUT:
            raise InputError(f"timeout must be above 0 and at most {LONGEST_TIMEOUT:.0f} s, got {timeout:g}")
        if retries < 0:
            raise InputError(f"retries must be at least 0, got {retries}")
        whole = isinstance(version, numbers.Integral) and not isinstance(version, bool)
        if version is not None and not (whole and 1 <= version < 2**63):
            raise InputError(f"a version must be a whole number of at least 1 and below 2^63, got {version!r}")
        self.address, self.model, self.version, self.timeout, self.retries = address, model, version, timeout, retries
        self._closed = False

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask one signature: {input: array} -> {output: array}.

        Raises:
            InputError: if an input has a type that does not travel, or the server refuses the request;
                it says why.
            JobError: if there is no answer within the deadline and the retries, the answer cannot be
                read, or the transport is closed.
        """
        given = {name: _numbers(name, value) for name, value in inputs.items()}
        wait = _FIRST_WAIT
        for left in reversed(range(self.retries + 1)):
            if self._closed:
                raise self.closed()
            try:
                return self.once(signature, given)
            except Unavailable as error:
                if not left:
                    raise JobError(f"the server {self.address} does not answer: {one_line(str(error))}") from error
            time.sleep(wait)
            wait *= _WAIT_GROWTH
        raise AssertionError("a loop of at least one try returns or raises")

    @abc.abstractmethod
    def once(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask once.

        Raises:
            Unavailable: if another try may succeed.
        """

    def close(self) -> None:
        """End connections; what is asked afterwards is an error."""
        self._closed = True

    def late(self) -> DeadlineError:
        """Return the error of a request that took longer than the timeout."""
        return DeadlineError(f"the server {self.address} took more than {self.timeout:g} s for a request")

    def closed(self) -> JobError:
        """Return the error of a request after :meth:`close`."""
        return JobError(f"the client of {self.address} is closed")

    def unreadable(self, error: Exception) -> JobError:
        """Return the error of an answer that cannot be read."""
        said = one_line(str(error)) or type(error).__name__
        return JobError(f"the server {self.address} gives an answer that cannot be read: {said}")


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
            code, details = error.code(), one_line(error.details() or "")
            if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self.late() from error
            busy = code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE not in details
            if code == grpc.StatusCode.UNAVAILABLE or busy:
                raise Unavailable(details) from error
            if code == grpc.StatusCode.INVALID_ARGUMENT:
                raise InputError(f"the server refuses the request: {details}") from error
            raise JobError(f"the server {self.address} answers {code.name}: {details}") from error
        except ValueError as error:
            # What the library says of a channel that was closed meanwhile.
            raise self.closed() from error
        try:
            return {name: protos.to_array(tensor) for name, tensor in answer.outputs.items()}
        except ValueError as error:
            raise self.unreadable(error) from error

    def close(self) -> None:
        """Close the channel."""
        super().close()
        self._channel.close()


def one_line(text: str) -> str:
    """Return the first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _numbers(name: str, value: object) -> np.ndarray:
    """Return an input as an array of a type that travels.

    Raises:
        InputError: for another type.
    """
    rule = f"the input {name!r} must be an array of {', '.join(map(str, protos.NUMBERS))}"
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{rule}, got {one_line(str(error))}") from error
    if array.dtype not in protos.NUMBERS:
        raise InputError(f"{rule}, got {array.dtype}")
    return array
