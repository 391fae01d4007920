"""Writes the models of this folder with Keras 2, and what it predicts: `pip install tf_keras`, then run this."""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras

layers = keras.layers
FOLDER = Path(__file__).parent
SHAPE = (12, 10, 3)


def depthwise():
    parts = [
        layers.Conv2D(4, 3, activation=tf.nn.relu, input_shape=SHAPE),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.SeparableConv2D(4, 3, padding="same", kernel_regularizer="l2", kernel_constraint="max_norm"),
        layers.Conv2DTranspose(3, 2, kernel_initializer="he_normal"),
        layers.LeakyReLU(0.1),
        layers.SpatialDropout2D(0.2),
        layers.GlobalAveragePooling2D(),
    ]
    return keras.Sequential([*parts, layers.Dense(3, activation="softmax")])


def augmented():
    parts = [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1),
        layers.RandomZoom(0.1),
        layers.RandomContrast(0.1),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomBrightness(0.1),
        layers.Rescaling(1 / 127.5, offset=-1),
        layers.Resizing(8, 8),
    ]
    return keras.Sequential([keras.Input(SHAPE), *parts, layers.Flatten(), layers.Dense(3, activation="softmax")])


def operations():
    inputs = keras.Input(SHAPE)
    x = keras.applications.resnet50.preprocess_input(inputs)[:, 1:11, :, ::-1]
    x = 2.0 - tf.cast(x, tf.float32) / 127.5
    y = layers.Conv2D(4, 3, padding="same", name="multiply_1")(x)
    y = tf.concat([tf.nn.relu6(y + 3.0), y * tf.math.sigmoid(y)], -1)
    y = tf.pad(tf.nn.leaky_relu(-y), [[0, 0], [1, 1], [0, 0], [0, 0]])
    z = tf.reduce_max(tf.image.resize(tf.transpose(y, [0, 2, 1, 3]), (6, 6)), axis=[1, 2])
    z = tf.reshape(tf.stack([z, tf.clip_by_value(z, -1, 1)], axis=1), (-1, 16))
    return keras.Model(inputs, tf.nn.softmax(layers.Dense(3)(z)))


def teachable():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(4, 3, name="conv/one")(inputs)
    body = keras.Model(inputs, layers.ReLU()(layers.BatchNormalization(name="conv/one/bn")(x)), name="model1")
    first = keras.Sequential([body, layers.GlobalAveragePooling2D()], name="sequential_1")
    second = [layers.Dense(5, activation="relu", input_shape=(4,)), layers.Dense(3, use_bias=False, activation="softmax")]
    return keras.Sequential([first, keras.Sequential(second, name="sequential_3")], name="sequential_4")


def frozen():
    parts = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Conv2D(4, 3), layers.BatchNormalization()]
    body = keras.Sequential([keras.Input(SHAPE), *parts, layers.Flatten()])
    body.trainable = False
    parts[3].trainable = True
    return keras.Sequential([keras.Input(SHAPE), body, layers.Dense(3, activation="softmax")])


def shared():
    body = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()])
    inputs = keras.Input(SHAPE)
    once = body(inputs, training=False)
    both = layers.Average()([body(once), once, tf.math.multiply(0.5, once)])
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalMaxPooling2D()(both)))


def sequences():
    inputs = keras.Input(SHAPE)
    places = layers.Reshape((-1, 6))(layers.Conv2D(6, 3, activation="gelu")(inputs))
    query = layers.LayerNormalization()(places)
    x = layers.Add()([places, layers.MultiHeadAttention(2, 3)(query, value=places, key=query)])
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(layers.TimeDistributed(layers.Dense(4))(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.LSTM(3)(x)))


def hard():
    parts = [layers.Conv2D(4, 3, activation="hard_sigmoid"), layers.Activation("hard_sigmoid"), layers.PReLU(), layers.ELU()]
    return keras.Sequential([keras.Input(SHAPE), *parts, layers.Flatten(), layers.Dense(3, activation="softmax")])


def mixed():
    keras.mixed_precision.set_global_policy("mixed_float16")
    parts = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Flatten(), layers.Dense(3)]
    model = keras.Sequential([keras.Input(SHAPE), *parts, layers.Activation("softmax", dtype="float32")])
    keras.mixed_precision.set_global_policy("float32")
    return model


def normalized():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(3).uniform(0, 255, (8, *SHAPE)).astype(np.float32))
    return keras.Sequential([keras.Input(SHAPE), layer, layers.Flatten(), layers.Dense(3, activation="softmax")])


def main():
    random = np.random.default_rng(0)
    images = random.uniform(0, 1, (3, *SHAPE)).astype(np.float32)
    predictions = {"images": images}
    for make in (depthwise, augmented, operations, teachable, frozen, shared, sequences, hard, mixed, normalized):
        model = make()
        for weight in model.weights:
            name = weight.name.rpartition("/")[2].partition(":")[0]
            if name not in ("mean", "variance", "count") and weight.dtype.is_floating:
                values = random.normal(0, 0.3, weight.shape)
                weight.assign(np.abs(values) + 0.5 if "variance" in name else values)
        model.save(FOLDER / f"{make.__name__}.h5")
        if make in (depthwise, augmented, teachable, frozen, sequences):
            model.save(FOLDER / f"{make.__name__}.keras")
        predictions[make.__name__] = model.predict(images, verbose=0)
    np.savez_compressed(FOLDER / "predictions.npz", **predictions)


main()
