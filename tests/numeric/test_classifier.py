"""Models of every accepted form, what is refused, and that none is ever changed."""

import hashlib
import json
import zipfile

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.model.fingerprint import fingerprint
from cnnexplain.numerics import evenly_spaced

pytestmark = pytest.mark.backends


def nodes(model):
    """How often each layer was called symbolically, nested ones included."""
    found = []
    for layer in model.layers:
        found.append((layer.name, len(layer._inbound_nodes)))
        found += nodes(layer) if isinstance(layer, keras.Model) else []
    return found


@pytest.mark.parametrize("head", ["dense", "softmax", "activation", "logits", "nested"])
def test_logits_and_probabilities_equal_the_model(model, random, head):
    keras_model = model(head)
    clf = cx.load(keras_model)
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    own = keras.ops.convert_to_numpy(keras_model(images, training=False))
    logits, probabilities = clf.logits(images), clf.predict(images)
    assert logits.shape == probabilities.shape == (3, 5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (logits < 0).any()
    np.testing.assert_allclose(logits if head == "logits" else probabilities, own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("head", ["dense", "softmax", "activation", "logits", "nested"])
def test_the_model_is_not_changed(model, random, head):
    keras_model = model(head)
    keras_model.compile("sgd", lambda true, predicted: keras.ops.mean(predicted))
    before = (nodes(keras_model), json.dumps(keras_model.get_config(), default=str), keras_model.get_weights())
    clf = cx.load(keras_model)
    cx.explain("saliency", clf, random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32))
    assert nodes(keras_model) == before[0]
    assert json.dumps(keras_model.get_config(), default=str) == before[1]
    for now, then in zip(keras_model.get_weights(), before[2], strict=True):
        np.testing.assert_array_equal(now, then)


def test_weights_are_shared_with_the_model(model, random):
    keras_model = model()
    clf = cx.load(keras_model)
    images = random.uniform(0, 1, (1, 12, 10, 3)).astype(np.float32)
    before, hash_before = clf.logits(images), clf.sha256
    keras_model.layers[-1].bias.assign_add(np.full(5, 2.0))
    np.testing.assert_allclose(clf.logits(images), before + 2, rtol=1e-5)
    assert clf.sha256 != hash_before


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_hash_is_that_of_names_shapes_types_and_values(dtype):
    layers = [keras.layers.Conv2D(2, 3, dtype=dtype), keras.layers.BatchNormalization(dtype=dtype), keras.layers.Flatten()]
    keras_model = keras.Sequential([keras.Input((6, 5, 1)), *layers, keras.layers.Dense(3, dtype=dtype)])
    digest = hashlib.sha256()
    for weight in keras_model.weights:
        value = keras.ops.convert_to_numpy(weight)
        digest.update(f"{weight.path} {weight.shape} {weight.dtype}".encode() + value.tobytes())
    assert fingerprint(keras_model) == digest.hexdigest()


def test_branches_shared_layers_and_nested_models_are_traced(random):
    inputs = keras.Input((8, 8, 1))
    shared = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
    inner_input = keras.Input((8, 8, 4))
    inner = keras.Model(inner_input, keras.layers.Add()([shared.__class__(4, 1)(inner_input), inner_input]), name="inner")
    x = keras.layers.Concatenate()([shared(inputs), shared(inputs * 2.0)])
    x = inner(keras.layers.Conv2D(4, 1)(x))
    x = keras.layers.BatchNormalization()(inner(x))
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    images = random.uniform(0, 1, (2, 8, 8, 1)).astype(np.float32)
    own = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(cx.load(model).predict(images), own, rtol=1e-5)


def test_results_do_not_depend_on_the_batch_size(model, random, monkeypatch):
    clf = cx.load(model())
    images = random.uniform(0, 1, (5, 12, 10, 3)).astype(np.float32)
    whole = clf.logits(images)
    monkeypatch.setattr(clf, "batch_size", 2)
    np.testing.assert_allclose(clf.logits(images), whole, rtol=1e-5, atol=1e-6)
    assert clf.logits(images[:0]).shape == (0, 5)


def test_saved_models_are_hashed_by_file(model, random, tmp_path):
    keras_model = model()
    keras_model.compile("adam", "categorical_crossentropy")
    keras_model.save(tmp_path / "model.keras")
    clf = cx.load(tmp_path / "model.keras")
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    np.testing.assert_allclose(clf.logits(images), cx.load(keras_model).logits(images), rtol=1e-6)
    assert len(clf.sha256) == 64
    assert clf.name == str(tmp_path / "model.keras")
    assert clf.preprocess.assumed


def test_targets_are_labels_first_then_indices(lenet):
    assert [lenet.target("4"), lenet.target(4), lenet.target(np.int64(4))] == [4, 4, 4]
    clf = cx.Classifier(lenet.model, "letters", preprocess=lenet.preprocess)
    clf.labels = ("1", "cat", "dog", *"abcdefg")
    assert [clf.target("1"), clf.target(1), clf.target("cat"), clf.target("2")] == [0, 1, 1, 2]
    with pytest.raises(UsageError, match=r"labeled 'Cta'.*Did you mean 'cat'"):
        clf.target("Cta")


@pytest.mark.parametrize("target", [10, -1, "10", "x", 1.5, True])
def test_unknown_classes_are_refused(lenet, target):
    with pytest.raises(UsageError, match="There is no class"):
        lenet.target(target)


def test_invalid_names_and_images_are_reported(lenet, noise):
    with pytest.raises(UsageError, match=r"must be a list of layer names, but got 'conv1'; write \['conv1'\]"):
        lenet.activations(noise, "conv1")
    with pytest.raises(UsageError, match=r"The images are a str; expected an array \(N, 28, 28, 1\)"):
        lenet.predict("mnist:test/1")
    with pytest.raises(UsageError, match="There are no images to explain"):
        cx.explain("saliency", lenet, [])


def test_a_list_of_targets_has_one_per_image(lenet, noise):
    record = cx.explain("saliency", lenet, noise, target=[1, "2", 3, 4])
    assert [explained.target for explained in record.explained] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="2 targets for 4 images"):
        cx.explain("saliency", lenet, noise, target=[1, 2])


