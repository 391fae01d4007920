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
    """A crop of image (H, W, C) enlarged to H×W, bilinear with pixel centres at half numbers, pixel by pixel."""
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
