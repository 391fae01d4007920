"""Model files that declare more than fits into memory are refused before any of it is made, and large models are not."""

import resource
import sys
import time
import zipfile

import keras
import numpy as np
import pytest
from modelfiles import head, layer, sequential, write

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.loading import memory, model_config, size_limits

FLAT = layer("Flatten", "flat")


def attention(side):
    """A model with an attention of every place to every other."""
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Reshape((-1, 3))(inputs)
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Attention()([x, x]))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def described(model):
    return keras.saving.serialize_keras_object(model)


def repeated(number):
    """Models that each call the one before twice."""
    inputs = keras.Input((4, 4, 1))
    model = keras.Model(inputs, keras.layers.ReLU()(inputs))
    for _ in range(number):
        inputs = keras.Input((4, 4, 1))
        model = keras.Model(inputs, model(model(inputs)))
    return model


def packed(file):
    file.create_dataset("x", (30_000, 30_000), "f4", chunks=(3000, 3000), compression="gzip")


LARGE = {
    "dense": (
        sequential(FLAT, layer("Dense", "huge", units=300_000_000)),
        r"the weights 'net/huge/kernel' \(192, 300000000\)",
    ),
    "conv": (sequential(layer("Conv2D", "huge", filters=10**8, kernel_size=3), *head()), "huge"),
    "input": (sequential(*head(), shape=(20_000, 20_000, 3)), r"the input \(N, 20000, 20000, 3\)"),
    "padding": (sequential(layer("ZeroPadding2D", "huge", padding=9000), *head()), "the output of layer 'huge'"),
    "upsampling": (sequential(layer("UpSampling2D", "huge", size=10_000), *head()), "the output of layer 'huge'"),
    "resizing": (sequential(layer("Resizing", "huge", height=40_000, width=40_000), *head()), "the output of layer 'huge'"),
    "repeated vector": (sequential(FLAT, layer("RepeatVector", "huge", n=10**8)), "the output of layer 'huge'"),
    "embedding": (
        sequential(FLAT, layer("Embedding", "huge", input_dim=10**9, output_dim=3)),
        r"the weights 'net/huge/embeddings' \(1e\+09, 3\)",
    ),
    "recurrent": (sequential(layer("Reshape", "r", target_shape=[8, 24]), layer("LSTM", "huge", units=300_000)), "huge"),
    "astronomic": (sequential(layer("Dense", "huge", units=10**30)), "the output of layer 'huge'"),
    "within": (
        sequential(
            sequential(layer("UpSampling2D", "huge", size=10_000), layer("MaxPooling2D", "p", pool_size=9999)), *head()
        ),
        "the output of layer 'huge'",
    ),
    "attention": (lambda: described(attention(700)), r"the attention of layer 'attention.*' \(N, 1, 490000, 490000\)"),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_oversized_layer_is_named_before_it_is_built(name, tmp_path, monkeypatch):
    config, words = LARGE[name]
    path = write(tmp_path / "net.keras", config() if callable(config) else config)
    monkeypatch.setattr(memory, "free", lambda: 3 << 30)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ModelError, match=f"needs .* of memory .*{words}.*--no-limits") as caught:
        cx.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"config": sequential(*head()), "weights": packed},
            "unpacks to 3433 MiB, more than 100 times its size, .*--no-limits",
        ),
        ({"config": None, "text": "[" * (20 << 20), "packed": True}, "describes its layers in more than 16 MiB"),
        ({"config": None, "text": "[" * (15 << 20), "packed": True}, "describes more layers than a model has"),
        ({"config": None, "text": "[" * 100_000}, "is not valid JSON|nested"),
        ({"config": None, "text": "[" * 500 + "]" * 500}, "is nested 500 deep"),
        ({"config": sequential(*(layer("ReLU", f"relu{each}") for each in range(5000)), *head())}, "describes 5,003 calls"),
        (
            {"config": sequential(layer("Dense", "d", units=5000), layer("Dense", "e", units=5000))},
            "is damaged: its layers have",
        ),
    ],
)
def test_an_oversized_file_is_refused(given, words, tmp_path):
    path = write(tmp_path / "net.keras", **given)
    start = time.process_time()
    with pytest.raises(ModelError, match=words):
        cx.load(path)
    assert time.process_time() - start < 10


def test_calls_of_nested_models_are_counted(tmp_path):
    config = described(repeated(3))
    # An input and a layer, called twice in a model with an input, and so on.
    assert size_limits._calls(config) == 1 + 2 * (1 + 2 * (1 + 2 * 2))
    layers = config
    for _ in range(40):
        layers = {"class_name": "Functional", "config": {"layers": [{**layers, "inbound_nodes": [0, 0]}]}}
    with pytest.raises(ModelError, match="describes 1,000,000,000 calls of layers"):
        size_limits.check_calls(layers)