def test_layers_are_sampled_evenly_over_depth():
    assert evenly_spaced("abc", 5) == ["a", "b", "c"]
    assert evenly_spaced(range(9), 5) == [0, 2, 4, 6, 8]
    assert evenly_spaced(range(8), 3) == [0, 4, 7]
    assert evenly_spaced("", 3) == []


class Voting(keras.layers.Layer):
    """A layer of someone else's, of which nothing is known but what it returns."""

    def build(self, shape):
        self.voters = self.add_weight(shape=(2, shape[-1], 3), initializer="glorot_uniform", name="voters")

    def call(self, x):
        return sum(keras.ops.softmax(keras.ops.matmul(x, self.voters[voter])) for voter in range(2)) / 2


def softmax_in_a_custom_way(shape=(4, 4, 1)):
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), Voting()])


def test_probabilities_declared_as_logits_are_refused():
    with pytest.raises(ModelError, match=r"probabilities, whose scores .* can't be reached; say so with --probabilities"):
        cx.load(softmax_in_a_custom_way())


@pytest.mark.parametrize("nested", [False, True])
def test_augmentation_layers_are_skipped_at_inference(random, nested):
    """Keras' random layers train by default, and a graph may have training fixed: an explanation must do neither."""
    augment = [
        keras.layers.RandomFlip(seed=1),
        keras.layers.RandomRotation(0.5, seed=1),
        keras.layers.RandomZoom(0.5, seed=1),
        keras.layers.RandomContrast(0.9, seed=1),
    ]
    inputs = keras.Input((12, 12, 3))
    x = inputs
    for layer in [keras.Sequential([keras.Input((12, 12, 3)), *augment])] if nested else augment:
        x = layer(x)
    x = keras.layers.Dropout(0.5, seed=1)(keras.layers.Flatten()(x), training=True)
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    # The model itself is random here, which loading it would refuse.
    clf = cx.Classifier(model, "random", preprocess=cx.Preprocess(12, 12))
    images = random.uniform(0, 1, (3, 12, 12, 3)).astype(np.float32)
    kernel, bias = model.get_weights()[-2:]
    np.testing.assert_allclose(clf.logits(images), images.reshape(3, -1) @ kernel + bias, rtol=1e-4, atol=1e-5)
    gradient = clf.gradient(images, np.array([0, 1, 2]))
    np.testing.assert_allclose(gradient.reshape(3, -1), kernel.T[:3], rtol=1e-4, atol=1e-6)


