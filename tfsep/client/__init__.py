"""A client of served models: numpy, gRPC and protobuf alone, no TensorFlow."""

from tfsep.client.client import Client
from tfsep.client.facts import ServedFacts

__all__ = ["Client", "ServedFacts"]
