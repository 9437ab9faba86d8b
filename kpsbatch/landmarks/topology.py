"""The 184 points of a frame: which MediaPipe landmarks they are, and where each part lies."""

from __future__ import annotations

from typing import Final

POSE_NAMES: Final = ("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist")

HAND_NAMES: Final = (
    "wrist",
    "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
    "index_mcp", "index_pip", "index_dip", "index_tip",
    "middle_mcp", "middle_pip", "middle_dip", "middle_tip",
    "ring_mcp", "ring_pip", "ring_dip", "ring_tip",
    "pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip",
)  # fmt: skip

# The sorted union of FACEMESH_CONTOURS and FACEMESH_IRISES of MediaPipe 0.10.21 (face_mesh_connections.py).
FACE_MESH: Final = (
    0, 7, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80, 81, 82, 84, 87,
    88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158,
    159, 160, 161, 162, 163, 172, 173, 176, 178, 181, 185, 191, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338,
    356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400,
    402, 405, 409, 415, 454, 466, 469, 470, 471, 472, 474, 475, 476, 477,
)  # fmt: skip

# Polylines along the face contours and irises, in mesh indices: FACEMESH_CONTOURS and FACEMESH_IRISES, put in order.
FACE_PATHS: Final = (
        (10, 109, 67, 103, 54, 21, 162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378,
     379, 365, 397, 288, 361, 323, 454, 356, 389, 251, 284, 332, 297, 338, 10),
        (0, 37, 39, 40, 185, 61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0),
        (13, 82, 81, 80, 191, 78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13),
        (249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466, 263, 249),
        (7, 33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (276, 283, 282, 295, 285),
        (300, 293, 334, 296, 336),
        (46, 53, 52, 65, 55),
        (70, 63, 105, 66, 107),
        (474, 477, 476, 475, 474),
        (469, 470, 471, 472, 469),
)  # fmt: skip

HAND_PATHS: Final = (
    (0, 1, 2, 3, 4),
    (0, 5, 6, 7, 8),
    (9, 10, 11, 12),
    (13, 14, 15, 16),
    (0, 17, 18, 19, 20),
    (5, 9, 13, 17),
)

# In the order of POSE_NAMES.
POSE_PATHS: Final = ((4, 2, 0, 1, 3, 5),)


class Topology:
    """Names and places of the 184 points of a `(T, 184, 4)` array; a namespace, never instantiated.

    Attributes:
        POINTS: 184, the length of the second axis.
        CHANNELS: names of the last axis: x, y, z, visibility.
        POSE, FACE, RIGHT_HAND, LEFT_HAND: slices of the second axis; right and left are the signer's own.
        PARTS: the four slices by name, in order.
        NAMES: 184 point names such as `pose.left_wrist`, `face.468`, `right_hand.index_tip`.
        POSE_LANDMARKS: MediaPipe pose indices of the 6 pose points.
        FACE_MESH: MediaPipe face mesh indices of the 136 face points.
    """

    POINTS: Final = 184
    CHANNELS: Final = ("x", "y", "z", "visibility")
    POSE: Final = slice(0, 6)
    FACE: Final = slice(6, 142)
    RIGHT_HAND: Final = slice(142, 163)
    LEFT_HAND: Final = slice(163, 184)
    PARTS: Final = {"pose": POSE, "face": FACE, "right_hand": RIGHT_HAND, "left_hand": LEFT_HAND}
    POSE_LANDMARKS: Final = (11, 12, 13, 14, 15, 16)
    FACE_MESH: Final = FACE_MESH
    NAMES: Final = (
        *(f"pose.{name}" for name in POSE_NAMES),
        *(f"face.{index}" for index in FACE_MESH),
        *(f"right_hand.{name}" for name in HAND_NAMES),
        *(f"left_hand.{name}" for name in HAND_NAMES),
    )


# Indices that the adjusted coordinates, the face and the hand slots need (MediaPipe's numbering).
POSE_NOSE: Final = 0
POSE_LEFT_EAR, POSE_RIGHT_EAR = 7, 8
POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER = 11, 12
POSE_LEFT_WRIST, POSE_RIGHT_WRIST = 15, 16
POSE_LEFT_PINKY, POSE_RIGHT_PINKY = 17, 18
POSE_LEFT_INDEX, POSE_RIGHT_INDEX = 19, 20
FACE_NOSE_TIP: Final = 1
FACE_LEFT_IRIS_CENTRE, FACE_RIGHT_IRIS_CENTRE = 468, 473
HAND_WRIST, HAND_THUMB_MCP, HAND_PINKY_MCP = 0, 2, 17
