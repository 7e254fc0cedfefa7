import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from grokdyn.plot.cell_axes import cell_axis

relaxed = settings(deadline=None, max_examples=50)


def axis_of(values):
    return cell_axis(xr.DataArray(values, dims="weight_decay", name="weight_decay"))


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([0.2, 0.3, 0.4, 0.5], "linear"),
        ([8, 16, 24], "linear"),
        ([1e-4, 1e-3, 1e-2], "log"),
        ([0.1, 0.3, 1, 3, 10], "log"),
        ([16, 32, 64, 128], "log"),
        ([0.0, 0.1, 0.3, 1, 3, 5, 10, 20], "category"),
        ([0.0, 0.1, 1, 10], "category"),
        (["relu", "square"], "category"),
        ([False, True], "category"),
        ([0.5], "category"),
    ],
)
def test_the_scale_is_the_one_the_values_were_swept_on(values, scale):
    axis = axis_of(values)
    assert axis.scale == scale
    assert axis.title == "weight decay"
    assert len(axis.edges) == len(values) + 1


def test_edges_lie_half_way_and_categories_are_counted():
    np.testing.assert_allclose(axis_of([0.2, 0.3, 0.4]).edges, [0.15, 0.25, 0.35, 0.45])
    np.testing.assert_allclose(axis_of([1.0, 100.0]).edges, [0.1, 10, 1000])
    zero = axis_of([0.0, 0.1, 1.0])
    np.testing.assert_array_equal(zero.edges, [-0.5, 0.5, 1.5, 2.5])
    assert zero.labels == ("0", "0.1", "1")


@relaxed
@given(values=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9, unique=True).map(sorted))
def test_every_cell_contains_its_value_and_nothing_of_the_next(values):
    axis = axis_of(values)
    assert np.all(np.diff(axis.edges) > 0)
    assert np.all((axis.edges[:-1] < axis.centres) & (axis.centres < axis.edges[1:]))


@relaxed
@given(share=st.floats(0.05, 1), values=st.sampled_from([[1.0, 2.0, 3.0], [0.1, 1.0, 10.0], [0.0, 0.1, 5.0]]))
def test_the_inner_part_has_its_share_of_the_cell_as_drawn(share, values):
    axis = axis_of(values)
    drawn = np.log if axis.scale == "log" else np.asarray
    low, high = axis.inner(1, share)
    part = (drawn(high) - drawn(low)) / np.diff(drawn(axis.edges))[1]
    assert part == pytest.approx(share)


def test_values_are_written_shortly():
    assert axis_of([12345, 54321]).labels == ("12345", "54321")
    assert axis_of([1e-5, 1 / 3]).labels == ("1e-05", "0.3333")
