"""Files of more than 8 bits: which value is white."""

import numpy as np
import pytest
from files import png

import cnnexplain as cx
from cnnexplain.errors import ImageError
from cnnexplain.plugin import registry


def values(channels, highest=4012, side=24):
    """A smooth picture of 12-bit numbers."""
    ramp = np.linspace(0, 1, side)
    planes = [ramp[:, None] * ramp, ramp[:, None] * ramp[::-1], np.broadcast_to(ramp, (side, side)), np.ones((side, side))]
    return np.round(highest * np.stack(planes[:channels], axis=-1)).astype(np.uint16)


def write(folder, data, suffix):
    path = folder / f"x.{suffix}"
    path.write_bytes(data)
    return path


def test_integer_arrays_are_scaled_by_a_given_white_level(model):
    pixels = np.stack([values(3, side=12)[:, :10], values(3, 2000, side=12)[:, :10]])
    # Where the range is a guess, too.
    for said in ({}, {"scale": 1}):
        with pytest.raises(ImageError, match=r"integers of more bits, give the value of white \(white_level\)"):
            cx.explain("saliency", cx.load(model(), preprocess=said), pixels)
    assert cx.explain("saliency", cx.load(model()), pixels.astype(np.float32)).images.max() == 4012
    classifier = cx.load(model(), preprocess={"white_level": 4095})
    for array in (pixels, pixels.astype(np.int32)):
        record = cx.explain("saliency", classifier, array)
        np.testing.assert_allclose(record.images, pixels / 4095, atol=1e-6)
        assert not record.warnings


def test_the_white_level_can_be_set_everywhere(cli, model, tmp_path, monkeypatch):
    model().save(tmp_path / "net.keras")
    pixels = values(3, side=12)[:, :10]
    write(tmp_path, png(pixels), "png")
    code, _, err = cli("run", "saliency", "x.png", "--model", "net.keras")
    assert code == 0
    assert "Warning: The highest value of x.png is 4,095" in err
    with monkeypatch.context() as patch:
        # No analysis is tried.
        patch.setattr(registry, "load", lambda: registry.collect([]))
        code, out, _ = cli("doctor", "net.keras", "x.png")
    assert code == 1
    assert "--input-white-level 4095" in out
    for way in (["--input-white-level", "4095"], []):
        if not way:
            (tmp_path / "net.json").write_text('{"white_level": 4095}')
        code, out, err = cli("run", "saliency", "x.png", "--model", "net.keras", *way)
        assert (code, "highest" in out + err) == (0, False)
        record = cx.Record.load("cnnexplain-out/saliency")
        assert record.preprocess.white_level == 4095
        np.testing.assert_allclose(record.images[0], pixels / 4095, atol=0.51 / 255)
    code, _, err = cli("run", "saliency", "x.png", "--model", "net.keras", "--input-white-level", "-3")
    assert (code, err) == (
        2,
        "Error: --input-white-level takes a number above 0, such as 4095, but got '-3'.\n",
    )
