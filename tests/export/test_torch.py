"""A dataset of outputs is what PyTorch's DataLoader takes; with the real torch (make test-formats)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_outputs import NAMES, UNITS, outputs_to_export

import kpsbatch
from kpsbatch.store.reading import Sample

torch = pytest.importorskip("torch", reason="torch is not installed; see make test-formats")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return outputs_to_export(tmp_path / "out")


def pad(samples: list[Sample]) -> tuple[Any, Any, list[tuple[Any, ...]]]:
    """As docs/reading.md does, and which videos they are."""
    videos = [torch.from_numpy(sample.keypoints) for sample in samples]
    lengths = torch.tensor([len(video) for video in videos])
    batch = torch.nn.utils.rnn.pad_sequence(videos, batch_first=True)
    return batch, lengths, [sample.info[:4] for sample in samples]


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "spawn")])
def test_loader(root, workers, start):
    """Every video once, shuffled, in batches, with and without worker processes; arrays bit-equal."""
    from torch.utils.data import DataLoader

    dataset = kpsbatch.open_dataset(root)
    options = {"num_workers": workers, "multiprocessing_context": start}
    loader = DataLoader(dataset, batch_size=5, shuffle=True, collate_fn=pad, **options)
    left = {info[:4]: number for number, info in enumerate(dataset.videos)}
    for batch, lengths, names in loader:
        assert batch.dtype == torch.float32
        for row, length, name in zip(batch, lengths, names, strict=True):
            np.testing.assert_array_equal(row[:length].numpy(), dataset[left.pop(name)].keypoints)
            assert not row[length:].any()
    assert not left


def test_samplers_and_subsets(root):
    """Subsets, random splits and weighted samplers of torch work on it."""
    from torch.utils.data import DataLoader, Subset, WeightedRandomSampler, random_split

    dataset = kpsbatch.open_dataset(root)
    parts = random_split(dataset, [20, len(UNITS) * len(NAMES) - 20])
    assert [len(part) for part in parts] == [20, 8]
    assert Subset(dataset, [3])[0].info == dataset.videos[3]
    counts = np.bincount(dataset.targets)
    sampler = WeightedRandomSampler(1 / counts[dataset.targets], len(dataset))
    assert sum(len(names) for *_, names in DataLoader(dataset, 4, sampler=sampler, collate_fn=pad)) == len(dataset)


def test_without_collate_fn(root):
    """Videos of one length go into one tensor without a word; of several, the error says what to pass."""
    from torch.utils.data import DataLoader, Subset

    dataset = kpsbatch.open_dataset(root)
    lengths = dataset.lengths
    same = np.flatnonzero(lengths == np.bincount(lengths).argmax())
    for batch in DataLoader(Subset(dataset, [*map(int, same)]), batch_size=len(same)):
        np.testing.assert_array_equal(batch["keypoints"].numpy(), [dataset[number].keypoints for number in same])
        assert batch["target"].tolist() == [dataset.videos[number].target for number in same]
        assert batch["video"] == [dataset.videos[number].video for number in same]
    with pytest.raises(ValueError, match=r"frames don't fit into one tensor\. Pass DataLoader a collate_fn"):
        list(DataLoader(dataset, batch_size=len(dataset)))
