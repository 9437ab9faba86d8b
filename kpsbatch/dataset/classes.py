"""The classes of a dataset: the signs, or labels, that its config or its table states."""

from __future__ import annotations

from kpsbatch.config import DatasetConfig
from kpsbatch.dataset.layout import LayoutSource
from kpsbatch.dataset.source import Source
from kpsbatch.dataset.tables import load_labels


def stated_classes(dataset: DatasetConfig, source: Source) -> list[int | str]:
    """The signs, or labels, that a config or its table states, in order, whatever a command's options choose of them.

    Of numbered signs those of `dataset.signs`; where that is `all`, those of `dataset.labels` in the order of that
    table, then those of the manifest, or of the folders, by number. Else the manifest's labels, in its rows' order.

    Args:
        dataset: Its section of the config.
        source: The dataset, opened by it.

    Raises:
        ConfigError: The table of labels can't be used.
    """
    whole = dataset.whole
    if source.has_signs and whole.signs:
        return [*whole.signs]
    if whole.manifest is None and whole is not dataset:
        source = LayoutSource(whole, source.folders)
    return [*load_labels(whole.labels), *source.stated] if source.has_signs else source.stated
