"""Which detected hand is the signer's right, which the left."""

from __future__ import annotations

from collections.abc import Sequence

from kpsbatch.landmarks.landmarker import Hand


def place_by_label(hands: Sequence[Hand]) -> tuple[Hand | None, Hand | None]:
    """Put hands into (right, left) by the model's labels, never one over the other.

    Two hands with the same label: the surer one keeps it, the other takes the free slot.
    """
    slots: dict[str, Hand] = {}
    for hand in sorted(hands, key=lambda hand: -hand.score)[:2]:
        other = "left" if hand.label == "right" else "right"
        slots[other if hand.label in slots else hand.label] = hand
    return slots.get("right"), slots.get("left")
