"""The table of the traits of each kind of layer, which all modules that look at layers ask."""

from cnnexplain.model.structure.layer_kinds import KINDS, TABLE, Trait, derives_from, is_keras, rearranges


def test_each_kind_has_one_row():
    listed = [kind for _, kinds in TABLE for kind in kinds]
    assert sorted(listed) == sorted(set(listed))
    assert len({known for known, _ in TABLE}) > 20


def test_implied_traits_are_set():
    for kind, known in KINDS.items():
        if known & Trait.IDENTITY:
            assert known & Trait.MOVES
            assert known & Trait.SELECTS
            assert known & Trait.POINTWISE, kind
        if known & (Trait.MOVES | Trait.RESIZES | Trait.POOLS):
            assert known & Trait.LINEAR, kind
        if known & Trait.ACTIVATION:
            assert not known & Trait.LINEAR, kind


def test_layers_without_features_of_their_own():
    assert [rearranges(kind) for kind in ("MaxPooling2D", "Rescaling", "Dropout", "Resizing")] == [True] * 4
    assert [rearranges(kind) for kind in ("Concatenate", "Conv2D", "Add", "Anyones")] == [False] * 4


def test_each_kind_has_one_window_type():
    windows = [Trait.KERNEL_WINDOW, Trait.POOL_WINDOW, Trait.PATCH_WINDOW, Trait.PADS, Trait.CROPS, Trait.RESIZES]
    for kind, traits in KINDS.items():
        assert sum(bool(traits & window) for window in windows) <= 1, kind
        if traits & Trait.KERNEL_WINDOW:
            assert traits & Trait.CONVOLUTION, kind


def test_derived_classes_have_the_traits_of_keras_classes_only():
    keras_class = type("Conv2D", (), {"__module__": "keras.src.layers.convolutional.conv2d"})
    foreign_class = type("Conv2D", (), {"__module__": "mine"})
    derived = type("Mine", (keras_class,), {"__module__": "mine"})
    found = [derives_from(each(), Trait.CONVOLUTION) for each in (keras_class, derived, foreign_class)]
    assert found == [True, True, False]
    assert [is_keras(each()) for each in (keras_class, derived, foreign_class)] == [True, False, False]