class Louder(keras.layers.Dense):
    def call(self, inputs, training=None):
        return keras.ops.softmax(3 * (inputs @ self.kernel))


class Turned(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return super().call(1 - inputs)


def louder():
    return keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), Louder(3, activation="softmax")])


def turned():
    inputs = keras.Input((4, 4, 1))
    return Turned(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(inputs)))


def quantized():
    model = head(3, "softmax")
    model.layers[-1].quantize("int8")
    return model


@pytest.mark.parametrize("build", [louder, turned, quantized])
def test_models_that_differ_from_their_graph_are_refused(build, random):
    keras.utils.set_random_seed(0)
    with pytest.raises(ModelError, match=r"can't be reached|computes other scores"):
        cx.load(build()).logits(random.uniform(0, 1, (1, 4, 4, 1)).astype(np.float32))


def test_integer_inputs_have_a_gradient(random):
    parts = [keras.Input((4, 4, 1), dtype="uint8"), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    model = keras.Sequential([*parts, keras.layers.Dense(3, activation="softmax")])
    clf = cx.load(model)
    images = np.round(random.uniform(0, 255, (2, 4, 4, 1))).astype(np.float32)
    gradient = clf.gradient(images, np.array([0, 2]))
    np.testing.assert_allclose(gradient.reshape(2, -1), model.get_weights()[0].T[[0, 2]] / 255, rtol=1e-5)
    assert cx.explain("saliency", clf, images).facts["peak"][0] > 0


def test_scores_without_a_gradient_are_refused(random):
    inputs = keras.Input((4, 4, 1))
    steps = keras.layers.Flatten()(keras.ops.cast(inputs > 0.5, "float32"))
    clf = cx.load(keras.Model(inputs, keras.layers.Dense(3)(steps)))
    with pytest.raises(ModelError, match="do not depend on its input through layers that have a gradient"):
        clf.gradient(random.uniform(0, 1, (1, 4, 4, 1)).astype(np.float32), np.array([0]))


def test_raw_pixels_are_refused(lenet):
    with pytest.raises(UsageError, match="images hold uint8; the model takes floating-point numbers from 0 to 1"):
        lenet.predict(np.zeros((1, 28, 28, 1), np.uint8))


@pytest.mark.parametrize(
    ("scale", "offset", "assumed"), [(1 / 255, 0, ()), (1 / 127.5, -1, ()), (2.0, -1, ()), (2.0, 0, ("range",))]
)
def test_only_rescaling_of_pixels_determines_the_range(scale, offset, assumed):
    parts = [keras.Input((4, 4, 1)), keras.layers.Rescaling(scale, offset), keras.layers.Flatten(), keras.layers.Dense(3)]
    assert cx.load(keras.Sequential(parts)).preprocess.assumed == assumed


def test_keras_safe_mode_stays_enabled(model, tmp_path, monkeypatch):
    model().save(tmp_path / "m.keras")
    load, seen = keras.saving.load_model, []
    monkeypatch.setattr(keras.saving, "load_model", lambda *a, **k: seen.append(k) or load(*a, **k))
    cx.load(tmp_path / "m.keras")
    assert [(given["compile"], given["safe_mode"]) for given in seen] == [(False, True)]


class Swish3(keras.layers.Layer):
    def call(self, x):
        return keras.ops.sigmoid(3 * x) * x


def test_custom_layers_are_named_with_advice(tmp_path):
    parts = [keras.Input((4, 4, 1)), Swish3(), keras.layers.Flatten(), keras.layers.Dense(3)]
    path = tmp_path / "own.keras"
    keras.Sequential(parts).save(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Swish3":
            layer["module"] = None  # As for a class of a script or notebook.
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, json.dumps(config) if name == "config.json" else data)
    with pytest.raises(ModelError, match=r"needs code that Keras does not have: Swish3"):
        cx.load(path)


def test_invalid_requests_are_refused(model, noise):
    with pytest.raises(UsageError, match=r"what cnnexplain.load.. returns, but got str and Sequential"):
        cx.explain("saliency", model(), noise)


def head(units, activation=None, shape=(4, 4, 1)):
    parts = [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(units, activation=activation)]
    return keras.Sequential(parts)


def convolutional(shape):
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Conv2D(3, 4, activation="softmax")(inputs))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: head(3, shape=(16,)), "takes \\(16\\), which is not an image"),
        (lambda: head(3, shape=(4, 4, 2, 1)), "takes \\(4, 4, 2, 1\\), which is not an image"),
        (lambda: head(3, shape=(3, 8, 8)), "takes \\(3, 8, 8\\), channels first"),
        (
            lambda: convolutional((5, 4, 1)),
            "is \\(2, 1, 3\\); expected one score for each class.*--reduce mean, max or ROW,COLUMN",
        ),
        (lambda: head(1), "returns one number, which may be any number; expected .* with --logits"),
        (lambda: head(1, "softmax"), "returns one number, whose softmax is always 1"),
        (lambda: head(3, "relu"), "ends in the activation 'relu'"),
        (lambda: keras.Sequential([keras.layers.Dense(3)]), "no graph of layers"),
    ],
)
def test_other_models_are_refused(build, words):
    with pytest.raises(ModelError, match=words):
        cx.load(build())


