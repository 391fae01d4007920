"""The primitives of the backend that the tests run on, against NumPy and finite differences; how a backend is chosen."""

import keras
import numpy as np
import pytest
from cnnexplain_plugins.activation_maximization.maximization import maximize
from cnnexplain_plugins.activation_maximization.regularization import choose
from compiling import compile_gradient

import cnnexplain as cx
from cnnexplain import backend
from cnnexplain.errors import ModelError
from cnnexplain.numerics import affine_views, weighted_pixels

ops = keras.ops
backends = pytest.mark.backends
NO_DOUBLE = pytest.mark.skipif(keras.backend.backend() == "jax", reason="By default, JAX has no float64.")


@pytest.fixture
def kernel(random):
    return keras.Variable(random.normal(size=(6, 4)), dtype="float32")


def score(kernel):
    """(x, w) ↦ Σ w · tanh(x K) of each image, whose gradient is smooth."""
    return lambda x, w: ops.sum(w * ops.tanh(ops.matmul(ops.reshape(x, (-1, 6)), kernel)), axis=1)


def exact(x, w, kernel):
    return (w * np.tanh(x.reshape(-1, 6) @ kernel)).sum(axis=1)


def central(function, x, step=1e-6):
    """∂function/∂x by central differences, for function: (N, …) ↦ (N,)."""
    gradient = np.zeros(x.shape)
    for place in np.ndindex(x.shape[1:]):
        move = np.zeros(x.shape)
        move[(slice(None), *place)] = step
        gradient[(slice(None), *place)] = (function(x + move) - function(x - move)) / (2 * step)
    return gradient


@backends
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5])
def test_values_and_gradients_of_batches_of_any_length(random, kernel, count):
    x, w = random.normal(size=(count, 2, 3)).astype(np.float32), random.normal(size=(count, 4)).astype(np.float32)
    weights = ops.convert_to_numpy(kernel).astype(float)
    function = score(kernel)
    values, gradient = compile_gradient(function, [(2, 3), (4,)], [kernel])(x, w)
    np.testing.assert_allclose(values, exact(x.astype(float), w, weights), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, central(lambda x: exact(x, w, weights), x.astype(float)), rtol=1e-4, atol=1e-5)
    assert values.shape == (count,)
    assert gradient.shape == x.shape
    twice, sums = backend.current().compiled(
        lambda x: [2 * x, ops.matmul(ops.reshape(x, (-1, 6)), kernel)], [(2, 3)], [kernel]
    )(x)
    np.testing.assert_array_equal(twice, 2 * x)
    np.testing.assert_allclose(sums, x.reshape(-1, 6) @ weights, rtol=1e-5, atol=1e-5)


