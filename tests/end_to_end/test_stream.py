"""Data sets as streams."""

import numpy as np
import pytest
from PIL import Image

import cnnexplain as cx
from cnnexplain.errors import ImageError, UsageError
from cnnexplain.inputs import datasets


def test_test_images_are_streamed_once_in_order(lenet):
    stream = cx.open_stream("mnist:test", lenet)
    places, firsts, count = [], [], 0
    for where, batch in stream.batches():
        assert len(batch) <= lenet.batch_size
        assert batch.sources[0].name == f"mnist:test/{where[0]}"
        places += where.tolist()
        firsts.append(batch[:1])
        count += len(batch)
    assert places == list(range(10_000))
    assert count == len(stream) == 10_000
    again = cx.read_images([f"mnist:test/{index}" for index in (0, 256, 9_999)], lenet)
    np.testing.assert_array_equal(stream.pick([0, 256, 9_999]), again)
    assert stream.pick([256]).sources == again[1:2].sources
    np.testing.assert_array_equal(firsts[1], again[1:2])


def test_streams_need_only_a_preprocess(lenet, noise):
    stream = cx.open_stream("mnist:test", lenet.preprocess)
    places, batch = next(iter(stream.batches()))
    assert places.tolist() == list(range(64))
    np.testing.assert_array_equal(batch, cx.open_stream("mnist:test", lenet).pick(range(64)))
    assert len(list(cx.open_stream(noise[:3], lenet.preprocess).batches())) == 1
    read = [cx.read_images("mnist:test/42", of) for of in (lenet, lenet.preprocess)]
    np.testing.assert_array_equal(*read)


def test_samples_are_fitted_to_other_models(model):
    clf = cx.load(model())
    stream = cx.open_stream("mnist:test", clf)
    _, batch = next(stream.batches())
    np.testing.assert_array_equal(batch[:1], cx.read_images("mnist:test/0", clf))


def test_folders_are_searched_recursively_and_broken_files_skipped(lenet, tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    for name, index in (("a.png", 3), ("b/c.png", 4), ("z.png", 5)):
        Image.fromarray(datasets.sample(f"mnist:test/{index}")[0]).save(tmp_path / name)
    (tmp_path / "b" / "broken.png").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image either")
    monkeypatch.setattr(lenet, "batch_size", 2)
    stream = cx.open_stream(tmp_path, lenet)
    found = [(where.tolist(), [source.name for source in batch.sources]) for where, batch in stream.batches()]
    names = [str(tmp_path / name) for name in ("a.png", "b/c.png", "z.png")]
    assert found == [([0], names[:1]), ([2, 3], names[1:])] or found == [([0, 2], names[:2]), ([3], names[2:])]
    assert list(stream.skipped) == [str(tmp_path / "b" / "broken.png")]
    assert "is not an image that can be read" in stream.skipped[str(tmp_path / "b" / "broken.png")]
    assert [source.name for source in stream.pick([3, 0, 3]).sources] == [names[2], names[0], names[2]]


def test_an_image_may_be_selected_several_times(lenet, tmp_path):
    for name, index in (("a.png", 3), ("b.png", 4)):
        Image.fromarray(datasets.sample(f"mnist:test/{index}")[0]).save(tmp_path / name)
    stream = cx.open_stream(tmp_path, lenet)
    list(stream.batches())
    picked = stream.pick([1, 0, 1, 1])
    assert [source.name for source in picked.sources] == [
        str(tmp_path / name) for name in ("b.png", "a.png", "b.png", "b.png")
    ]
    np.testing.assert_array_equal(picked, cx.read_images([tmp_path / f"{name}.png" for name in "babb"], lenet))


def test_inversion_follows_the_option(lenet, tmp_path):
    Image.fromarray(255 - datasets.sample("mnist:test/3")[0]).save(tmp_path / "paper.png")
    for invert, expected in ((None, True), (True, True), (False, False)):
        batch = cx.open_stream(tmp_path, lenet, invert=invert).pick([0])
        assert batch.sources[0].inverted is expected
        np.testing.assert_array_equal(batch, cx.read_images(tmp_path, lenet, invert=invert))
    swapped = cx.open_stream("mnist:test", lenet, invert=True).pick([3])
    np.testing.assert_allclose(swapped, 1 - cx.read_images("mnist:test/3", lenet), atol=1e-6)


def test_arrays_are_streamed_too(lenet, noise):
    stream = cx.open_stream(noise, lenet)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in stream.batches()]), noise)
    np.testing.assert_array_equal(stream.pick([2, 0]), noise[[2, 0]])
    assert cx.open_stream(stream, lenet) is stream


def test_invalid_data_sets_are_refused(lenet, tmp_path):
    (tmp_path / "file.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for name in ("mnist:tets", tmp_path / "none", tmp_path / "file.png"):
        with pytest.raises(UsageError, match="There is no data set"):
            cx.open_stream(name, lenet)
    with pytest.raises(ImageError, match="contains no image"):
        cx.open_stream(tmp_path / "empty", lenet)