def test_other_objects_are_refused():
    with pytest.raises(UsageError, match="Can't load a int"):
        cx.load(3)


def test_nested_code_in_a_file_is_refused(tmp_path):
    inner = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Lambda(lambda x: x * 2)])
    model = keras.Sequential([keras.Input((4, 4, 1)), inner, keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ModelError, match="contains Python code \\(Lambda\\) and is rejected"):
        cx.load(tmp_path / "code.keras")


@pytest.mark.parametrize(
    "activation",
    [
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"},
        {"module": "mine", "class_name": "Thing", "config": {}, "registered_name": "mine>Thing"},
    ],
)
def test_files_that_name_other_code_are_refused(tmp_path, model, activation):
    model().save(tmp_path / "plain.keras")
    with (
        zipfile.ZipFile(tmp_path / "plain.keras") as plain,
        zipfile.ZipFile(tmp_path / "odd.keras", "w") as odd,
    ):
        config = json.loads(plain.read("config.json"))
        config["config"]["layers"][-1]["config"]["activation"] = activation
        for name in plain.namelist():
            odd.writestr(name, json.dumps(config) if name == "config.json" else plain.read(name))
    with pytest.raises(ModelError, match=r"odd\.keras' (needs code|is damaged)"):
        cx.load(tmp_path / "odd.keras")


def test_a_layer_may_be_named_logits(random):
    """It is then a layer as any other, the last one, and what is in front of it isn't taken for the head."""
    parts = [
        keras.Input((6, 6, 1)),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(4, activation="relu", name="hidden"),
    ]
    images = random.uniform(0, 1, (2, 6, 6, 1)).astype(np.float32)
    for tail in ([], [keras.layers.Softmax(name="softmax")]):
        clf = cx.load(keras.Sequential([*parts, keras.layers.Dense(3, name="logits"), *tail]))
        assert [layer.name for layer in clf.layers] == ["flat", "hidden", "logits", *(layer.name for layer in tail)]
        assert clf.output == (tail[-1].name if tail else "logits")
        record = cx.explain("intermediate-outputs", clf, images)
        units = {facts["name"]: facts["unit"] for facts in record.facts["layers"][0]}
        assert units["hidden"] == "activation"
        assert units[clf.output] == ("probability" if tail else "logit")
        inverted = cx.explain("inversion", clf, images, iterations=1).arrays
        assert list(inverted) == ["reconstruction/hidden", "reconstruction/logits"]
        hidden = cx.explain("activation-maximization", clf, layer="hidden", unit="3", steps=1, starts=1)
        assert hidden.facts["unit"] == ["hidden:3"]


def test_values_equal_the_forward_pass(lenet, noise):
    objectives = [cx.Logit(1), cx.Channel("conv2", 3), sum([cx.Logit(1), cx.Logit(2)]), cx.Logit(0) - cx.Channel("dense", 7)]
    found = lenet.values(noise, objectives)
    logits, maps = lenet.logits(noise), lenet.activations(noise, ["conv2", "dense"])
    expected = [logits[0, 1], maps["conv2"][1, ..., 3].mean(), logits[2, 1:3].sum(), logits[3, 0] - maps["dense"][3, 7]]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def cramped(most, monkeypatch):
    """Has all that is compiled raise MemoryError for more than `most` images; returns the lengths that came."""
    from cnnexplain import backend

    lengths = []

    def limited(function):
        def call(*arrays):
            lengths.append(len(arrays[0]))
            if len(arrays[0]) > most:
                raise MemoryError("OOM when allocating tensor")
            return function(*arrays)

        return call

    class Cramped:
        def __getattr__(self, name):
            made = getattr(real, name)
            return (lambda *given: limited(made(*given))) if name == "compiled" else made

    real = backend.current()
    monkeypatch.setattr(backend, "current", Cramped)
    return lengths


def test_batches_are_halved_if_memory_runs_out(model, random, monkeypatch):
    images = random.uniform(0, 1, (23, 12, 10, 3)).astype(np.float32)
    whole = cx.load(model())
    logits, gradient = whole.logits(images), whole.gradient(images, [1] * 23)
    lengths = cramped(3, monkeypatch)
    clf = cx.load(model())
    monkeypatch.setattr(clf, "batch_size", 16)
    np.testing.assert_allclose(clf.logits(images), logits, atol=1e-5)
    assert lengths[:5] == [16, 8, 4, 2, 2]
    assert clf.batch_size == 2
    lengths.clear()
    np.testing.assert_allclose(clf.gradient(images, [1] * 23), gradient, atol=1e-5)
    assert lengths == [2] * 11 + [1]


def _faded(variables):
    """Two images of each 3 numbers: the plain color, and the color fading from left to right; the first one's first."""
    plain = keras.ops.broadcast_to(variables[:, None, None], (len(variables), 12, 10, 3))
    views = keras.ops.stack([plain, keras.ops.multiply(plain, FADE)], axis=1)
    return keras.ops.reshape(views, (-1, 12, 10, 3))


FADE = np.linspace(0, 1, 10, dtype=np.float32)[:, None]


def _first_and_twice_the_second(outputs, variables):
    logits = keras.ops.reshape(outputs["logits"], (len(variables), 2, -1))
    return logits[:, 0, 1] + 2 * logits[:, 1, 2]


@pytest.mark.parametrize("most", [99, 5])
def test_gradients_of_variables_through_views(model, random, monkeypatch, most):
    variables = random.uniform(0.2, 0.8, (7, 3)).astype(np.float32)
    whole = cx.load(model())
    plain = np.broadcast_to(variables[:, None, None], (7, 12, 10, 3))
    first, second = whole.gradient(plain, [1] * 7), whole.gradient(plain * FADE, [2] * 7)
    lengths = cramped(most, monkeypatch)
    clf = cx.load(model())
    monkeypatch.setattr(clf, "batch_size", 16)
    pull = clf.differentiable(_first_and_twice_the_second, ["logits"], seen=_faded, variables=(3,), views=2)
    values, gradient = pull(variables)
    expected = whole.logits(plain)[:, 1] + 2 * whole.logits(plain * FADE)[:, 2]
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, (first + 2 * FADE * second).sum(axis=(1, 2)), rtol=1e-3, atol=1e-4)
    # 16 images are 8 variables, which are halved as long as they are too many.
    assert lengths[:1] == [7]
    assert clf.batch_size == (16 if most > 7 else 6)
    with pytest.raises(UsageError, match=r"expected \(any, 3\)"):
        pull(variables[:, :2])


