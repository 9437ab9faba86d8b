"""A TFLite network taken apart and put together again; bytes in, bytes out, the same bytes on every machine.

mediapipe itself is never imported (that takes 0.6 s and needs its native library): its two generated schema modules are
loaded by path.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kpsbatch.errors import ModelError
from kpsbatch.landmarks.mediapipe_import import mediapipe_directory


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

    def operators(self, kind: str) -> list[Any]:
        """The operators of a kind, such as "CONV_2D", in order."""
        return [operator for operator in self.main.operators if self.kind(operator) == kind]

    def kind(self, operator: Any) -> str:
        """An operator's name in TFLite's list of built-in operators."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        return _kinds()[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def ends_in_relu(self, convolution: Any) -> bool:
        """Whether a convolution's last step is ReLU or ReLU6."""
        kinds = self._fb.ActivationFunctionType
        return convolution.builtinOptions.fusedActivationFunction in (kinds.RELU, kinds.RELU6)

    def only_producer(self, operator: Any) -> Any | None:
        """The operator that makes another one's first input, if it makes nothing else."""
        made = [other for other in self.main.operators if int(operator.inputs[0]) in other.outputs]
        return made[0] if made and len(made[0].outputs) == 1 else None

    def only_consumer(self, operator: Any) -> Any | None:
        """The operator that alone takes another one's only output, as its first input; None for an output too."""
        (output,) = operator.outputs
        taken = [other for other in self.main.operators if output in other.inputs]
        is_only = len(taken) == 1 and taken[0].inputs[0] == output and output not in self.main.outputs
        return taken[0] if is_only else None

    def is_own_constant(self, tensor: int) -> bool:
        """Whether a tensor is a constant of floats, perhaps stored in 16 bits, that one operator alone takes."""
        stored = self._stored(tensor)
        taken = [sum(each in other.inputs for other in self.main.operators) for each in {tensor, stored}]
        data = self._model.buffers[self.main.tensors[stored].buffer].data
        return taken == [1] * len(taken) and data is not None and self.main.tensors[stored].type in _floats(self._fb)

    def values(self, tensor: int) -> NDArray[Any]:
        """The numbers of a constant of floats."""
        stored = self.main.tensors[self._stored(tensor)]
        data = bytes(self._model.buffers[stored.buffer].data)
        return np.frombuffer(data, _floats(self._fb)[stored.type]).reshape(stored.shape.tolist())

    def set_values(self, tensor: int, values: NDArray[Any]) -> None:
        """Give a constant of floats other numbers, of the same type."""
        stored = self.main.tensors[self._stored(tensor)]
        sharing = [other for other in self.main.tensors if other.buffer == stored.buffer]
        if len(sharing) > 1:
            stored.buffer = self._buffer(values.tobytes())
        else:
            self._model.buffers[stored.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
        for each in {tensor, self._stored(tensor)}:
            self.main.tensors[each].shape = np.asarray(values.shape, np.int32)

    def set_channels(self, tensor: int, channels: int) -> None:
        """Give what an operator makes another number of channels, its last axis."""
        self.main.tensors[tensor].shape = np.asarray([*self.shape(tensor)[:-1], channels], np.int32)

    def _stored(self, tensor: int) -> int:
        """The constant behind a DEQUANTIZE that makes a tensor; else the tensor itself."""
        made = [int(other.inputs[0]) for other in self.operators("DEQUANTIZE") if tensor in other.outputs]
        return made[0] if made else tensor

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


@lru_cache
def _kinds() -> dict[int, str]:
    """TFLite's built-in operators by number."""
    kinds = vars(_schema("schema_py_generated").BuiltinOperator)
    return {number: name for name, number in kinds.items() if not name.startswith("_")}


def _floats(fb: ModuleType) -> dict[int, str]:
    """NumPy's types of the floats that constants are stored in, by their numbers in the file format."""
    return {fb.TensorType.FLOAT32: "<f4", fb.TensorType.FLOAT16: "<f2"}


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
