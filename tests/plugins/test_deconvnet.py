"""The deconvnet against an explicit NumPy version (Zeiler & Fergus 2014) and the properties of its parts."""

import keras
import numpy as np
import oracles
import pictures
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain import draw
from cnnexplain.classifier import Layer
from cnnexplain.errors import ModelError, UsageError

pytestmark = pytest.mark.numeric

RULES = ("deconvnet", "guided", "gradient")


@pytest.fixture(scope="module")
def oracle(lenet):
    return oracles.LeNet(lenet.model.get_weights())


def one_hot(activations, channel):
    """The largest activation of a channel, kept alone, for each image of (N, h, w, K)."""
    seeds = np.zeros_like(activations)
    for image, each in enumerate(activations[..., channel]):
        row, column = np.unravel_index(each.argmax(), each.shape)
        seeds[image, row, column, channel] = each.max()
    return seeds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("layer", ["relu1", "relu2"])
def test_projections_equal_an_explicit_numpy_deconvnet(lenet, oracle, noise, layer, rule):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer=layer, rule=rule, maps=30)
    activations = np.maximum(oracle.layers(noise)[layer.replace("relu", "conv")], 0)
    for image, facts in enumerate(record.facts["strongest"]):
        for rank, fact in enumerate(facts[layer]):
            seeds = one_hot(activations[[image]], fact["map"])
            assert fact["activation"] == pytest.approx(seeds.max(), rel=1e-4, abs=1e-6)
            exact = oracle.project(noise[[image]], layer, seeds, rule)[0]
            found = record.arrays[f"projection/{layer}/{rule}"][image, rank]
            np.testing.assert_allclose(found, exact, atol=1e-5 * max(np.abs(exact).max(), 1e-3))
        values = [fact["activation"] for fact in facts[layer]]
        assert values == sorted(values, reverse=True)
        assert sorted(fact["map"] for fact in facts[layer]) == list(range(30))


def test_the_rules_differ_where_they_should(lenet, noise):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer="relu2", rule=RULES)
    maps = {rule: record.arrays[f"projection/relu2/{rule}"] for rule in RULES}
    for a, b in (("deconvnet", "guided"), ("guided", "gradient"), ("deconvnet", "gradient")):
        assert np.abs(maps[a] - maps[b]).max() > 0.01 * np.abs(maps[a]).max()


def test_the_gradient_rule_is_the_activation_times_its_gradient(lenet, noise):
    record = cx.explain("deconvnet", lenet, noise, dataset=noise, layer="relu2", rule="gradient", maps=2)
    for image, facts in enumerate(record.facts["strongest"]):
        fact = facts["relu2"][1]
        neuron = cx.Neuron("relu2", fact["row"], fact["column"], fact["map"])
        expected = fact["activation"] * lenet.gradient(noise[[image]], [neuron])[0]
        np.testing.assert_allclose(record.arrays["projection/relu2/gradient"][image, 1], expected, rtol=1e-4, atol=1e-6)


