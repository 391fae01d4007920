"""Models of several inputs: one image is explained, and all others are given fixed values."""

import json

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import CnnExplainError, ModelError, UsageError
from cnnexplain.plugin import registry

SHAPE = (12, 10, 3)
META = [0.5, -1, 2, 3]


def features(image):
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(image))


def joined(image, *others):
    return layers.Dense(3, activation="softmax")(layers.Concatenate()([features(image), *others]))


def picture():
    return keras.Input(SHAPE, name="image")


def numbers():
    image, meta = picture(), keras.Input((4,), name="meta")
    return keras.Model([image, meta], joined(image, layers.Dense(3, activation="elu")(meta)))


def first():
    image, meta = picture(), keras.Input((4,), name="meta")
    return keras.Model([meta, image], joined(image, meta))


def keyed():
    image, meta = picture(), keras.Input((4,), name="meta")
    return keras.Model({"image": image, "meta": meta}, joined(image, meta))


def embedded(shape=()):
    image, site = picture(), keras.Input(shape, dtype="int32", name="site")
    place = layers.Embedding(5, 3)(site)
    return keras.Model([image, site], joined(image, layers.Flatten()(place) if shape else place))


def encoded():
    image, site = picture(), keras.Input((), dtype="int32", name="site")
    return keras.Model([image, site], joined(image, ops.one_hot(site, 5)))


def flagged():
    image, flags = picture(), keras.Input((4,), dtype="bool", name="flags")
    return keras.Model([image, flags], joined(image, ops.cast(flags, "float32")))


def pair():
    left, right, inner = keras.Input(SHAPE, name="left"), keras.Input(SHAPE, name="right"), keras.Input(SHAPE)
    tower = keras.Model(inner, features(inner), name="tower")
    difference = layers.Subtract()([tower(left), tower(right)])
    return keras.Model([left, right], layers.Dense(3, activation="softmax")(ops.abs(difference)))


