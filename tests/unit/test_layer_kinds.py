"""The table of what is known of each kind of layer, which all modules that look at layers ask."""

from cnnexplain.model.layer_kinds import KINDS, TABLE, Trait, rearranges


def test_each_kind_stands_in_one_row():
    listed = [kind for _, kinds in TABLE for kind in kinds]
    assert sorted(listed) == sorted(set(listed))
    assert len({known for known, _ in TABLE}) > 20


def test_what_follows_from_what_is_known_is_known_too():
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
