"""Making outputs again from all landmarks that are kept, where these are there and the npz is of another view."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from kpsbatch.dataset.video import Unit
from kpsbatch.errors import OutputError
from kpsbatch.files import explained, sha256_of
from kpsbatch.landmarks.full import unpack
from kpsbatch.landmarks.keypoints import view
from kpsbatch.points import topology_of
from kpsbatch.store.npz import open_npz
from kpsbatch.store.outputs import Outputs
from kpsbatch.store.records import read_record
from kpsbatch.store.settings import Settings


def make_again(outputs: Outputs, unit: Unit) -> bool:
    """Make the npz of a unit in the state "view" as the settings of the outputs have it.

    Returns:
        False where that is not possible: the file of all landmarks is not that of a record, or is damaged.

    Raises:
        OutputError: A file can't be written.
    """
    path = outputs.full_path(unit)
    with explained(outputs.root):
        records = [read_record(record).record for record in outputs.records_of_views(unit)]
        sha256 = sha256_of(path)
    record = next((record for record in records if record and record.full and record.full.sha256 == sha256), None)
    if record is None or record.state is None:
        return False
    settings = outputs.fingerprint.settings
    try:
        with open_npz(path) as kept:
            arrays = {name: view_of_kept(kept.read(name), settings) for name in record.good}
    except (OutputError, ValueError):
        return False
    outputs.publish_again(unit, record.model_copy(update=settings.view), arrays)
    return True


def view_of_kept(packed: NDArray[Any], settings: Settings) -> NDArray[Any]:
    """The keypoints (T, points, 4) of an output with some settings, from what is kept of a video.

    Raises:
        ValueError: It is not what `pack` made.
    """
    topology = topology_of(settings.points)
    return view(unpack(packed), topology, coordinates=settings.coordinates).astype(settings.dtype)
