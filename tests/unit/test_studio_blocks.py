"""The blocks of a network."""

import pytest

from cnnexplain.studio.blocks import FEW, Block, Node, blocks, prefix, unbranched_parts


def chain(*names, side=8):
    return [Node(name, (before,), side) for before, name in zip(("input", *names), names, strict=False)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("block2a_expand_conv", "block2a"),
        ("conv2_block1_1_conv", "conv2"),
        ("block_1_expand", "block_1"),
        ("stem_conv", "stem"),
        ("outer/inner/conv1", "outer"),
        ("conv2d_17", "conv2d"),
        ("predictions", "predictions"),
        ("_odd", "_odd"),
    ],
)
def test_the_prefix_of_a_name(name, expected):
    assert prefix(name) == expected


def test_parts_end_where_all_paths_meet():
    nodes = [
        *chain("a", "b"),
        Node("left", ("b",)),
        Node("right", ("b",)),
        Node("sum", ("left", "right")),
        Node("c", ("sum",)),
        Node("d", ("c",)),
        Node("shortcut", ("d", "c")),
    ]
    parts = [[node.name for node in part] for part in unbranched_parts(nodes)]
    assert parts == [["a"], ["b"], ["left", "right", "sum"], ["c"], ["d", "shortcut"]]


def test_small_networks_have_no_blocks():
    names = [f"block1_{index}" for index in range(FEW)]
    assert blocks(chain(*names)) == [Block(name, (name,)) for name in names]


def test_layers_with_one_prefix_are_a_block():
    names = [f"{block}_{layer}" for block in ("stem", "block1a", "block1b") for layer in "abcdefghi"]
    assert [(block.name, len(block.layers)) for block in blocks(chain(*names))] == [
        ("stem", 9),
        ("block1a", 9),
        ("block1b", 9),
    ]


def test_a_branch_stays_in_one_block():
    """Although its names begin differently."""
    names = [f"{block}_{layer}" for block in ("stem", "one1", "two2") for layer in "abcdefghi"]
    nodes = chain(*names)
    nodes[20] = Node(nodes[20].name, (nodes[19].name, "one1_f"), 8)
    found = blocks(nodes)
    assert [(block.name, len(block.layers)) for block in found] == [("stem", 9), ("one1", 6), ("two2", 12)]
    assert [name for block in found for name in block.layers] == names


def test_without_common_prefixes_blocks_are_branches_and_resolutions():
    sides = [32] * 8 + [16] * 8 + [8] * 10
    names = [f"{'abcdefghijklmnopqrstuvwxyz'[index]}x" for index in range(26)]
    nodes = [
        Node(name, (before,), side, pools=name == "ix")
        for before, name, side in zip(("input", *names), names, sides, strict=False)
    ]
    nodes[20] = Node("ux", ("tx", "sx"), 8)
    found = [block.layers for block in blocks(nodes)]
    # The pooling at the change to 16 ends a block; at the change to 8, a convolution begins one.
    assert found[0] == tuple(names[:9])
    assert found[1] == tuple(names[9:16])
    assert ("tx", "ux") in found
    assert [name for layers in found for name in layers] == names
