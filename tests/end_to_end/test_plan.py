"""How long several analyses will take, in words."""

from cnnexplain.pipeline import plan


def test_passes_are_timed_after_compilation(lenet, monkeypatch):
    asked = []
    monkeypatch.setattr(lenet, "predict", lambda images: asked.append(images.shape))
    assert 0 <= plan.measured(lenet) < 0.01
    assert asked == [(plan.TIMED // lenet.activation_count, 28, 28, 1)] * (1 + plan.REPEATS)
