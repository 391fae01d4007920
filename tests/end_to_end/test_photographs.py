"""A photograph is told from a picture of a digit."""

import cnnexplain as cx


def test_a_photograph_for_a_digit_model_gives_a_warning(lenet, folder):
    cat = str(folder / "examples" / "photos" / "cat.jpg")
    record = cx.explain("saliency", lenet, ["mnist:test/42", cat])
    (warning,) = record.warnings
    assert warning.startswith(f"{cat} looks like a photograph, but 'lenet' classifies single digits")
    assert "--model efficientnet-lite0" in warning
    assert cx.explain("saliency", lenet, "mnist:test/42").warnings == ()