def test_archives_with_too_many_files_are_refused(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        for number in range(20_000):
            archive.writestr(f"{number:040}", "")
    with pytest.raises(ModelError, match="more files than a model has"):
        cx.load(tmp_path / "net.keras")


def test_limits_can_be_lifted(tmp_path, monkeypatch, cli):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")])
    model.save(tmp_path / "net.keras")
    monkeypatch.setattr(memory, "free", lambda: 5000)
    with pytest.raises(ModelError, match="--no-limits"):
        cx.load(tmp_path / "net.keras")
    assert len(cx.load(tmp_path / "net.keras", limits=False).labels) == 3
    code, _, err = cli("list", "--classes", "--model", "net.keras")
    assert (code, err.count("\n")) == (1, 1)
    assert "--no-limits (limits=False) loads it anyway" in err
    code, _, err = cli("list", "--classes", "--model", "net.keras", "--no-limits")
    assert (code, err) == (0, "")


def test_undefined_sizes_count_as_the_chosen_size(tmp_path, monkeypatch):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(64, 3)(inputs))
    keras.Model(inputs, keras.layers.Dense(3)(x)).save(tmp_path / "net.keras")
    monkeypatch.setattr(memory, "free", lambda: 1 << 30)
    assert cx.load(tmp_path / "net.keras").preprocess.height == 224
    with pytest.raises(ModelError, match=r"net.keras' needs .* for the output of layer 'conv2d.*' \(N, 8190, 8190, 64\)"):
        cx.load(tmp_path / "net.keras", preprocess={"size": 8192})


@pytest.mark.slow
def test_a_model_of_800_layers_is_loaded(tmp_path, random):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 1)(inputs)
    for _ in range(266):
        x = keras.layers.Average()([x, keras.layers.ReLU()(keras.layers.BatchNormalization()(x))])
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    assert len(model.layers) > 800
    model.save(tmp_path / "net.keras")
    described = model_config.read(tmp_path / "net.keras").config
    start = time.process_time()
    size_limits.check_calls(described)
    size_limits.check_memory(lambda: keras.saving.deserialize_keras_object(described), 10**6)
    assert time.process_time() - start < 20
    clf = cx.load(tmp_path / "net.keras")
    images = random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(images))
    np.testing.assert_allclose(clf.predict(images), expected, rtol=1e-4)


def test_estimated_layers_are_not_built_later(tmp_path, monkeypatch):
    path = write(tmp_path / "net.keras", sequential(FLAT, layer("Dense", "huge", units=300_000_000)))
    monkeypatch.setattr(memory, "free", lambda: 3 << 30)
    with pytest.raises(ModelError, match="needs"):
        cx.load(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Leaving such a scope makes what variables are still to be made.
    with keras.StatelessScope():
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_free_memory_is_limited_by_the_process(shell, folder):
    program = folder / "tests/programs/free_memory.py"
    assert int(shell(program).stdout) > 1 << 20
    if sys.platform == "linux":
        assert int(shell(program, 1 << 30).stdout) < 1 << 30
    assert memory.readable(3 << 29) == "1.5 GiB"
    assert memory.readable(5) == "less than 1 MiB"


def swollen(tmp_path, old, new):
    """A file of a model with another description."""
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as whole, zipfile.ZipFile(tmp_path / "swollen.keras", "w") as swollen:
        for name in whole.namelist():
            swollen.writestr(name, whole.read(name).replace(old, new))
    return tmp_path / "swollen.keras"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"filters": 4', b'"filters": 100000000'),
        # No number of them is large.
        (b'"filters": 4, "kernel_size": [3, 3]', b'"filters": 99999, "kernel_size": [8, 8]'),
    ],
)
def test_inconsistent_large_layers_are_refused_before_building(old, new, tmp_path):
    """Keras makes the weights of a layer before it sees that the next one was built for others."""
    path, before = swollen(tmp_path, old, new), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    make = keras.Variable.__init__
    with pytest.raises(ModelError, match=r"swollen.keras' is damaged: its layers have [\d,]{10,} weights, but it contains"):
        cx.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    assert keras.Variable.__init__ is make


def test_a_large_unrelated_number_does_not_hide_the_cause(tmp_path):
    odd = sequential(layer("Dense", "d", units=3, novel=10**9), layer("Flatten", "f"))
    with pytest.raises(ModelError, match=r"can't be read by Keras .*novel") as caught:
        cx.load(write(tmp_path / "net.keras", odd))
    assert "--no-limits" not in str(caught.value)


def test_allocations_are_counted_only_inside_the_guard():
    with size_limits.guarded(10):
        keras.Variable("zeros", shape=(100, 1000), dtype="float32")
    with pytest.raises(ModelError, match="have 101,000 weights, but it contains 10 numbers"), size_limits.guarded(10):
        keras.Sequential([keras.Input((1000,)), keras.layers.Dense(100, use_bias=False), keras.layers.Dense(10)])
    keras.Variable("zeros", shape=(200, 1000))


class Stateful(keras.layers.Layer):
    """A layer that Keras builds in earnest alone."""

    def build(self, shape):
        self.counter = keras.Variable(np.zeros(2, np.float32), name="counter")

    def call(self, x):
        return x


def test_layers_that_cannot_be_estimated_are_built(tmp_path, random):
    parts = [keras.layers.Flatten(), Stateful(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 3)), *parts])
    model.save(tmp_path / "net.keras")
    images = random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    clf = cx.load(tmp_path / "net.keras", custom_objects=[Stateful])
    np.testing.assert_allclose(clf.predict(images), keras.ops.convert_to_numpy(model(images)), rtol=1e-4)