@backends
def test_matrix_products_use_full_float32_precision():
    """On a GPU; here only the setting is seen, while a function is compiled and afterwards."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        reduced = tf.config.experimental.tensor_float_32_execution_enabled
    elif name == "jax":
        import jax

        def reduced():
            return jax.config.jax_default_matmul_precision != "highest"
    else:
        pytest.skip("PyTorch has the setting where there is a GPU")
    seen = []

    def function(x):
        seen.append(reduced())
        return [ops.multiply(x, 2)]

    before = reduced()
    backend.current().compiled(function, [(3,)], [])(np.ones((2, 3), np.float32))
    assert before
    assert not any(seen)
    assert reduced() == before


@backends
@pytest.mark.parametrize("start", range(0, 64, 16))
def test_results_share_no_memory_with_the_arguments(start):
    # Arrays at multiples of 64 bytes, one of which is among these, may be used by a backend without a copy.
    array = np.frombuffer(bytearray(4 * 8 + 64), np.float32, 8, start).reshape(2, 4)
    (result,) = backend.current().compiled(lambda x: [x], [(4,)], [])(array)
    array += 1
    np.testing.assert_array_equal(result, np.zeros((2, 4)))


@backends
def test_changed_variables_take_effect(random, kernel):
    x, w = random.normal(size=(3, 2, 3)).astype(np.float32), random.normal(size=(3, 4)).astype(np.float32)
    gradient = compile_gradient(score(kernel), [(2, 3), (4,)], [kernel])
    forward = backend.current().compiled(lambda x: [ops.matmul(ops.reshape(x, (-1, 6)), kernel)], [(2, 3)], [kernel])
    before = [gradient(x, w)[0], forward(x)[0]]
    kernel.assign(3 * ops.convert_to_numpy(kernel))
    weights = ops.convert_to_numpy(kernel).astype(float)
    values, slope = gradient(x, w)
    np.testing.assert_allclose(values, exact(x.astype(float), w, weights), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(slope, central(lambda x: exact(x, w, weights), x.astype(float)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(forward(x)[0], 3 * before[1], rtol=1e-5, atol=1e-5)
    assert np.abs(values - before[0]).max() > 0.1


@backends
def test_changed_weights_of_every_kind_take_effect(random):
    """Also those that are not trained, and those of nested models."""
    inner = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.DepthwiseConv2D(3)], name="inner")
    parts = [keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization(), inner, keras.layers.PReLU()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, keras.layers.Flatten(), keras.layers.Dense(3)])
    clf = cx.load(model)
    images = random.uniform(0, 1, (2, 8, 8, 1)).astype(np.float32)
    clf.logits(images), clf.gradient(images, [0, 1]), clf.project(images, parts[1].name, np.ones((2, 6, 6, 2)), "guided")
    changed = [random.uniform(0.5, 1.5, weight.shape).astype(np.float32) for weight in model.get_weights()]
    model.set_weights(changed)
    fresh = cx.load(model)
    np.testing.assert_allclose(clf.logits(images), fresh.logits(images), rtol=1e-5)
    np.testing.assert_allclose(clf.gradient(images, [0, 1]), fresh.gradient(images, [0, 1]), rtol=1e-5)
    ones = np.ones((2, 6, 6, 2))
    guided = [each.project(images, parts[1].name, ones, "guided") for each in (clf, fresh)]
    np.testing.assert_allclose(*guided, rtol=1e-5)
    own = ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(clf.logits(images), own, rtol=1e-4)


ON_A_GPU = """
import keras, numpy as np
from cnnexplain import backend

def placed(x):
    with keras.device("gpu:0"):
        return [2 * x + 1]

print(*backend.current().compiled(placed, [(4,)], [])(np.ones((1, 4), np.float32)))
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Only TensorFlow places operations while it traces.")
def test_operations_placed_on_a_gpu_are_computed_without_one(shell):
    done = shell("-c", ON_A_GPU)
    assert done.stdout == "[[3. 3. 3. 3.]]\n", done.stderr


@backends
@pytest.mark.parametrize("channels", [1, 3])
def test_weighted_pixels_and_their_gradient_are_sums(random, channels):
    """Some pixels are read several times, some not at all."""
    images, kernel = random.normal(size=(2, 7, channels)).astype(np.float32), random.normal(size=(5, channels))
    numbers, weights = random.choice(6, (3, 5)).astype(np.int32), random.normal(size=(3, 5)).astype(np.float32)

    def value(x, w):
        read = backend.current().weighted_pixels(x, *map(ops.convert_to_tensor, (numbers, weights)))
        return ops.sum(w * read**2, axis=(1, 2))

    def exact_value(x):
        return sum(
            kernel[p, c] * sum(weights[k, p] * x[:, numbers[k, p], c] for k in range(3)) ** 2
            for p in range(5)
            for c in range(channels)
        )

    repeated = np.stack([kernel] * 2).astype(np.float32)
    values, slope = compile_gradient(value, [(7, channels), (5, channels)], [])(images, repeated)
    np.testing.assert_allclose(values, exact_value(images.astype(float)), rtol=1e-4)
    np.testing.assert_allclose(slope, central(exact_value, images.astype(float)), rtol=1e-3, atol=1e-4)
    assert not slope[:, 6].any()


