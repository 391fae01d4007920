"""Random models of feature maps, made of layers that are local, of some that are not, and of some that only look as if."""

import keras
import numpy as np

layers, ops = keras.layers, keras.ops
SHAPE = (17, 14, 3)


def _convolution(random, x):
    size = tuple(map(int, random.integers(1, 4, 2)))
    stride = int(random.choice([1, 1, 2]))
    rate = int(random.choice([1, 2])) if stride == 1 and min(x.shape[1:3]) >= 5 else 1
    options = {
        "padding": str(random.choice(["same", "valid"])),
        "strides": stride,
        "dilation_rate": rate,
        "activation": [None, "relu", "gelu", lambda x: ops.maximum(x, 0.1)][random.integers(4)],
        "use_bias": bool(random.integers(2)),
    }
    kind = [layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D][random.integers(3)]
    return kind(*([] if kind is layers.DepthwiseConv2D else [4]), size, **options)(x)


def _pooling(random, x):
    kind = [layers.MaxPooling2D, layers.AveragePooling2D][random.integers(2)]
    size = tuple(map(int, random.integers(2, 4, 2)))
    return kind(size, strides=int(random.integers(1, 3)), padding=str(random.choice(["same", "valid"])))(x)


def _pointwise(random, x):
    height, width, channels = x.shape[1:]
    made = [
        lambda: layers.ReLU(6.0)(x),
        lambda: layers.LeakyReLU(0.2)(x),
        lambda: layers.BatchNormalization()(x),
        lambda: layers.LayerNormalization()(x),
        lambda: layers.LayerNormalization(axis=(1, 2, 3))(x),
        lambda: layers.Rescaling([0.5] * channels, 0.1)(x),
        lambda: layers.PReLU(shared_axes=[1, 2])(x),
        lambda: layers.PReLU()(x),
        lambda: layers.Dense(3, activation="tanh")(x),
        lambda: layers.Dropout(0.5)(x),
        lambda: layers.GroupNormalization(1)(x),
        lambda: layers.BatchNormalization(axis=1)(x),
        lambda: x * random.normal(size=(1, height, width, 1)).astype(np.float32),
        lambda: x + random.normal(size=channels).astype(np.float32),
        lambda: ops.clip(x, -0.5, 0.5),
        lambda: layers.Activation(lambda y: y - ops.mean(y, axis=(1, 2), keepdims=True))(x),
    ]
    return made[random.integers(len(made))]()


def _moved(random, x):
    height, width, channels = x.shape[1:]
    made = [
        lambda: layers.ZeroPadding2D(((1, 0), (2, 1)))(x),
        lambda: layers.Cropping2D(((1, 0), (0, 1)))(x),
        lambda: layers.UpSampling2D(2)(x) if height < 10 else x,
        lambda: layers.Resizing(height, max(1, width // 2))(x),
        lambda: x[:, ::2],
        lambda: layers.Concatenate()(ops.split(x, channels, axis=-1)),
    ]
    return made[random.integers(len(made))]()


def _squeezed(_, x):
    """Squeeze-and-excitation."""
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(y)])


def random_model(seed, steps=8):
    """A model of images of `SHAPE`, whose later layers may read any earlier one of the same size, with random weights."""
    random = np.random.default_rng(seed)
    image = keras.Input(SHAPE)
    # A first layer that is local, since whole images are computed otherwise.
    x = _convolution(random, image)
    made = [x]
    for _ in range(steps):
        kind = random.choice(6, p=[0.35, 0.15, 0.15, 0.2, 0.12, 0.03])
        alike = [y for y in made if y.shape[1:3] == x.shape[1:3]]
        if kind == 3 and alike:
            y = alike[random.integers(len(alike))]
            joins = [layers.Concatenate()]
            if y.shape == x.shape:
                joins += [layers.Add(), layers.Maximum(), layers.Multiply(), layers.Average()]
            y = joins[random.integers(len(joins))]([x, y])
        else:
            y = [_convolution, _pooling, _pointwise, _convolution, _moved, _squeezed][kind](random, x)
        if min(y.shape[1:3]) < 3:
            continue
        made.append(y)
        # Sometimes another branch goes on from an earlier layer.
        x = y if random.uniform() < 0.85 else made[random.integers(len(made))]
    joined = [
        layers.GlobalAveragePooling2D()(each) if random.uniform() < 0.5 else layers.Flatten()(each) for each in made[-2:]
    ]
    model = keras.Model(image, layers.Dense(3)(layers.Concatenate()(joined) if len(joined) > 1 else joined[0]))
    for weight in model.weights:
        shape = tuple(weight.shape)
        positive = "variance" in weight.path or "gamma" in weight.path
        spread = 1.4 / np.sqrt(max(1, np.prod(shape[:-1])))
        weight.assign(random.uniform(0.5, 1.5, shape) if positive else random.normal(0, spread, shape))
    return model
