"""Sums over copies of images, made within compiled functions, against a loop over the copies."""

import gc
import weakref

import keras
import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain import Logit, backend
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.model.computation import passes
from cnnexplain.model.computation.readouts import readout
from cnnexplain.numerics import Copies, batches, prefetched

pytestmark = pytest.mark.unaided

ops = keras.ops
backends = pytest.mark.backends
SIZES = [1, 3, pytest.param(8, marks=backends), 64]
"""Of a batch; with 8, 7 copies of 3 images are several blocks of several copies, and one block is not full."""


@pytest.fixture
def clf(model):
    return cx.load(model())


@pytest.fixture
def images(random):
    return random.uniform(0, 1, (3, 12, 10, 3)).astype(np.float32)


def blended(image, other, share, shift):
    """A copy of an image, as an author of a method may make one: of two arrays of each image and two of each copy."""
    return (1 - share) * image + share * other + shift


def features(image, other, share, shift):
    """Two numbers of each copy, the same for all images."""
    return ops.concatenate([share[..., 0, 0], 2 - 3 * shift[..., 0, 0, :1]], axis=-1)


def varied(random, images, count):
    """Copies of images; the images, shares and shifts they are made of; and a weight for each copy."""
    others = random.uniform(0, 1, images.shape).astype(np.float32)
    shares = random.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32)
    shifts = random.normal(0, 0.2, (count, 1, 1, 3)).astype(np.float32)
    copies = Copies(blended, count, lambda part: [each[part.start : part.stop] for each in (shares, shifts)], [others])
    shown = np.stack(
        [[blended(*pair, *each) for pair in zip(images, others, strict=True)] for each in zip(shares, shifts, strict=True)]
    )
    return copies, shown, (shares, shifts), random.uniform(-1, 2, count)


def summed(gradient, shown, targets, weights):
    """Σ w g and Σ w g², copy by copy, in double precision."""
    slopes = np.stack([gradient(each, targets) for each in shown]).astype(np.float64)
    return np.tensordot(weights, slopes, 1), np.tensordot(weights, slopes**2, 1)


def watched(monkeypatch, most=10**6):
    """Has functions compiled from now on raise MemoryError for more than `most` pairs; returns the pairs of each call."""
    pairs = []

    class Watched:
        def __getattr__(self, name):
            return compiled if name == "compiled" else getattr(real, name)

    def compiled(function, shapes, variables, constants=()):
        made = real.compiled(function, shapes, variables, constants)

        def call(*arrays):
            pairs.append(len(arrays[0]) * (len(arrays[len(shapes)]) if constants else 1))
            if pairs[-1] > most:
                raise MemoryError("OOM when allocating tensor")
            return made(*arrays)

        return call

    real = backend.current()
    monkeypatch.setattr(backend, "current", Watched)
    return pairs