@backends
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float16", 2e-2), ("bfloat16", 1e-1), ("float32", 1e-5), pytest.param("float64", 1e-5, marks=NO_DOUBLE)],
)
def test_weighted_pixels_have_the_type_of_the_images(random, dtype, tolerance):
    images, weights = random.normal(size=(2, 7, 3)), random.normal(size=(3, 5)).astype(np.float32)
    numbers = random.choice(7, (3, 5)).astype(np.int32)
    found = weighted_pixels(ops.cast(ops.convert_to_tensor(images.astype(np.float32)), dtype), numbers, weights)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    expected = sum(weights[k][:, None] * images[:, numbers[k]] for k in range(3))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(found, "float32")), expected, atol=tolerance)


@backends
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", pytest.param("float64", marks=NO_DOUBLE)])
def test_views_have_the_type_of_the_pictures(random, dtype):
    pictures, maps = random.normal(size=(2, 5, 6, 3)).astype(np.float32), np.float32([[[0.9, 0.2, 2.3], [-0.2, 0.9, 2.6]]])
    found = affine_views(ops.cast(pictures, dtype), ops.convert_to_tensor(maps), 4, 3)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    expected = ops.convert_to_numpy(affine_views(ops.convert_to_tensor(pictures), ops.convert_to_tensor(maps), 4, 3))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(found, "float32")), expected, atol=3e-2)


@backends
def test_weighted_pixels_have_no_gradient_with_respect_to_the_weights(random):
    images, numbers = random.normal(size=(1, 7, 3)).astype(np.float32), np.zeros((1, 5), np.int32)

    def value(x):
        weights = ops.reshape(x, (1, 5))
        return ops.sum(weighted_pixels(images, numbers, weights), axis=(1, 2)) + ops.sum(x, axis=1)

    _, slope = compile_gradient(value, [(5,)], [])(np.ones((1, 5), np.float32))
    np.testing.assert_array_equal(slope, 1)


@backends
def test_a_pullback_replaces_only_the_derivative(random, kernel):
    x, w = random.normal(size=(3, 2, 3)).astype(np.float32), random.normal(size=(3, 4)).astype(np.float32)
    weights = ops.convert_to_numpy(kernel).astype(float)

    def gradient(middle):
        def value(x, w):
            return ops.sum(w * middle(ops.matmul(ops.reshape(x, (-1, 6)), kernel)), axis=1)

        return compile_gradient(value, [(2, 3), (4,)], [kernel])(x, w)

    # tanh' = 1 − tanh², by hand: the same as the backend's own and as finite differences.
    values, slope = gradient(backend.current().with_pullback(ops.tanh, lambda y, signal: signal * (1 - ops.tanh(y) ** 2)))
    np.testing.assert_allclose(values, exact(x.astype(float), w, weights), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(slope, central(lambda x: exact(x, w, weights), x.astype(float)), rtol=1e-4, atol=1e-5)
    # Of a function that could take more than it is given.
    softened = backend.current().with_pullback(keras.activations.relu, lambda y, signal: signal * ops.sigmoid(y))
    _, slope = gradient(softened)
    expected = (w / (1 + np.exp(-x.reshape(-1, 6) @ weights))) @ weights.T
    np.testing.assert_allclose(slope.reshape(-1, 6), expected, rtol=1e-4, atol=1e-5)
    # Any other, of what the function was given and of the signal.
    values, slope = gradient(backend.current().with_pullback(ops.tanh, lambda y, signal: 3 * signal + y))
    np.testing.assert_allclose(values, exact(x.astype(float), w, weights), rtol=1e-5, atol=1e-5)
    expected = (3 * w + x.reshape(-1, 6) @ weights) @ weights.T
    np.testing.assert_allclose(slope.reshape(-1, 6), expected, rtol=1e-4, atol=1e-5)


@backends
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: w,
        lambda x, w: ops.sum(ops.stop_gradient(x), axis=1) * w,
        lambda x, w: ops.sum(ops.cast(x > 0.5, "float32"), axis=1) * w,
        lambda x, w: ops.cast(ops.argmax(x, axis=1), "float32") * w,
    ],
)
def test_independent_outputs_have_no_gradient(random, function):
    x, w = random.uniform(0, 1, (3, 4)).astype(np.float32), np.ones(3, np.float32)
    with pytest.raises(ModelError) as raised:
        compile_gradient(function, [(4,), ()], [])(x, w)
    assert str(raised.value) == "The model's scores do not depend on its input through layers that have a gradient."


