"""What a model's own operations tell of the range of its input."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

import cnnexplain as cx
from cnnexplain.doctor import examine
from cnnexplain.errors import ModelError
from cnnexplain.plugin import registry

SHAPE = (12, 10, 3)
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def model(before, shape=SHAPE, **options):
    """Three classes of images, of which `before` makes what the first convolution is given."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape, **options)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="tanh")(before(inputs)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def nested(before):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, before(inputs), name="prepare")


def planes(x):
    red, green, blue = ops.split(x, 3, axis=-1)
    return layers.Concatenate()([blue - 103.9, green - 116.8, red - 123.7])


def batch_norm(mean, deviation):
    def before(x):
        layer = layers.BatchNormalization()
        y = layer(x)
        layer.moving_mean.assign([mean] * 3)
        layer.moving_variance.assign([deviation**2] * 3)
        return y

    return before


APPLICATIONS = {
    name: getattr(keras.applications, name).preprocess_input for name in ("mobilenet_v2", "resnet", "densenet", "xception")
}
TF, CAFFE = APPLICATIONS["mobilenet_v2"], APPLICATIONS["resnet"]

PIXELS = {
    **APPLICATIONS,
    "divided": lambda x: x / 255,
    "256": lambda x: x / 256,
    "centered": lambda x: (x - 127.5) / 127.5,
    "shifted": lambda x: x - 128,
    "standardized": lambda x: (x - 255 * MEAN) / (255 * STD),
    "inverted": lambda x: 1 - x / 255,
    "clipped": lambda x: ops.clip(x, 0, 255) / 255,
    "multiplied": lambda x: layers.Multiply()([x, ops.ones_like(x) / 255]),
    "rescaled": layers.Rescaling(1 / 127.5, offset=-1),
    "normalized": layers.Normalization(mean=255 * MEAN, variance=(255 * STD) ** 2),
    "seen": batch_norm(110, 60),
    "split": planes,
    "nested tf": nested(TF),
    "nested caffe": nested(CAFFE),
    "augmented": lambda x: layers.RandomContrast(0.2)(layers.RandomFlip()(layers.Resizing(9, 9)(x))) / 255,
    "padded": lambda x: layers.ZeroPadding2D(3)(x) / 127.5 - 1,
    "reshaped": lambda x: layers.Reshape((10, 12, 3))(x) / 255,
}
SHARES = {
    "times 255": lambda x: x * 255,
    "times 255, then tf": lambda x: TF(x * 255),
    "times 255, then caffe": lambda x: CAFFE(x * 255),
    "times 255 and back": lambda x: layers.Rescaling(1 / 255)(x * 255),
    "doubled": lambda x: 2 * x - 1,
    "less their mean": lambda x: x - 0.45,
    "standardized": lambda x: (x - MEAN) / STD,
    "seen": batch_norm(0.45, 0.25),
}
SIGNED = {
    "halved": lambda x: (x + 1) / 2,
    "to pixels": lambda x: (x + 1) * 127.5,
    "to pixels and back": lambda x: TF((x + 1) * 127.5),
    "to caffe": lambda x: CAFFE(127.5 * x + 127.5),
}
RANGES = [
    *((name, before, (0, 255)) for name, before in PIXELS.items()),
    *((name, before, (0, 1)) for name, before in SHARES.items()),
    *((name, before, (-1, 1)) for name, before in SIGNED.items()),
]


@pytest.mark.parametrize(("before", "ends"), [case[1:] for case in RANGES], ids=[f"{case[0]} {case[2]}" for case in RANGES])
def test_operations_before_the_first_layer_determine_the_range(before, ends):
    preprocess = cx.load(model(before)).preprocess
    assert (preprocess.low, preprocess.high) == pytest.approx(ends)
    assert preprocess.assumed == ()


@pytest.mark.parametrize(
    "before",
    [
        lambda x: x,
        lambda x: ops.flip(x, -1),
        lambda x: x * 2,
        lambda x: x / 2,
        layers.BatchNormalization(),
        lambda x: (x - ops.mean(x, axis=(1, 2, 3), keepdims=True)) / (ops.std(x, axis=(1, 2, 3), keepdims=True) + 1e-6),
    ],
    ids=["nothing", "flipped", "doubled", "halved", "untrained", "per image"],
)
def test_ambiguous_ranges_remain_a_guess(before):
    preprocess = cx.load(model(before)).preprocess
    assert (preprocess.low, preprocess.high, preprocess.assumed) == (0, 1, ("range",))


@pytest.mark.parametrize("before", [lambda x: ops.cast(x, "float32"), lambda x: ops.cast(x, "float32") / 255])
def test_integer_inputs_are_pixels(before):
    preprocess = cx.load(model(before, dtype="uint8")).preprocess
    assert (preprocess.low, preprocess.high, preprocess.assumed) == (0, 255, ())


def test_integer_convolutions_load_if_keras_supports_them():
    made = model(lambda x: x, dtype="uint8")
    try:
        made.predict(np.zeros((1, *SHAPE), np.uint8), verbose=0)
    except (TypeError, ValueError, RuntimeError):
        with pytest.raises(ModelError, match="can't be computed"):
            cx.load(made)
    else:
        assert cx.load(made).preprocess.high == 255


@pytest.mark.parametrize(
    ("shape", "options"), [((None, None, 3), {}), (SHAPE, {"batch_size": 1}), ((9, 9, 1), {})], ids=["open", "one", "gray"]
)
def test_any_input_determines_the_range(shape, options):
    assert cx.load(model(lambda x: x / 127.5 - 1, shape, **options)).preprocess.high == 255


@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_pictures_score_like_their_pixels(name, tmp_path, random):
    keras_model = model(APPLICATIONS[name])
    pixels = random.integers(0, 256, SHAPE).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    clf = cx.load(keras_model)
    batch = cx.read_images(tmp_path / "picture.png", clf)
    expected = keras_model.predict(pixels[None].astype(np.float32), verbose=0)
    np.testing.assert_allclose(clf.predict(np.asarray(batch)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("before", "suffix"), [(CAFFE, "keras"), (TF, "keras"), (nested(CAFFE), "keras"), (layers.Rescaling(1 / 255), "h5")]
)
def test_saved_models_give_the_same_range(before, suffix, tmp_path):
    model(before).save(tmp_path / f"m.{suffix}")
    assert cx.load(tmp_path / f"m.{suffix}").preprocess.high == 255


@pytest.mark.parametrize("before", [TF, CAFFE, layers.Rescaling(1 / 255)])
def test_half_precision_gives_the_same_range(before):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        built = model(before)
    finally:
        keras.config.set_dtype_policy(policy)
    preprocess = cx.load(built).preprocess
    assert (preprocess.high, preprocess.assumed) == (255, ())


def test_declared_ranges_win_and_the_doctor_reports_conflicts(random, monkeypatch):
    monkeypatch.setattr("cnnexplain.plugin.registry.load", lambda: registry.collect([]))
    images = random.integers(0, 256, (2, *SHAPE)).astype(np.uint8)
    said = examine(cx.load(model(TF), preprocess={"scale": 1 / 255}), images)
    assert str(said.expected).startswith("the model maps 0 to 255 onto -1 to 1 (true_divide")
    (finding,) = (each for each in said.findings if "expects pixels" in each)
    assert "from 0 to 255 (" in finding
    assert "scaled to 0 to 1. Use --input-scale 1 --input-mean 0 --input-std 1." in finding
    well = examine(cx.load(model(TF)), images)
    assert not any("range" in each or "expects" in each for each in well.findings)
