"""Tiny networks written down as steps, each of which Keras builds and NumPy computes in float64, sharing no code.

The NumPy version has no automatic differentiation: gradients are central differences, and a signal is brought down through a
layer by the layer's Jacobian, found by differences too, so that any rule for ReLUs can be checked on any graph.
"""

import math
from dataclasses import dataclass, field

import keras
import numpy as np

STEP = 1e-6
SHAPE = (9, 8, 3)
"""Not square, and odd on one side, so that swapped axes and the padding of strides show."""

layers = keras.layers


@dataclass
class Network:
    """Steps in order: name, layer, the names of what it is given. "a/b" is layer b of the nested model a."""

    steps: list = field(default_factory=list)

    def __call__(self, name, layer, *inputs):
        self.steps.append((name, layer, inputs))
        return name

    def model(self, tail, open_size=False):
        """The Keras model of the steps and the layers of the head; nested models where the names say so."""
        image = keras.Input((None, None, 3) if open_size else SHAPE)
        tensors, inside = {"input": image}, None
        for number, (name, layer, given) in enumerate(self.steps):
            outer, slash, _ = name.partition("/")
            if not slash:
                tensors[name] = layer(tensors[given[0]] if len(given) == 1 else [tensors[each] for each in given])
                continue
            if inside is None:
                entry, inside = tensors[given[0]], keras.Input(tensors[given[0]].shape[1:])
                tensors[given[0]], first = inside, given[0]
            tensors[name] = layer(tensors[given[0]] if len(given) == 1 else [tensors[each] for each in given])
            following = self.steps[number + 1][0] if number + 1 < len(self.steps) else ""
            if not following.startswith(f"{outer}/"):
                nested = keras.Model(inside, tensors[name], name=outer)
                tensors[first], inside = entry, None
                tensors[name] = nested(entry)
        x = tensors[self.steps[-1][0]]
        for layer in tail:
            x = layer(x)
        return keras.Model(image, x)

    def fill(self, seed):
        """Weights that leave no layer dull, and variances that are positive."""
        random = np.random.default_rng(seed)
        for _, layer, _ in self.steps:
            for weight in layer.weights:
                positive = "variance" in weight.path or "gamma" in weight.path
                shape = tuple(weight.shape)
                spread = 1.4 / math.sqrt(max(1, math.prod(shape[:-1])))
                weight.assign(random.uniform(0.5, 1.5, shape) if positive else random.normal(0, spread, shape))

    def compute(self, x, changed=()):
        """Every step's output for x (N, H, W, C) in float64; `changed` gives some outputs, in the place of their own."""
        found = {"input": np.asarray(x, np.float64), **dict(changed)}
        for name, layer, given in self.steps:
            if name not in found:
                found[name] = NUMPY[type(layer).__name__](layer, *(found[each] for each in given))
        return found

    def gradient(self, x, weigh):
        """∂ weigh(outputs)/∂x for one image, where weigh(outputs) is one number for each image of a batch."""
        basis = STEP * np.eye(x.size).reshape(-1, *x.shape)
        ends = [weigh(self.compute(x + sign * basis)) for sign in (1, -1)]
        return ((ends[0] - ends[1]) / (2 * STEP)).reshape(x.shape)

    def layer_gradient(self, x, name, weigh):
        """The output of step `name` for one image, and ∂ weigh(outputs)/∂(that output).

        Of the zeros that ReLUs leave the first is made the largest, as max-pooling takes it.
        """
        a = self.compute(x[None])[name][0]
        pooled = any(isinstance(layer, layers.MaxPooling2D) for _, layer, _ in self.steps)
        apart = np.where(pooled & (a == 0), -10 * STEP * (1 + np.arange(a[..., 0].size).reshape(*a.shape[:2], 1)), a)
        basis = STEP * np.eye(a.size).reshape(-1, *a.shape)
        images = np.repeat(x[None], a.size, axis=0)
        ends = [weigh(self.compute(images, {name: apart + sign * basis})) for sign in (1, -1)]
        return a, ((ends[0] - ends[1]) / (2 * STEP)).reshape(a.shape)

    def project(self, x, name, seed, rule):
        """A signal at step `name` for one image, brought to the pixels by the activations' rule and all else's Jacobian.

        Step `name` itself is taken without its ceiling.
        """
        found = {key: value[0] for key, value in self.compute(x[None]).items()}
        signals = {key: np.zeros(value.shape) for key, value in found.items()}
        signals[name] = np.asarray(seed, np.float64)
        for key, layer, given in reversed(self.steps):
            signal = signals[key]
            if not signal.any():
                continue
            function = NUMPY[type(layer).__name__]
            own = elementwise(layer)
            alone = isinstance(layer, (layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Activation))
            # A layer's own activation comes after what it is linear in.
            before = None if own is None else found[given[0]] if alone else linear(layer, found[given[0]][None])[0]
            ceiling = getattr(layer, "max_value", None) if isinstance(layer, layers.ReLU) and key != name else None
            if isinstance(layer, layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu:
                active = (before > 0) & (before < (math.inf if ceiling is None else ceiling))
                positive = signal > 0
                signal = signal * {"gradient": active, "deconvnet": positive, "guided": active & positive}[rule]
            elif own is not None:
                assert rule != "deconvnet"
                signal = signal * (own(before + STEP) - own(before - STEP)) / (2 * STEP)
                if rule == "guided":
                    signal = np.where((signals[key] > 0) & (signal > 0), signal, 0)
            if alone:
                signals[given[0]] = signals[given[0]] + signal
                continue
            if own is not None:
                function = linear
            for place, source in enumerate(given):
                inputs = [found[each][None] for each in given]
                basis = STEP * np.eye(inputs[place].size).reshape(-1, *inputs[place].shape[1:])
                ends = []
                for sign in (1, -1):
                    moved = [np.repeat(each, len(basis), axis=0) for each in inputs]
                    moved[place] = moved[place] + sign * basis
                    ends.append(function(layer, *moved))
                jacobian = ((ends[0] - ends[1]) / (2 * STEP)).reshape(len(basis), -1)
                signals[source] = signals[source] + (jacobian @ signal.ravel()).reshape(found[source].shape)
        return signals["input"]


def elementwise(layer):
    """The activation of a layer, number by number; None where it has none."""
    if isinstance(layer, (layers.ReLU, layers.LeakyReLU, layers.ELU)):
        return lambda x: NUMPY[type(layer).__name__](layer, x)
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return ACTIVATIONS[name] if name not in ("linear", "softmax") else None


def windows(x, size, strides, dilation, padding, fill):
    """(N, rows, columns, size, size', C): what each unit sees, outside the image `fill`; "same" as TensorFlow pads."""
    spans = [(kernel - 1) * rate + 1 for kernel, rate in zip(size, dilation, strict=True)]
    pads = [(0, 0), (0, 0)]
    if padding == "same":
        needed = [
            max((-(-length // stride) - 1) * stride + span - length, 0)
            for length, stride, span in zip(x.shape[1:3], strides, spans, strict=True)
        ]
        pads = [(each // 2, each - each // 2) for each in needed]
    x = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    rows, columns = ((x.shape[axis + 1] - spans[axis]) // strides[axis] + 1 for axis in (0, 1))
    seen = np.empty((len(x), rows, columns, *size, x.shape[-1]))
    for i in range(rows):
        for j in range(columns):
            top, left = i * strides[0], j * strides[1]
            seen[:, i, j] = x[:, top : top + spans[0] : dilation[0], left : left + spans[1] : dilation[1]]
    return seen


def weights(layer):
    return [np.asarray(weight, np.float64) for weight in layer.get_weights()]


def seen_by(layer, x):
    return windows(x, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, 0)


def linear(layer, x):
    """What a layer computes before its own activation."""
    kind, (*kernels, bias) = type(layer).__name__, weights(layer)
    if kind == "Dense":
        return x @ kernels[0] + bias
    if kind == "Conv2D":
        return np.einsum("nijpqc,pqcf->nijf", seen_by(layer, x), kernels[0]) + bias
    depthwise = np.einsum("nijpqc,pqcm->nijcm", seen_by(layer, x), kernels[0])
    depthwise = depthwise.reshape(*depthwise.shape[:3], -1)
    return (depthwise @ kernels[1][0, 0] if kind == "SeparableConv2D" else depthwise) + bias


def erf(x):
    return np.vectorize(math.erf)(x)


ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
}


def activated(layer, x):
    return ACTIVATIONS[layer.activation.__name__](linear(layer, x))


def normalized(layer, x):
    gamma, beta, mean, variance = weights(layer)
    return (x - mean) / np.sqrt(variance + layer.epsilon) * gamma + beta


def pooled(layer, x, fill):
    return windows(x, layer.pool_size, layer.strides, (1, 1), layer.padding, fill)


def same(layer, x):
    return x


NUMPY = {
    **dict.fromkeys(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"], activated),
    **dict.fromkeys(["Dropout", "SpatialDropout2D", "GaussianNoise"], same),
    "BatchNormalization": normalized,
    "ReLU": lambda layer, x: np.clip(x, 0, layer.max_value),
    "LeakyReLU": lambda layer, x: np.where(x > 0, x, layer.negative_slope * x),
    "ELU": lambda layer, x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "Activation": lambda layer, x: ACTIVATIONS[layer.activation.__name__](x),
    "MaxPooling2D": lambda layer, x: pooled(layer, x, -np.inf).max(axis=(3, 4)),
    # The padding doesn't count.
    "AveragePooling2D": lambda layer, x: np.nanmean(pooled(layer, x, np.nan), axis=(3, 4)),
    "GlobalAveragePooling2D": lambda layer, x: x.mean(axis=(1, 2), keepdims=layer.keepdims),
    "GlobalMaxPooling2D": lambda layer, x: x.max(axis=(1, 2)),
    "Flatten": lambda layer, x: x.reshape(len(x), -1),
    "Rescaling": lambda layer, x: x * layer.scale + layer.offset,
    "ZeroPadding2D": lambda layer, x: np.pad(x, [(0, 0), *layer.padding, (0, 0)]),
    "Add": lambda layer, *xs: sum(xs),
    "Multiply": lambda layer, *xs: math.prod(xs),
    "Concatenate": lambda layer, *xs: np.concatenate(xs, axis=-1),
}
"""What each layer computes."""


def plain(net):
    x = net("conv", layers.Conv2D(4, 3, activation="relu", name="conv"), "input")
    x = net("pool", layers.MaxPooling2D(name="pool"), x)
    x = net("flat", layers.Flatten(name="flat"), x)
    x = net("hidden", layers.Dense(6, activation="relu", name="hidden"), x)
    return net("drop", layers.Dropout(0.5, name="drop"), x)


def branches(net):
    left = net("left", layers.Conv2D(3, 3, padding="same", activation="relu", name="left"), "input")
    right = net("right", layers.Conv2D(2, 3, dilation_rate=2, padding="same", activation="relu", name="right"), "input")
    x = net("both", layers.Concatenate(name="both"), left, right)
    return net("average", layers.GlobalAveragePooling2D(name="average"), x)


def residual(net):
    x = net("stem", layers.Conv2D(4, 3, strides=2, padding="same", name="stem"), "input")
    x = net("stem_bn", layers.BatchNormalization(name="stem_bn"), x)
    first = net("stem_relu", layers.ReLU(name="stem_relu"), x)
    x = net("inner", layers.Conv2D(4, 3, padding="same", name="inner"), first)
    x = net("inner_bn", layers.BatchNormalization(name="inner_bn"), x)
    x = net("inner_drop", layers.SpatialDropout2D(0.3, name="inner_drop"), x)
    x = net("add", layers.Add(name="add"), first, x)
    x = net("out_relu", layers.ReLU(name="out_relu"), x)
    return net("average", layers.GlobalAveragePooling2D(name="average"), x)


def nested(net):
    x = net("stem", layers.Conv2D(3, 2, activation="relu", name="stem"), "input")
    x = net("body/conv", layers.Conv2D(4, 3, activation="relu", name="conv"), x)
    x = net("body/pool", layers.MaxPooling2D(name="pool"), x)
    return net("flat", layers.Flatten(name="flat"), x)


def shared(net):
    conv = layers.Conv2D(3, 3, padding="same", activation="relu", name="conv")
    x = net("conv", conv, "input")
    x = net("conv:2", conv, x)
    return net("max", layers.GlobalMaxPooling2D(name="max"), x)


def mobile(net):
    """Inverted residuals: ReLU6, strided depthwise convolutions, batch normalization."""
    x = net("scaled", layers.Rescaling(3.0, -1.0, name="scaled"), "input")
    x = net("pad", layers.ZeroPadding2D(((0, 1), (1, 0)), name="pad"), x)
    x = net("expand", layers.Conv2D(5, 1, name="expand"), x)
    x = net("expand_relu", layers.ReLU(6.0, name="expand_relu"), x)
    x = net("depth", layers.DepthwiseConv2D(3, strides=2, padding="same", name="depth"), x)
    x = net("depth_bn", layers.BatchNormalization(name="depth_bn"), x)
    x = net("depth_relu", layers.ReLU(1.0, name="depth_relu"), x)
    x = net("project", layers.Conv2D(4, 1, name="project"), x)
    return net("average", layers.GlobalAveragePooling2D(name="average"), x)


def dilated(net):
    x = net("conv", layers.Conv2D(4, 3, dilation_rate=2, padding="same", name="conv"), "input")
    x = net("leaky", layers.LeakyReLU(0.2, name="leaky"), x)
    x = net("pool", layers.AveragePooling2D(3, 2, padding="same", name="pool"), x)
    return net("flat", layers.Flatten(name="flat"), x)


def smooth(net):
    x = net("conv", layers.Conv2D(4, 3, activation="gelu", name="conv"), "input")
    x = net("wide", layers.SeparableConv2D(5, 3, padding="same", name="wide"), x)
    x = net("silu", layers.Activation("silu", name="silu"), x)
    x = net("elu", layers.ELU(name="elu"), x)
    return net("average", layers.GlobalAveragePooling2D(name="average"), x)


def squeezed(net):
    """Squeeze-and-excitation."""
    first = net("conv", layers.Conv2D(4, 3, activation="relu", name="conv"), "input")
    x = net("squeeze", layers.GlobalAveragePooling2D(keepdims=True, name="squeeze"), first)
    x = net("excite", layers.Conv2D(4, 1, activation="sigmoid", name="excite"), x)
    x = net("scaled", layers.Multiply(name="scaled"), first, x)
    return net("average", layers.GlobalAveragePooling2D(name="average"), x)


GRAPHS = {graph.__name__: graph for graph in (plain, branches, residual, nested, shared, mobile, dilated, smooth, squeezed)}

HEADS = {
    "softmax": lambda scores: [scores("softmax", 5)],
    "layer": lambda scores: [scores(None, 5), layers.Softmax(name="softmax")],
    "activation": lambda scores: [scores(None, 5), layers.Activation("softmax", name="softmax")],
    "logits": lambda scores: [scores(None, 5)],
    "binary": lambda scores: [scores("sigmoid", 1)],
    "labels": lambda scores: [scores("sigmoid", 4)],
}
"""For each kind of head its layers; `scores` makes the Dense layer, given its activation and how many units."""


def build(graph, head, seed=0, open_size=False):
    """A network with its Keras model; the step "scores" is the Dense layer's score before any activation."""
    net = Network()
    last = GRAPHS[graph](net)
    tail = HEADS[head](lambda activation, units: layers.Dense(units, activation=activation, name="scores"))
    model = net.model(tail, open_size)
    net.steps.append(("scores", tail[0], (last,)))
    net.fill(seed)
    return net, model


def logits(net, outputs):
    """The scores (N, K) of a network's classes, of a binary one (−s, s)."""
    found = linear(net.steps[-1][1], outputs[net.steps[-1][2][0]])
    return np.hstack([-found, found]) if found.shape[1] == 1 else found


def probabilities(scores, head):
    return ACTIVATIONS["sigmoid" if head in ("binary", "labels") else "softmax"](scores)
