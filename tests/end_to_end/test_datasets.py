"""The names of ImageNet's classes, and how one is asked for."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.inputs.datasets import imagenet_labels


@pytest.fixture(scope="module")
def classifier():
    """A classifier of ImageNet's classes, as they are asked for by name."""
    clf = cx.load(keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(1000)]))
    clf.labels = imagenet_labels()
    return clf


def test_imagenet_labels_are_unique_except_for_crane():
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert [index for index, label in enumerate(labels) if labels.count(label) > 1] == [134, 517]
    assert {index: labels[index] for index in (0, 281, 388, 638, 639, 967, 999)} == {
        0: "tench, Tinca tinca",
        281: "tabby, tabby cat",
        388: "giant panda, panda, panda bear, coon bear, Ailuropoda melanoleuca",
        638: "maillot",
        639: "maillot, tank suit",
        967: "espresso",
        999: "toilet tissue, toilet paper, bathroom tissue",
    }
    assert all(label == label.strip() and label for label in labels)


def test_classes_are_found_by_label_word_or_index(classifier):
    asked = ["tabby, tabby cat", "tabby", "tabby cat", "maillot", "tank suit", "missile", "517", 134, np.int64(3)]
    assert [classifier.target(wanted) for wanted in asked] == [281, 281, 281, 638, 639, 657, 517, 134, 3]


def test_an_ambiguous_label_lists_the_class_indices(classifier):
    with pytest.raises(
        UsageError, match=r"^'crane' may be any of the classes 134 \(crane\), 517 \(crane\); give the number of one\.$"
    ):
        classifier.target("crane")
    with pytest.raises(UsageError, match=r"387 \(lesser panda, .*\), 388 \(giant panda, .*\); give"):
        classifier.target("panda")
    with pytest.raises(UsageError, match=r"There is no class labeled 'expresso'\. Did you mean 'espresso'\?"):
        classifier.target("expresso")


def test_a_word_in_several_labels_lists_them(classifier):
    with pytest.raises(UsageError) as caught:
        classifier.target("Cat")
    words = str(caught.value)
    assert words.startswith(
        "There is no class labeled 'Cat'. These contain the word: 281 (tabby, tabby cat), 282 (tiger cat)"
    )
    # The word as a whole: no cattle, catamaran or catamount.
    assert "286" not in words
    with pytest.raises(UsageError, match=r"These contain the word: 985 \(daisy\); give a number"):
        classifier.target("DAISY")
