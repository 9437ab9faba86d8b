"""What tells one synthetic signer from another."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colours (RGB in 0..1) and proportions (metres) of a signer.

    Attributes:
        sleeve: share of the forearm that the sleeve covers; 0 for short sleeves.
        shoulder: half the distance between the shoulder joints.
        face: half width and half height of the face.
        hand: size of the hands relative to the average.
    """

    skin: Color
    lips: Color
    nail: Color
    hair: Color
    iris: Color
    shirt: Color
    background: Color
    sleeve: float
    long_hair: bool
    beard: float
    shoulder: float
    upper_arm: float
    forearm: float
    face: tuple[float, float]
    hand: float


# A column for each signer, a row for each field of `Look`, in their order.
_TABLE = (
    ((0.88, 0.66, 0.53), (0.72, 0.50, 0.38), (0.55, 0.37, 0.27)),  # skin
    ((0.72, 0.42, 0.38), (0.66, 0.30, 0.29), (0.50, 0.26, 0.24)),  # lips
    ((0.95, 0.76, 0.68), (0.86, 0.64, 0.56), (0.74, 0.54, 0.46)),  # nail
    ((0.15, 0.11, 0.09), (0.12, 0.08, 0.07), (0.08, 0.06, 0.06)),  # hair
    ((0.30, 0.19, 0.11), (0.22, 0.14, 0.09), (0.16, 0.10, 0.07)),  # iris
    ((0.17, 0.27, 0.42), (0.47, 0.20, 0.27), (0.76, 0.73, 0.64)),  # shirt
    ((0.74, 0.77, 0.78), (0.80, 0.77, 0.70), (0.56, 0.63, 0.64)),  # background
    (0.0, 0.72, 0.0),  # sleeve
    (False, True, False),  # long_hair
    (0.38, 0.0, 0.0),  # beard
    (0.176, 0.160, 0.172),  # shoulder
    (0.295, 0.285, 0.295),  # upper_arm
    (0.265, 0.255, 0.265),  # forearm
    ((0.081, 0.119), (0.077, 0.114), (0.080, 0.118)),  # face
    (1.08, 1.03, 1.06),  # hand
)

LOOKS = tuple(Look(*column) for column in zip(*_TABLE, strict=True))