def classifier(*layers, shape=(13, 11, 2), seed=0):
    """A model that ends in three scores, with random weights."""
    channels = shape[-1]
    first = [keras.layers.Conv2D(channels, 1, use_bias=False, name="first")] if channels == 2 else []
    inputs = keras.Input((*shape[:2], 3 if channels == 2 else channels))
    x = inputs
    for layer in (*first, *layers):
        x = layer(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    random = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return cx.load(model)


WINDOWS = [
    {"kernel_size": 3, "strides": 1, "padding": "valid"},
    {"kernel_size": 3, "strides": 1, "padding": "same"},
    {"kernel_size": (4, 3), "strides": 2, "padding": "same"},
    {"kernel_size": 2, "strides": 3, "padding": "valid"},
    {"kernel_size": 3, "dilation_rate": 2, "padding": "same"},
    {"kernel_size": 5, "strides": (2, 3), "padding": "same"},
]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D"])
def test_a_projection_through_a_convolution_is_its_transpose(window, kind, random):
    """⟨conv(x), y⟩ = ⟨x, convᵀ(y)⟩."""
    if kind == "SeparableConv2D" and np.ptp(window.get("strides", 1)):
        pytest.skip("Keras has no separable convolution with unequal strides.")
    filters = {"filters": 4} if kind != "DepthwiseConv2D" else {}
    layer = getattr(keras.layers, kind)(**filters, **window, use_bias=False, name="layer")
    clf = classifier(layer, shape=(13, 11, 3))
    x = random.normal(0.5, 0.2, (2, 13, 11, 3)).astype(np.float32)
    there = clf.activations(x, ["layer"])["layer"]
    y = random.normal(size=there.shape).astype(np.float32)
    for rule in RULES:
        back = clf.project(x, "layer", y, rule)
        np.testing.assert_allclose((back * x).sum((1, 2, 3)), (there * y).sum((1, 2, 3)), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(back, clf.project(0 * x, "layer", y, rule), rtol=1e-5, atol=1e-6)


def test_a_projection_through_max_pooling_puts_each_maximum_back_to_its_place(random):
    clf = classifier(keras.layers.MaxPooling2D(name="pool"), shape=(10, 8, 3))
    x = random.uniform(0, 1, (2, 10, 8, 3)).astype(np.float32)
    pooled, places = oracles.pool(x)
    back = clf.project(x, "pool", pooled.astype(np.float32), "deconvnet")
    np.testing.assert_array_equal(back, oracles.unpool(pooled, places, x.shape[1:]).astype(np.float32))
    assert ((back == 0) | (back == x)).all()
    assert (back > 0).sum() == pooled.size


def test_without_relus_every_rule_gives_the_activation_times_the_gradient(random):
    clf = classifier(
        keras.layers.Conv2D(4, 3, name="a"), keras.layers.AveragePooling2D(2), keras.layers.Conv2D(5, 2, name="b")
    )
    x = random.uniform(0, 1, (2, 13, 11, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, x, rule=RULES, layer="b", maps=1)
    for image, facts in enumerate(record.facts["strongest"]):
        fact = facts["b"][0]
        neuron = cx.Neuron("b", fact["row"], fact["column"], fact["map"])
        expected = fact["activation"] * clf.gradient(x[[image]], [neuron])[0]
        for rule in RULES:
            np.testing.assert_allclose(record.arrays[f"projection/b/{rule}"][image, 0], expected, rtol=1e-4, atol=1e-6)


def relus(form):
    """The same two convolutions with ReLUs as layers of their own, as activations, inside the convolutions, or nested."""
    if form == "fused":
        return [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Conv2D(5, 3, activation="relu", name="top")]
    relu = (
        keras.layers.ReLU if form in ("layers", "nested") else lambda name=None: keras.layers.Activation("relu", name=name)
    )
    parts = [keras.layers.Conv2D(4, 3), relu(), keras.layers.Conv2D(5, 3), relu(name="top")]
    return [keras.Sequential([keras.Input((13, 11, 2)), *parts], name="body")] if form == "nested" else parts


@pytest.mark.parametrize("rule", RULES)
def test_every_form_of_relu_is_reached(random, rule):
    x = random.uniform(0, 1, (2, 13, 11, 3)).astype(np.float32)
    y = random.normal(size=(2, 9, 7, 5)).astype(np.float32)
    found = {
        form: classifier(*relus(form)).project(x, "body/top" if form == "nested" else "top", y, rule)
        for form in ("fused", "layers", "activation", "nested")
    }
    for form in ("layers", "activation", "nested"):
        np.testing.assert_allclose(found[form], found["fused"], rtol=1e-4, atol=1e-5)
    plain = classifier(*relus("layers")).project(x, "top", y, "gradient")
    assert bool(np.abs(found["fused"] - plain).max() > 0.1) is (rule != "gradient")


def test_a_relu_with_a_ceiling_passes_guided_signals_only_below_it():
    clf = classifier(keras.layers.ReLU(max_value=0.5, name="top"), shape=(2, 2, 3))
    x = np.array([-1, 0.2, 0.7, 0.3], np.float32).reshape(1, 2, 2, 1).repeat(3, axis=3)
    signal = np.array([1, 1, 1, -1], np.float32).reshape(1, 2, 2, 1).repeat(3, axis=3)
    for rule, expected in (("deconvnet", [1, 1, 1, 0]), ("guided", [0, 1, 0, 0]), ("gradient", [0, 1, 0, -1])):
        assert clf.project(x, "top", signal, rule)[0, ..., 0].ravel().tolist() == expected


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: keras.layers.Activation("gelu", name="odd"), r"'odd' \(Activation with activation 'gelu'\)"),
        (lambda: keras.layers.LeakyReLU(name="odd"), r"'odd' \(LeakyReLU\)"),
        (lambda: keras.layers.ReLU(negative_slope=0.1, name="odd"), r"'odd' \(ReLU\)"),
        (lambda: keras.layers.Conv2D(3, 1, activation="tanh", name="odd"), r"'odd' \(Conv2D with activation 'tanh'\)"),
    ],
)
def test_a_network_with_other_activations_is_refused_by_the_layers_name(layer, words, random):
    clf = classifier(layer(), keras.layers.Conv2D(4, 3, activation="relu", name="top"))
    x = random.uniform(0, 1, (1, 13, 11, 3)).astype(np.float32)
    for rule in ("deconvnet", "guided"):
        with pytest.raises(ModelError, match=f"The layer {words} is neither a ReLU nor"):
            cx.explain("deconvnet", clf, x, rule=rule)
    # The gradient is what it is, and a layer before the odd one does not meet it.
    assert np.abs(cx.explain("deconvnet", clf, x, rule="gradient").arrays["projection/top/gradient"]).max() > 0
    cx.explain("deconvnet", clf, x, layer="first")