def test_running_out_of_memory_for_one_image_is_reported(model, random, monkeypatch):
    lengths = cramped(0, monkeypatch)
    clf = cx.load(model())
    with pytest.raises(ModelError, match="needs more memory for a single image than there is"):
        clf.logits(random.uniform(0, 1, (5, 12, 10, 3)).astype(np.float32))
    assert lengths == [5, 2, 1]


@pytest.mark.parametrize("analysis", ["deconvnet", "intermediate-outputs", "inversion", "occlusion", "saliency"])
def test_analyses_do_not_depend_on_halved_batches(model, random, monkeypatch, analysis):
    images = random.uniform(0, 1, (4, 12, 10, 3)).astype(np.float32)
    options = {"inversion": {"iterations": 2, "layer": ["conv"]}, "occlusion": {"patch": 4, "stride": 1}}.get(analysis, {})
    expected = cx.explain(analysis, cx.load(model()), images, **options)
    lengths = cramped(3, monkeypatch)
    clf = cx.load(model())
    found = cx.explain(analysis, clf, images, **options)
    assert max(lengths) > 3
    assert clf.batch_size <= 3
    assert set(found.arrays) == set(expected.arrays)
    for name, array in expected.arrays.items():
        np.testing.assert_allclose(found.arrays[name], array, atol=1e-4 * max(1, np.abs(array).max()))


