"""One layer a stage."""

import keras

import cnnexplain as cx


def ends(outputs, inputs):
    pooled = keras.layers.GlobalAveragePooling2D()(outputs)
    return cx.load(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))).stages


def test_stages_end_after_the_last_sum_and_activation():
    inputs = x = keras.Input((32, 32, 3))
    for stage in range(2):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"down{stage}")(x)
        for block in range(2):
            y = keras.layers.Conv2D(4, 3, padding="same", name=f"conv{stage}{block}")(x)
            x = keras.layers.ReLU(name=f"out{stage}{block}")(keras.layers.Add(name=f"sum{stage}{block}")([x, y]))
    head = keras.layers.Conv2D(8, 1, name="head")(x)
    assert ends(keras.layers.ReLU(name="head_relu")(head), inputs) == ("out01", "out11", "head_relu")


def test_stages_without_sums_end_after_the_last_convolution():
    inputs = x = keras.Input((32, 32, 1))
    for stage in range(2):
        for conv in range(2):
            x = keras.layers.Conv2D(4, 3, padding="same", name=f"conv{stage}{conv}")(x)
            x = keras.layers.BatchNormalization()(x)
            x = keras.layers.ReLU(name=f"relu{stage}{conv}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool{stage}")(x)
    assert ends(x, inputs) == ("relu01", "relu11")


def test_squeeze_and_excitation_scales_are_not_stages():
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, name="conv")(inputs)
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    scale = keras.layers.Conv2D(4, 1, activation="sigmoid", name="excite")(squeezed)
    assert ends(keras.layers.Multiply(name="scaled")([x, scale]), inputs) == ("conv",)


def test_stages_of_the_lenet(lenet):
    assert lenet.stages == ("relu1", "relu2")
