"""Train a classifier of words on keypoints, test it on people or videos that it has not seen, and use it on new videos.

    python examples/classify.py train keypoints model.npz
    python examples/classify.py use model.npz new-keypoints

Softmax regression with NumPy alone: a baseline, to see whether a dataset can be learned from: docs/training.md.
"""

from __future__ import annotations

import argparse

import numpy as np

import kpsbatch

FRAMES = 16  # every video is resampled to as many
PARTS = ("pose", "right_hand", "left_hand")


def features(sample: kpsbatch.Sample) -> np.ndarray:
    """Arms and hands of a video relative to the shoulders, in shoulder widths; zeros where a part is missing."""
    parts, keypoints, missing = sample.parts, sample.keypoints, sample.missing
    left, right = keypoints[:, 0, :2], keypoints[:, 1, :2]  # shoulders: the first two points
    centre, width = (left + right) / 2, np.linalg.norm(left - right, axis=1)
    values = []
    for part in PARTS:
        points = (keypoints[:, parts[part], :2] - centre[:, None]) / np.maximum(width, 1e-6)[:, None, None]
        points[missing[part] | missing["pose"]] = 0
        values += [points.reshape(len(keypoints), -1), ~missing[part][:, None]]
    series = np.concatenate(values, axis=1)
    return series[np.linspace(0, len(series) - 1, FRAMES).round().astype(int)].ravel().astype(np.float32)


def train(x: np.ndarray, y: np.ndarray, classes: int, epochs: int = 100, rate: float = 0.02) -> np.ndarray:
    """Softmax regression by gradient descent in batches of 64: weights, (features + 1, classes)."""
    x = np.c_[x, np.ones(len(x), x.dtype)]
    weights, random = np.zeros((x.shape[1], classes), np.float32), np.random.default_rng(0)
    for _ in range(epochs):
        for batch in np.array_split(random.permutation(len(x)), -(-len(x) // 64)):
            shares = probabilities(x[batch] @ weights)
            shares[np.arange(len(batch)), y[batch]] -= 1
            weights -= rate * (x[batch].T @ shares / len(batch) + 1e-3 * weights)
    return weights


def probabilities(scores: np.ndarray) -> np.ndarray:
    """Softmax of each row."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def predict(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The probability of each class for each video, (videos, classes)."""
    return probabilities(np.c_[x, np.ones(len(x))] @ weights)


def folds(dataset: kpsbatch.OutputDataset, y: np.ndarray) -> tuple[str, dict[str, np.ndarray]]:
    """What is held out, and by name which videos: each signer in turn, else the split test, else one of each class."""
    signers = np.array([info.signer for info in dataset.videos])
    splits = np.array([info.split for info in dataset.videos])
    if len(set(signers)) > 1:
        return "signer", {name: signers == name for name in sorted(set(signers))}
    if {"train", "test"} <= set(splits):
        return "split", {"test": splits == "test"}
    last = {target: place for place, target in enumerate(y)}
    return "videos", {"the last video of each word": np.isin(np.arange(len(y)), list(last.values()))}


def train_command(folder: str, path: str) -> None:
    """Tests on what is held out, then trains on everything and stores the model."""
    dataset = kpsbatch.open_dataset(folder)
    y = dataset.targets
    labelled = y >= 0
    if len(set(y[labelled])) < 2:
        raise SystemExit(f"{folder} has fewer than two words with videos. Label its videos: docs/manifests.md")
    x = np.stack([features(sample) for sample in dataset])
    names = np.array([str(name) for name in dataset.classes])
    print(f"{len(x)} videos of {len(set(y[labelled]))} words")
    kind, held_out = folds(dataset, y)
    for name, test in held_out.items():
        seen, test = labelled & ~test, labelled & test
        if not seen.any() or not test.any():
            print(f"{kind} held out: {name}: nothing is left to learn from or to test on")
            continue
        right = predict(train(x[seen], y[seen], len(names)), x[test]).argmax(axis=1) == y[test]
        chance = np.bincount(y[test]).max() / test.sum()
        result = f"{right.mean():.0%} of {test.sum()} videos right; the commonest word alone: {chance:.0%}"
        print(f"{kind} held out: {name}: {result}")
    np.savez(path, classes=names, weights=train(x[labelled], y[labelled], len(names)))
    print(f"model of all videos: {path}")


def use_command(path: str, folder: str) -> None:
    """The likeliest word of each video."""
    with np.load(path) as stored:
        weights, classes = stored["weights"], stored["classes"]
    dataset = kpsbatch.open_dataset(folder)
    for sample in dataset:
        shares = predict(weights, features(sample)[None])[0]
        print(f"{sample.video}: {classes[shares.argmax()]} ({shares.max():.0%})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for command, arguments in (("train", ("keypoints", "model")), ("use", ("model", "keypoints"))):
        sub = commands.add_parser(command)
        for argument in arguments:
            sub.add_argument(argument)
    chosen = parser.parse_args()
    try:
        if chosen.command == "train":
            train_command(chosen.keypoints, chosen.model)
        else:
            use_command(chosen.model, chosen.keypoints)
    except (kpsbatch.KpsbatchError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
