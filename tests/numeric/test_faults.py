"""Whatever a layer raises, or gives in the place of what it declares, is an error of a line that names it."""

import keras
import numpy as np
import pytest

import cnnexplain as cx

STATE = {"fails": False}


class UnprintableError(Exception):
    def __str__(self):
        raise ValueError


class Base(BaseException):
    pass


class Failing(keras.layers.Layer):
    """Raises an error, once the model is built."""

    def __init__(self, error, **rest):
        super().__init__(**rest)
        self.error = error

    def call(self, x):
        if STATE["fails"]:
            raise self.error
        return x * 1.0

    def compute_output_shape(self, shape):
        return shape


class Undeclared(Failing):
    """The same, where Keras finds its output's shape by calling it."""

    compute_output_shape = keras.layers.Layer.compute_output_shape


class OneWay(keras.layers.Layer):
    def call(self, x):
        @keras.ops.custom_gradient
        def once(x):
            def back(*args, upstream=None):
                raise ValueError("no way back")

            return x * 1.0, back

        return once(x)

    def compute_output_shape(self, shape):
        return shape


class Narrow(keras.layers.Layer):
    """Puts out fewer columns than it declares."""

    def call(self, x):
        return x[:, :, :3]

    def compute_output_shape(self, shape):
        return shape


@pytest.fixture(autouse=True)
def whole():
    STATE["fails"] = False
    yield
    STATE["fails"] = False


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)


def network(*layers, activation=None):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    for layer in layers:
        x = layer(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(4, activation=activation, name="scores")(x), name="net")


def explained(model, images):
    STATE["fails"] = True
    return cx.explain("saliency", cx.load(model, logits=True), images)


ERRORS = {
    "ValueError": (lambda: ValueError("boom"), "ValueError: boom"),
    "RecursionError": (RecursionError, "RecursionError"),
    "SystemExit": (lambda: SystemExit(0), "SystemExit: 0"),
    "BaseException": (lambda: Base("boom"), "Base: boom"),
    "KeyError": (lambda: KeyError("x"), "KeyError: "),
    "long": (lambda: ValueError("a line\n" * 5000), "ValueError: a line a line"),
    "array": (lambda: ValueError(np.zeros((99, 99))), r"ValueError: \[\["),
    "unprintable": (UnprintableError, ""),
}


@pytest.mark.parametrize("kind", [Failing, Undeclared])
@pytest.mark.parametrize("name", ERRORS)
def test_errors_of_a_layer_name_it(images, kind, name):
    make, words = ERRORS[name]
    with pytest.raises(cx.ModelError, match=rf"^The layer 'odd' \({kind.__name__}\) fails: {words}") as found:
        explained(network(kind(make(), name="odd")), images)
    assert len(str(found.value)) < 300
    assert len(str(found.value).splitlines()) == 1


def test_running_out_of_memory_is_reported(images):
    with pytest.raises(cx.ModelError, match="'net' needs more memory for a single image than there is"):
        explained(network(Failing(MemoryError(), name="odd")), images)


def test_ctrl_c_in_a_layer_is_propagated(images):
    with pytest.raises(KeyboardInterrupt):
        explained(network(Failing(KeyboardInterrupt(), name="odd")), images)


def test_failing_gradients_name_the_layer(images):
    # On JAX the layer's own call already makes its pull-back.
    with pytest.raises(cx.ModelError, match=r"'odd'( \(OneWay\))? fails: ValueError: no way back"):
        explained(network(OneWay(name="odd"), keras.layers.ReLU()), images)


def test_the_faulty_layer_is_named_not_the_next_one(images):
    with pytest.raises(cx.ModelError, match=r"'odd' \(Narrow\) returns \(N, 6, 3, 4\), but declares \(N, 6, 6, 4\)"):
        explained(network(Narrow(name="odd")), images)


@pytest.mark.parametrize("name", ["argmax", "zeros", "shape", "unstack", "top_k", "size", "nonzero"])
def test_invalid_activations_name_the_layer(images, name):
    activation = getattr(keras.ops, name)
    try:
        model = network(activation=activation)
    except Exception as error:  # noqa: BLE001
        pytest.skip(f"Keras refuses it itself: {error}")
    with pytest.raises(cx.ModelError, match=r"'scores'|'net'") as found:
        explained(model, images)
    assert len(str(found.value).splitlines()) == 1


def test_an_initializer_as_activation_in_a_file(images, tmp_path):
    model = network(activation=keras.initializers.RandomNormal())
    model.save(tmp_path / "odd.keras")
    with pytest.raises(cx.ModelError, match=r"RandomNormal as activation of layer 'scores'.*rejected"):
        explained(tmp_path / "odd.keras", images)


@pytest.mark.parametrize("scale", ["x", None, [1, 2], {"a": 1}])
def test_rescaling_by_a_non_number(images, scale):
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Rescaling(1.0, name="odd")
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(layer(inputs))), name="net")
    layer.scale = scale
    with pytest.raises(cx.ModelError, match=r"'odd'|'net'") as found:
        explained(model, images)
    assert len(str(found.value)) < 400


def test_the_call_of_the_model_may_fail(images):
    class Own(keras.Model):
        def call(self, *args, **kwargs):
            if STATE["fails"]:
                raise ValueError("boom")
            return super().call(*args, **kwargs)

    inputs = keras.Input((8, 8, 3))
    model = Own(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)), name="net")
    with pytest.raises(cx.ModelError, match="'net' can't be computed as a whole: ValueError: boom"):
        explained(model, images)