@pytest.mark.parametrize("window", WINDOWS)
def test_a_projection_lies_inside_the_receptive_field(window, random):
    clf = classifier(
        keras.layers.Conv2D(3, **window, activation="relu"),
        keras.layers.ZeroPadding2D(((1, 0), (0, 2))),
        keras.layers.MaxPooling2D(2, padding="same"),
        keras.layers.Conv2D(4, 2, padding="same", name="top"),
        shape=(23, 19, 3),
    )
    x = random.uniform(0, 1, (1, 23, 19, 3)).astype(np.float32)
    field = clf.receptive_field("top")
    shape = clf.layer("top").shape
    for row in range(shape[0]):
        for column in range(shape[1]):
            seeds = np.zeros((1, *shape), np.float32)
            seeds[0, row, column] = 1
            seen = np.abs(clf.project(x, "top", seeds, "deconvnet")[0]).max(axis=-1) > 0
            inside = np.zeros_like(seen)
            inside[field.rows.slice(row, 23), field.columns.slice(column, 19)] = True
            assert not (seen & ~inside).any()


def test_the_streamed_top_nine_equal_a_full_sort(random, monkeypatch):
    from cnnexplain_deconvnet.projections import TOP, top

    clf = classifier(keras.layers.Conv2D(6, 4, activation="relu", name="top"))
    images = random.uniform(0, 1, (40, 13, 11, 3)).astype(np.float32)
    images[25] = images[7]  # Equal activations: the earlier image comes first.
    activations = clf.activations(images, ["top"])["top"]
    monkeypatch.setitem(clf.__dict__, "batch_size", 7)
    found = top(clf, cx.open_stream(images, clf), [clf.layer("top")])["top"]
    for channel in range(6):
        largest = activations[..., channel].max(axis=(1, 2))
        order = sorted(range(40), key=lambda image: (-largest[image], image))[:TOP]
        assert found.images[channel].tolist() == order
        np.testing.assert_array_equal(found.values[channel], largest[order])
        for image, row, column in zip(order, found.rows[channel], found.columns[channel], strict=True):
            assert activations[image, row, column, channel] == largest[image]


