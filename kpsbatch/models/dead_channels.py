"""Channels of a network that are 0 whatever the picture shows: they are cut out, and every value keeps its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kpsbatch.models.graph import Graph


def cut_dead_channels(graph: Graph) -> int:
    """Cut the channels that are 0 between the two ends of each inverted residual block; returns how many.

    Such a block widens its channels (a convolution), filters each by itself (a depthwise convolution), and sums them
    up (a convolution). What is 0 after the filter for any input adds 0 to each sum, in any order: the sums of the
    others are the same without it.
    """
    count = 0
    for depthwise in graph.operators("DEPTHWISE_CONV_2D"):
        widening, summing = graph.only_producer(depthwise), graph.only_consumer(depthwise)
        if widening is None or summing is None or graph.only_consumer(widening) is not depthwise:
            continue
        if {graph.kind(widening), graph.kind(summing)} != {"CONV_2D"}:
            continue
        ends: tuple[Any, Any] = widening, depthwise
        tensors = [int(operator.inputs[i]) for operator in ends for i in (1, 2)]
        tensors.append(int(summing.inputs[1]))
        if not all(graph.is_own_constant(tensor) for tensor in tensors):
            continue
        dead = dead_channels(graph, widening, depthwise)
        if dead.any() and not dead.all():
            for tensor, axis in zip(tensors, (0, 0, -1, 0, -1), strict=True):
                graph.set_values(tensor, np.compress(~dead, graph.values(tensor), axis))
            for operator in ends:
                graph.set_channels(int(operator.outputs[0]), int((~dead).sum()))
            count += int(dead.sum())
    return count


def dead_channels(graph: Graph, widening: Any, depthwise: Any) -> NDArray[np.bool_]:
    """Which channels are 0 after a depthwise convolution that follows a convolution, whatever that one is given.

    Either the convolution gives a constant 0 and the filter adds no bias that its ReLU lets through; or what it gives
    is never below 0, and the filter has no weight and no bias above 0 and ends in a ReLU.
    """
    weights, bias = (graph.values(int(widening.inputs[i])) for i in (1, 2))
    filters, added = (graph.values(int(depthwise.inputs[i])) for i in (1, 2))
    if filters.shape[-1] != len(weights):  # a filter makes several channels of one
        return np.zeros(len(weights), bool)
    ends_in_relu = graph.ends_in_relu(depthwise)
    gives_zero = ~weights.reshape(len(weights), -1).any(axis=1)
    gives_zero &= bias <= 0 if graph.ends_in_relu(widening) else bias == 0
    stays_zero = added <= 0 if ends_in_relu else added == 0
    never_above = (filters.reshape(-1, len(weights)) <= 0).all(axis=0) & (added <= 0)
    is_pressed = never_above & graph.ends_in_relu(widening) & ends_in_relu
    return np.asarray((gives_zero & stays_zero) | is_pressed)
