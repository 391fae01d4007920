"""Slow float64 NumPy versions written from the papers, sharing no code with the package."""

import numpy as np


def convolve(x, kernel, bias):
    """A 'valid' convolution of x (N, H, W, C): out[n,i,j,f] = Σ x[n,i+p,j+q,c] kernel[p,q,c,f] + bias[f]."""
    height, width = kernel.shape[:2]
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    out = np.zeros((len(x), rows, columns, kernel.shape[3])) + bias
    for p in range(height):
        for q in range(width):
            out += x[:, p : p + rows, q : q + columns] @ kernel[p, q]
    return out


def convolve_back(signal, kernel, shape):
    """The transpose of `convolve` without bias, onto (N, *shape)."""
    out = np.zeros((len(signal), *shape))
    rows, columns = signal.shape[1:3]
    for p in range(kernel.shape[0]):
        for q in range(kernel.shape[1]):
            out[:, p : p + rows, q : q + columns] += signal @ kernel[p, q].T
    return out


def pool(x):
    """The maximum of each 2×2 square, rows and columns left over dropped, and the place (0 to 3) of the first maximum."""
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    squares = x[:, : 2 * rows, : 2 * columns].reshape(len(x), rows, 2, columns, 2, -1)
    squares = squares.transpose(0, 1, 3, 2, 4, 5).reshape(len(x), rows, columns, 4, -1)
    return squares.max(axis=3), squares.argmax(axis=3)