def modulated():
    image, meta = picture(), keras.Input((4,), name="meta")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Multiply(name="scaled")([x, layers.Reshape((1, 1, 4))(layers.Dense(4, activation="tanh")(meta))])
    return keras.Model([image, meta], layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def three():
    image, meta, age = picture(), keras.Input((4,), name="meta"), keras.Input((1,), name="age")
    return keras.Model([image, meta, age], joined(image, meta, age / 100))


def nested():
    pixels, place, inner = keras.Input(SHAPE, name="pixels"), keras.Input((1,), dtype="int32", name="place"), embedded((1,))
    return keras.Model([pixels, place], inner([pixels / 127.5 - 1, place]))


def open_length():
    image, words = picture(), keras.Input((None,), dtype="int32", name="words")
    return keras.Model([image, words], joined(image, layers.GlobalAveragePooling1D()(layers.Embedding(9, 3)(words))))


OTHER = np.random.default_rng(1).uniform(0, 1, SHAPE).astype(np.float32)
CASES = {
    "numbers": (numbers, {"meta": META}),
    "the image last": (first, {"meta": np.array(META)[None]}),
    "keys": (keyed, {"meta": "0.5,-1,2,3"}),
    "a number": (embedded, {"site": 3}),
    "whole numbers": (lambda: embedded((1,)), {"site": "3"}),
    "operations on whole numbers": (encoded, {"site": np.int64(2)}),
    "flags": (flagged, {"flags": [True, False, 1, 0]}),
    "two images": (pair, {"right": OTHER}),
    "feature maps": (modulated, {"meta": META}),
    "three": (three, {"age": 58, "meta": META}),
    "nested": (nested, {"place": [[4]]}),
    "any length": (open_length, {"words": [1, 2, 8]}),
}


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (5, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize(("build", "fixed"), CASES.values(), ids=CASES)
def test_scores_and_gradients_equal_the_model_with_fixed_inputs(build, fixed, images):
    keras.utils.set_random_seed(0)
    model = build()
    clf = cx.load(model, fixed=fixed)
    images = images * clf.preprocess.high
    rows = {place: np.repeat(value, len(images), axis=0) for place, value in clf.inputs.fixed.items()}
    given = [rows.get(place, images) for place in range(len(model.inputs))]
    expected = model.predict(keras.tree.pack_sequence_as(model.input, given), verbose=0)
    np.testing.assert_allclose(clf.predict(images), expected, rtol=1e-4, atol=1e-6)
    # The gradient along a direction against a difference of scores, for all images at once.
    direction = np.random.default_rng(2).normal(size=images.shape).astype(np.float32)
    step = 1e-3 * clf.preprocess.high
    targets = np.array([0, 1, 2, 0, 1])
    slope = (clf.gradient(images, targets) * direction).sum(axis=(1, 2, 3))
    ahead, behind = (clf.logits(images + sign * step * direction)[range(5), targets] for sign in (1, -1))
    # Here and there a ReLU has its kink between the two.
    np.testing.assert_allclose(slope, (ahead - behind) / (2 * step), rtol=0.05, atol=0.05 * np.abs(slope).max())


@pytest.mark.slow
def test_every_analysis_works_on_several_images(images):
    for build, fixed in (CASES["keys"], CASES["two images"], CASES["feature maps"]):
        clf = cx.load(build(), fixed=fixed)
        for analysis in registry.load().analyses.values():
            given = images[:2] if "images" in analysis.inputs else None
            cx.explain(analysis.name, clf, given, **analysis.trial)


def test_layers_independent_of_the_image_are_skipped(images):
    clf = cx.load(pair(), fixed={"right": OTHER})
    assert [layer.name for layer in clf.layers if layer.maps] == ["tower/conv"]
    clf = cx.load(modulated(), fixed={"meta": META})
    assert not any(layer.kind in ("Reshape", "Dense") for layer in clf.layers[:-1])
    assert clf.receptive_field("scaled") == clf.receptive_field("conv")
    # The activation of what is fixed is none that a rule of deconvnets would have to know.
    assert "elu" not in clf.describe_rule("conv", "deconvnet")


@pytest.mark.parametrize(
    ("build", "options", "words"),
    [
        (
            numbers,
            {},
            r"has 2 inputs: image \(12, 10, 3\), meta \(4\)\. Give values to all but the image .* --fixed meta=NUMBERS",
        ),
        (three, {"fixed": {"meta": META}, "input": "image"}, "Give values to 'age', such as --fixed age=NUMBERS"),
        (numbers, {"fixed": {"mta": META}}, r"no input 'mta'\. Did you mean 'meta'\?"),
        (numbers, {"input": "imag", "fixed": {"meta": META}}, r"no input 'imag'\. Did you mean 'image'\?"),
        (numbers, {"fixed": {"meta": [1, 2]}}, r"takes numbers of shape \(4\), 4 numbers, but got \(2,\)\."),
        (numbers, {"fixed": {"meta": np.ones((7, 4))}}, "give the values of one row, not of 7"),
        (numbers, {"fixed": {"meta": [1, 2, float("nan"), 3]}}, "not finite"),
        (numbers, {"fixed": {"meta": [1, 2, 1e300, 3]}}, "takes numbers that float32 can hold, but got 1, 2, 1e\\+300, 3"),
        (numbers, {"fixed": {"meta": "a,b"}}, "takes numbers, such as 1,2.5,3, or a file"),
        (numbers, {"fixed": {"meta": "absent.npy"}}, "no file of values for 'meta' 'absent.npy'"),
        (numbers, {"fixed": {"meta": object()}}, "are object; expected numbers"),
        (numbers, {"fixed": {"meta": [[1], [2, 3]]}}, "not an array of numbers"),
        (numbers, {"fixed": {"meta": []}}, "contain no number"),
        (numbers, {"fixed": {"meta": META, "image": OTHER}}, "All inputs of the model .* are fixed"),
        (numbers, {"input": "image", "fixed": {"meta": META, "image": OTHER}}, "can't be fixed as well"),
        (embedded, {"fixed": {"site": 2.5}}, "numbers that int32 can hold, but got 2.5"),
        (embedded, {"fixed": {"site": [1, 2]}}, "one number, but got"),
        (flagged, {"fixed": {"flags": [2, 0, 0, 0]}}, "takes true or false"),
    ],
)
def test_inconsistent_values_are_reported(build, options, words):
    with pytest.raises(UsageError, match=words):
        cx.load(build(), **options)


def test_non_image_inputs_cannot_be_explained():
    with pytest.raises(ModelError, match=r"The input 'meta' of the model .* takes \(4\), which is not an image"):
        cx.load(numbers(), input="meta", fixed={"image": OTHER})


def test_fixed_inputs_are_in_the_model_card_and_doctor(tmp_path, cli, monkeypatch):
    built = three()
    clf = cx.load(built, fixed={"age": 58, "meta": META})
    assert str(clf.inputs) in ("age = 58; meta = 0.5, -1, 2, 3", "meta = 0.5, -1, 2, 3; age = 58")
    assert str(cx.load(pair(), fixed={"right": OTHER}).inputs) == "right of shape (12, 10, 3)"
    assert f"12 × 10 × 3 (rgb); fixed: {clf.inputs}" in clf._repr_html_()
    built.save(tmp_path / "m.keras")
    monkeypatch.setattr("cnnexplain.plugin.registry.load", lambda: registry.collect([]))
    assert (
        "fixed          age = 58; meta = 0.5, -1, 2, 3"
        in cli("doctor", "m.keras", "--fixed", "age=58", "--fixed", "meta=0.5,-1,2,3")[1]
    )


def test_a_single_input_may_be_named():
    image = picture()
    model = keras.Model(image, layers.Dense(3)(features(image)))
    assert cx.load(model, input="image", logits=True).inputs.fixed == {}
    with pytest.raises(UsageError, match=r"has no input 'meta'\. Its input is image"):
        cx.load(model, fixed={"meta": 1})


@pytest.fixture
def files(tmp_path):
    values = np.array(META, np.float32)
    np.save(tmp_path / "meta.npy", values)
    np.savez(tmp_path / "one.npz", values)
    np.savez(tmp_path / "several.npz", meta=values, other=np.zeros(9))
    (tmp_path / "meta.json").write_text(json.dumps(META))
    (tmp_path / "meta.csv").write_text("0.5, -1, 2, 3\n")
    return tmp_path


@pytest.mark.parametrize("name", ["meta.npy", "one.npz", "several.npz", "meta.json", "meta.csv"])
def test_values_come_from_files(files, name):
    expected = np.array([META], np.float32)
    assert np.array_equal(cx.load(numbers(), fixed={"meta": files / name}).inputs.fixed[1], expected)
    assert np.array_equal(cx.load(numbers(), fixed={"meta": str(files / name)}).inputs.fixed[1], expected)


def test_files_without_numbers_are_refused_and_pickles_never_read(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnexplain.model.structure.fixed_inputs.LIMIT", 1 << 19)
    np.save(tmp_path / "pickled.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.ones(4), b=np.ones(4))
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros(1 << 20, np.uint8))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr'")
    (tmp_path / "words.csv").write_text("age,place\n")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "names.json").write_text('{"a": 1}')
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(
            UsageError, match=r"does not contain an array|none is called 'meta'|unpacks to more|object; expected"
        ) as raised:
            cx.load(numbers(), fixed={"meta": path})
        assert len(str(raised.value)) < 400


def test_the_command_line_accepts_values_and_resume_detects_changes(files, cli):
    numbers().save(files / "two.keras")
    Image.fromarray((OTHER * 255).astype(np.uint8)).save(files / "image.png")
    run = ("run", "saliency", "image.png", "--model", "two.keras")
    code, _, errors = cli(*run)
    assert (code, "Give values to all but the image" in errors) == (2, True)
    assert cli(*run, "--fixed", "meta=meta.npy", "--input", "image")[0] == 0
    result = json.loads((files / "cnnexplain-out/saliency/result.json").read_text())
    assert result["model"]["input"] == "image"
    assert result["model"]["fixed"]["meta"]["values"] == META
    assert cli(*run, "--fixed", "meta=0.5,-1,2,3", "--resume")[0] == 0
    code, _, errors = cli(*run, "--fixed", "meta=0.5,-1,2,4", "--resume")
    assert (code, "belongs to another request: model.fixed.meta" in errors) == (2, True)
    assert cx.Record.load(files / "cnnexplain-out/saliency").provenance["model"]["fixed"]["meta"]["shape"] == [4]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("meta", "takes NAME=FILE or NAME=NUMBERS"),
        ("=1", "takes NAME=FILE or NAME=NUMBERS"),
        ("meta=", "takes NAME=FILE or NAME=NUMBERS"),
        ("meta=1,,2", "takes numbers"),
        ("meta=inf", "not finite"),
        ("meta=absent.npy", "no file of values for 'meta' 'absent.npy'"),
    ],
)
def test_arguments_are_checked_before_keras_is_imported(cli, typed, words, monkeypatch):
    monkeypatch.setattr("cnnexplain.cli.keras_start.start_keras", lambda _: pytest.fail("Keras was started"))
    code, _, errors = cli("run", "saliency", "--fixed", typed)
    assert (code, words in " ".join(errors.split())) == (2, True)
    assert cli("run", "saliency", "--fixed", "meta=1", "--fixed", "meta=2")[0] == 2


def test_sidecar_values_are_overridden_by_arguments(files, monkeypatch):
    monkeypatch.chdir(files)
    numbers().save("two.keras")
    (files / "two.json").write_text(json.dumps({"fixed": {"meta": [1, 2, 3, 4]}, "scale": 1}))
    clf = cx.load("two.keras")
    assert clf.inputs.fixed[1].tolist() == [[1, 2, 3, 4]]
    assert clf.preprocess.high == 255
    assert cx.load("two.keras", fixed={"meta": META}).inputs.fixed[1].tolist() == [META]
    (files / "two.json").write_text(json.dumps({"fixed": {"meta": "meta.npy"}}))
    assert cx.load("two.keras").inputs.fixed[1].tolist() == [META]
    for said in ({"meta": "../meta.npy"}, {"meta": {"a": 1}}, [1], {"meta": "words"}, {"meta": None}):
        (files / "two.json").write_text(json.dumps({"fixed": said}))
        with pytest.raises(CnnExplainError):
            cx.load("two.keras")
