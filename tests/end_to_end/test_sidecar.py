"""What is said of a model's input: every key, what is refused, and files that come from anywhere."""

import json

import cnnexplain as cx


def test_an_unused_sidecar_gives_a_warning(lenet, tmp_path, noise):
    lenet.model.save(tmp_path / "net.keras")
    (tmp_path / "net.json").write_text(json.dumps({"class_names": ["a", "b"], "epochs": 3}))
    record = cx.explain("saliency", cx.load(tmp_path / "net.keras"), noise[:1])
    (warning,) = record.warnings
    assert warning.startswith(f"'{tmp_path / 'net.json'}' has none of the keys of a sidecar and was not used.")