@backends
def test_zero_gradients_are_returned(random):
    x = -random.uniform(1, 2, (3, 4)).astype(np.float32)
    values, slope = compile_gradient(lambda x: ops.sum(ops.relu(x), axis=1), [(4,)], [])(x)
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(slope, 0)


@backends
@pytest.mark.parametrize("count", [1, 3])
def test_constants_and_additional_results(random, kernel, count):
    """The mean gradient over shifted copies of each image; there are more copies than images, or fewer."""
    x = random.normal(size=(count, 2, 3)).astype(np.float32)
    weights = ops.convert_to_numpy(kernel).astype(float)

    def scores(x):
        outputs = ops.tanh(ops.matmul(ops.reshape(x, (-1, 6)), kernel))
        return [ops.sum(outputs, axis=1), outputs]

    def mean_gradient(x, shifts, scale):
        copies = ops.shape(shifts)[0]
        shifted = ops.reshape(x + scale * shifts[:, None], (-1, 2, 3))
        values, slopes, outputs = backend.current().value_and_gradient(scores)(shifted)
        split = [ops.reshape(each, (copies, -1, *each.shape[1:])) for each in (values, slopes, outputs)]
        return [ops.mean(each, axis=0) for each in split]

    compiled = backend.current().compiled(mean_gradient, [(2, 3)], [kernel], [(None, 2, 3), ()])
    for copies in (2, 5):
        shifts = random.normal(size=(copies, 2, 3)).astype(np.float32)
        values, slopes, outputs = compiled(x, shifts, 0.5)
        shifted = x.astype(float) + 0.5 * shifts[:, None]
        expected = np.tanh(shifted.reshape(copies, count, 6) @ weights)
        np.testing.assert_allclose(outputs, expected.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(values, expected.sum(axis=2).mean(axis=0), rtol=1e-4, atol=1e-5)
        exact_slopes = ((1 - expected**2) @ weights.T).mean(axis=0).reshape(x.shape)
        np.testing.assert_allclose(slopes, exact_slopes, rtol=1e-4, atol=1e-5)


@backends
@pytest.mark.parametrize(
    ("arrays", "constants", "message"),
    [
        (
            [(2, 8, 8, 1), (2, 4)],
            [(5,), (3, 2)],
            r"'constants\[0\]' of the compiled function has the shape \(5,\); expected \(4,\)",
        ),
        ([(2, 8, 8, 1), (2, 4)], [(), (3, 2)], r"'constants\[0\]' .* shape \(\); expected \(4,\)"),
        ([(2, 8, 8, 1), (2, 4)], [(4,), (3, 1)], r"'constants\[1\]' .* shape \(3, 1\); expected \(N, 2\)"),
        ([(2, 8, 8, 1), (2, 4)], [(4,)], "with 1 constants; expected 2"),
        ([(2, 8, 8, 1), (2, 1)], [(4,), (3, 2)], r"'arrays\[1\]' .* shape \(2, 1\); expected \(2, 4\)"),
        ([(2, 8, 8, 1), (1, 4)], [(4,), (3, 2)], r"'arrays\[1\]' .* shape \(1, 4\); expected \(2, 4\)"),
        ([(2, 9, 8, 1), (2, 4)], [(4,), (3, 2)], r"'arrays\[0\]' .* shape \(2, 9, 8, 1\); expected \(2, 8, 8, 1\)"),
        ([(2, 8, 8, 1)], [(4,), (3, 2)], "with 1 arrays; expected 2"),
    ],
)
def test_a_callers_function_only_takes_the_shapes_that_it_was_compiled_for(arrays, constants, message):
    start = keras.Input((8, 8, 1))
    clf = cx.load(keras.Model(start, keras.layers.Dense(3)(keras.layers.Flatten()(start))))

    def function(outputs, images, batch, row, rows):
        return [ops.sum(outputs(images)["logits"], axis=1) + ops.sum(batch, axis=1) + ops.sum(row) + ops.sum(rows)]

    compiled = clf.compiled(function, ["logits"], [(8, 8, 1), (4,)], [(4,), (None, 2)])
    for count in (3, 1):
        assert compiled([np.ones((2, 8, 8, 1)), np.ones((2, 4))], [np.ones(4), np.ones((count, 2))])[0].shape == (2,)
    with pytest.raises(cx.errors.UsageError, match=message):
        compiled([np.ones(each) for each in arrays], [np.ones(each) for each in constants])


@backends
def test_gradients_work_inside_compiled_loops(random, kernel):
    x, weights = random.normal(size=(3, 2, 3)).astype(np.float32), ops.convert_to_numpy(kernel).astype(float)

    def descend(x, rate):
        def step(number, x):
            ones = ops.ones((ops.shape(x)[0], 4))
            _, slope = backend.current().value_and_gradient(lambda x: [score(kernel)(x, ones)])(x)
            return x - rate * slope

        return [ops.fori_loop(0, 4, step, x)]

    (found,) = backend.current().compiled(descend, [(2, 3)], [kernel], [()])(x, 0.1)
    expected = x.astype(float)
    for _ in range(4):
        slope = (1 - np.tanh(expected.reshape(-1, 6) @ weights) ** 2) @ weights.T
        expected = expected - 0.1 * slope.reshape(x.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@backends
@pytest.mark.parametrize("pool", [(2, 2, "valid"), (3, 2, "same"), (3, 1, "same")])
def test_max_pooling_ties_go_to_the_first_pixel(random, pool):
    """On black ground every window is a tie; all backends send the signal to the same pixel."""
    layer = keras.layers.MaxPooling2D(*pool)
    x = np.round(random.uniform(0, 1, (2, 6, 6, 1))).astype(np.float32)
    (y,) = backend.current().compiled(lambda x: [layer(x)], [(6, 6, 1)], [])(x)
    signal = random.normal(size=y.shape).astype(np.float32)

    def value(x, signal):
        return ops.sum(layer(x) * signal, axis=(1, 2, 3))

    _, slope = compile_gradient(value, [(6, 6, 1), y.shape[1:]], [])(x, signal)
    size, stride, padding = pool
    before = max((y.shape[1] - 1) * stride + size - 6, 0) // 2 if padding == "same" else 0
    expected = np.zeros_like(x)
    for image, row, column, _ in np.ndindex(y.shape):
        top, left = row * stride - before, column * stride - before
        window = [
            (i, j) for i in range(top, top + size) for j in range(left, left + size) if min(i, j) >= 0 and max(i, j) < 6
        ]
        first = max(window, key=lambda place: x[image, *place, 0])
        expected[image, *first, 0] += signal[image, row, column, 0]
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-6)


@backends
def test_running_out_of_memory_raises_memory_error():
    """2^46 numbers are more than a processor can address."""
    wide = backend.current().compiled(lambda x: [x[:, :, None] * x[:, None, :]], [(1 << 23,)], [])
    with pytest.raises(MemoryError):
        wide(np.zeros((1, 1 << 23), np.float32))


@backends
def test_rows_are_gathered_by_index(random):
    table, numbers = random.normal(size=(7, 3)).astype(np.float32), random.integers(0, 7, (4, 2, 5))
    taken = backend.current().rows(ops.convert_to_tensor(table), ops.convert_to_tensor(numbers, "int32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(taken), table[numbers])


def test_batches_of_many_lengths_compile_few_times(random):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch compiles nothing")
    traced = []
    forward = backend.current().compiled(lambda x: traced.append(1) or [x + 1], [(2,)], [])
    for count in range(17):
        np.testing.assert_array_equal(forward(np.full((count, 2), count)), np.full((1, count, 2), count + 1))
    assert len(traced) <= 6


@pytest.mark.unaided
def test_the_same_analysis_compiles_nothing_again(noise, monkeypatch):
    # One of which nothing is compiled yet.
    clf, compiled = cx.load(), []
    differentiate = backend.current().value_and_gradient
    monkeypatch.setattr(backend.current(), "value_and_gradient", lambda *given: compiled.append(1) or differentiate(*given))
    # A function may be traced more than once while it is compiled.
    for images, fresh in ((noise[:1], True), (noise[1:2], False)):
        cx.explain("inversion", clf, images, layer=["pool1", "dense"], iterations=1, sigma=5.0 + len(images))
        assert bool(compiled) == fresh
        compiled.clear()
    for target, fresh in ((3, True), (5, False)):
        maximize(clf, [cx.Logit(target)], choose("robust"), steps=1, starts=1, seed=0)
        assert bool(compiled) == fresh
        compiled.clear()


@backends
def test_jax_keeps_compiled_functions_on_disk_on_request(shell, tmp_path):
    if keras.backend.backend() != "jax":
        pytest.skip("only JAX has such a cache")
    folder = tmp_path / "cache"
    environment = {"JAX_COMPILATION_CACHE_DIR": str(folder), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    program = "import cnnexplain as cx; cx.explain('saliency', cx.load(), 'mnist:test/0')"
    kept = []
    for _ in range(2):
        assert shell("-c", program, env=environment).returncode == 0
        kept.append(sorted(each.name for each in folder.iterdir() if each.name.endswith("-cache")))
    # What a second process compiles is what the first one has kept.
    assert kept[0] == kept[1]
    assert any("stateless" in name for name in kept[0])


# How a backend is chosen.


def test_invalid_backend_options_are_explained(cli, monkeypatch):
    for words in (["info"], ["evaluate"], ["run", "saliency"], ["run", "all"], ["train"]):
        code, _, err = cli(*words, "--backend", "tourch")
        assert code == 2
        assert err == (
            "Error: cnnexplain has no backend 'tourch'. Did you mean 'torch'? The backends are tensorflow, jax, torch.\n"
        )
    monkeypatch.setitem(backend.BACKENDS, "absent", "pip install 'cnnexplain[absent]'")
    code, _, err = cli("run", "saliency", "--backend", "absent")
    assert (code, err) == (1, "Error: The backend 'absent' is not installed: pip install 'cnnexplain[absent]'\n")
    code, out, _ = cli("info")
    assert code == 0
    assert "absent         not installed: pip install 'cnnexplain[absent]'" in out


def test_a_backend_cannot_be_changed_in_a_process(cli):
    running = keras.backend.backend()
    other = next(name for name in backend.BACKENDS if name != running)
    code, _, err = cli("evaluate", "--backend", other)
    if "is not installed" in err:
        pytest.skip("no other backend is installed")
    assert (code, err) == (
        1,
        f"Error: Keras already runs on '{running}' in this process; start another process for '{other}'.\n",
    )


def test_precedence_option_environment_keras_settings(shell, tmp_path):
    """Seen at names that don't exist: what is asked for first is what is named."""
    (tmp_path / "keras.json").write_text('{"backend": "third"}')
    home = {"KERAS_HOME": str(tmp_path)}
    for words, env, said in (
        (["--backend", "first"], {"KERAS_BACKEND": "second"}, "has no backend 'first'"),
        ([], {"KERAS_BACKEND": "second"}, "has no backend 'second'"),
        ([], {"KERAS_BACKEND": ""}, "Unable to import backend : third"),
    ):
        done = shell("-m", "cnnexplain", "info", *words, env={**home, **env})
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == (1 if "third" in said else 2)


def test_unsupported_backends_are_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ModelError, match="Keras uses 'numpy', but cnnexplain needs one of tensorflow, jax, torch"):
        backend.current()
