"""The messages of TensorFlow Serving's prediction service, without TensorFlow and without its stubs.

They are built at import from their field numbers, in a pool of their own, so that they can be used
beside TensorFlow's. Only what predictions and their logs need is here; unknown fields are passed
over.

Source: tensorflow_serving/apis/predict.proto, model.proto, prediction_log.proto;
tensorflow/core/framework/tensor.proto, tensor_shape.proto.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_INT32, _INT64, _BYTES, _STRING = _FIELD.TYPE_INT32, _FIELD.TYPE_INT64, _FIELD.TYPE_BYTES, _FIELD.TYPE_STRING
_FLOAT, _DOUBLE, _BOOL, _MESSAGE = _FIELD.TYPE_FLOAT, _FIELD.TYPE_DOUBLE, _FIELD.TYPE_BOOL, _FIELD.TYPE_MESSAGE
_TYPES = {"int32": _INT32, "int64": _INT64, "bytes": _BYTES, "string": _STRING, "float": _FLOAT}
_TYPES |= {"double": _DOUBLE, "bool": _BOOL}

#: {message: {field: (number, type)}}; "*" before a type repeats it, and "map" is from names to tensors.
_MESSAGES: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "version_number": (3, "int32"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
    },
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "map"), "output_filter": (3, "*string")},
    "PredictResponse": {"outputs": (1, "map"), "model_spec": (2, "ModelSpec")},
    "PredictLog": {"request": (1, "PredictRequest"), "response": (2, "PredictResponse")},
    "PredictionLog": {"predict_log": (6, "PredictLog")},
}
#: {numpy type: (number of the type, field of its values)}.
_VALUES: dict[np.dtype[Any], tuple[int, str]] = {
    np.dtype(np.float32): (1, "float_val"),
    np.dtype(np.float64): (2, "double_val"),
    np.dtype(np.int32): (3, "int_val"),
    np.dtype(np.int64): (9, "int64_val"),
    np.dtype(np.bool_): (10, "bool_val"),
}
#: Types of numbers that travel.
NUMBERS = tuple(_VALUES)
_TEXT = 7
_PACKAGE = "tfsep.serving"


def _file() -> descriptor_pb2.FileDescriptorProto:
    """Return the description of all messages."""
    file = descriptor_pb2.FileDescriptorProto(name="tfsep/serving.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, (number, kind) in fields.items():
            field = message.field.add(name=field_name, number=number)
            if kind == "map":
                entry = message.nested_type.add(name=f"{field_name.title()}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, type=_STRING, label=_FIELD.LABEL_OPTIONAL)
                value = entry.field.add(name="value", number=2, type=_MESSAGE, label=_FIELD.LABEL_OPTIONAL)
                value.type_name = f".{_PACKAGE}.TensorProto"
                field.type, field.label = _MESSAGE, _FIELD.LABEL_REPEATED
                field.type_name = f".{_PACKAGE}.{name}.{entry.name}"
                continue
            field.label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            plain = kind.lstrip("*")
            field.type = _TYPES.get(plain, _MESSAGE)
            if field.type == _MESSAGE:
                field.type_name = f".{_PACKAGE}.{plain}"
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


TensorProto, PredictRequest, PredictResponse = map(_class, ("TensorProto", "PredictRequest", "PredictResponse"))
PredictionLog = _class("PredictionLog")


def to_tensor(values: np.ndarray) -> Any:
    """Return an array of numbers, or of text as bytes, as a TensorProto.

    Raises:
        ValueError: for another type of values.
    """
    tensor = TensorProto()
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    if values.dtype.kind in "SO" and all(isinstance(value, bytes) for value in values.flat):
        tensor.dtype = _TEXT
        tensor.string_val.extend(bytes(value) for value in values.reshape(-1))
        return tensor
    if values.dtype not in NUMBERS:
        raise ValueError(f"a tensor must be of {', '.join(map(str, NUMBERS))}, got {values.dtype}")
    tensor.dtype = _VALUES[values.dtype][0]
    tensor.tensor_content = np.ascontiguousarray(values).tobytes()
    return tensor


def filled(shape: Sequence[int], dtype: np.dtype[Any], value: float) -> Any:
    """Return a TensorProto of one number everywhere, which takes a few bytes whatever its shape."""
    tensor = TensorProto()
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.dtype, field = _VALUES[dtype]
    getattr(tensor, field).append(dtype.type(value).item())
    return tensor


def to_array(tensor: Any) -> np.ndarray:
    """Return a TensorProto as an array; text comes as bytes.

    Nothing is allocated before the values are known to fill the shape; a single value that stands
    for all of them is seen at every place, and cannot be written to.

    Raises:
        ValueError: for another type of numbers, or values that do not fill the shape.
    """
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise ValueError(f"a tensor must have a shape, got {shape}")
    if tensor.dtype == _TEXT:
        text = np.empty(_filling(shape, len(tensor.string_val)), object)
        text[:] = list(tensor.string_val)
        return text.reshape(shape)
    for dtype, (number, field) in _VALUES.items():
        if number == tensor.dtype:
            if tensor.tensor_content:
                _filling([*shape, dtype.itemsize], len(tensor.tensor_content))
                return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
            values = np.array(getattr(tensor, field), dtype)
            if values.size == 1:
                return np.broadcast_to(values[0], shape)
            return values[: _filling(shape, values.size)].reshape(shape)
    raise ValueError(f"a tensor of type {tensor.dtype} is not known here")


def _filling(shape: Sequence[int], count: int) -> int:
    """Return the count of values, which must be that of a shape."""
    if math.prod(shape) != count:
        raise ValueError(f"a tensor's values must fill its shape {list(shape)}, got {count}")
    return count


def request(
    model: str,
    signature: str,
    inputs: Mapping[str, np.ndarray],
    version: int | None = None,
    outputs: tuple[str, ...] = (),
) -> Any:
    """Return a PredictRequest.

    Args:
        model: its name on the server.
        signature: name of the signature.
        inputs: {name: array}.
        version: of the model; None is the server's choice.
        outputs: names of those to return; none for all.
    """
    message = PredictRequest()
    message.model_spec.name, message.model_spec.signature_name = model, signature
    if version is not None:
        message.model_spec.version.value = version
    for name, values in inputs.items():
        message.inputs[name].CopyFrom(to_tensor(np.asarray(values)))
    message.output_filter.extend(outputs)
    return message
