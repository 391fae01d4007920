"""The user's model after everything was tried on it: exactly as before."""

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.doctor import examine

pytestmark = pytest.mark.backends

layers = keras.layers


class Charged(layers.Layer):
    """A loss of its own, and a variable that every call counts up."""

    def __init__(self, **names):
        super().__init__(**names)
        self.calls = self.add_weight(name="calls", initializer="zeros", trainable=False)
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x):
        self.calls.assign_add(1.0)
        self.seen.update_state(keras.ops.mean(x))
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(x)))
        return x * 1.5


class Sampled(layers.Layer):
    """As in a variational auto-encoder: noise from a generator, whatever the mode, of which the scores see nothing."""

    def __init__(self, **names):
        super().__init__(**names)
        self.generator = keras.random.SeedGenerator(3)

    def call(self, x):
        noise = keras.random.normal(keras.ops.shape(x), seed=self.generator)
        self.add_loss(-0.5 * keras.ops.mean(1 + x - keras.ops.square(x) - keras.ops.exp(x)))
        return x + 0.0 * noise


class Inner(keras.Model):
    def __init__(self, **names):
        super().__init__(**names)
        self.conv = layers.Conv2D(4, 3, activity_regularizer="l2", padding="same")
        self.charged = Charged()

    def call(self, x):
        return self.charged(self.conv(x))


def model():
    inner = keras.Input((8, 9, 4))
    body = keras.Model(inner, layers.Conv2D(4, 3, padding="same", activity_regularizer="l1")(inner), name="body")
    inputs = keras.Input((8, 9, 3))
    # Before all that learns, where the input's range is looked for.
    x = Sampled(name="sampled")(layers.RandomFlip(seed=1)(inputs))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", kernel_regularizer="l2")(x)
    x = body(layers.ActivityRegularization(l2=0.1)(Inner(name="inner")(x)))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization(trainable=False)(body(x)))
    x = layers.Dropout(0.5, seed=2)(Charged(name="charged")(x))
    made = keras.Model(inputs, layers.Dense(3, activation="softmax", dtype="float32")(x))
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def every_layer(layer):
    """A layer and all that it holds."""
    yield layer
    for each in layer._layers:
        yield from every_layer(each)


def snapshot(model):
    found = []
    for layer in every_layer(model):
        variables = [(each.path, each.trainable, np.asarray(keras.ops.convert_to_numpy(each))) for each in layer.variables]
        tensors = [id(each) for each in layer._losses]
        nodes = [list(map(id, layer._inbound_nodes)), list(map(id, layer._outbound_nodes))]
        flags = [layer.name, layer.trainable, layer.built, layer.dtype_policy.name, layer.path, len(layer.metrics)]
        found.append((flags, nodes, tensors, variables))
    return found


@pytest.mark.parametrize("called", [pytest.param(True, marks=pytest.mark.slow), False])
def test_the_model_is_unchanged_after_every_analysis(called, random):
    keras_model = model()
    images = random.uniform(0, 1, (2, 8, 9, 3)).astype(np.float32)
    if called:
        keras_model(images, training=True)
    before = snapshot(keras_model)
    losses = [keras.ops.convert_to_numpy(loss) for loss in keras_model.losses]
    clf = cx.load(keras_model)
    if called:
        trials = examine(clf, images).trials
        assert sum(trial.works for trial in trials) >= 8, trials
    else:
        cx.explain("saliency", clf, images)
    for now, then in zip(snapshot(keras_model), before, strict=True):
        assert now[:3] == then[:3]
        for (path, trainable, value), (old_path, old_trainable, old_value) in zip(now[3], then[3], strict=True):
            assert (path, trainable) == (old_path, old_trainable)
            np.testing.assert_array_equal(value, old_value)
    assert len(losses) == (8 if called else 1)
    np.testing.assert_array_equal(losses, [keras.ops.convert_to_numpy(loss) for loss in keras_model.losses])
    assert np.isfinite(keras.ops.convert_to_numpy(sum(keras_model.losses)))