def test_patches_are_cut_where_the_units_look(lenet, oracle):
    # The two largest of each pooling square differ by 3e-6 at least, so that both precisions choose the same.
    images = np.random.default_rng(2).uniform(0, 1, (12, 28, 28, 1)).astype(np.float32)
    record = cx.explain("deconvnet", lenet, images[:1], dataset=images, layer="relu2")
    for number, fact in enumerate(record.facts["over_dataset"]["relu2"]):
        assert len(fact["strongest"]) == 9
        for rank, each in enumerate(fact["strongest"]):
            image = int(each["image"].removeprefix("array[").removesuffix("]"))
            # conv 5, pool 2, conv 5: unit i sees the 14 pixels from 2 i on.
            row, column = 2 * each["row"], 2 * each["column"]
            window = slice(row, row + 14), slice(column, column + 14)
            np.testing.assert_array_equal(record.arrays["patch/relu2"][number, rank], images[image][window])
            if each["activation"] > 0:
                seeds = one_hot(np.maximum(oracle.layers(images[[image]])["conv2"], 0), fact["map"])
                exact = oracle.project(images[[image]], "relu2", seeds, "deconvnet")[0][window]
                found = record.arrays["patch_projection/relu2/deconvnet"][number, rank]
                np.testing.assert_allclose(found, exact, atol=1e-5 * np.abs(exact).max())


def test_a_patch_over_the_border_holds_the_middle_of_the_range_there(random):
    clf = classifier(keras.layers.Conv2D(1, 3, padding="same", name="top"), shape=(4, 4, 3))
    clf.model.get_layer("top").set_weights([np.ones((3, 3, 3, 1), np.float32), np.zeros(1, np.float32)])
    image = np.zeros((1, 4, 4, 3), np.float32)
    image[0, 0, 0] = 1  # Units (0, 0), (0, 1), (1, 0) and (1, 1) see it; the first is taken.
    record = cx.explain("deconvnet", clf, image, layer="top")
    assert (record.facts["strongest"][0]["top"][0]["row"], record.facts["strongest"][0]["top"][0]["column"]) == (0, 0)
    patch = record.arrays["patch/top"][0, 0, ..., 0]
    np.testing.assert_array_equal(patch, [[0.5, 0.5, 0.5], [0.5, 1, 0], [0.5, 0, 0]])
    assert record.arrays["patch/top"].shape == (1, 1, 3, 3, 3)
    projection = record.arrays["patch_projection/top/deconvnet"][0, 0, ..., 0]
    np.testing.assert_array_equal(projection, [[0, 0, 0], [0, 3, 3], [0, 3, 3]])


def test_a_batch_is_as_its_images_one_by_one(lenet, noise, monkeypatch):
    together = cx.explain("deconvnet", lenet, noise, dataset=noise)
    monkeypatch.setitem(lenet.__dict__, "batch_size", 3)
    chunked = cx.explain("deconvnet", lenet, noise, dataset=noise)
    for name, array in together.arrays.items():
        np.testing.assert_allclose(chunked.arrays[name], array, rtol=1e-4, atol=1e-6)
    for index in range(4):
        alone = cx.explain("deconvnet", lenet, noise[[index]], dataset=noise)
        assert alone.facts["strongest"][0]["relu2"][0]["map"] == together.facts["strongest"][index]["relu2"][0]["map"]
        for name in ("projection/relu1/deconvnet", "projection/relu2/deconvnet"):
            np.testing.assert_allclose(alone.arrays[name][0], together.arrays[name][index], rtol=1e-4, atol=1e-6)