def test_activation_maximization_does_not_depend_on_halved_batches(model, random, monkeypatch):
    images = random.uniform(0, 1, (9, 12, 10, 3)).astype(np.float32)
    given = {"dataset": images, "steps": 2}
    expected = cx.explain("activation-maximization", cx.load(model()), **given)
    lengths = cramped(3, monkeypatch)
    clf = cx.load(model())
    found = cx.explain("activation-maximization", clf, **given)
    assert max(lengths) > 3
    np.testing.assert_allclose(found.arrays["optimum"], expected.arrays["optimum"], atol=1e-4)
    assert found.facts["best_image"] == expected.facts["best_image"]


def test_slices_cover_all_images(model, monkeypatch):
    clf = cx.load(model())
    monkeypatch.setattr(clf, "batch_size", 4)
    found = []
    for here in clf.slices(10):
        found.append((here.start, here.stop))
        clf.batch_size = 3
    assert found == [(0, 4), (4, 7), (7, 10)]
    assert list(clf.slices(0)) == []


@pytest.mark.parametrize(
    ("free", "all_there_is", "expected"),
    [(1 << 20, 1 << 21, 1 << 30), (1 << 17, 1 << 18, 1 << 27), (1 << 10, 1 << 18, 1 << 26), (1 << 10, 1 << 22, 1 << 30)],
)
def test_batch_size_follows_free_memory(model, monkeypatch, free, all_there_is, expected):
    """A quarter of what is free, a sixteenth of all at least and 1 GiB at most, in pages of 4 KiB."""
    import os

    from cnnexplain.model.computation import batches

    pages = {"SC_AVPHYS_PAGES": free, "SC_PHYS_PAGES": all_there_is, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.get)
    assert batches.available_memory() == expected
    clf = cx.load(model())
    assert clf.batch_size == max(1, min(256, expected // (4 * clf._graph.values)))
    monkeypatch.setattr(os, "sysconf_names", {})
    assert batches.available_memory() == 1 << 30


def test_batch_size_follows_gpu_memory(model, monkeypatch):
    from cnnexplain import backend

    monkeypatch.setattr(backend.current(), "device_memory", lambda: 1 << 20)
    clf = cx.load(model())
    assert clf.batch_size == 1 << (((1 << 18) // (4 * clf._graph.values)).bit_length() - 1)
    monkeypatch.setattr(backend.current(), "device_memory", lambda: 80 << 30)
    assert cx.load(model()).batch_size == 256


def test_channels_first_layers_are_refused_by_name():
    padded = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.ZeroPadding2D(1, data_format="channels_first", name="padded"),
            keras.layers.Flatten(data_format="channels_first"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    clf = cx.load(padded, preprocess=cx.Preprocess(6, 6))
    with pytest.raises(ModelError, match=r"The layer 'padded' of .* puts its channels first"):
        cx.explain("gradcam", clf, np.ones((1, 6, 6, 3), np.float32))


@pytest.mark.parametrize("head", ["dense", "nested"])
def test_layer_gradients_of_one_pass_equal_separate_passes(model, random, head):
    clf = cx.load(model(head))
    images = random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)
    names = ["input", *(layer.name for layer in clf.layers), "logits"]
    values, gradients = clf.layer_gradients(images, names, np.array([0, 4, 2]))
    # The softmax of the scores is nothing that they are made of.
    assert list(gradients) == [name for name in names if not name.endswith("scores")]
    for name, gradient in gradients.items():
        alone = clf.layer_gradient(images, name, np.array([0, 4, 2]))
        np.testing.assert_allclose(values, alone[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, alone[2], atol=1e-5 * np.abs(alone[2]).max())
    _, one = clf.layer_gradients(images, [names[1]], np.array([0, 4, 2]))
    np.testing.assert_allclose(one[names[1]], gradients[names[1]], atol=1e-5)
    values, nothing = clf.layer_gradients(images, [clf.output], np.array([0, 4, 2]))
    np.testing.assert_allclose(values, clf.logits(images)[range(3), [0, 4, 2]], rtol=1e-5)
    assert nothing == {}
