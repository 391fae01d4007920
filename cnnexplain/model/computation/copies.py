"""Sums over copies of images, such as noisy ones or points of a path, which are made and summed in a compiled function.

The copies of an image differ by a few numbers: only these enter the function, and only the sums leave it. The sums of a
block of copies are in single precision, relative to the block's first value, and those of all blocks in double
precision, so that the size of the blocks hardly matters (about 1e-6 of the largest magnitude).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError, foreign, line, reason, shown, suggest
from cnnexplain.model.computation.batches import out_of_memory
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.computation.readouts import Readout
from cnnexplain.model.structure.graph import LOGITS

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Shaped

    from cnnexplain.model.head.heads import Head

ops = keras.ops


@dataclass(frozen=True)
class Copies:
    """Copies of images, each made from a few numbers within a compiled function.

    Args:
        make: (images (1, n, H, W, C), *arrays (1, n, …), *parameters (c, 1, …)) ↦ the copies (c, n, H, W, C), in
            `keras.ops`. It is compiled once, so it should be the same object at every call, such as a function of a module.
        count: The number of copies of each image.
        parameters: A range of c copies ↦ their parameters, arrays (c, …). See also `cnnexplain.numerics.prefetched`.
        arrays: Further arrays with one entry for each image, such as baselines.

    For example, the points of the paths from some baselines to the images:

        def point(image, baseline, share):
            return baseline + share * (image - baseline)

        shares = np.linspace(0, 1, 50)[:, None, None, None]
        copies = Copies(point, 50, lambda part: [shares[part.start : part.stop]], [baselines])
    """

    make: Callable[..., Any]
    count: int
    parameters: Callable[[range], Sequence[Shaped[np.ndarray, "c ..."]]]
    arrays: Sequence[Shaped[np.ndarray, "N ..."]] = ()


@dataclass(frozen=True)
class ValueMoments:
    """The values f of copies of images, and sums over the copies with their features φ, in double precision.

    Args:
        values: By name ("logit", and "probability" unless the model returns values), the value of each copy, (copies, N).
        features: Σ φ, (N, *F).
        products: Σ (f − mean f) φ, (N, *F).
        squares: Σ (f − mean f)² φ², (N, *F).
    """

    values: dict[str, Float64[np.ndarray, "copies N"]]
    features: Float64[np.ndarray, "N ..."]
    products: Float64[np.ndarray, "N ..."]
    squares: Float64[np.ndarray, "N ..."]


def gradient_sums(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    readout: Readout,
    copies: Copies,
    weights: Float[np.ndarray, " copies"] | None,
    progress: Callable[[int, int], None],
) -> tuple[Float64[np.ndarray, "N H W C"], Float64[np.ndarray, "N H W C"]]:
    """Σ w g and Σ w g² over copies with weights w, for the gradients g of the targets."""
    differentiate, form = backend.current().value_and_gradient, readout.form

    def reduce(shown: Any, targets: Sequence[Any], weights: Any, _: Sequence[Any]) -> list[Any]:
        outputs, repeated = network.graph.function(form.layers), [_repeated(each, weights) for each in targets]
        _, slopes = differentiate(lambda shown: [form.values(outputs(shown), repeated)])(shown)
        slopes = ops.reshape(slopes, (ops.shape(weights)[0], -1, *network.shape))
        # Relative to the first copy, gradients that hardly differ have exact sums, and their variance does not cancel.
        differences = slopes - slopes[:1]
        return [slopes[0], *(ops.tensordot(weights, each, 1) for each in (differences, differences**2))]

    weights = np.ones(copies.count) if weights is None else weights
    sums, squares = np.zeros(images.shape), np.zeros(images.shape)
    key = ("gradient sums", *readout.key)
    for rows, part, outputs in _blocks(network, key, reduce, images, readout.arrays, copies, weights, progress):
        first, differences, squared = (each.astype(np.float64) for each in outputs)
        total = float(weights[part].sum())
        sums[rows] += total * first + differences
        squares[rows] += total * first**2 + 2 * first * differences + squared
    return sums, squares


def value_moments(
    network: Network,
    head: Head,
    images: Float[np.ndarray, "N H W C"],
    readout: Readout,
    copies: Copies,
    features: Callable[..., Any],
    of: str,
    progress: Callable[[int, int], None],
) -> ValueMoments:
    """The values of copies, and sums of their products with features of the copies; see `Classifier.value_moments`."""
    names = ("logit",) if head.kind == "values" else ("logit", "probability")
    if of not in names:
        raise UsageError(
            f"There is no output {shown(of)} of this model.{suggest(of, names)} Choose one of {', '.join(names)}."
        )
    if not readout.by_class:
        raise UsageError(
            "The outputs at copies are those of classes: give the index or the Logit of a class for each image."
        )

    def reduce(shown: Any, classes: Sequence[Any], weights: Any, inputs: Sequence[Any]) -> list[Any]:
        number = ops.shape(weights)[0]
        (logits,) = network.graph.function((LOGITS,))(shown)
        logits = ops.cast(logits, "float32")
        outputs = [logits] if head.kind == "values" else [logits, head.probability_tensor(logits)]
        index = ops.cast(_repeated(classes[0], weights)[:, None], "int32")
        found = [ops.take_along_axis(each, index, axis=1) for each in outputs]
        values = [ops.transpose(ops.reshape(each, (number, -1))) for each in found]
        explained = values[names.index(of)]
        # Relative to the first, equal values have no variance; scaled, the squares of tiny differences do not vanish.
        reference = explained[:, :1]
        differences = (explained - reference) * weights
        largest = ops.max(ops.abs(differences), axis=1, keepdims=True)
        scale = ops.where(largest > 0, largest, 1.0)
        differences = differences / scale
        powers = ops.stack([ops.broadcast_to(weights, ops.shape(differences)), differences, differences**2], axis=1)
        described = features(*inputs)
        size = described.shape[2:]
        flat = ops.reshape(described, (number, math.prod(size)))
        sums = (ops.reshape(ops.matmul(powers, each), (-1, 3, *size)) for each in (flat, flat**2))
        return [*values, reference[:, 0], scale[:, 0], *sums]

    values = {name: np.zeros((copies.count, len(images))) for name in names}
    sums: Float64[np.ndarray, "5 N ..."] | None = None
    key = ("value moments", of, features)
    ones = np.ones(copies.count)
    for rows, part, outputs in _blocks(network, key, reduce, images, readout.arrays, copies, ones, progress):
        *found, references, scales, firsts, seconds = (each.astype(np.float64) for each in outputs)
        for name, each in zip(names, found, strict=True):
            values[name][part, rows] = each.T[: len(values[name][part])]
        if sums is None:
            sums = np.zeros((5, len(images), *firsts.shape[2:]))
        # Sums relative to the value of the first copy of all blocks.
        shift, scale = (each.reshape(-1, *[1] * (firsts.ndim - 2)) for each in (references - values[of][0, rows], scales))
        sums[0, rows] += firsts[:, 0]
        sums[1, rows] += scale * firsts[:, 1] + shift * firsts[:, 0]
        sums[2, rows] += seconds[:, 0]
        sums[3, rows] += scale * seconds[:, 1] + shift * seconds[:, 0]
        sums[4, rows] += scale**2 * seconds[:, 2] + 2 * shift * scale * seconds[:, 1] + shift**2 * seconds[:, 0]
    if sums is None:
        raise UsageError("There are no images to make copies of.")
    mean = (values[of] - values[of][0]).mean(axis=0).reshape(-1, *[1] * (sums.ndim - 2))
    squares = sums[4] - 2 * mean * sums[3] + mean**2 * sums[2]
    return ValueMoments(values, sums[0], sums[1] - mean * sums[0], squares)


def _blocks(
    network: Network,
    key: tuple[Hashable, ...],
    reduce: Callable[[Any, Sequence[Any], Any, Sequence[Any]], list[Any]],
    images: Float[np.ndarray, "N H W C"],
    targets: Sequence[Shaped[np.ndarray, "N ..."]],
    copies: Copies,
    weights: Float[np.ndarray, " copies"],
    progress: Callable[[int, int], None],
) -> Iterator[tuple[slice, slice, list[Float32[np.ndarray, "n ..."]]]]:
    """The outputs of `reduce` for blocks of at most `batch_size` copies: images × copies that cover all pairs.

    Args:
        network: The network.
        key: Identifies `reduce`, which is compiled once for a key, a way to make copies, and shapes.
        reduce: (the copies (c · n, H, W, C), the targets, the weights of the copies, the inputs of `copies.make`) ↦ arrays
            (n, …). Copies with the weight 0 may fill a block.
        images: (N, H, W, C).
        targets: Arrays with one entry for each image.
        copies: The copies.
        weights: Their weights.
        progress: Called with the number of completed pairs and of all pairs.

    Yields:
        The images and the copies of a block, and the outputs for its n images.
    """
    network.check_images(images)
    for array in copies.arrays:
        if len(array) != len(images):
            raise UsageError(
                f"An array of the copies has {len(array)} entries for {len(images)} images; expected one for each."
            )
    own = [images, *copies.arrays, *targets]
    # A kept function must not keep the images and the parameters of its first call.
    make, last, count = copies.make, 1 + len(copies.arrays), len(own)

    def block(*arrays: Any) -> list[Any]:
        weights, *parameters = arrays[count:]
        inputs = [*(each[None] for each in arrays[:last]), *(each[:, None] for each in parameters)]
        shown = ops.reshape(make(*inputs), (-1, *network.shape))
        return reduce(shown, arrays[last:count], weights, inputs)

    def compiled(parameters: Sequence[Shaped[np.ndarray, "c ..."]]) -> Compiled:
        batches = [array.shape[1:] for array in own]
        constants = [(None, *array.shape[1:]) for array in parameters]
        whole = (*key, copies.make, *batches, *constants)
        return network.recently_compiled(whole, lambda: network.function(block, batches, [(None,), *constants]))

    done = 0
    for rows, part, length in _plan(max(1, network.batches.size), len(images), copies.count):
        parameters = [np.asarray(each) for each in copies.parameters(part)]
        shared = [weights[part.start : part.stop], *parameters]
        if length > len(part):
            shared = [np.resize(each, (length, *each.shape[1:])) for each in shared]
            shared[0][len(part) :] = 0
        function = compiled(parameters)
        with foreign(lambda error: ModelError(f"'{line(network.name)}' can't be computed: {reason(error)}")):
            outputs = list(_halving(network, function, own, shared, rows, slice(part.start, part.start + length)))
        yield from outputs
        done += (rows.stop - rows.start) * len(part)
        progress(done, len(images) * copies.count)


def _plan(most: int, images: int, copies: int) -> Iterator[tuple[slice, range, int]]:
    """Blocks of at most `most` pairs: their images and copies, and the number of copies that they are filled up to.

    For a backend that compiles for each length, there are few different lengths.
    """
    any_length = backend.current().ANY_LENGTH
    first = 0
    while first < images:
        number = min(images - first, most)
        number = number if any_length else 1 << (number.bit_length() - 1)
        blocks = math.ceil(copies / max(1, most // number))
        length = math.ceil(copies / blocks)
        for start in range(0, copies, length):
            part = range(start, min(start + length, copies))
            yield slice(first, first + number), part, len(part) if any_length else length
        first += number


def _halving(
    network: Network,
    function: Compiled,
    own: Sequence[Shaped[np.ndarray, "_ ..."]],
    shared: Sequence[Shaped[np.ndarray, "_ ..."]],
    rows: slice,
    part: slice,
) -> Iterator[tuple[slice, slice, list[Float32[np.ndarray, "n ..."]]]]:
    """The outputs for a block, which is halved while it needs too much memory."""
    images, copies = rows.stop - rows.start, part.stop - part.start
    batches = network.batches
    if images * copies <= max(batches.size, 1):
        try:
            yield rows, part, network.call(function, *(array[rows] for array in own), *shared)
            return
        except MemoryError as error:
            if images * copies == 1:
                raise out_of_memory(network.name) from error
        batches.size = max(1, images * copies // 2)
    half = copies // 2
    if copies > 1:
        yield from _halving(
            network, function, own, [each[:half] for each in shared], rows, slice(part.start, part.start + half)
        )
        yield from _halving(
            network, function, own, [each[half:] for each in shared], rows, slice(part.start + half, part.stop)
        )
    else:
        middle = rows.start + images // 2
        yield from _halving(network, function, own, shared, slice(rows.start, middle), part)
        yield from _halving(network, function, own, shared, slice(middle, rows.stop), part)


def _repeated(array: Any, weights: Any) -> Any:
    """An array with an entry for each image, repeated for each copy that has a weight."""
    return ops.tile(array, (ops.shape(weights)[0], *[1] * (len(array.shape) - 1)))