def test_digits_give_what_they_give_alone_in_the_whole_test_set(lenet):
    """The default: all 10,000 test images, of which the strongest are really the strongest."""
    seen = []
    record = cx.explain("deconvnet", lenet, "mnist:test/42", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == 1 + 10_000 + 2 * 30 * 9
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    images = cx.read_images([f"mnist:test/{index}" for index in range(0, 10_000, 10)], lenet)
    largest = lenet.activations(images, ["relu2"])["relu2"].max(axis=(1, 2))
    for fact in record.facts["over_dataset"]["relu2"]:
        ninth = fact["strongest"][-1]["activation"]
        names = {each["image"] for each in fact["strongest"]}
        for index in np.flatnonzero(largest[:, fact["map"]] > ninth * 1.0001):
            assert f"mnist:test/{10 * index}" in names


def test_a_dead_map_and_colour_images_draw_without_nan(random, tmp_path):
    clf = classifier(keras.layers.Conv2D(4, 3, activation="relu", name="top"), shape=(9, 16, 2))
    clf.model.get_layer("top").bias.assign([0, 0, 0, -100.0])
    images = random.uniform(0, 1, (2, 9, 16, 3)).astype(np.float32)
    record = cx.explain("deconvnet", clf, images, rule=("guided", "deconvnet", "guided"), layer="top")
    assert record.options["rule"] == ("guided", "deconvnet", "guided")
    assert record.facts["strongest"][0]["top"][-1]["activation"] == 0
    assert not record.arrays["projection/top/guided"][:, -1].any()
    names = [path.name for path in record.save(tmp_path / "out")]
    assert names == [
        "array-0.png",
        "array-1.png",
        "strongest-patches-top.png",
        "arrays.npz",
        "thumbnails.webp",
        "index.html",
        "result.json",
    ]
    titles = [panel.get_title(loc="left") for panel in record.overview()["strongest-patches-top"].axes]
    assert any("map 3: never active" in title for title in titles)
    assert [title for title in titles if title][:3] == [titles[0], "guided", "deconvnet"]


def test_the_picture_shows_each_projection_in_its_place(lenet):
    record = cx.explain("deconvnet", lenet, "mnist:test/42", dataset=np.zeros((1, 28, 28), np.uint8), maps=3)
    panels = record.figure().axes
    np.testing.assert_array_equal(panels[0].images[0].get_array(), record.images[0, ..., 0])
    drawn = [panel for panel in panels[1:] if panel.images and panel.get_title().startswith("map")]
    assert len(drawn) == 9
    # The first layer's units see 5×5 of the 28×28 pixels: a row shows these, then one what comes back to them.
    for number, panel in enumerate(drawn):
        layer, rank = ("relu1", "relu1", "relu2")[number // 3], number % 3
        fact = record.facts["strongest"][0][layer][rank]
        assert panel.get_title() == f"map {fact['map']}: {fact['activation']:.3g}"
        signal = record.arrays[f"projection/{layer}/deconvnet"][0, rank]
        here = (slice(None), slice(None))
        if layer == "relu1":
            here = tuple(slice(fact[axis], fact[axis] + 5) for axis in ("row", "column"))
            # All that comes back lies where the unit looks.
            assert np.abs(signal).sum() == pytest.approx(np.abs(signal[here]).sum())
        if number < 3:
            np.testing.assert_array_equal(panel.images[0].get_array(), record.images[0][here][..., 0])
            (frame,) = panel.patches
            place = panels[0].patches[rank]
            assert place.get_bbox().bounds == pytest.approx((fact["column"] - 0.5, fact["row"] - 0.5, 5, 5))
            assert place.get_edgecolor() == frame.get_edgecolor()
            continue
        limit = np.abs(signal).max()
        np.testing.assert_allclose(panel.images[0].get_array(), draw.signal(signal[here], limit), atol=1e-6)
        assert panel.texts[-1].get_text() == f"± {limit:.3g}"
    assert len({patch.get_edgecolor() for patch in panels[0].patches}) == 3
    assert not pictures.overlapping(record.figure())


def test_fields_at_the_border_and_of_a_photographs_size_are_shown_in_their_place(random):
    """A layer that sees 3×3 of 40×60 pixels: a frame that small is drawn larger, about the same middle."""
    clf = classifier(keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="top"), shape=(40, 60, 3))
    images = random.uniform(0, 1, (1, 40, 60, 3)).astype(np.float32)
    images[0, 0, 0] = 50
    record = cx.explain("deconvnet", clf, images, layer="top", maps=4)
    figure = record.figure()
    (beside,) = [panel for panel in figure.axes if panel.get_title() == "input"]
    row = [panel for panel in figure.axes if panel.get_title().startswith("map") and panel.patches]
    corner = False
    for fact, panel, place in zip(record.facts["strongest"][0]["top"], row, beside.patches, strict=True):
        (top, bottom), (left, right) = fact["field"]
        assert (top, bottom) == (max(fact["row"] - 1, 0), min(fact["row"] + 2, 40))
        assert (left, right) == (max(fact["column"] - 1, 0), min(fact["column"] + 2, 60))
        corner |= top == 0 and left == 0
        np.testing.assert_allclose(panel.images[0].get_array(), np.clip(images[0, top:bottom, left:right], 0, 1), atol=1e-6)
        x0, y0, x1, y1 = place.get_bbox().extents
        assert ((x0 + x1) / 2, (y0 + y1) / 2) == ((left + right - 1) / 2, (top + bottom - 1) / 2)
    assert corner
    assert not pictures.overlapping(figure)


def test_a_data_set_of_one_image_has_no_sheet_of_strongest_patches(lenet):
    record = cx.explain("deconvnet", lenet, "mnist:test/42", dataset=np.zeros((1, 28, 28), np.uint8), layer="relu1")
    assert record.arrays["patch/relu1"].shape[1] == 1
    assert record.overview() == {}


def test_a_projection_of_nothing_says_so(random):
    clf = classifier(keras.layers.Conv2D(2, 3, activation="relu", name="top"), shape=(9, 16, 3))
    clf.model.get_layer("top").bias.assign([-100.0, -100.0])
    figure = cx.explain("deconvnet", clf, random.uniform(0, 1, (1, 9, 16, 3)).astype(np.float32), layer="top").figure()
    drawn = [panel for panel in figure.axes if panel.get_title().startswith("map") and not panel.patches]
    assert [panel.texts[-1].get_text() for panel in drawn] == ["no signal", "no signal"]
    for panel in drawn:
        np.testing.assert_array_equal(panel.images[0].get_array(), 0.5)


def test_a_receptive_field_that_is_not_known_is_said(random):
    clf = classifier(keras.layers.UpSampling2D(name="up"), keras.layers.Conv2D(2, 3, name="top"))
    record = cx.explain("deconvnet", clf, random.uniform(0, 1, (1, 13, 11, 3)).astype(np.float32), layer="top")
    (warning,) = record.warnings
    assert "The receptive field of 'top' is not known past the layer 'up' (UpSampling2D). Whole images are shown" in warning
    assert record.arrays["patch/top"].shape == (2, 1, 13, 11, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "rellu1"}, "no layer 'rellu1'. Did you mean 'relu1'?"),
        ({"layer": "dense"}, r"'dense' \(Dense\) has no feature maps: it puts out \(500\)"),
        ({"rule": "gided"}, "Did you mean 'guided'?"),
        ({"maps": 0}, "--maps takes a number of at least 1"),
        ({"dataset": "mnist:tset"}, "no data set 'mnist:tset'. Did you mean 'mnist:test'?"),
        ({"target": 3}, "explains no class"),
    ],
)
def test_wrong_requests_are_refused(lenet, options, words):
    with pytest.raises(UsageError, match=words):
        cx.explain("deconvnet", lenet, "mnist:test/42", **options)


