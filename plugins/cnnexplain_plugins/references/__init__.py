"""Second opinions for `cnnexplain verify`: tf-keras-vis on TensorFlow, and Captum on PyTorch."""

from __future__ import annotations

from cnnexplain.plugin import Measurement, Reference, Subject, hookimpl

TF_KERAS_VIS = ("tf_keras_vis", "pip install tf-keras-vis", "tensorflow")
CAPTUM = ("captum", "pip install 'cnnexplain[captum]'", "torch")
"""The module of a package, the command to install it, and its backend."""


def _saliency(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.tf_keras_vis import saliency

    return saliency(subject)


def _smoothgrad(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.tf_keras_vis import smoothgrad

    return smoothgrad(subject)


def _gradcam(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.tf_keras_vis import gradcam

    return gradcam(subject)


def _captum_saliency(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum import saliency

    return saliency(subject)


def _captum_gradient_x_input(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum import gradient_x_input

    return gradient_x_input(subject)


def _captum_integrated_gradients(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum import integrated_gradients

    return integrated_gradients(subject)


def _captum_occlusion(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum import occlusion

    return occlusion(subject)


def _captum_gradcam(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum import gradcam

    return gradcam(subject)


def _captum_rules(subject: Subject) -> Measurement:
    from cnnexplain_plugins.references.captum_rules import measure

    return measure(subject)


@hookimpl
def cnnexplain_references() -> list[Reference]:
    """Declares the references."""
    return [
        Reference(
            "tf-keras-vis saliency",
            "saliency",
            *TF_KERAS_VIS,
            "The map is that of tf-keras-vis' Saliency, which follows the paper too.",
            _saliency,
        ),
        Reference(
            "tf-keras-vis SmoothGrad",
            "smoothgrad",
            *TF_KERAS_VIS,
            "The mean gradient is that of tf-keras-vis' Saliency with smooth_samples, up to the noise of both. By default "
            "it averages magnitudes, unlike the paper, which cnnexplain follows; here it is told not to.",
            _smoothgrad,
        ),
        Reference(
            "tf-keras-vis CAM",
            "gradcam",
            *TF_KERAS_VIS,
            "The map of Grad-CAM or Layer-CAM is that of tf-keras-vis. Its Grad-CAM++ and Score-CAM differ from the papers, "
            "which cnnexplain follows: they are not compared.",
            _gradcam,
        ),
        Reference(
            "Captum Saliency",
            "saliency",
            *CAPTUM,
            "The gradient is that of Captum's Saliency.",
            _captum_saliency,
        ),
        Reference(
            "Captum InputXGradient",
            "gradient-x-input",
            *CAPTUM,
            "The attribution is that of Captum's InputXGradient, which knows no baseline but 0.",
            _captum_gradient_x_input,
        ),
        Reference(
            "Captum IntegratedGradients",
            "integrated-gradients",
            *CAPTUM,
            "The attribution is that of Captum's IntegratedGradients with as many steps of the Gauss-Legendre quadrature.",
            _captum_integrated_gradients,
        ),
        Reference(
            "Captum Occlusion",
            "occlusion",
            *CAPTUM,
            "The drop of the score at each pixel is that of Captum's Occlusion. It cuts off squares that do not fit into "
            "the image; the paper does not say what happens there, and cnnexplain moves them to the border.",
            _captum_occlusion,
        ),
        Reference(
            "Captum LayerGradCam",
            "gradcam",
            *CAPTUM,
            "The evidence is that of Captum's LayerGradCam. By default it leaves out the final ReLU of the paper; "
            "cnnexplain follows the paper and applies it to the map.",
            _captum_gradcam,
        ),
        Reference(
            "Captum ReLU rules",
            "deconvnet",
            *CAPTUM,
            "The projections with the rules 'deconvnet' and 'guided' are those of Captum's Deconvolution and GuidedBackprop "
            "of the same unit, times its activation, with which the paper starts. Captum finds no ReLUs in Keras models: it "
            "gets a copy whose ReLUs are modules of PyTorch.",
            _captum_rules,
        ),
    ]
