"""Calls of Captum on the same weights in PyTorch, and the limits there: plain PyTorch on the same module.

Both are told the classes, which cnnexplain predicts. The module computes channels first, and nothing is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from captum import attr

from benchmarks.subject import Subject
from benchmarks.torch_network import Network

Call = Callable[[], object]

AGREEMENT = 1e-3
"""The largest difference of the scores of the two networks, relative to the largest score."""


@cache
def _network(subject: Subject) -> Any:
    """The module, which must compute the scores of the Keras model."""
    network = Network(subject)
    expected = subject.linear(subject.images[:1], training=False).detach()
    if (network(_images(subject, 1)) - expected).abs().max() > AGREEMENT * expected.abs().max():
        raise ValueError("The PyTorch module computes other scores than the Keras model.")
    return network


def _images(subject: Subject, count: int) -> Any:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(subject.take(count), -1, 1)))


def _targets(subject: Subject, count: int) -> Any:
    return torch.from_numpy(np.resize(subject.targets, count))


def _gradient(network: Any, x: Any, targets: Any) -> Any:
    """The gradients of the scores of the targets."""
    x = x.detach().requires_grad_()
    scores = network(x)
    return torch.autograd.grad(scores.gather(1, targets[:, None]).sum(), x)[0]


def saliency(subject: Subject, count: int) -> Call:
    """Of `count` images in batches of the same size as those of the limit."""
    explain, images, targets = attr.Saliency(_network(subject)), _images(subject, count), _targets(subject, count)
    batches = list(zip(images.split(subject.batch), targets.split(subject.batch), strict=True))
    return lambda: [explain.attribute(x, target).amax(1).numpy() for x, target in batches]


def saliency_limit(subject: Subject, count: int) -> Call:
    """The gradients, and their largest magnitudes over the channels."""
    network, images, targets = _network(subject), _images(subject, count), _targets(subject, count)
    batches = list(zip(images.split(subject.batch), targets.split(subject.batch), strict=True))
    return lambda: [_gradient(network, x, target).abs().amax(1).numpy() for x, target in batches]


def smoothgrad(subject: Subject, samples: int, noise: float) -> Call:
    """Of one image."""
    explain = attr.NoiseTunnel(attr.Saliency(_network(subject)))
    x, target = _images(subject, 1), _targets(subject, 1)
    options = {"nt_samples": samples, "nt_samples_batch_size": subject.batch, "stdevs": noise, "abs": False}
    return lambda: explain.attribute(x, target=target, **options).numpy()


def smoothgrad_limit(subject: Subject, samples: int, noise: float) -> Call:
    """The mean gradient of copies with noise drawn by PyTorch."""
    network, x, target = _network(subject), _images(subject, 1), _targets(subject, 1)
    return lambda: _mean(
        subject,
        samples,
        lambda part: _gradient(network, x + noise * torch.randn(len(part), *x.shape[1:]), target.repeat(len(part))),
    )


def integrated_gradients(subject: Subject, steps: int) -> Call:
    """Of one image, from zeros."""
    explain, x, target = attr.IntegratedGradients(_network(subject)), _images(subject, 1), _targets(subject, 1)
    return lambda: explain.attribute(x, target=target, n_steps=steps, internal_batch_size=subject.batch).numpy()


def integrated_gradients_limit(subject: Subject, steps: int) -> Call:
    """The weighted mean of the gradients on the way from zeros."""
    network, x, target = _network(subject), _images(subject, 1), _targets(subject, 1)
    nodes, weights = (torch.from_numpy(each.astype(np.float32)) for each in np.polynomial.legendre.leggauss(steps))
    nodes, weights = (nodes[:, None, None, None] + 1) / 2, weights[:, None, None, None] * steps / 2
    return lambda: (
        x * _mean(subject, steps, lambda part: weights[part] * _gradient(network, nodes[part] * x, target.repeat(len(part))))
    )


def occlusion(subject: Subject, patch: int, stride: int) -> Call:
    """Of one image, with zeros as the fill."""
    explain, x, target = attr.Occlusion(_network(subject)), _images(subject, 1), _targets(subject, 1)
    options = {"strides": (x.shape[1], stride, stride), "perturbations_per_eval": subject.batch}
    return lambda: explain.attribute(x, (x.shape[1], patch, patch), target=target, **options).numpy()


def occlusion_limit(subject: Subject, patch: int, stride: int) -> Call:
    """The scores with zeros at every position."""
    network, x, target = _network(subject), _images(subject, 1), _targets(subject, 1)
    rows, columns = (torch.tensor([*range(0, side - patch, stride), side - patch]) for side in x.shape[2:])
    down, across = (
        (starts[:, None] <= torch.arange(side)) & (torch.arange(side) < starts[:, None] + patch)
        for starts, side in ((rows, x.shape[2]), (columns, x.shape[3]))
    )
    positions = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(columns)))

    def limit() -> Any:
        with torch.inference_mode():
            return torch.cat(
                [
                    network(x * ~(down[part[:, 0], None, :, None] & across[part[:, 1], None, None, :]))[:, target]
                    for part in positions.split(subject.batch)
                ]
            ).numpy()

    return limit


def gradcam(subject: Subject, count: int) -> Call:
    """Of `count` images, enlarged."""
    network, x, target = _network(subject), _images(subject, count), _targets(subject, count)
    explain = attr.LayerGradCam(network, network.layers[subject.last])
    side = tuple(x.shape[2:])
    return lambda: (
        attr.LayerAttribution.interpolate(explain.attribute(x, target, relu_attributions=True), side, "bilinear")
        .detach()
        .numpy()
    )


def gradcam_limit(subject: Subject, count: int) -> Call:
    """The feature maps weighted by their mean gradients, enlarged."""
    network, x, target = _network(subject), _images(subject, count), _targets(subject, count)

    def limit() -> Any:
        kept: list[Any] = []

        def keep(_: Any, __: Any, output: Any) -> Any:
            # The gradient is that of the feature maps; the layers below them need none.
            kept.append(output.requires_grad_())

        hook = network.layers[subject.last].register_forward_hook(keep)
        scores = network(x)
        hook.remove()
        (slope,) = torch.autograd.grad(scores.gather(1, target[:, None]).sum(), kept)
        maps = (slope.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
        return torch.nn.functional.interpolate(maps, tuple(x.shape[2:]), mode="bilinear").detach().numpy()

    return limit


def _mean(subject: Subject, count: int, gradients: Callable[[Any], Any]) -> Any:
    """The mean of the gradients of `count` copies, given by their indices, in batches."""
    total = sum(gradients(part).sum(0) for part in torch.arange(count).split(subject.batch))
    return (total / count).numpy()


CALLS: dict[str, Callable[..., Call]] = {
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "integrated-gradients": integrated_gradients,
    "occlusion": occlusion,
    "gradcam": gradcam,
}

LIMITS: dict[str, Callable[..., Call]] = {
    "saliency": saliency_limit,
    "smoothgrad": smoothgrad_limit,
    "integrated-gradients": integrated_gradients_limit,
    "occlusion": occlusion_limit,
    "gradcam": gradcam_limit,
}
