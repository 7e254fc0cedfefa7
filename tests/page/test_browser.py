"""A page in a real browser: it is opened, clicked, changed, filtered, saved, and asks for nothing."""

import csv
import re

import numpy as np
import pytest

import grokdyn as gd
from tests.page import stores
from tests.page.browser import Browser, found

pytestmark = pytest.mark.skipif(found() is None, reason="no Chromium here: apt-get install chromium")
MAP = "document.getElementById('map')"
CHOSEN = "document.getElementById('chosen').textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture
def saved(browser, tmp_path):
    """Return a function that reads the CSV which a click saves."""

    def save(button, name):
        place = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
        browser.call("Browser.setDownloadBehavior", **place)
        browser.value(f"document.getElementById('{button}').click()")
        for _ in range(500):
            browser.value("1")
            if any(e.get("params", {}).get("state") == "completed" for e in browser.events):
                break
        return list(csv.DictReader((tmp_path / name).read_text().splitlines()))

    return save


def page_of(ds, tmp_path, **options):
    return gd.report(ds, tmp_path / "page.html", **options)


def choose(browser, label, value):
    """Set a select of the diagram by its label."""
    select = f"document.querySelector(`.panel select[aria-label='{label}']`)"
    browser.value(f"(() => {{ const s = {select}; s.value = '{value}'; s.dispatchEvent(new Event('change')); }})()")


def cell_place(browser, column, row, columns, rows):
    """Return where a cell of the only panel is on the screen."""
    box = f"{MAP}.querySelector('image').getBoundingClientRect()"
    x, y, width, height = browser.value(f"(() => {{ const r = {box}; return [r.x, r.y, r.width, r.height]; }})()")
    return x + (column + 0.5) * width / columns, y + height - (row + 0.5) * height / rows


def test_a_reader_clicks_changes_filters_and_saves(browser, tmp_path, saved):
    ds = stores.ended()
    browser.open(page_of(ds, tmp_path))
    assert browser.value("document.body.dataset.state") == "ready"
    browser.value(f"{MAP}.scrollIntoView()")

    # A click shows the runs of the cell, with the numbers of the store.
    browser.click(*cell_place(browser, 5, 3, 8, 8))
    told = browser.value(CHOSEN)
    cell = ds.isel(weight_decay=3, train_fraction=5)
    expected = float(np.median(gd.analysis.final(cell)["test_accuracy"]))
    assert "train fraction 0.7, weight decay 1: 3 runs" in told
    assert f"test accuracy at the end {expected:.7g}".rstrip("0") in told
    paths = "document.querySelectorAll('#curves path.curve').length"
    assert browser.value(paths) == 2 * (3 + 1)

    # With Shift another one is compared.
    browser.click(*cell_place(browser, 0, 7, 8, 8), shift=True)
    assert "3 diverged" in browser.value(CHOSEN)
    assert browser.value("document.getElementById('curves').parentElement.textContent.includes('✕ diverged')")

    # Axes, and what is shown, change the diagram.
    choose(browser, "shows", "test_loss")
    choose(browser, "across", "seed")
    browser.until(f"{MAP}.getAttribute('aria-label').includes('over seed and weight decay')")
    choose(browser, "panels by", "train_fraction")
    browser.until(f"{MAP}.querySelectorAll('image').length === 8")

    # The keyboard walks over cells and chooses one.
    browser.value(f"{MAP}.focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Enter"):
        browser.key(key)
    browser.until(f"{CHOSEN}.startsWith('seed 1, weight decay 0.1')")

    # The table is filtered and sorted, and saved as it is shown.
    rows = "[...document.querySelectorAll('.runs tbody tr')].map((row) => row.textContent)"
    filter_by(browser, "weight_decay>=10 seed=0")
    assert browser.value(f"{rows}.length") == 16
    filter_by(browser, "diverged")
    assert browser.value("document.querySelector('.pager span').textContent") == "1–24 of 24 runs"
    filter_by(browser, "nonsense>1")
    assert "no such column" in browser.value("document.querySelector('.problem[role=alert]').textContent")
    filter_by(browser, "weight_decay=1 train_fraction=0.7")
    lines = saved("save-runs", "results_runs.csv")
    assert [float(line["test_accuracy"]) for line in lines] == [
        float(f"{v:.7g}") for v in gd.analysis.final(cell)["test_accuracy"].values
    ]
    assert not browser.errors()
    assert [url for url in browser.requests() if not url.startswith(("file:", "data:", "blob:"))] == []


def filter_by(browser, text):
    box = "document.getElementById('filter')"
    browser.value(f"(() => {{ {box}.value = '{text}'; {box}.dispatchEvent(new Event('input')); }})()")


def test_records_are_saved_with_the_digits_that_the_page_holds(browser, tmp_path, saved):
    ds = stores.one_run()
    browser.open(page_of(ds, tmp_path))
    lines = saved("save-curves", "results_records.csv")
    for name in ("train_accuracy", "test_accuracy"):
        found = [float(line["value"]) for line in lines if line["variable"] == name]
        assert found == [float(f"{v:.7g}") for v in ds[name].values.ravel()]


@pytest.mark.parametrize("name", ["alone", "regression", "five", "points"])
def test_every_shape_is_drawn_without_an_error(browser, name, tmp_path):
    ds = stores.ALL[name]()
    browser.value("window.harmed = false")
    browser.open(page_of(ds, tmp_path))
    assert browser.value("document.body.dataset.state") == "ready"
    assert browser.errors() == []
    assert browser.value("document.querySelectorAll('#curves svg').length") == 1
    # As wide as a telephone nothing sticks out.
    browser.size(400, 800)
    browser.value("new Promise((done) => setTimeout(done, 200))")
    assert browser.value("document.documentElement.scrollWidth <= 400")
    browser.size(1280, 900)


def test_text_with_html_in_it_does_no_harm(browser, tmp_path):
    browser.open(page_of(stores.five_axes(), tmp_path, title="<img src=x onerror=alert(1)>"))
    assert browser.value("document.querySelectorAll('img').length") == 0
    assert browser.value("document.querySelector('h1').textContent") == "<img src=x onerror=alert(1)>"
    assert not re.search("alert", " ".join(browser.errors()))
    dialogs = [e for e in browser.events if e.get("method") == "Page.javascriptDialogOpening"]
    assert not dialogs
