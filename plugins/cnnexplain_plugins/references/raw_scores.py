"""A model of the raw scores, which other packages explain: the user's model without its last activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from cnnexplain.checks import ROUNDING, difference

if TYPE_CHECKING:
    from cnnexplain.plugin import Subject


def raw_scores(subject: Subject) -> Any | None:
    """A Keras model that returns the logits for the image of a subject; None if the model has another form.

    The last layer is replaced by one without an activation, with the same weights; the user's model is not changed.
    """
    classifier = subject.classifier
    model = classifier.model
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        return None
    try:
        last = model.layers[-1]
        if isinstance(last, keras.layers.Dense):
            linear = keras.layers.Dense(last.units, use_bias=last.use_bias, name=f"{last.name}_scores")
            output = linear(last.input)
            linear.set_weights(last.get_weights())
        elif isinstance(last, keras.layers.Softmax | keras.layers.Activation):
            output = last.input
        else:
            output = last.output
        scores = keras.Model(model.inputs[0], output)
        found = keras.ops.convert_to_numpy(scores(subject.image, training=False))
    # A model with a custom layer may fail in any way.
    except (AttributeError, TypeError, ValueError):
        return None
    expected = classifier.logits(subject.image)
    return scores if found.shape == expected.shape and difference(found, expected) <= ROUNDING else None
