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


LOOKS = (
    Look(
        skin=(0.88, 0.66, 0.53),
        lips=(0.72, 0.42, 0.38),
        nail=(0.95, 0.76, 0.68),
        hair=(0.15, 0.11, 0.09),
        iris=(0.30, 0.19, 0.11),
        shirt=(0.17, 0.27, 0.42),
        background=(0.74, 0.77, 0.78),
        sleeve=0.0,
        long_hair=False,
        beard=0.38,
        shoulder=0.176,
        upper_arm=0.295,
        forearm=0.265,
        face=(0.081, 0.119),
        hand=1.08,
    ),
    Look(
        skin=(0.72, 0.50, 0.38),
        lips=(0.66, 0.30, 0.29),
        nail=(0.86, 0.64, 0.56),
        hair=(0.12, 0.08, 0.07),
        iris=(0.22, 0.14, 0.09),
        shirt=(0.47, 0.20, 0.27),
        background=(0.80, 0.77, 0.70),
        sleeve=0.72,
        long_hair=True,
        beard=0.0,
        shoulder=0.160,
        upper_arm=0.285,
        forearm=0.255,
        face=(0.077, 0.114),
        hand=1.03,
    ),
    Look(
        skin=(0.55, 0.37, 0.27),
        lips=(0.50, 0.26, 0.24),
        nail=(0.74, 0.54, 0.46),
        hair=(0.08, 0.06, 0.06),
        iris=(0.16, 0.10, 0.07),
        shirt=(0.76, 0.73, 0.64),
        background=(0.56, 0.63, 0.64),
        sleeve=0.0,
        long_hair=False,
        beard=0.0,
        shoulder=0.172,
        upper_arm=0.295,
        forearm=0.265,
        face=(0.080, 0.118),
        hand=1.06,
    ),
)
