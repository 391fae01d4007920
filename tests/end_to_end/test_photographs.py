"""A photograph is told from a picture of a digit."""

import cnnexplain as cx


def test_one_given_to_a_model_of_digits_is_warned_of(lenet, folder):
    cat = str(folder / "examples" / "photos" / "cat.jpg")
    record = cx.explain("saliency", lenet, ["mnist:test/42", cat])
    (warning,) = record.warnings
    assert warning.startswith(f"{cat} looks like a photograph, but 'lenet' classifies single digits")
    assert "--model efficientnet-lite0" in warning
    assert cx.explain("saliency", lenet, "mnist:test/42").warnings == ()