def unpool(signal, places, shape):
    """Each value put back to its square's place, zeros elsewhere, onto (N, *shape)."""
    out = np.zeros((len(signal), *shape))
    for place in range(4):
        rows, columns = signal.shape[1:3]
        out[:, place // 2 : 2 * rows : 2, place % 2 : 2 * columns : 2] = np.where(places == place, signal, 0)
    return out


class LeNet:
    """The nano-book's network in float64, with the weights of a Keras model of the same architecture."""

    def __init__(self, weights):
        self.conv1, self.bias1, self.conv2, self.bias2, self.dense, self.bias3, self.out, self.bias4 = (
            np.asarray(weight, np.float64) for weight in weights
        )

    def logits(self, x):
        return self.layers(x)["logits"]

    def layers(self, x):
        found = {"x": np.asarray(x, np.float64)}
        found["conv1"] = convolve(found["x"], self.conv1, self.bias1)
        found["pool1"], found["places1"] = pool(np.maximum(found["conv1"], 0))
        found["conv2"] = convolve(found["pool1"], self.conv2, self.bias2)
        found["pool2"], found["places2"] = pool(np.maximum(found["conv2"], 0))
        found["dense"] = found["pool2"].reshape(len(x), -1) @ self.dense + self.bias3
        found["logits"] = np.maximum(found["dense"], 0) @ self.out + self.bias4
        return found

    def gradient(self, x, targets):
        """∂S_c/∂x by hand: the chain rule layer by layer."""
        found = self.layers(x)
        signal = self.out[:, targets].T * (found["dense"] > 0)
        signal = (signal @ self.dense.T).reshape(found["pool2"].shape)
        signal = unpool(signal, found["places2"], found["conv2"].shape[1:]) * (found["conv2"] > 0)
        signal = convolve_back(signal, self.conv2, found["pool1"].shape[1:])
        signal = unpool(signal, found["places1"], found["conv1"].shape[1:]) * (found["conv1"] > 0)
        return convolve_back(signal, self.conv1, found["x"].shape[1:])

    def project(self, x, layer, signal, rule):
        """A signal at "relu1" or "relu2" brought down to the pixels (Zeiler & Fergus 2014, section 2.1)."""
        found = self.layers(x)
        if layer == "relu2":
            signal = convolve_back(rectify(signal, found["conv2"], rule), self.conv2, found["pool1"].shape[1:])
            signal = unpool(signal, found["places1"], found["conv1"].shape[1:])
        return convolve_back(rectify(signal, found["conv1"], rule), self.conv1, found["x"].shape[1:])


def rectify(signal, x, rule):
    """What passes a ReLU that was given x: by the deconvnet's rule, by guided back-propagation's, or as the gradient."""
    if rule == "deconvnet":
        return np.maximum(signal, 0)
    return np.where(x > 0, np.maximum(signal, 0) if rule == "guided" else signal, 0)


def differences(function, x, step=1e-6):
    """Central differences of a scalar function of one image, called with a batch; NaN where a kink lies within the step.

    A kink shows in the differences to the right and to the left, which then disagree.
    """
    x = np.asarray(x, np.float64)
    moves = step * np.eye(x.size).reshape(-1, *x.shape)
    middle = function(x[None])[0]
    right = (np.concatenate([function(x + part) for part in np.array_split(moves, 8)]) - middle) / step
    left = (middle - np.concatenate([function(x - part) for part in np.array_split(moves, 8)])) / step
    kink = np.abs(right - left) > 1e-4 * np.abs(right).max()
    return np.where(kink, np.nan, (right + left) / 2).reshape(x.shape)


def enlarge(image, top, left, height, width, mirrored):
    """A crop of image (H, W, C) enlarged to H×W, bilinear with pixel centers at half numbers, pixel by pixel."""
    rows, columns = image.shape[:2]
    out = np.zeros(image.shape)
    for i in range(rows):
        for j in range(columns):
            y = min(max((i + 0.5) * height / rows - 0.5, 0), height - 1)
            x = min(max((j + 0.5) * width / columns - 0.5, 0), width - 1)
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            corners = [(y0, x0, (1 - y + y0) * (1 - x + x0)), (y0, x1, (1 - y + y0) * (x - x0))]
            corners += [(y1, x0, (y - y0) * (1 - x + x0)), (y1, x1, (y - y0) * (x - x0))]
            out[i, j] = sum(weight * image[top + a, left + b] for a, b, weight in corners)
    return out[:, ::-1] if mirrored else out


def rank_correlation(a, b):
    """Spearman's: Pearson's correlation of the ranks, ties in the order they stand."""
    ranks = [np.argsort(np.argsort(np.ravel(values), kind="stable"), kind="stable") for values in (a, b)]
    return np.corrcoef(ranks)[0, 1]


def occluded(image, patch, stride, behind):
    """The image under a square at one position after the other: tops, lefts and the images (rows, columns, H, W, C).

    The square starts at every multiple of the stride where it fits, and once more so that it touches the end.
    `behind` (H, W, C) is what it shows.
    """
    starts = []
    for side in image.shape[:2]:
        fit = [start for start in range(side) if start % stride == 0 and start + patch <= side]
        starts.append(fit if fit[-1] + patch == side else [*fit, side - patch])
    tops, lefts = starts
    images = np.zeros((len(tops), len(lefts), *image.shape))
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            images[i, j] = image
            for y in range(top, top + patch):
                for x in range(left, left + patch):
                    images[i, j, y, x] = behind[y, x]
    return tops, lefts, images


def mean_over_squares(grid, tops, lefts, patch, height, width):
    """For each pixel the mean of a number of each square (rows, columns) over the squares that cover the pixel."""
    covering = [[[] for _ in range(width)] for _ in range(height)]
    for i, top in enumerate(tops):
        for j, left in enumerate(lefts):
            for y in range(top, top + patch):
                for x in range(left, left + patch):
                    covering[y][x].append(grid[i][j])
    return np.array([[np.mean(numbers) for numbers in row] for row in covering])


def softmax(logits):
    """Probabilities (N, K)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def lenet_steps(network):
    """What each layer of a `LeNet` does to the output of the one before it, by name and in order, its softmax by itself."""
    return {
        "conv1": lambda x: convolve(x, network.conv1, network.bias1),
        "relu1": lambda x: np.maximum(x, 0),
        "pool1": lambda x: pool(x)[0],
        "conv2": lambda x: convolve(x, network.conv2, network.bias2),
        "relu2": lambda x: np.maximum(x, 0),
        "pool2": lambda x: pool(x)[0],
        "flatten": lambda x: x.reshape(len(x), -1),
        "dense": lambda x: np.maximum(x @ network.dense + network.bias3, 0),
        "logits": lambda x: x @ network.out + network.bias4,
        "probabilities": softmax,
    }


def total_variation(x):
    """Of one image (H, W, C), β = 2, pixel by pixel; what has no neighbor to the right or below has no difference to it."""
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            right = x[i, j + 1] - x[i, j] if j + 1 < x.shape[1] else 0
            below = x[i + 1, j] - x[i, j] if i + 1 < x.shape[0] else 0
            total += np.sum(np.square(right) + np.square(below))
    return total


def inversion_loss(code, wanted, x, alpha_weight, variation_weight):
    """Mahendran & Vedaldi 2015, equations 1 to 3, of one normalized image x whose representation is `code`."""
    data = np.sum((code - wanted) ** 2) / np.sum(wanted**2)
    return data + alpha_weight * np.sum(np.abs(x) ** 6) + variation_weight * total_variation(x)


def spectrum_picture(s, width):
    """z (H, W, 3) of coefficients (2, 3, H, W // 2 + 1): irfft2(S / max(f, f_min)) · √(H · W) / 4, times M."""
    height = s.shape[2]
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    y = (
        np.fft.irfft2((s[0] + 1j * s[1]) / np.maximum(f, 1 / max(height, width)), (height, width))
        * np.sqrt(height * width)
        / 4
    )
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    longest = max(np.sqrt((root[:, column] ** 2).sum()) for column in range(3))
    return np.stack([sum(root[color, each] / longest * y[each] for each in range(3)) for color in range(3)], axis=-1)


def isotropic_variation(x, epsilon):
    """Of one image (H, W, C), pixel by pixel: Σ √(d + ε) − √ε, d the squared distances to the pixels below and right."""
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            right = x[i, j + 1] - x[i, j] if j + 1 < x.shape[1] else 0
            below = x[i + 1, j] - x[i, j] if i + 1 < x.shape[0] else 0
            total += np.sqrt(np.sum(np.square(right) + np.square(below)) + epsilon) - np.sqrt(epsilon)
    return total


def gaussian_blur(x, width):
    """Of one image (H, W, C), pixel by pixel: the mean over all pixels, weighted by exp(−distance² / 2 width²)."""
    out = np.zeros(x.shape)
    rows, columns = np.indices(x.shape[:2])
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            weights = np.exp(-((rows - i) ** 2 + (columns - j) ** 2) / (2 * width**2))
            out[i, j] = np.sum(weights[..., None] * x, axis=(0, 1)) / weights.sum()
    return out


def ascend(gradient, start, rate, steps):
    """Adam (Kingma & Ba 2014, algorithm 1) up the gradient of one image, kept from 0 to 1 after each step."""
    x, first, second = np.array(start, np.float64), 0.0, 0.0
    for number in range(1, steps + 1):
        slope = gradient(x)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        x = np.clip(x + rate * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8), 0, 1)
    return x


def bilinear(x, rows, columns):
    """A map (h, w) enlarged pixel by pixel, with pixel centers at half numbers; beyond the outermost centers it goes on."""
    height, width = x.shape
    out = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            v = min(max((i + 0.5) / rows * height - 0.5, 0), height - 1)
            u = min(max((j + 0.5) / columns * width - 0.5, 0), width - 1)
            v0, u0 = int(v), int(u)
            v1, u1 = min(v0 + 1, height - 1), min(u0 + 1, width - 1)
            above = (1 - u + u0) * x[v0, u0] + (u - u0) * x[v0, u1]
            below = (1 - u + u0) * x[v1, u0] + (u - u0) * x[v1, u1]
            out[i, j] = (1 - v + v0) * above + (v - v0) * below
    return out


def grad_cam(a, g):
    """Selvaraju et al. 2017, equations 1 and 2 before the ReLU: of maps a (h, w, K) of one image and g = ∂S/∂a."""
    evidence = np.zeros(a.shape[:2])
    for k in range(a.shape[2]):
        evidence += sum(g[i, j, k] for i, j in np.ndindex(evidence.shape)) / evidence.size * a[:, :, k]
    return evidence


def grad_cam_plus_plus(a, g, score=1.0):
    """Chattopadhyay et al. 2018, equations 5, 10 and 19, with Y = exp(S), divided by exp(S) in the end; before the ReLU."""
    evidence, factor = np.zeros(a.shape[:2]), np.exp(score)
    for k in range(a.shape[2]):
        weight, total = 0.0, sum(a[i, j, k] for i, j in np.ndindex(evidence.shape))
        for i, j in np.ndindex(evidence.shape):
            first, second, third = (factor * g[i, j, k] ** power for power in (1, 2, 3))
            below = 2 * second + total * third
            if first > 0 and below > 0:
                weight += second / below * first
        evidence += weight * a[:, :, k]
    return evidence / factor


def layer_cam(a, g):
    """Jiang et al. 2021, equations 6 to 8, before the ReLU."""
    evidence = np.zeros(a.shape[:2])
    for i, j, k in np.ndindex(a.shape):
        evidence[i, j] += max(g[i, j, k], 0) * a[i, j, k]
    return evidence


def score_cam(a, image, probability):
    """Wang et al. 2020, definitions 3 and 4, before the ReLU: `probability` of the class for images (N, H, W, C)."""
    evidence, blank = np.zeros(a.shape[:2]), probability(np.zeros((1, *image.shape)))[0]
    for k in range(a.shape[2]):
        if a[:, :, k].max() == a[:, :, k].min():
            continue
        mask = bilinear(a[:, :, k], *image.shape[:2])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        evidence += (probability((image * mask[:, :, None])[None])[0] - blank) * a[:, :, k]
    return evidence


BY_GRADIENT = {"gradcam": grad_cam, "gradcam++": grad_cam_plus_plus, "layercam": layer_cam}


def convolve_same(x, kernel, stride):
    """TensorFlow's 'same' convolution of x (N, H, W, C): zeros around it, the odd one below and to the right.

    Args:
        x: The input.
        kernel: (outputs, inputs, rows, columns) as PyTorch has it; inputs of 1 makes it depthwise.
        stride: In both directions.
    """
    outputs, inputs, side, _ = kernel.shape
    rows, columns = (-(-length // stride) for length in x.shape[1:3])
    pads = [max((out - 1) * stride + side - length, 0) for out, length in zip((rows, columns), x.shape[1:3], strict=True)]
    padded = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    out = np.zeros((len(x), rows, columns, outputs))
    for p in range(side):
        for q in range(side):
            seen = padded[:, p : p + stride * (rows - 1) + 1 : stride, q : q + stride * (columns - 1) + 1 : stride]
            out += seen * kernel[:, 0, p, q] if inputs == 1 else seen @ kernel[:, :, p, q].T
    return out


class EfficientNetLite0:
    """The network in float64 with the tensors of its PyTorch state dict, whose shapes tell kernels and widths."""

    STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)

    def __init__(self, tensors):
        self.tensors = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}

    def logits(self, x):
        x = self.unit(np.asarray(x, np.float64), "", "_conv_stem", "_bn0", stride=2)
        for index, stride in enumerate(self.STRIDES):
            before, prefix = x, f"_blocks.{index}."
            if f"{prefix}_expand_conv.weight" in self.tensors:
                x = self.unit(x, prefix, "_expand_conv", "_bn0")
            x = self.unit(x, prefix, "_depthwise_conv", "_bn1", stride=stride)
            x = self.unit(x, prefix, "_project_conv", "_bn2", linear=True)
            x = x + before if x.shape == before.shape else x
        x = self.unit(x, "", "_conv_head", "_bn1").mean(axis=(1, 2))
        return x @ self.tensors["_fc.weight"].T + self.tensors["_fc.bias"]

    def unit(self, x, prefix, convolution, norm, stride=1, linear=False):
        x = convolve_same(x, self.tensors[f"{prefix}{convolution}.weight"], stride)
        scale, shift, mean, variance = (
            self.tensors[f"{prefix}{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * scale + shift
        return x if linear else np.clip(x, 0, 6)
