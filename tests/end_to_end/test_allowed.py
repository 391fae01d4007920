"""A model file may name what a model is made of, and nothing that does something else."""

import keras
import numpy as np
import pytest
from modelfiles import layer, sequential, write

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.loading import allowed_names, keras_file


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def made(module, name, registered=None, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


REFUSED = [
    made("keras.callbacks", "CSVLogger", filename="made.csv"),
    made("keras.callbacks", "CSVLogger", registered="Dense", filename="made.csv"),
    made("keras.src.callbacks.csv_logger", "CSVLogger", filename="made.csv"),
    made("keras.src.layers.layer_test", "LayerTest"),
    made("keras.utils", "Progbar", target=3),
    made("keras.random", "SeedGenerator", seed=1),
    made("keras.distribution", "DataParallel"),
    made("keras.layers", "TFSMLayer", filepath="made"),
    made("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
    made("keras.layers", "deserialize", config={}),
    made("keras.initializers", "RandomNormal"),
    made("keras.optimizers", "Adam"),
    {"class_name": "__typespec__", "spec_name": "KerasTensor", "module": "keras", "registered_name": None, "config": []},
    function("keras.config", "set_backend"),
    function("keras.config", "set_floatx"),
    function("keras.utils", "get_file"),
    function("keras.saving", "load_model"),
    function("keras.datasets.mnist", "load_data"),
    function("keras.backend", "clear_session"),
    function("keras.applications", "VGG16"),
    function("keras.ops", "zeros"),
    function("keras.ops", "argmax"),
    function("keras.ops", "shape"),
    function("keras.ops", "custom_gradient"),
    function("keras.activations", "deserialize"),
    function("keras", "Input"),
    function("keras.tree", "map_structure"),
]
FOREIGN = [function("builtins", "eval"), function("os", "system"), made("os", "system"), function("keras_hub.utils", "x")]


@pytest.mark.parametrize("named", [*REFUSED, *FOREIGN], ids=str)
def test_forbidden_objects_are_refused_before_keras_reads_the_file(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write(
        tmp_path / "net.keras", sequential(layer("Flatten", "flat"), layer("Dense", "d", units=3, activation=named))
    )
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", lambda *_, **__: pytest.fail("Keras was asked"))
    words = r"names .* as activation of layer 'd', which no image model needs there, and is rejected"
    with pytest.raises(ModelError, match="needs code that Keras does not have" if named in FOREIGN else words):
        cx.load(path)
    assert [each.name for each in tmp_path.iterdir()] == ["net.keras"]
    assert keras.config.floatx() == "float32"


@pytest.mark.parametrize("key", ["kernel_initializer", "kernel_regularizer", "kernel_constraint", "dtype", "activation"])
def test_forbidden_objects_are_refused_in_every_position(key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logger = made("keras.callbacks", "CSVLogger", filename="made.csv")
    config = sequential(layer("Flatten", "flat"), sequential(layer("Dense", "d", units=3, **{key: [logger]}), shape=(192,)))
    with pytest.raises(ModelError, match=f"names keras.callbacks.CSVLogger as {key} of layer 'd'"):
        cx.load(write(tmp_path / "net.keras", config))
    assert not (tmp_path / "made.csv").exists()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            sequential(layer("TFSMLayer", "saved", filepath="x")),
            r"' has the layer 'saved' \(keras.layers.TFSMLayer\), which no image model needs, and is rejected",
        ),
        (
            sequential(sequential(made("keras.callbacks", "CSVLogger", filename="made.csv"))),
            "' has a layer keras.callbacks.CSVLogger, which no image model needs, and is rejected",
        ),
        (
            sequential(layer("TimeDistributed", "each", layer=layer("Hashing", "inner", num_bins=2))),
            r"' has the layer 'inner' \(keras.layers.Hashing\), which no",
        ),
        (
            layer("TFSMLayer", "saved", filepath="x"),
            "' is a keras.layers.TFSMLayer, which is not an image model, and is rejected",
        ),
    ],
)
def test_an_unneeded_layer_is_reported_as_a_layer(config, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        cx.load(write(tmp_path / "net.keras", config))


@pytest.mark.parametrize("activation", ["x" * 10_000, "x y" * 10_000, {"class_name": "x" * 10_000, "config": {}}])
@pytest.mark.parametrize("nested", [False, True])
def test_the_error_in_a_long_config_is_located(activation, nested, tmp_path):
    parts = [layer("Flatten", "f"), layer("Dense", "d", units=3, activation=activation)]
    config = sequential(sequential(*parts)) if nested else sequential(*parts)
    words = (
        "needs code that Keras does not have: xxx" if isinstance(activation, dict) else "in layer 'd': Could not interpret"
    )
    with pytest.raises(ModelError, match=words) as caught:
        cx.load(write(tmp_path / "net.keras", config))
    assert len(str(caught.value)) < 700


def test_other_names_are_not_accepted_as_activations(tmp_path):
    for named in ("CSVLogger", "deserialize", "get", ["relu"], 3):
        path = write(
            tmp_path / "net.keras", sequential(layer("Flatten", "f"), layer("Dense", "d", units=3, activation=named))
        )
        with pytest.raises(ModelError, match=r"can't be read by Keras .*in layer 'd': Could not interpret activation"):
            cx.load(path)


def test_objects_named_by_the_user_are_allowed(tmp_path, random):
    @keras.saving.register_keras_serializable("acme")
    def doubled(x):
        return 2 * x

    parts = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation=doubled)]
    model = keras.Sequential(parts)
    model.save(tmp_path / "net.keras")
    images = random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(model(images))
    clf = cx.load(tmp_path / "net.keras", logits=True)
    np.testing.assert_allclose(clf.logits(images), expected, rtol=1e-5)
    keras.saving.get_custom_objects().clear()
    with pytest.raises(ModelError, match="needs code that Keras does not have: acme>doubled"):
        cx.load(tmp_path / "net.keras")
    clf = cx.load(tmp_path / "net.keras", custom_objects={"acme>doubled": doubled}, logits=True)
    np.testing.assert_allclose(clf.logits(images), expected, rtol=1e-5)


