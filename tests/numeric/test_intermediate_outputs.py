"""Every layer's output against a slow network, and its picture against the numbers (Yosinski et al. 2015)."""

import json
from dataclasses import replace

import keras
import numpy as np
import oracles
import pictures
import pytest
from matplotlib.collections import LineCollection, PolyCollection

import cnnexplain as cx
from cnnexplain.errors import UsageError
from cnnexplain.inputs.preprocess import Preprocess

LENET = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "dense", "probabilities"]


@pytest.fixture(scope="module")
def steps(lenet):
    return oracles.lenet_steps(oracles.LeNet(lenet.model.get_weights()))


@pytest.fixture(scope="module")
def digits(lenet):
    """The outputs for two digits, of which the first is a 4 that leaves a map of relu1 dead, drawn in one grid a layer."""
    return cx.explain("intermediate-outputs", lenet, ["mnist:test/42", "mnist:test/0"], maps="all")


@pytest.fixture(scope="module")
def figures(digits):
    return [digits.figure(0), digits.figure(1)]


def explain(model, images, maps="all", **options):
    return cx.explain("intermediate-outputs", cx.load(model), images, maps=maps, **options)


def named(record, *what):
    """The names of the arrays that begin like that."""
    return [name for name in record.arrays if name.startswith(what)]


def panels(figure):
    """The panels of a figure by the words before the first dot of their titles, such as "conv1 (Conv2D)"."""
    titled = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}
    return {title.split(" · ")[0]: axes for title, axes in titled.items()}


def title(figure, start):
    return next(t for axes in figure.axes if (t := axes.get_title(loc="left")).startswith(start))


def cells(panel, height, width):
    """The drawn image cut into its cells in reading order, by the line of NaN between them: (cells, H, W)."""
    grid, line = np.ma.filled(panel.images[0].get_array().astype(float), np.nan), max(1, max(height, width) // 32)
    grid = np.pad(grid, ((0, line), (0, line)), constant_values=np.nan)
    rows, columns = grid.shape[0] // (height + line), grid.shape[1] // (width + line)
    squares = grid.reshape(rows, height + line, columns, width + line).transpose(0, 2, 1, 3)
    squares = squares.reshape(-1, height + line, width + line)
    assert np.isnan(squares[:, height:]).all()
    assert np.isnan(squares[:, :, width:]).all()
    return squares[:, :height, :width]


def crossed(panel, height, width):
    """The numbers of the cells with a cross over them, whose diagonals go from corner to corner."""
    line = max(1, max(height, width) // 32)
    columns = (panel.images[0].get_array().shape[1] + line) // (width + line)
    (lines,) = [c for c in panel.collections if type(c) is LineCollection]
    numbers = []
    for (x0, y0), (x1, y1) in lines.get_segments():
        assert (abs(x1 - x0), abs(y1 - y0)) == (width, height)
        left, top = min(x0, x1) + 0.5, min(y0, y1) + 0.5
        assert (left % (width + line), top % (height + line)) == (0, 0)
        numbers.append(int(top // (height + line) * columns + left // (width + line)))
    assert numbers[::2] == numbers[1::2]
    return numbers[::2]


def bars(panel):
    """The heights of the bars, by the first lines of the panel: from 0 to each value."""
    return np.array([segment[:, 1] for segment in panel.collections[0].get_segments()])


def channels(values, *, bias=False, shape=(4, 6, 1), head="softmax"):
    """A model whose layer "maps" is the image times each of the values, or each of the values everywhere."""
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(len(values), 1, name="maps"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation=head, name="scores"),
        ]
    )
    row = np.asarray(values, np.float32)
    kernel = np.tile(row, (1, 1, shape[2], 1))
    model.get_layer("maps").set_weights([0 * kernel, row] if bias else [kernel, 0 * row])
    return model


def test_every_layer_equals_the_oracle(lenet, steps, noise):
    record = cx.explain("intermediate-outputs", lenet, noise)
    assert named(record, "output/", "prob") == [*(f"output/{name}" for name in LENET), "probabilities"]
    assert named(record, "contribution/") == [f"contribution/{name}" for name in LENET[:-1]]
    arrays = record.arrays | cx.explain("intermediate-outputs", lenet, noise, layer="logits").arrays
    x = noise.astype(np.float64)
    for name, step in steps.items():
        x = step(x)
        found = arrays[f"output/{name}"]
        assert found.shape == x.shape
        np.testing.assert_allclose(found, x, rtol=1e-4, atol=1e-5 * np.abs(x).max())
    np.testing.assert_array_equal(arrays["probabilities"], lenet.predict(noise))


def test_conv1_is_raw_and_signed(lenet, noise):
    kernel, bias = (np.asarray(weight, np.float64) for weight in lenet.model.get_layer("conv1").get_weights())
    found = cx.explain("intermediate-outputs", lenet, noise, layer="conv1").arrays["output/conv1"]
    np.testing.assert_allclose(found, oracles.convolve(noise, kernel, bias), atol=1e-5)
    assert found.min() < -0.5


@pytest.mark.parametrize("name", LENET[:-1])
def test_tail_of_the_oracle_gives_the_same_logits(lenet, steps, digits, name):
    x, names = digits.arrays[f"output/{name}"].astype(np.float64), list(steps)
    for later in names[names.index(name) + 1 : names.index("logits") + 1]:
        x = steps[later](x)
    logits = lenet.logits(digits.images)
    np.testing.assert_allclose(x, logits, atol=1e-5 * np.abs(logits).max())
    np.testing.assert_allclose(digits.arrays["output/probabilities"], steps["probabilities"](x), atol=1e-6)


@pytest.mark.parametrize("name", ["conv", "pool", "flatten", "hidden", "scores"])
def test_tail_of_the_model_gives_the_same_logits(model, random, name):
    network = model("logits")
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    x = explain(network, images).arrays[f"output/{name}"]
    names = [layer.name for layer in network.layers]
    for layer in network.layers[names.index(name) + 1 :]:
        x = layer(x)
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (x, network(images))), rtol=1e-5, atol=1e-5)


