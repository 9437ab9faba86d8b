"""Words and signers from the names of files and folders."""

from __future__ import annotations

import pytest

from kpsbatch.dataset.name_words import words_and_signers


@pytest.mark.parametrize(
    ("paths", "words", "signers"),
    [
        (["hello_01.mp4", "hello_02.mp4", "bye_01.mp4"], ["hello", "hello", "bye"], ["", "", ""]),
        (["01_hello.mp4", "02_hello.mp4", "03_bye.mp4"], ["hello", "hello", "bye"], ["", "", ""]),
        (["HELLO (2).mp4", "HELLO.mp4", "BYE (1).mp4"], ["HELLO", "HELLO", "BYE"], ["", "", ""]),
        (["thank_you-1.mp4", "thank you 2.mp4", "Hello.mp4"], ["thank you", "thank you", "Hello"], ["", "", ""]),
        (
            ["anna_hello_1.mp4", "anna_bye_1.mp4", "anna_yes.mp4", "bob_hello_1.mp4", "bob_bye_2.mp4", "bob_yes.mp4"],
            ["hello", "bye", "yes"] * 2,
            ["anna"] * 3 + ["bob"] * 3,
        ),
        (
            ["hello_anna.mp4", "bye_anna.mp4", "yes_anna.mp4", "hello_bob.mp4", "bye_bob.mp4", "yes_bob.mp4"],
            ["hello", "bye", "yes"] * 2,
            ["anna"] * 3 + ["bob"] * 3,
        ),
        (
            ["anna/hello/1.mp4", "anna/bye/1.mp4", "anna/no/1.mp4", "bob/hello/1.mp4", "bob/bye/1.mp4", "bob/no/1.mp4"],
            ["hello", "bye", "no"] * 2,
            ["anna"] * 3 + ["bob"] * 3,
        ),
        (
            ["hello/anna.mp4", "hello/bob.mp4", "bye/anna.mp4", "bye/bob.mp4", "no/anna.mp4", "no/bob.mp4"],
            ["hello", "hello", "bye", "bye", "no", "no"],
            ["anna", "bob"] * 3,
        ),
        (["hello_signer1_1.mp4", "bye_signer2_1.mp4"], ["hello", "bye"], ["signer1", "signer2"]),
        (["P01/hello_1.mp4", "P02/hello_1.mp4", "P02/bye.mp4"], ["hello", "hello", "bye"], ["P01", "P02", "P02"]),
        (["hello01.mp4", "hello02.mp4", "bye01.mp4"], ["hello", "hello", "bye"], ["", "", ""]),
        (["مرحبا_1.mp4", "مرحبا_2.mp4", "شكرا_1.mp4"], ["مرحبا", "مرحبا", "شكرا"], ["", "", ""]),
        (["hello/IMG_1.mp4", "hello/IMG_2.mp4", "bye/IMG_1.mp4"], ["hello", "hello", "bye"], ["", "", ""]),
        (["hello/a.mp4", "hello/b.mp4"], ["hello", "hello"], ["", ""]),
        (["hello/a.mp4", "b.mp4", "c.mp4"], ["hello", "", ""], ["", "", ""]),
        (["mine/hello_1.mp4", "mine/hello_2.mp4"], ["hello", "hello"], ["", ""]),
        (["IMG_1.mp4", "IMG_2.mp4"], ["", ""], ["", ""]),
        (["A_1.mp4", "S_1.mp4", "P_1.mp4"], ["A", "S", "P"], ["", "", ""]),
    ],
)
def test_words_and_signers(paths, words, signers):
    """A word is what repeats beside numbers; of two kinds that cross, the fewer names are the signers."""
    found = words_and_signers(paths, ["all"] * len(paths))
    assert [each.word for each in found] == words
    assert [each.signer for each in found] == signers


def test_splits_tell_nothing():
    """A folder that is the split is neither a word nor a signer."""
    paths = ["train/hello_1.mp4", "train/bye_1.mp4", "test/hello_2.mp4", "test/bye_2.mp4"]
    found = words_and_signers(paths, ["train", "train", "test", "test"])
    assert [each.word for each in found] == ["hello", "bye"] * 2
    assert not any(each.signer for each in found)