def test_a_model_without_convolutions_is_refused(random):
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match="has no convolutional layer, and so no feature maps"):
        cx.explain("deconvnet", cx.load(model), np.zeros((1, 4, 4), np.uint8))


def test_the_command_line_skips_broken_files_of_a_data_set_and_names_them(cli, tmp_path):
    (tmp_path / "set" / "deeper").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(cx.datasets.sample(f"mnist:test/{number}")[0]).save(tmp_path / "set" / "deeper" / f"{number}.png")
    (tmp_path / "set" / "broken.png").write_bytes(b"no image")
    code, out, err = cli(
        "run", "deconvnet", "--dataset", "set", "--rule", "guided", "--rule", "gradient", "--layer", "relu2"
    )
    assert code == 0
    assert "Warning: 1 of the 4 files of the data set 'set' can't be used and were skipped: set/broken.png." in err
    assert "Note (deconvnet): Deconvnet and guided back-propagation partly recover the image itself" in out
    assert "Wrote cnnexplain-out/deconvnet/strongest-patches-relu2.png" in out
    (tmp_path / "empty").mkdir()
    code, _, err = cli("run", "deconvnet", "--dataset", "empty")
    assert (code, err.splitlines()[-1][:39]) == (1, "Error: The data set 'empty' holds no im")
    (tmp_path / "empty" / "bad.png").write_bytes(b"no image")
    code, _, err = cli("run", "deconvnet", "--dataset", "empty")
    assert code == 1
    assert "None of the 1 images of 'empty' can be used; the first, 'empty/bad.png'" in err