def test_layers_in_nested_models_are_reached(model, random):
    nested, images = model("nested"), random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    record = explain(nested, images)
    names = ["body/conv", "body/pool", "body/flatten", "body/hidden", "head/scores"]
    assert named(record, "output/", "prob") == [*(f"output/{name}" for name in names), "probabilities"]
    body = nested.get_layer("body")
    np.testing.assert_allclose(
        record.arrays["output/body/conv"], keras.ops.convert_to_numpy(body.get_layer("conv")(images)), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(
        record.arrays["output/body/hidden"], keras.ops.convert_to_numpy(body(images)), rtol=1e-5, atol=1e-5
    )
    assert list(panels(record.figure(0)))[1] == "body/conv (Conv2D)"


def test_dropout_and_batch_normalization_use_inference_mode(random):
    model = keras.Sequential(
        [
            keras.Input((5, 4, 3)),
            keras.layers.Dropout(0.5, name="drop"),
            keras.layers.BatchNormalization(epsilon=0.25, name="norm"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.get_layer("norm").set_weights([np.full(3, value, np.float32) for value in (2, 10, 5, 3.75)])
    images = random.uniform(0, 1, (3, 5, 4, 3)).astype(np.float32)
    arrays = explain(model, images).arrays
    np.testing.assert_array_equal(arrays["output/drop"], images)
    # γ (x − mean) / √(variance + ε) + β with γ = 2, β = 10, mean 5 and √(3.75 + 0.25) = 2
    np.testing.assert_allclose(arrays["output/norm"], images - 5 + 10, rtol=1e-6)


def test_results_do_not_depend_on_the_batch_size(lenet, noise, monkeypatch):
    together = cx.explain("intermediate-outputs", lenet, noise)
    monkeypatch.setattr(lenet, "batch_size", 3)
    chunked = cx.explain("intermediate-outputs", lenet, noise)
    for name, array in together.arrays.items():
        np.testing.assert_allclose(chunked.arrays[name], array, rtol=1e-5, atol=1e-5)
    for whole, part in zip(together.facts["layers"], chunked.facts["layers"], strict=True):
        for one, other in zip(whole, part, strict=True):
            assert one["dead_channels"] == other["dead_channels"]
            assert one["max"] == pytest.approx(other["max"], rel=1e-4)


def test_facts_have_layers_ranges_and_dead_channels():
    image = np.linspace(0, 1, 24, dtype=np.float32).reshape(1, 4, 6, 1)
    record = explain(channels([2, 0, -3, 0]), np.concatenate([image, np.zeros_like(image)]))
    first, second = record.facts["layers"]
    assert [facts["name"] for facts in first] == ["maps", "flat", "scores"]
    maps = {"name": "maps", "kind": "Conv2D", "shape": [4, 6, 4], "unit": "activation"}
    maps |= {"field": [[0, 1, 1], [0, 1, 1]], "grid": None}
    weighed = ("contribution", "shown")
    assert {key: fact for key, fact in first[0].items() if key not in weighed} == {
        **maps,
        "min": -3,
        "max": 2,
        "dead": 2,
        "dead_channels": [1, 3],
    }
    assert {key: fact for key, fact in second[0].items() if key not in weighed} == {
        **maps,
        "min": 0,
        "max": 0,
        "dead": 4,
        "dead_channels": [0, 1, 2, 3],
    }
    # A dense unit is dead where it is exactly zero: half of them, and the two of the first pixel, which is 0.
    flat = [unit for unit in range(96) if unit % 2 or unit < 4]
    assert (first[1]["shape"], first[1]["dead"], first[1]["dead_channels"]) == ([96], 50, flat)
    assert first[2]["unit"] == "probability"
    json.dumps(record.facts, allow_nan=False)


def test_one_positive_pixel_is_not_dead(lenet, digits):
    relu1, facts = digits.arrays["output/relu1"], digits.facts["layers"]
    for number in range(2):
        dead = [k for k in range(30) if not relu1[number, :, :, k].any()]
        assert facts[number][1]["dead_channels"] == dead
    assert facts[0][1]["dead"] == 1
    dense = digits.arrays["output/dense"][0]
    assert facts[0][7]["dead"] == (dense == 0).sum() > 100


@pytest.mark.parametrize("scale", ["shared", "channel"])
def test_cell_k_is_channel_k(lenet, digits, scale):
    record = cx.explain("intermediate-outputs", lenet, digits.images, maps="all", scale=scale)
    drawn = panels(record.figure(1))
    for name, kind in [("conv1", "Conv2D"), ("relu1", "ReLU"), ("pool2", "MaxPooling2D")]:
        output = record.arrays[f"output/{name}"][1]
        found = cells(drawn[f"{name} ({kind})"], *output.shape[:2])
        for k in range(30):
            peak = np.abs(output[..., k]).max() if scale == "channel" else 1
            np.testing.assert_allclose(found[k], output[..., k] / (peak or 1), rtol=1e-5)
        assert np.isnan(found[30:]).all()


def test_scale_changes_only_the_drawing(lenet, digits):
    channel = cx.explain("intermediate-outputs", lenet, digits.images, scale="channel")
    assert (digits.options["scale"], channel.options["scale"]) == ("shared", "channel")
    for name in digits.arrays:
        np.testing.assert_array_equal(channel.arrays[name], digits.arrays[name])
    assert channel.facts == digits.facts


def test_color_scales_start_at_or_center_on_zero(lenet, digits, figures):
    drawn = panels(figures[0])
    for name, kind, signed in [("conv1", "Conv2D", True), ("relu1", "ReLU", False)]:
        output, image = digits.arrays[f"output/{name}"][0], drawn[f"{name} ({kind})"].images[0]
        limit = np.percentile(np.abs(output), 99.5)
        assert image.get_clim() == pytest.approx((-limit if signed else 0, limit))
    each = panels(cx.explain("intermediate-outputs", lenet, digits.images, scale="channel").figure(0))
    assert each["conv1 (Conv2D)"].images[0].get_clim() == (-1, 1)
    assert each["relu1 (ReLU)"].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(("scale", "unit"), [("shared", "activation"), ("channel", "of the map's peak")])
def test_the_color_bar_has_the_unit_and_the_title_the_range(scale, unit):
    record = explain(channels([2, 0, -3]), np.ones((1, 4, 6, 1), np.float32), scale=scale, layer="maps")
    figure = record.figure(0)
    assert unit in [axes.get_ylabel() for axes in figure.axes]
    assert title(figure, "maps").startswith("maps (Conv2D) · 4×6×3 · −3 to 2 · 1 of 3 dead")


def test_only_dead_maps_are_crossed_out(digits, figures):
    for number in range(2):
        drawn, facts = panels(figures[number]), digits.facts["layers"][number]
        for layer, kind, height in [(1, "ReLU", 24), (2, "MaxPooling2D", 12), (5, "MaxPooling2D", 4)]:
            panel = drawn[f"{facts[layer]['name']} ({kind})"]
            assert crossed(panel, height, height) == facts[layer]["dead_channels"]
            (boxes,) = [c for c in panel.collections if type(c) is PolyCollection]
            filled = np.flatnonzero(boxes.get_facecolors()[:, 3])
            assert filled.tolist() == facts[layer]["dead_channels"]
    assert "1 of 30 dead" in title(figures[0], "relu1")


@pytest.mark.parametrize(("height", "width"), [(4, 7), (70, 40)])
def test_crosses_fit_non_square_maps(height, width):
    values = [1, 0, 2, 0, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0]
    images = np.ones((1, height, width, 3), np.float32)
    panel = panels(explain(channels(values, shape=images.shape[1:]), images, layer="maps").figure(0))["maps (Conv2D)"]
    assert crossed(panel, height, width) == [1, 3, 4, 17]
    # Each map is its value three times over, one for each color.
    np.testing.assert_array_equal(cells(panel, height, width)[:18, 0, 0], 3 * np.array(values))


def test_dense_layers_are_bars_with_dead_units_marked(digits, figures):
    panel, output = panels(figures[0])["dense (Dense)"], digits.arrays["output/dense"][0]
    np.testing.assert_allclose(bars(panel), np.stack([0 * output, output], axis=1), rtol=1e-6)
    marks = [segment[0, 0] for segment in panel.collections[1].get_segments()]
    assert marks == digits.facts["layers"][0][7]["dead_channels"]
    low, high = panel.get_ylim()
    assert low == 0
    assert output.max() < high < 1.1 * output.max()


def test_probabilities_are_labeled_bars(digits, figures):
    figure = figures[0]
    panel = panels(figure)["probabilities (Dense)"]
    assert panel.get_ylim() == (0, 1)
    assert panel.get_ylabel() == "probability"
    np.testing.assert_allclose(bars(panel)[:, 1], digits.arrays["probabilities"][0], rtol=1e-6)
    figure.canvas.draw()
    names = {int(place): name.get_text() for place, name in zip(panel.get_xticks(), panel.get_xticklabels(), strict=True)}
    assert [names[k] for k in range(10)] == list(digits.labels)


def made(record, outputs, unit, labels=None, shape=None):
    """The record of one image with other outputs in place of its own, and labels and an input of another shape."""
    facts = [
        {"name": name, "kind": "Layer", "shape": list(output.shape), "unit": unit, "dead": 0, "dead_channels": []}
        | {"min": float(output.min()), "max": float(output.max()), "contribution": None}
        | {"shown": list(range(24 if output.ndim > 1 else 0))[: output.shape[-1]], "field": None, "grid": None}
        for name, output in outputs.items()
    ]
    first = replace(record.explained[0], prediction=0, target=0)
    record = replace(record, explained=(first,), arrays={f"output/{name}": output[None] for name, output in outputs.items()})
    if shape is not None:
        preprocess = Preprocess(*shape[:2], "gray" if shape[2] == 1 else "rgb")
        record = replace(record, preprocess=preprocess, images=np.full((1, *shape), 0.5, np.float32))
    return replace(
        record,
        facts={"layers": [facts], "value": [1.0]},
        labels=labels or record.labels,
        options={"layer": ["some"], "maps": None, "scale": "shared"},
    )


@pytest.mark.parametrize("unit", ["probability", "logit"])
def test_the_strongest_of_many_classes_are_named(digits, random, unit):
    """Labels as ImageNet's: several names each, some very long."""
    values = random.dirichlet(np.full(1000, 0.01)).astype(np.float32)
    if unit == "logit":
        values = values - 1
    labels = tuple(f"{'a very long name of ' * (index % 5)}class {index}, another name" for index in range(1000))
    figure = made(digits, {"scores": values}, unit, labels).figure(0)
    assert not pictures.overlapping(figure)
    panel = panels(figure)["scores (Layer)"]
    order = np.argsort(-values)[:8]
    (lengths,) = [lines.get_segments() for lines in panel.collections]
    np.testing.assert_allclose([line[1, 0] for line in lengths], values[order], rtol=1e-6)
    for text, index in zip(panel.texts, order, strict=True):
        value, _, name = text.get_text().partition("  ")
        assert float(value.strip(" %").replace("−", "-")) == pytest.approx(
            values[index] * (100 if unit == "probability" else 1), abs=0.06
        )
        assert labels[index].partition(",")[0].startswith(name.strip("…"))
    assert title(figure, "scores").endswith("the 8 strongest")
    assert panel.get_xlim() == ((0, 1) if unit == "probability" else (pytest.approx(1.04 * values[order].min()), 0))


def test_few_classes_with_long_names_are_all_named(digits):
    labels = ("benign", "malignant melanoma, stage unknown")
    figure = made(digits, {"scores": np.array([0.25, 0.75], np.float32)}, "probability", labels).figure(0)
    assert not pictures.overlapping(figure)
    panel = panels(figure)["scores (Layer)"]
    assert [text.get_text() for text in panel.texts] == ["75.0%  malignant melanoma", "25.0%  benign"]
    assert "strongest" not in title(figure, "scores")


@pytest.mark.parametrize("shape", [(4, 80, 3), (80, 4, 1), (1, 1, 1)])
def test_layouts_for_any_number_and_size_of_maps(digits, random, shape):
    outputs = {
        "many": random.normal(size=(7, 7, 512)),
        "pixels": random.normal(size=(1, 1, 512)),
        "one": random.normal(size=(1, 1, 1)),
        "long": random.uniform(0, 1, (3, 60, 20)),
        "units": random.normal(size=1280),
    }
    outputs = {f"block/{'deep_' * 8}{name}": output.astype(np.float32) for name, output in outputs.items()}
    figure = made(digits, outputs, "activation", shape=shape).figure(0)
    assert not pictures.overlapping(figure)
    width, height = figure.get_size_inches()
    assert width < 15
    assert height < 22


@pytest.mark.parametrize("head", ["dense", "softmax", "activation", "logits", "nested"])
def test_every_head_has_one_strip_of_probabilities(model, random, head):
    images = random.uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    classifier = cx.load(model(head))
    record = cx.explain("intermediate-outputs", classifier, images)
    drawn = list(panels(record.figure(1)).values())
    units = [axes.get_ylabel() for axes in drawn]
    assert units.count("probability") == 1
    assert units[-1] == "probability"
    np.testing.assert_allclose(bars(drawn[-1])[:, 1], classifier.predict(images)[1], rtol=1e-5)
    if head == "logits":
        assert units[-2] == "logit"
        np.testing.assert_allclose(bars(drawn[-2])[:, 1], classifier.logits(images)[1], rtol=1e-5)


def test_negative_values_are_blue():
    model = channels([1], shape=(4, 6, 1), head=None)
    kernel = np.zeros((24, 3), np.float32)
    model.get_layer("scores").set_weights([kernel, np.array([-2, 0, 1], np.float32)])
    record = explain(model, np.ones((1, 4, 6, 1), np.float32), layer="logits")
    panel = panels(record.figure(0))["logits (Dense)"]
    np.testing.assert_array_equal(bars(panel)[:, 1], [-2, 0, 1])
    red, _, blue = panel.collections[0].get_colors()[[2, 1, 0], :3]
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert panel.get_ylim() == pytest.approx((-2.12, 1.12))


@pytest.mark.parametrize("scale", ["shared", "channel"])
@pytest.mark.parametrize("values", [[0, 0], [0.5, 0.5], [-0.5, -0.5], [1e-30, 0], [-3e20, 1e-20]])
def test_constant_maps_draw_without_nan(tmp_path, scale, values):
    record = explain(channels(values, bias=True), np.ones((1, 4, 6, 1), np.float32), scale=scale, layer=["maps", "flat"])
    figure = record.figure(0)
    found = cells(panels(figure)["maps (Conv2D)"], 4, 6)
    for k, value in enumerate(np.float32(values)):
        np.testing.assert_allclose(found[k], np.sign(value) if scale == "channel" else value, rtol=1e-6)
    figure.savefig(tmp_path / "constant.png")


def test_only_requested_layers_are_shown_in_order(lenet, noise):
    record = cx.explain("intermediate-outputs", lenet, noise, layer=["dense", "conv2", "dense"])
    assert named(record, "output/") == ["output/dense", "output/conv2"]
    assert [facts["name"] for facts in record.facts["layers"][3]] == ["dense", "conv2"]
    assert list(panels(record.figure(3))) == ["input", "dense (Dense)", "conv2 (Conv2D)"]


def test_unknown_layers_get_a_suggestion(lenet, noise):
    with pytest.raises(UsageError, match=r"no layer 'conv3'.*Did you mean 'conv[12]'"):
        cx.explain("intermediate-outputs", lenet, noise, layer="conv3")
    with pytest.raises(UsageError, match="Did you mean 'shared'"):
        cx.explain("intermediate-outputs", lenet, noise, scale="share")


def odd():
    """Everything at once: color, maps of one pixel and of one row, 512 channels, 1000 units, a sequence, long names."""
    layers = keras.layers
    inputs = keras.Input((20, 33, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(5, 3, activation="relu", name="a_name_that_is_long_" * 5)(x)
    x = layers.Conv2D(512, (18, 1), name="one_row")(x)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="one_pixel")(x)
    one = x[:, 0, 0, :1]
    x = layers.Reshape((64, 8), name="sequence")(x)
    x = layers.Dense(1000, name="thousand")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(40, activation="softmax", name="scores")(x + one))


def test_layouts_for_every_size(random):
    record = explain(odd(), random.uniform(0, 255, (1, 20, 33, 3)).astype(np.float32))
    figure = record.figure(0)
    figure.canvas.draw()
    drawn = panels(figure)
    assert len(drawn) == 1 + len(record.facts["layers"][0])
    boxes = {axes: axes.get_tightbbox() for axes in figure.axes}
    width, height = figure.get_size_inches()
    assert width < 15
    assert height < 50
    for panel in drawn.values():
        place, words = panel.get_position(), panel._left_title.get_window_extent()
        assert 0 < place.x0 < place.x1 < 1
        assert 0 < place.y0 < place.y1 < 1
        assert words.x1 < figure.bbox.width
        assert not any(words.overlaps(box) for axes, box in boxes.items() if axes is not panel)
    for name, shape in [("one_pixel (GlobalAveragePooling2D)", (1, 1)), ("sequence (Reshape)", (1, 64))]:
        output = record.arrays[f"output/{name.split(' ')[0]}"][0]
        found = cells(drawn[name], *shape)
        for k in range(output.shape[-1]):
            np.testing.assert_array_equal(found[k].ravel(), output[..., k].ravel())


def test_deep_networks_use_several_columns(random):
    layers = [keras.layers.ReLU(name=f"relu{number}") for number in range(50)]
    model = keras.Sequential([keras.Input((6, 6, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])
    image, names = random.uniform(0, 1, (1, 6, 6, 1)).astype(np.float32), [layer.name for layer in model.layers]
    figure = explain(model, image, layer=names).figure(0)
    drawn = panels(figure)
    assert len(drawn) == 53
    boxes = [panel.get_position() for panel in drawn.values()]
    assert len({round(box.x0, 6) for box in boxes}) == 3
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert figure.get_size_inches()[1] < 33


def test_the_command_line_without_options(cli, tmp_path):
    code, out, _ = cli("run", "intermediate-outputs")
    assert (code, "Note: A contribution is activation × gradient" in out) == (0, True)
    folder = tmp_path / "cnnexplain-out" / "intermediate-outputs"
    saved, result = np.load(folder / "arrays.npz"), json.loads((folder / "result.json").read_text())
    assert [facts["name"] for facts in result["facts"]["layers"][0]] == LENET
    assert result["options"] == {"layer": [], "maps": None, "scale": "shared"}
    assert saved["output/relu1"].shape == (1, 24, 24, 30)
    assert (folder / "mnist-test-42.png").is_file()


def test_the_command_line_takes_several_layers(cli, tmp_path):
    code, _, _ = cli("run", "intermediate-outputs", "--layer", "conv1", "--layer", "pool2", "--scale", "channel")
    assert code == 0
    result = json.loads((tmp_path / "cnnexplain-out" / "intermediate-outputs" / "result.json").read_text())
    assert result["options"] == {"layer": ["conv1", "pool2"], "maps": None, "scale": "channel"}
    code, _, err = cli("run", "intermediate-outputs", "--layer", "conv11")
    assert (code, "Did you mean 'conv1'?" in err) == (2, True)


def test_many_layers_are_sampled_and_counted(random):
    layers = [keras.layers.Dense(3, name=f"layer{number}") for number in range(24)]
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(name="flatten"), *layers, keras.layers.Dense(2, name="last")]
    )
    record = explain(model, random.uniform(0, 1, (1, 2, 2, 1)).astype(np.float32))
    names = [facts["name"] for facts in record.facts["layers"][0]]
    assert (len(names), names[0], names[-1]) == (20, "flatten", "last")
    assert record.warnings[-1] == "6 of the 26 layers are left out; name those to show with --layer."


def test_dead_means_exactly_zero(random):
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Conv2D(30, 1, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    kernel = np.ones((1, 1, 1, 30), np.float32)
    kernel[..., 3], kernel[..., 4] = 0, 1e-20
    model.get_layer("conv").set_weights([kernel, np.zeros(30, np.float32)])
    record = explain(model, random.uniform(0.5, 1, (1, 6, 6, 1)).astype(np.float32), layer="conv")
    assert record.facts["layers"][0][0]["dead_channels"] == [3]
    (panel,) = [panel for panel in record.figure(0).axes if panel.get_title(loc="left").startswith("conv")]
    grid = np.ma.masked_invalid(panel.images[0].get_array())
    columns = round((grid.shape[1] + 1) / 7)
    assert [int(text.get_text()) for text in panel.texts] == list(range(0, 30, columns))


def averaging(channels, random, classes=3):
    """A model that is linear from its layer "maps" on: global average pooling and a dense layer."""
    model = keras.Sequential(
        [
            keras.Input((4, 6, 1)),
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name="maps"),
            keras.layers.GlobalAveragePooling2D(name="average"),
            keras.layers.Dense(classes, name="scores"),
        ]
    )
    for weight in model.weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    return model


def test_contributions_sum_to_linear_scores(random):
    model = averaging(40, random)
    images = random.uniform(0, 1, (2, 4, 6, 1)).astype(np.float32)
    record = explain(model, images, target=[2, 0])
    weights, bias = model.get_layer("scores").get_weights()
    exact = record.arrays["output/maps"].mean(axis=(1, 2)) * weights[:, [2, 0]].T
    for layer in ("maps", "average"):
        np.testing.assert_allclose(record.arrays[f"contribution/{layer}"], exact, atol=1e-5)
    np.testing.assert_allclose(record.facts["value"], exact.sum(axis=1) + bias[[2, 0]], atol=1e-4)
    for number in range(2):
        facts = record.facts["layers"][number]
        assert facts[0]["contribution"] == pytest.approx(exact[number].sum(), abs=1e-4)
        # Of the scores themselves the one explained is all there is.
        assert facts[-1]["contribution"] == pytest.approx(record.facts["value"][number], abs=1e-5)
    both = explain(model, images, target=[2, 0], against=1)
    difference = record.arrays["output/maps"].mean(axis=(1, 2)) * (weights[:, [2, 0]] - weights[:, [1]]).T
    np.testing.assert_allclose(both.arrays["contribution/maps"], difference, atol=1e-5)


@pytest.mark.parametrize(("maps", "large"), [(None, 24), ("7", 7), ("40", 40)])
def test_top_contributors_are_drawn_large(random, maps, large):
    model = averaging(40, random)
    record = explain(model, random.uniform(0, 1, (1, 4, 6, 1)).astype(np.float32), maps=maps, target=1)
    contributions, output = record.arrays["contribution/maps"][0], record.arrays["output/maps"][0]
    shown = record.facts["layers"][0][0]["shown"]
    assert set(shown) == set(np.argsort(-np.abs(contributions), kind="stable")[:large])
    assert (np.diff(contributions[shown]) <= 0).all()
    drawn = panels(record.figure(0))
    panel = drawn["maps (Conv2D)"]
    values = np.ma.filled(panel.images[0].get_array().astype(float), np.nan)
    for number, text in zip(shown, panel.texts, strict=True):
        k, _, told = text.get_text().partition(": ")
        assert int(k) == number
        assert float(told.replace("−", "-")) == pytest.approx(contributions[number], rel=0.06)
        # The map stands over its words: around their place, and above.
        x, y = text.get_position()
        left, bottom = round(x - 2.5), int(y - 0.0)
        bottom = next(row for row in range(bottom, -1, -1) if np.isfinite(values[row, left]))
        np.testing.assert_allclose(values[bottom - 3 : bottom + 1, left : left + 6], output[..., number], rtol=1e-6)
    rest = [k for k in range(40) if k not in shown]
    others = [axes for name, axes in drawn.items() if name.startswith("the other")]
    assert len(others) == bool(rest)
    for axes in others:
        np.testing.assert_allclose(cells(axes, 4, 6)[: len(rest)], output[..., rest].transpose(2, 0, 1), rtol=1e-6)


def test_unconnected_maps_are_ordered_by_strength():
    """Of an objective in the first layer the second one knows nothing."""
    model = keras.Sequential(
        [
            keras.Input((4, 6, 1)),
            keras.layers.Conv2D(2, 1, name="first"),
            keras.layers.Conv2D(3, 1, name="second"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, name="scores"),
        ]
    )
    model.get_layer("first").set_weights([np.array([1, 2], np.float32).reshape(1, 1, 1, 2), np.zeros(2, np.float32)])
    kernel = np.array([[1, -4, 2], [0, 0, 0]], np.float32)
    model.get_layer("second").set_weights([kernel.reshape(1, 1, 2, 3), np.zeros(3, np.float32)])
    record = explain(model, np.ones((1, 4, 6, 1), np.float32), maps=None, target=cx.Channel("first", 1))
    assert "contribution/second" not in record.arrays
    first, second, *_ = record.facts["layers"][0]
    assert (first["shown"], first["contribution"]) == ([1, 0], pytest.approx(2))
    assert (second["shown"], second["contribution"]) == ([1, 2, 0], None)
    assert [text.get_text() for text in panels(record.figure(0))["second (Conv2D)"].texts] == ["1", "2", "0"]
    assert record.analysis.finding(record, 0) == (
        "At first, map 1 contributes most to the score of 'first:1': +2 (activation × gradient; score 2); "
        "none of the 2 maps is dead."
    )


def test_deep_networks_show_one_layer_per_stage(random):
    inputs = x = keras.Input((16, 16, 1))
    for stage in range(3):
        for block in range(3):
            x = keras.layers.Conv2D(2, 3, strides=1 if block else 2, padding="same", name=f"conv{stage}{block}")(x)
            x = keras.layers.ReLU(name=f"relu{stage}{block}")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(3, name="hidden")(keras.layers.Dropout(0.5, name="drop")(x))
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="scores")(x))
    image = random.uniform(0, 1, (1, 16, 16, 1)).astype(np.float32)
    assert len(model.layers) > 21

    def shown(**options):
        return [facts["name"] for facts in explain(model, image, **options).facts["layers"][0]]

    assert shown() == ["relu02", "relu12", "relu22", "scores"]
    assert shown(layer="all") == [layer.name for layer in model.layers[1:]]


@pytest.mark.parametrize("maps", ["0", "-1", "many", "1.5", "²"])
def test_invalid_numbers_of_maps_are_refused(lenet, noise, maps):
    with pytest.raises(UsageError, match=r"--maps takes 'all' or how many maps to show, at least 1, but got"):
        cx.explain("intermediate-outputs", lenet, noise[:1], maps=maps)


def test_the_finding_names_the_top_contributor(lenet):
    record = cx.explain("intermediate-outputs", lenet, "mnist:test/42")
    contributions = record.arrays["contribution/pool2"][0]
    logit = lenet.logits(record.images)[0, 4]
    assert record.analysis.finding(record, 0) == (
        f"At pool2, map {contributions.argmax()} contributes most to the score of '4': +{contributions.max():.3g} "
        f"(activation × gradient; score {logit:.3g}); none of the 30 maps is dead."
    )


def test_panels_have_the_maps_in_display_order(lenet):
    record = cx.explain("intermediate-outputs", lenet, "mnist:test/42", layer=["relu1", "dense", "pool2"], maps="4")
    relu1, pool2 = record.analysis.panels(record, 0)
    facts = record.facts["layers"][0][0]
    rest = [k for k in range(30) if k not in facts["shown"] and k not in facts["dead_channels"]]
    order = [*facts["shown"], *rest]
    assert len(order) == 29
    assert relu1.title.startswith("relu1 (ReLU), 24 × 24 × 30: 1 of 30 maps dead; ")
    assert (relu1.names, relu1.shown, relu1.unit) == ([str(k) for k in order], 4, "activation")
    np.testing.assert_array_equal(relu1.maps, record.arrays["output/relu1"][0, ..., order])
    np.testing.assert_array_equal(relu1.values, record.arrays["contribution/relu1"][0, order])
    # conv1 sees 5×5, and of pool2's places, 4 apart, each sees 2 of conv2's 2 apart: 5 + 4 · 2 + … = 16 pixels.
    assert (relu1.field, pool2.field) == ([[0, 1, 5], [0, 1, 5]], [[0, 4, 16], [0, 4, 16]])
