"""Channels of a network that are 0 whatever it looks at: cutting them changes nothing but the order of some sums.

Processors that sum channels one after the other (x86 with AVX2 or AVX-512) give the same bits without them. XNNPACK's
code for others (SSE, AMD's Zen of the first generation) sums every fourth: there hands differ by 0.0002 pixels at most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kpsbatch.models.graph import Graph, Operator

RELUS = ("RELU", "RELU6")


class Block(NamedTuple):
    """Three operators in a row: a convolution, a depthwise one of each of its channels, one that sums these."""

    spread: Operator
    depthwise: Operator
    gather: Operator


def cut_dead_channels(graph: Graph) -> int:
    """Cut the channels inside each `Block` that are 0 after its depthwise convolution for any input.

    The last convolution adds them with a factor, so that its sums are the same without them.

    Returns:
        How many were cut.
    """
    total = 0
    for block in blocks(graph):
        alive = ~dead_channels(graph, block)
        total += int((~alive).sum())
        if alive.all():
            continue
        for operator, place, axis in (
            (block.spread, 1, 0),
            (block.spread, 2, 0),
            (block.depthwise, 1, -1),
            (block.depthwise, 2, 0),
            (block.gather, 1, -1),
        ):
            values = graph.constant(operator.inputs[place])
            graph.set_constant(operator.inputs[place], np.compress(alive, values, axis=axis))
        for operator in block[:2]:
            graph.set_channels(operator.outputs[0], int(alive.sum()))
    return total


def blocks(graph: Graph) -> list[Block]:
    """The blocks of a network: nothing else reads what is between their operators."""
    operators = graph.operators()
    made_by = {output: operator for operator in operators for output in operator.outputs}
    found = []
    for depthwise in operators:
        if depthwise.kind != "DEPTHWISE_CONV_2D":
            continue
        readers = [operator for operator in operators if depthwise.outputs[0] in operator.inputs]
        sharers = [operator for operator in operators if depthwise.inputs[0] in operator.inputs]
        spread = made_by.get(depthwise.inputs[0])
        is_outside = {depthwise.inputs[0], depthwise.outputs[0]} & set(graph.main.outputs.tolist())
        if spread is None or spread.kind != "CONV_2D" or len(sharers) != 1 or len(readers) != 1 or is_outside:
            continue
        if readers[0].kind == "CONV_2D":
            found.append(Block(spread, depthwise, readers[0]))
    return found


def dead_channels(graph: Graph, block: Block) -> NDArray[np.bool_]:
    """(channels,): whether a channel is 0 after the depthwise convolution, for any input.

    Either it is 0 before, as no weight but 0 leads to it and its bias is not positive; or, being never negative, it is
    weighted by nothing positive. In both cases the bias that follows is not positive, and ReLU makes it 0.
    """
    channels = graph.shape(block.depthwise.outputs[0])[-1]
    if block.spread.activation not in RELUS or block.depthwise.activation not in RELUS:
        return np.zeros(channels, bool)
    weights, bias = (graph.constant(block.spread.inputs[place]) for place in (1, 2))
    nothing_comes = ~weights.reshape(channels, -1).any(axis=1) & (bias <= 0)
    weights, bias = (graph.constant(block.depthwise.inputs[place]) for place in (1, 2))
    nothing_positive = (weights.reshape(-1, channels) <= 0).all(axis=0)
    return np.asarray((nothing_comes | nothing_positive) & (bias <= 0))