@pytest.mark.parametrize("size", SIZES)
def test_weighted_gradient_sums_equal_a_loop(clf, images, random, monkeypatch, size):
    copies, shown, _, weights = varied(random, images, 7)
    targets = [Logit(1), Logit(3) - 0.5 * Logit(0), cx.Channel(clf.convolutions[0].name, 1)]
    expected = summed(clf.gradient, shown, targets, weights)
    monkeypatch.setattr(clf, "batch_size", size)
    seen = []
    found = clf.gradient_sums(images, targets, copies, weights=weights, progress=lambda *done: seen.append(done))
    for each, exact in zip(found, expected, strict=True):
        assert each.dtype == np.float64
        np.testing.assert_allclose(each, exact, rtol=0, atol=2e-6 * np.abs(exact).max())
    assert seen == sorted(set(seen))
    assert seen[-1] == (21, 21)
    unweighted = clf.gradient_sums(images, [2, 0, 1], copies)
    for each, exact in zip(unweighted, summed(clf.gradient, shown, [2, 0, 1], np.ones(7)), strict=True):
        np.testing.assert_allclose(each, exact, rtol=0, atol=2e-6 * np.abs(exact).max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("of", ["probability", "logit"])
def test_moments_equal_a_loop(clf, images, random, monkeypatch, size, of):
    copies, shown, (shares, shifts), _ = varied(random, images, 7)
    targets = np.array([1, 3, 0])
    expected = {"logit": clf.logits, "probability": clf.predict}
    expected = {name: np.stack([function(each)[range(3), targets] for each in shown]) for name, function in expected.items()}
    described = np.stack([shares[:, 0, 0, 0], 2 - 3 * shifts[:, 0, 0, 0]], axis=1).astype(np.float64)
    monkeypatch.setattr(clf, "batch_size", size)
    seen = []
    found = clf.value_moments(images, targets, copies, features, of=of, progress=lambda *done: seen.append(done))
    assert list(found.values) == ["logit", "probability"]
    for name, values in found.values.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-6)
    deviations = found.values[of] - found.values[of].mean(axis=0)
    assert np.abs(deviations).max() > 1e-3
    np.testing.assert_allclose(found.features, np.tile(described.sum(axis=0), (3, 1)), rtol=1e-6)
    np.testing.assert_allclose(found.products, deviations.T @ described, rtol=1e-5, atol=2e-6 * np.abs(deviations).max())
    np.testing.assert_allclose(found.squares, deviations.T**2 @ described**2, rtol=1e-5)
    assert seen[-1] == (21, 21)


@backends
def test_equal_gradients_have_no_variance(clf, images):
    """Of sums and squares in single precision, the variance of equal numbers would be about 1e-7 of their square."""
    same = Copies(lambda image, share: image + 0 * share, 40, lambda part: [np.ones((len(part), 1, 1, 1))])
    sums, squares = clf.gradient_sums(images[:1], [2], same)
    gradient = clf.gradient(images[:1], [2])
    np.testing.assert_allclose(sums / 40, gradient, rtol=0, atol=1e-7 * np.abs(gradient).max())
    assert np.abs(squares - sums**2 / 40).max() < 1e-10 * np.abs(gradient).max() ** 2


