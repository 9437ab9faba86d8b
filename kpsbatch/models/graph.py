"""A TFLite network taken apart and put together again; bytes in, bytes out, the same bytes on every machine.

mediapipe itself is never imported (that takes 0.6 s and needs its native library): its two generated schema modules are
loaded by path.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.mediapipe_import import mediapipe_directory


class Operator(NamedTuple):
    """An operator: its kind (the name in TFLite's list of built-in ones), tensors, and the activation after it."""

    kind: str
    inputs: list[int]
    outputs: list[int]
    activation: str


class Graph:
    """A TFLite network taken apart, with the few ways to change it that the edits need.

    Tensors are handled by their index in the graph, as in the file format.
    """

    def __init__(self, network: bytes) -> None:
        self._fb = _schema("schema_py_generated")
        self._model: Any = self._fb.ModelT.InitFromPackedBuf(network, 0)
        self.main: Any = self._model.subgraphs[0]

    def reshape(self, name: str, tensor: int, shape: list[int]) -> int:
        """Append RESHAPE; returns the new tensor."""
        options = self._fb.ReshapeOptionsT()
        options.newShape = shape
        return self.append("RESHAPE", options, [tensor, self.integers(f"{name}/shape", shape)], name, shape)

    def gather(self, name: str, tensor: int, indices: ArrayLike, axis: int) -> int:
        """Append GATHER of fixed indices along `axis`, which their axes replace; returns the new tensor."""
        options = self._fb.GatherOptionsT()
        options.axis = axis
        shape = self.shape(tensor)
        shape[axis : axis + 1] = np.shape(indices)
        return self.append("GATHER", options, [tensor, self.integers(f"{name}/indices", indices)], name, shape)

    def pick(self, name: str, tensor: int, numbers: int) -> int:
        """Append GATHER of a flat tensor's elements, whose numbers a tensor of floats has; returns the new tensor."""
        shape = self.shape(numbers)
        whole = self.append("CAST", None, [numbers], f"{name}/numbers", shape, self._fb.TensorType.INT32)
        return self.append("GATHER", self._fb.GatherOptionsT(), [tensor, whole], name, shape)

    def concatenate(self, name: str, tensors: list[int], axis: int) -> int:
        """Append CONCATENATION along `axis`; returns the new tensor."""
        options = self._fb.ConcatenationOptionsT()
        options.axis = axis
        shape = self.shape(tensors[0])
        shape[axis] = sum(self.shape(tensor)[axis] for tensor in tensors)
        return self.append("CONCATENATION", options, tensors, name, shape)

    def flat(self, name: str, tensor: int) -> int:
        """Append RESHAPE to [1, N]; returns the new tensor."""
        return self.reshape(name, tensor, [1, self.size(tensor)])

    def mean(self, name: str, tensor: int, axis: int) -> int:
        """Append MEAN over `axis`, which stays with length 1; returns the new tensor."""
        options = self._fb.ReducerOptionsT()
        options.keepDims = True
        shape = self.shape(tensor)
        shape[axis] = 1
        return self.append("MEAN", options, [tensor, self.integers(f"{name}/axis", [axis])], name, shape)

    def floor(self, name: str, tensor: int) -> int:
        """Append FLOOR; returns the new tensor."""
        return self.append("FLOOR", None, [tensor], name, self.shape(tensor))

    def combine(self, kind: str, name: str, one: int, other: int) -> int:
        """Append ADD, MUL, MAXIMUM or MINIMUM of two tensors, each spread over the other; returns the new tensor."""
        options = {"ADD": self._fb.AddOptionsT, "MUL": self._fb.MulOptionsT}.get(kind, self._fb.MaximumMinimumOptionsT)
        shape = np.broadcast_shapes(tuple(self.shape(one)), tuple(self.shape(other)))
        return self.append(kind, options(), [one, other], name, list(shape))

    def set_outputs(self, outputs: list[int]) -> None:
        """Make these tensors the outputs, and drop the operators that none of them depends on."""
        self.main.outputs = np.asarray(outputs, np.int32)
        needed = set(outputs)
        kept = []
        for operator in reversed(self.main.operators):  # the file format orders producers before consumers
            if needed.intersection(operator.outputs):
                needed.update(operator.inputs)
                kept.append(operator)
        self.main.operators = kept[::-1]

    def set_metadata(self, metadata: bytes) -> None:
        """Replace the TFLite metadata, or add it."""
        entries = [entry for entry in self._model.metadata or [] if entry.name != b"TFLITE_METADATA"]
        added = self._fb.MetadataT()
        added.name = b"TFLITE_METADATA"
        added.buffer = self._buffer(metadata)
        self._model.metadata = [*entries, added]

    def pack(self) -> bytes:
        """Return the network as the bytes of a .tflite file."""
        return _pack(self._model, b"TFL3")

    def shape(self, tensor: int) -> list[int]:
        """The lengths of a tensor's axes."""
        shape: list[int] = self.main.tensors[tensor].shape.tolist()
        return shape

    def size(self, tensor: int) -> int:
        """The number of a tensor's elements."""
        return math.prod(self.shape(tensor))

    def operators(self) -> list[Operator]:
        """The operators in order; the activation of those that have none is "NONE"."""
        activations = _names(self._fb.ActivationFunctionType)
        return [
            Operator(
                self._kind(operator),
                operator.inputs.tolist(),
                operator.outputs.tolist(),
                activations[getattr(operator.builtinOptions, "fusedActivationFunction", 0)],
            )
            for operator in self.main.operators
        ]

    def constant(self, tensor: int) -> NDArray[Any]:
        """The values of a constant, also of one that is stored in half precision and widened by an operator."""
        stored = self.main.tensors[self._stored(tensor)]
        kind = {self._fb.TensorType.FLOAT32: "<f4", self._fb.TensorType.FLOAT16: "<f2"}[stored.type]
        return np.frombuffer(bytes(self._model.buffers[stored.buffer].data), kind).reshape(stored.shape)

    def set_constant(self, tensor: int, values: NDArray[Any]) -> None:
        """Replace the values of a constant, of the type that it is stored in; the shape becomes theirs."""
        stored = self._stored(tensor)
        before, data = self.main.tensors[stored].buffer, np.ascontiguousarray(values).tobytes()
        if sum(other.buffer == before for other in self.main.tensors) > 1:
            self.main.tensors[stored].buffer = self._buffer(data)
        else:
            self._model.buffers[before].data = np.frombuffer(data, np.uint8)
        for changed in {stored, tensor}:
            self.main.tensors[changed].shape = np.asarray(values.shape, np.int32)

    def set_channels(self, tensor: int, count: int) -> None:
        """Say how many channels, which are its last axis, a tensor has."""
        self.main.tensors[tensor].shape = np.asarray([*self.shape(tensor)[:-1], count], np.int32)

    def _stored(self, tensor: int) -> int:
        """The tensor that holds a constant's values."""
        return self._widened.get(tensor, tensor)

    @cached_property
    def _widened(self) -> dict[int, int]:
        """By the tensor that DEQUANTIZE makes, the one that it takes."""
        return {
            int(operator.outputs[0]): int(operator.inputs[0])
            for operator in self.main.operators
            if self._kind(operator) == "DEQUANTIZE"
        }

    def _kind(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        return _names(self._fb.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def append(
        self, kind: str, options: Any, inputs: list[int], name: str, shape: list[int], numbers: int | None = None
    ) -> int:
        """Append an operator with one output; returns the new tensor.

        Args:
            kind: Its name in TFLite's list of built-in operators, such as "RESHAPE".
            options: Its options; None for a kind that has none.
            inputs: The tensors that it takes.
            name: Of the new tensor.
            shape: Of the new tensor.
            numbers: Type of the new tensor's numbers (`TensorType` of the file format); None is float32.
        """
        output = self.new_tensor(name, shape, self._fb.TensorType.FLOAT32 if numbers is None else numbers)
        operator = self._fb.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(self._fb.BuiltinOperator, kind))
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        if options is not None:
            options_name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._fb.BuiltinOptions, options_name)
            operator.builtinOptions = options
        self.main.operators.append(operator)
        return output

    def _opcode(self, builtin: int) -> int:
        for index, code in enumerate(self._model.operatorCodes):
            # older files set only the deprecated field; the larger one counts
            if not code.customCode and max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return index
        code = self._fb.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def integers(self, name: str, values: ArrayLike) -> int:
        """Add a constant of 32-bit integers; returns its tensor."""
        array = np.asarray(values, "<i4")
        return self.new_tensor(name, list(array.shape), self._fb.TensorType.INT32, self._buffer(array.tobytes()))

    def floats(self, name: str, values: ArrayLike) -> int:
        """Add a constant of 32-bit floats; returns its tensor."""
        array = np.asarray(values, "<f4")
        return self.new_tensor(name, list(array.shape), self._fb.TensorType.FLOAT32, self._buffer(array.tobytes()))

    def new_tensor(self, name: str, shape: list[int], kind: int, buffer: int = 0) -> int:
        """Add a tensor; without a buffer it is what an operator makes."""
        tensor = self._fb.TensorT()
        tensor.name = f"kpsbatch/{name}".encode()
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = kind
        tensor.buffer = buffer
        self.main.tensors.append(tensor)
        return len(self.main.tensors) - 1

    def _buffer(self, data: bytes) -> int:
        buffer = self._fb.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1


@lru_cache
def _names(numbered: type) -> dict[int, str]:
    """The names of an enumeration of the file format, by number."""
    return {number: name for name, number in vars(numbered).items() if not name.startswith("_")}


def image_metadata(name: str, mean: float, std: float) -> bytes:
    """TFLite metadata that says: one RGB image, normalised as (value - mean) / std, values 0 to 255."""
    fb = _schema("metadata_schema_py_generated")
    normalization = fb.NormalizationOptionsT()
    normalization.mean = [mean]
    normalization.std = [std]
    unit = fb.ProcessUnitT()
    unit.optionsType = fb.ProcessUnitOptions.NormalizationOptions
    unit.options = normalization
    properties = fb.ImagePropertiesT()
    properties.colorSpace = fb.ColorSpaceType.RGB
    content = fb.ContentT()
    content.contentPropertiesType = fb.ContentProperties.ImageProperties
    content.contentProperties = properties
    image = fb.TensorMetadataT()
    image.name = "image"
    image.content = content
    image.processUnits = [unit]
    graph = fb.SubGraphMetadataT()
    graph.inputTensorMetadata = [image]
    metadata = fb.ModelMetadataT()
    metadata.name = name
    metadata.subgraphMetadata = [graph]
    metadata.minParserVersion = "1.0.0"
    return _pack(metadata, b"M001")


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """Same bytes with every flatbuffers release, and weights aligned as the schema requires."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        # weights are byte vectors and belong at multiples of 16; the generated Python code leaves that out
        return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)

    def EndObject(self) -> Any:  # noqa: N802
        self.vtables: dict[Any, Any] = {}  # releases differ in which vtables they share: share none
        return super().EndObject()


def _pack(root: Any, identifier: bytes) -> bytes:
    builder = _Builder(1 << 20)
    builder.Finish(root.Pack(builder), file_identifier=identifier)
    return bytes(builder.Output())


@lru_cache
def _schema(name: str) -> ModuleType:
    """Load `mediapipe.tasks.metadata.<name>` from its file, under a name of its own."""
    own_name = f"_kpsbatch_{name}"
    path = mediapipe_directory() / "tasks" / "metadata" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(own_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"the installed mediapipe has no {path}. Run `make setup`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own_name] = module
    spec.loader.exec_module(module)
    return module
