"""A small server for tests: the gRPC and the REST face of TensorFlow Serving, over functions or a SavedModel."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from tfsep.client import protos

#: From a signature and its inputs to its outputs; a ValueError is a bad request.
Answering = Callable[[str, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]

METHOD = "tensorflow.serving.PredictionService"
_DECORATION = "<stack traces unavailable>\n"


class Busy(Exception):
    """The server cannot answer now."""


class UnknownSignature(Exception):
    """There is no signature of this name."""


def of_saved_model(folder: Path) -> Answering:
    """Answer by the signatures of a SavedModel, with the status and the message of TensorFlow Serving."""
    import tensorflow as tf

    signatures = tf.saved_model.load(str(folder)).signatures

    def answer(signature: str, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        if signature not in signatures:
            raise UnknownSignature(f'Serving signature key "{signature}" not found.')
        expected = signatures[signature].structured_input_signature[1]
        if len(inputs) != len(expected):
            raise ValueError(f"input size does not match signature: {len(inputs)}!={len(expected)}")
        for name in inputs:
            if name not in expected:
                known = ",".join(sorted(expected))
                raise ValueError(
                    f"input tensor alias not found in signature: {name}. Inputs expected to be in the set {{{known}}}."
                )
        try:
            found = signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(status_message(error.message)) from error
        return {name: value.numpy() for name, value in found.items()}

    return answer


def status_message(text: str) -> str:
    """Return the message of a status as a server sends it, of what Python makes of it."""
    return text.rpartition(_DECORATION)[2].partition(" [Op:")[0]


@contextlib.contextmanager
def grpc_server(answering: Answering, most_bytes: int = 4 << 20, workers: int = 4) -> Iterator[str]:
    """Serve by gRPC under the default limit on messages; yield HOST:PORT."""

    def predict(request: Any, context: grpc.ServicerContext) -> Any:
        inputs = {name: protos.to_array(tensor) for name, tensor in request.inputs.items()}
        try:
            outputs = answering(request.model_spec.signature_name, inputs)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except UnknownSignature as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except Busy:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Servable not found for request: Latest(model)")
        response = protos.PredictResponse()
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(protos.to_tensor(np.asarray(values)))
        return response

    handler = grpc.unary_unary_rpc_method_handler(
        predict,
        request_deserializer=protos.PredictRequest.FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    options = [("grpc.max_receive_message_length", most_bytes)]
    server = grpc.server(futures.ThreadPoolExecutor(workers), options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(METHOD, {"Predict": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def rest_server(answering: Answering) -> Iterator[str]:
    """Serve by REST; yield http://HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            inputs = {name: _typed(np.array(value)) for name, value in body["inputs"].items()}
            try:
                found = answering(body["signature_name"], inputs)
                outputs = {name: _plain(np.asarray(value)) for name, value in found.items()}
                code, answer = 200, {"outputs": outputs}
            except (ValueError, UnknownSignature) as error:
                code, answer = 400, {"error": str(error)}
            except Busy:
                code, answer = 503, {"error": "not now"}
            text = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *values: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _typed(values: np.ndarray) -> np.ndarray:
    return values.astype(np.int32 if values.dtype.kind == "i" else np.float32)


def _plain(values: np.ndarray) -> Any:
    found = values.tolist()
    return json.loads(json.dumps(found, default=lambda text: text.decode()))


def main() -> None:
    """Serve a SavedModel, the first argument, until the standard input ends; print the address."""
    with grpc_server(of_saved_model(Path(sys.argv[1]))) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