def test_a_layers_kind_and_shape_are_told(lenet):
    assert lenet.layer("relu1") == Layer("relu1", "ReLU", (24, 24, 30))


@pytest.mark.parametrize("rule", RULES)
def test_operations_and_layers_give_the_same(random, rule):
    """A residual block of `keras.ops` and operators, with augmentation in front, and of layers; each built from scratch."""

    def model(operations):
        inputs = keras.Input((9, 8, 3))
        x = keras.layers.RandomFlip()(inputs) / 2.0 if operations else keras.layers.Rescaling(0.5)(inputs)
        first = keras.layers.Conv2D(4, 3, padding="same")
        x = keras.ops.relu(first(x)) if operations else keras.layers.ReLU()(first(x))
        second = keras.layers.Conv2D(4, 3, padding="same", activation="relu")
        y = second(inputs=x) if operations else second(x)
        x = x + y if operations else keras.layers.Add()([x, y])
        x = keras.activations.relu(x - 0.1) if operations else keras.layers.ReLU()(keras.layers.Rescaling(1.0, -0.1)(x))
        made = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten(name="flat")(x)))
        values = np.random.default_rng(1)
        for weight in made.weights:
            weight.assign(values.normal(0, 0.4, weight.shape))
        return cx.load(made)

    x = random.uniform(0, 1, (2, 9, 8, 3)).astype(np.float32)
    y = random.normal(size=(2, 288)).astype(np.float32)
    by_operations, by_layers = (model(each).project(x, "flat", y, rule) for each in (True, False))
    assert np.abs(by_layers).max() > 0.1
    np.testing.assert_allclose(by_operations, by_layers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
def test_precisions_may_change_at_a_relu(random, rule):
    def model(half):
        precision = {"dtype": "mixed_float16"} if half else {}
        layers = [keras.layers.Conv2D(4, 3, **precision), keras.layers.ReLU(dtype="float32", name="top")]
        clf = classifier(*layers, shape=(8, 7, 3))
        return clf.project(x, "top", y, rule)

    x = random.uniform(0, 1, (1, 8, 7, 3)).astype(np.float32)
    y = random.normal(size=(1, 6, 5, 4)).astype(np.float32)
    np.testing.assert_allclose(model(True), model(False), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("activation", [keras.layers.LeakyReLU(name="odd"), keras.ops.gelu])
def test_a_convolution_before_another_activation_is_not_shown_without_it(activation, random):
    """By default what follows the convolution is shown, and so refused."""
    clf = classifier(keras.layers.Conv2D(4, 3), activation, shape=(9, 8, 3))
    with pytest.raises(ModelError, match=r"The layer '(odd|gelu)' \((LeakyReLU|Gelu)\) is neither a ReLU nor"):
        cx.explain("deconvnet", clf, random.uniform(0, 1, (1, 9, 8, 3)).astype(np.float32))