ACTIVATIONS = [
    "relu",
    "softmax",
    "gelu",
    keras.activations.silu,
    keras.ops.relu6,
    keras.ops.tanh,
    keras.layers.LeakyReLU(0.1),
]


def everything():
    """A model of many kinds of layers, with each kind of what they are made with."""
    inputs = keras.Input((8, 8, 3))
    x = inputs / 127.5 - 1
    for activation in ACTIVATIONS:
        x = keras.layers.Conv2D(
            4,
            3,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.HeNormal(),
            kernel_regularizer=keras.regularizers.L2(0.1),
            bias_constraint=keras.constraints.MaxNorm(2),
        )(x)
    x = keras.layers.BatchNormalization(dtype="mixed_bfloat16")(keras.ops.pad(x[:, 1:], [[0, 0], [1, 0], [0, 0], [0, 0]]))
    x = keras.layers.RandomFlip()(keras.layers.Dropout(0.1)(keras.ops.concatenate([x, keras.ops.relu(x)], axis=-1)))
    y = keras.layers.TimeDistributed(keras.layers.Bidirectional(keras.layers.LSTM(2)))(x)
    y = keras.layers.MultiHeadAttention(1, 2)(y, y)
    inner = keras.Sequential([keras.Input((8, 4)), keras.layers.GlobalAveragePooling1D()])
    inner.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 9)), "mse", ["accuracy"])
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", dtype="float32")(inner(y)))
    model.compile("adam", keras.losses.CategoricalCrossentropy(label_smoothing=0.1), [keras.metrics.AUC()])
    return model


def test_objects_that_keras_writes_are_allowed(tmp_path, random):
    model = everything()
    path = tmp_path / "net.keras"
    model.save(path)
    images = random.uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
    loaded, _ = keras_file.read(path, {})
    found, expected = (keras.ops.convert_to_numpy(each(images, training=False)) for each in (loaded, model))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_every_keras_layer_and_operation_is_known():
    for name in dir(keras.layers):
        kind = getattr(keras.layers, name)
        if isinstance(kind, type) and issubclass(kind, keras.Layer) and name not in allowed_names.EXCLUDED:
            allowed_names.check({**made("keras.layers", name), "config": {}}, {})
            allowed_names.check({"class_name": name, "config": {}}, {})
    missing = [
        name for name in allowed_names.ELEMENTWISE if not hasattr(keras.ops, name) and not hasattr(keras.activations, name)
    ]
    assert not missing


def test_layers_of_keras_applications_are_known_by_their_module():
    allowed_names.check(made("keras.src.applications.convnext", "LayerScale"), {})
    with pytest.raises(ModelError, match=r"LayerScale \(keras.src.applications.convnext:LayerScale\)"):
        allowed_names.check({"class_name": "LayerScale", "config": {}}, {})


def test_training_configuration_is_not_needed(tmp_path):
    """A model compiled with a loss and a metric of its author's own is read without them."""

    def own(expected, found):
        return keras.ops.mean((expected - found) ** 2)

    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")])
    model.compile("adam", loss=own, metrics=[own])
    model.save(tmp_path / "m.keras")
    assert cx.load(tmp_path / "m.keras").labels == ("0", "1")