@backends
def test_large_values_keep_precision(random, images):
    """The logit is 1000 plus the mean of the image: the moments are those of the small rest."""
    model = keras.Sequential([keras.Input((12, 10, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    model.layers[-1].set_weights([np.full((3, 2), 1 / 3), np.array([1000, 0])])
    clf = cx.load(model, logits=True)
    brightness = random.integers(0, 16, (30, 1, 1, 1)) / 16
    copies = Copies(lambda image, share: 0 * image + share, 30, lambda part: [brightness[part.start : part.stop]])
    found = clf.value_moments(images, [0, 0, 0], copies, lambda image, share: share[..., 0, 0], of="logit")
    exact = ((brightness[:, 0, 0, 0] - brightness.mean()) * brightness[:, 0, 0, 0]).sum()
    np.testing.assert_allclose(found.products[:, 0], exact, rtol=1e-3)


def test_results_do_not_depend_on_the_batch(clf, images, random, monkeypatch):
    copies, *_ = varied(random, images, 37)
    together = clf.gradient_sums(images, [1, 2, 3], copies)
    alone = Copies(blended, 37, copies.parameters, [copies.arrays[0][1:2]])
    for size in (1, 3, 64):
        monkeypatch.setattr(clf, "batch_size", size)
        for one, three in zip(clf.gradient_sums(images[1:2], [2], alone), together, strict=True):
            np.testing.assert_allclose(one[0], three[1], rtol=0, atol=1e-6 * np.abs(one).max())


@pytest.mark.parametrize("count", [1, 2, 5, 64])
@pytest.mark.parametrize("size", [1, 3, 16])
def test_each_pair_is_computed_once_in_bounded_batches(model, random, monkeypatch, size, count):
    pairs = watched(monkeypatch)
    clf = cx.load(model())
    monkeypatch.setattr(clf, "batch_size", size)
    copies, _, _, _ = varied(random, random.uniform(0, 1, (count, 12, 10, 3)).astype(np.float32), 9)
    pairs.clear()
    clf.gradient_sums(np.zeros((count, 12, 10, 3), np.float32), [0] * count, copies)
    assert max(pairs) <= size
    if backend.current().ANY_LENGTH:
        assert sum(pairs) == 9 * count


@pytest.mark.parametrize("most", [1, 3, 7])
def test_blocks_are_halved_if_memory_runs_out(model, images, random, monkeypatch, most):
    copies, _, _, weights = varied(random, images, 11)
    whole = cx.load(model())
    expected = whole.gradient_sums(images, [1, 2, 3], copies, weights=weights)
    moments = whole.value_moments(images, [1, 2, 3], copies, features, of="logit")
    pairs = watched(monkeypatch, most)
    clf = cx.load(model())
    monkeypatch.setattr(clf, "batch_size", 16)
    found = clf.gradient_sums(images, [1, 2, 3], copies, weights=weights)
    for each, exact in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, exact, rtol=0, atol=1e-6 * np.abs(exact).max())
    assert max(pairs) > most >= clf.batch_size
    pairs.clear()
    again = clf.value_moments(images, [1, 2, 3], copies, features, of="logit")
    assert max(pairs) <= most
    np.testing.assert_allclose(again.values["logit"], moments.values["logit"], rtol=1e-5)
    np.testing.assert_allclose(again.products, moments.products, rtol=1e-4, atol=1e-6)


def test_running_out_of_memory_for_one_copy_is_an_error(model, images, random, monkeypatch):
    copies, *_ = varied(random, images, 2)
    watched(monkeypatch, 0)
    with pytest.raises(ModelError, match="needs more memory for a single image than there is"):
        cx.load(model(), preprocess=None).gradient_sums(images, [0, 0, 0], copies)


@backends
def test_other_images_and_blocks_reuse_the_function(model, images, random, monkeypatch):
    """JAX compiles once for each number of copies in a block; TensorFlow once for all; PyTorch never."""
    traced = []

    def noisy(image, noise):
        traced.append(1)
        return image + noise

    clf = cx.load(model())
    noises = random.normal(0, 0.1, (200, 12, 10, 3)).astype(np.float32)
    parameters = lambda part: [noises[part.start : part.stop]]  # noqa: E731
    monkeypatch.setattr(clf, "batch_size", 16)
    clf.gradient_sums(images, [0, 1, 2], Copies(noisy, 50, parameters))
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch compiles nothing")
    first = len(traced)
    assert first <= 2
    for each in (images[::-1], images + 1):
        clf.gradient_sums(np.ascontiguousarray(each), [2, 2, 2], Copies(noisy, 50, parameters))
    assert len(traced) == first


def test_images_of_another_shape_are_refused(clf, images, random):
    copies, *_ = varied(random, images, 2)
    with pytest.raises(UsageError, match="have shape"):
        clf.gradient_sums(images[:, :5], [0, 0, 0], copies)


@pytest.mark.parametrize("error", [KeyError("lost"), KeyboardInterrupt()])
def test_prefetching_raises_errors_of_its_thread(error):
    drawn = []

    def draw(part):
        drawn.append(part)
        if 9 in part:
            raise error
        return [np.arange(part.start, part.stop)]

    with prefetched(draw, 20) as numbers:
        np.testing.assert_array_equal(numbers(range(3))[0], [0, 1, 2])
        np.testing.assert_array_equal(numbers(range(3, 6))[0], [3, 4, 5])
        # Another range than the one that was drawn ahead.
        np.testing.assert_array_equal(numbers(range(5))[0], np.arange(5))
        with pytest.raises(type(error)):
            numbers(range(5, 10))
    with prefetched(draw, 5) as numbers:
        drawn.clear()
        # Blocks of different lengths.
        for part in (range(2), range(2, 3), range(3, 5)):
            np.testing.assert_array_equal(numbers(part)[0], part)
    assert [copy for part in drawn for copy in part] == list(range(5))


def test_the_fallback_loop_agrees(clf, images, random):
    """`batches`, for methods that make their copies in NumPy."""
    copies, shown, _, _ = varied(random, images, 5)
    sums = np.zeros(images.shape)
    for batch in batches(clf, 5, 3):
        sums += batch.sum(clf.gradient(shown[batch.copy, batch.image], [int(index) for index in batch.image]))
    np.testing.assert_allclose(clf.gradient_sums(images, [0, 1, 2], copies)[0], sums, rtol=0, atol=1e-6 * np.abs(sums).max())


def tenfold(image, factor):
    return image * factor


def factors(image, factor):
    return factor[..., 0, 0]


def moments_of_factors(clf, images, targets, count=30, **options):
    random = np.random.default_rng(1)
    drawn = random.uniform(0, 1, (count, 1, 1, 1)).astype(np.float32)
    copies = Copies(tenfold, count, lambda part: [drawn[part.start : part.stop]])
    return clf.value_moments(images, targets, copies, factors, **options), drawn[:, 0, 0, 0].astype(np.float64)


@pytest.mark.parametrize("size", [1, 4, 64])
def test_equal_values_have_zero_moments(images, monkeypatch, size):
    """Of a model with a constant output, whatever the blocks."""
    inputs = keras.Input(images.shape[1:])
    dense = keras.layers.Dense(3, activation="softmax", kernel_initializer="zeros", bias_initializer="random_normal")
    clf = cx.load(keras.Model(inputs, dense(keras.layers.Flatten()(inputs))))
    monkeypatch.setattr(clf, "batch_size", size)
    for of in ("probability", "logit"):
        moments, _ = moments_of_factors(clf, images, [0, 1, 2][: len(images)], of=of)
        assert not moments.products.any()
        assert not moments.squares.any()


def test_moments_of_tiny_probabilities_are_kept(images):
    inputs = keras.Input(images.shape[1:])
    dense = keras.layers.Dense(2, activation="softmax", bias_initializer=keras.initializers.Constant([-55.0, 0.0]))
    clf = cx.load(keras.Model(inputs, dense(keras.layers.Flatten()(inputs))))
    moments, drawn = moments_of_factors(clf, images, [0] * len(images), of="probability")
    values = moments.values["probability"]
    assert 0 < values.max() < 1e-20
    differences = (values - values.mean(axis=0)) * drawn[:, None]
    squares = (differences**2).sum(axis=0)
    np.testing.assert_allclose(moments.squares.reshape(len(images)), squares, rtol=1e-3)


def test_mismatched_lengths_are_refused(clf, images):
    with pytest.raises(UsageError, match=r"no class 7\b|class"):
        moments_of_factors(clf, images, [7] * len(images), of="logit")
    with pytest.raises(UsageError, match=r"There is no output 'logits' of this model\. Did you mean 'logit'"):
        moments_of_factors(clf, images, [0] * len(images), of="logits")
    copies = Copies(
        lambda image, baseline, share: share * image + (1 - share) * baseline,
        2,
        lambda part: [np.full((len(part), 1, 1, 1), 0.5, np.float32)],
        [images[:1]],
    )
    with pytest.raises(UsageError, match=f"has 1 entries for {len(images)} images; expected one for each"):
        clf.gradient_sums(images, [0] * len(images), copies)


def test_cached_functions_hold_no_images_or_weights(clf, images, monkeypatch):
    own = images.copy()
    kept = [weakref.ref(own)]

    def noted(*given):
        read = readout(*given)
        kept.extend(map(weakref.ref, read.arrays))
        return read

    monkeypatch.setattr(passes, "readout", noted)
    layer = next(each.name for each in clf.layers if len(each.shape) == 3)
    moments_of_factors(clf, own, [0] * len(own), of="logit")
    clf.gradient(own, [cx.Channel(layer, 0)] * len(own))
    clf.layer_gradients(own, [layer], [cx.Channel(layer, 0)] * len(own))
    del own
    gc.collect()
    assert len(kept) == 3
    assert [each() for each in kept] == [None] * 3
