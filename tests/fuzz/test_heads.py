"""Models that end in anything, of whose outputs anything is said: never a probability that the model doesn't return."""

import keras
import numpy as np
import pytest
from campaign import assert_plain
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

import cnnexplain as cx
from cnnexplain.errors import CnnExplainError
from cnnexplain.model.head import heads

# Keras warns of a softmax over one class, and NumPy of what isn't finite.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ACTIVATIONS = {
    **{name: name for name in ("softmax", "sigmoid", "linear", "relu", "tanh", "hard_sigmoid", "log_softmax", "softplus")},
    "own softmax": lambda x: ops.exp(x) / ops.sum(ops.exp(x), axis=-1, keepdims=True),
    "own sigmoid": lambda x: 1 / (1 + ops.exp(-x)),
    "temperature": lambda x: ops.softmax(x / 3),
    "other axis": lambda x: ops.softmax(x, axis=0),
    "mixing": lambda x: x - ops.mean(x),
}
LAYERS = {"Softmax": layers.Softmax, "ReLU": layers.ReLU, "LeakyReLU": lambda: layers.LeakyReLU(0.3)}

AFTER = {
    "nothing": lambda p: p,
    "dropout": layers.Dropout(0.4),
    "linear": layers.Activation("linear", dtype="float32"),
    "cast": lambda p: ops.cast(ops.cast(p, "float16"), "float32"),
    "pixel": layers.Reshape((1, 1, -1)),
    "flat": lambda p: layers.Flatten()(layers.Reshape((1, 1, -1))(p)),
    "clip": lambda p: ops.clip(p, 0, 1),
    "round": lambda p: ops.round(p, 1),
    "scaled": layers.Rescaling(0.5, offset=0.25),
    "percentages": lambda p: 100.0 * p,
    "sum of two": lambda p: p + ops.flip(p, axis=-1),
    "opposite": lambda p: layers.Concatenate()([1 - p, p]),
    "mean": lambda p: layers.Average()([p, ops.flip(p, axis=-1)]),
    "softmax again": layers.Softmax(),
    "sum": lambda p: ops.sum(p, axis=-1),
    "none": lambda p: ops.multiply(p, 0.0),
    "not finite": lambda p: p / 0.0,
}

PROBABILISTIC = ("softmax", "sigmoid", "hard_sigmoid", "own softmax", "own sigmoid", "temperature", "Softmax")
COMPUTED = ("scaled", "percentages", "sum of two", "opposite", "mean")
"""After those activations these make other numbers of probabilities, and no scores."""

ODD = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.booleans() for name in ("logits", "probabilities", "values")},
        "reduce": st.sampled_from(["mean", "max", "1,1", (0, 0), (9, 9), "middle", 3, ""]),
        "unit": st.sampled_from(["years", "", "m" * 50, "\n"]),
        "labels": st.lists(st.sampled_from(["up", "down", "a", "a, b", "1", "−"]), min_size=1, max_size=4),
    },
)
USUAL = st.sampled_from([{}, {}, {"probabilities": True}, {"values": True}, {"logits": True}])
REDUCED = st.sampled_from(["mean", "max", "0,1", (2, 1)])
IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 6, 5, 1)).astype(np.float32)


def network(activation, units, after, pixels, spread):
    inputs = keras.Input((6, 5, 1))
    own = LAYERS[activation]() if activation in LAYERS else ACTIVATIONS[activation]
    made = layers.Conv2D(units, 4, activation=own) if pixels else layers.Dense(units, activation=own)
    model = keras.Model(inputs, AFTER[after](made(inputs if pixels else layers.Flatten()(inputs))))
    random = np.random.default_rng(units)
    for weight in model.weights:
        weight.assign(random.normal(0, spread, weight.shape))
    return model


def reduced(outputs, reduce):
    if outputs.ndim <= 2 or (outputs.ndim == 4 and outputs.shape[1:3] == (1, 1)):
        return outputs.reshape(len(outputs), -1)
    if reduce in ("mean", "max"):
        return getattr(outputs, reduce)(axis=tuple(range(1, outputs.ndim - 1)))
    row, column = map(int, reduce.split(",") if isinstance(reduce, str) else reduce)
    return outputs[:, row, column]


MODELS = {
    "activation": st.sampled_from([*ACTIVATIONS, *LAYERS]),
    "units": st.sampled_from([1, 2, 3, 5]),
    "after": st.sampled_from(list(AFTER)),
    "pixels": st.booleans(),
}
TARGETS = st.sampled_from([None, 0, 1, "up", "down", "a", "0", 99, -1, "\0"])


@given(**MODELS, said=ODD, target=TARGETS)
def test_random_output_settings_work_or_give_one_line(activation, units, after, pixels, said, target):
    try:
        model = network(activation, units, after, pixels, 1.0)
    # Not every model can be built.
    except (ValueError, TypeError, IndexError):
        return
    try:
        clf = cx.load(model, **said)
        assert clf.predict(IMAGES).ndim == 2
        if target is not None:
            clf.target(target)
    except CnnExplainError as error:
        assert_plain(1, str(error))


@given(**MODELS, spread=st.sampled_from([0.1, 1.0, 30.0]), said=USUAL, reduce=REDUCED)
def test_displayed_probabilities_are_those_of_the_model(activation, units, after, pixels, spread, said, reduce):
    if pixels and after not in ("pixel", "flat"):
        said = said | {"reduce": "mean" if after == "sum" else reduce}
    try:
        model = network(activation, units, after, pixels, spread)
    # Not every model can be built.
    except (ValueError, TypeError, IndexError):
        return
    before = [layer.get_config() if not callable(getattr(layer, "activation", None)) else None for layer in model.layers]
    try:
        clf = cx.load(model, **said)
        outputs = clf.predict(IMAGES)
        finite = np.isfinite(outputs).all()
        record = cx.explain("gradient-x-input", clf, IMAGES[:1]) if finite and spread == 1.0 else None
    except CnnExplainError as error:
        assert_plain(1, str(error))
        return
    # What is computed of probabilities is no scores, whatever is said. Of two classes the two may always add up to the same.
    if units > 2 and activation in PROBABILISTIC and after in COMPUTED:
        assert said.get("values") or (said.get("probabilities") and after not in ("percentages", "sum of two"))
    own = reduced(keras.ops.convert_to_numpy(model(IMAGES, training=False)), said.get("reduce"))
    if clf.head == "values":
        np.testing.assert_allclose(outputs, own, rtol=1e-4, atol=1e-5)
    elif not said.get("logits"):
        tried = np.concatenate([heads.trial_images((6, 5, 1)), IMAGES])
        seen = reduced(keras.ops.convert_to_numpy(model(tried, training=False)), said.get("reduce"))
        if np.isfinite(seen).all() and seen.min() >= 0 and seen.max() <= 1 and np.ptp(seen, axis=0).max() > 1e-5:
            # Not taken for scores in silence, and if for probabilities, for the same ones.
            assert clf.certain or clf.doubt
            if clf.certain:
                np.testing.assert_allclose(outputs[:, -own.shape[1] :], own, rtol=1e-3, atol=2e-4)
    if record is not None:
        (explained,) = record.explained
        assert (explained.probability is None) == (clf.head == "values") == (explained.value is not None)
    assert before == [
        layer.get_config() if not callable(getattr(layer, "activation", None)) else None for layer in model.layers
    ]
