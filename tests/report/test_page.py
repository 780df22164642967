"""Tests of what the report says, of a run and of a study; `test_page_in_a_browser.py` opens it in a browser."""

import base64
import importlib.util
import re
import shlex
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import helpers
from support.samples import (
    COUNTS,
    HISTORIES,
    HISTORY,
    PARAMETERS,
    RECORD,
    result,
    run_sample,
    sample,
    spread,
    study_sample,
)
from support.sketches import sketched

from fmnist.replication import published
from fmnist.replication.sample import Judged, Mistake, Sample
from fmnist.replication.verdict import prediction_interval
from fmnist.report import pictures
from fmnist.report.page import _matrix, _mistakes, _p, prepare, write_report
from fmnist.runs.checksums import CHECKSUMS
from fmnist.steps import dataset
from fmnist.steps.dataset import CLASS_NAMES, Split
from fmnist.steps.errors import ContractError


def plain(text: str) -> str:
    """Return `text` with a space for all blanks between words."""
    return " ".join(text.split()).replace("\u00a0", " ")


class Page(HTMLParser):
    """What a reader of a page gets."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words, self.alts, self.references, self.tags = "", [], [], []  # type: ignore[var-annotated]
        #: Each element's name and attributes, and the rows of each table.
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.tables: list[list[list[str]]] = []
        self.in_cell = False
        self.feed(path.read_text(encoding="utf-8"))
        self.words = plain(self.words)
        self.tables = [[[plain(cell) for cell in row] for row in table] for table in self.tables]

    def handle_data(self, data: str) -> None:
        self.words += data if self.tags and self.tags[-1] != "style" else ""
        if self.in_cell:
            self.tables[-1][-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.words += " "
        self.in_cell = self.in_cell and tag not in {"th", "td"}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.append(tag)
        self.words += " "
        values = dict(attrs)
        self.elements.append((tag, values))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"th", "td"}:
            self.tables[-1][-1].append("")
            self.in_cell = True
        elif tag == "br":
            self.handle_data(" ")
        self.references += [values[name] for name in ("src", "srcset", "href", "action") if name in values]
        if tag == "img":
            self.alts.append(values["alt"])

    def pictures(self) -> list[tuple[str, ...]]:
        """Return each picture that is no photo: for which screens, its size, and what it is a sketch of."""
        found: list[tuple[str, ...]] = []
        for tag, values in self.elements:
            kind, _, content = values.get("src", values.get("srcset", "")).partition(",")
            if kind == "data:image/svg+xml;base64":
                size = values.get("width", ""), values.get("height", "")
                found.append((tag, values.get("media", ""), *size, base64.b64decode(content).decode()))
        return found


def page_of(made: Sample | Judged, folder: Path) -> Page:
    """Write a report with sketches of its pictures, because drawing takes long, and return what a reader gets."""
    with sketched():
        return Page(write_report(made, folder))


STUDY = study_sample(sample(spread(60)))

#: Of parameters for which nothing was published, with markup and quotes in them.
HOSTILE = "<script>alert(1)</script>\"'>"
ODD = {
    **PARAMETERS,
    "epochs": 11,
    "validation_split": 0.123456789,
    "compile_optimizer": f'{{"class_name": "{HOSTILE}"}}',
}


@pytest.fixture
def run_page(tmp_path: Path) -> Page:
    """The report of a run."""
    return page_of(run_sample(result(7, 0.8765)), tmp_path)


@pytest.fixture(scope="module")
def study_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The report of a study of 60 seeds."""
    return page_of(STUDY, tmp_path_factory.mktemp("study"))


@pytest.fixture
def few_page(tmp_path: Path) -> Page:
    """The report of a study of 5 seeds without mistakes, whose record is of a process that trained none of them."""
    results = [replace(one, mistakes=[]) for one in sample(spread(5))]
    return page_of(study_sample(results, trained=0), tmp_path)


@pytest.fixture
def odd_run_page(tmp_path: Path) -> Page:
    """The report of a run with odd parameters and thirty mistakes."""
    one = result(7, mistakes=[Mistake(i, 0, 6, 0.5) for i in range(30)])
    return page_of(run_sample(one, ODD), tmp_path)


@pytest.fixture
def odd_study_page(tmp_path: Path) -> Page:
    """The report of a study of two seeds with odd parameters and record, which differ in counts and mistakes."""
    other = COUNTS.copy()
    other[0, [0, 9]] = 875, 25
    weak, strong = [Mistake(12, 0, 6, 0.5), Mistake(13, 1, 3, 0.75)], [Mistake(12, 0, 6, 0.75), Mistake(13, 1, 3, 1.0)]
    results = [
        result(1000, mistakes=[*weak, Mistake(11, 0, 6, 0.99)]),
        result(1001, mistakes=strong, counts=other.tolist()),
    ]
    cpu = {"architecture": HOSTILE, "model": HOSTILE}
    record = {
        "versions": {HOSTILE: HOSTILE},
        "code": {"sha256": HOSTILE},
        "data": {HOSTILE: HOSTILE},
        "switches": {HOSTILE: HOSTILE},
        "machine": {"system": HOSTILE, "cpu": cpu, "caveat": HOSTILE},
        "started": HOSTILE,
        "seconds": HOSTILE,
        "jobs": HOSTILE,
    }
    return page_of(study_sample(results, ODD, **record), tmp_path)


def test_the_first_words_of_a_study_are_its_verdict(study_page: Page) -> None:
    """The verdicts, the mean and its spread, and beside them the test set's own error, come before all else."""
    start = study_page.words.split("The evidence")[0]
    for one in STUDY.conclusions:
        assert one.sentence in start
    values = spread(60)
    assert f"{np.mean(values):.4f} mean accuracy of 60 seeds" in start
    assert f"standard deviation {np.std(values, ddof=1):.4f}, from {min(values):.4f} to {max(values):.4f}" in start
    assert "counted on 10,000 images has a standard error of 0.0032" in start


def test_a_run_is_not_dressed_up(run_page: Page) -> None:
    """One run says its accuracy, that it has no spread, and that it cannot tell."""
    start = run_page.words.split("The evidence")[0]
    assert "One run cannot tell whether the tutorial's published accuracy of 0.8693 replicates" in start
    assert "0.8765 accuracy of one run, seed 7 One run has no spread" in start
    evidence = run_page.words.split("The evidence")[1].split("How this is decided")[0]
    assert "0.8693 tensorflow-tutorial +0.0072 One run cannot tell One run cannot tell inconclusive" in evidence
    assert "p =" not in evidence


def test_the_evidence_names_tests_and_numbers(study_page: Page) -> None:
    """For each published figure: the difference, the tests with their p, the margin, and the outcome."""
    evidence = study_page.words.split("The evidence")[1].split("How this is decided")[0]
    for one in STUDY.conclusions:
        judged = one.verdict
        expected = f"{judged.published:.4f} {one.figure.name} {judged.mean - judged.published:+.4f}"
        expected += f" {'Yes' if judged.plausible else 'No'} two-sided rank test, p = {judged.p_rank:.3f}"
        expected += f" Yes two one-sided t-tests, margin ±0.015, p < 0.001 {judged.outcome}"
        assert expected in evidence


def test_few_seeds_are_judged_by_the_interval(few_page: Page) -> None:
    """Below 39 seeds the prediction interval stands where the rank test would; classes are not judged below 19."""
    words = few_page.words
    low, high = prediction_interval(spread(5))
    assert f"95 % prediction interval {low:.4f} to {high:.4f}" in words
    assert "With 5 seeds it cannot tell: it takes at least 19 seeds to reach the level of 0.05." in words
    assert "Adjusted p" not in words


def test_the_figures_sources_are_given(study_page: Page, tmp_path: Path) -> None:
    """A reader can look each published figure up, however many there are."""
    theirs = [published.Figure(f"name {n}", "", 0.87, {}, f"source {n}") for n in range(10)]
    noted = published.Figure("noted", "", 0.87, {}, "", note="It is a note.")
    page = page_of(Judged([0.87, 0.88], [*theirs, noted], 0.0125), tmp_path)
    assert "noted: It is a note." in page.words
    assert "two one-sided t-tests, margin ±0.0125, p = " in page.tables[0][11][3]
    for shown, figures in ((study_page, published.matching(PARAMETERS)), (page, theirs)):
        for figure in figures:
            assert f"{figure.name}: {figure.source}." in shown.words


def test_it_is_told_how_it_is_decided(study_page: Page) -> None:
    """Who knows statistics finds the tests, their level, and what each error is of."""
    told = study_page.words.split("How this is decided ")[1].split(" tensorflow-tutorial: ")[0]
    assert told == (
        "Is it a plausible single run? A published accuracy is one run, so it is compared with single runs and not "
        "with their mean. From 39 seeds on its rank among them decides, whatever their distribution; with fewer, the "
        "95 % prediction interval, which supposes a normal one. Is the mean equivalent to it? Two one-sided t-tests "
        "ask whether the mean over seeds is within ±0.015 of the published accuracy. The margin is part of the code, "
        "and not chosen in the light of the results. Level Each test is at 0.05, and each published accuracy is "
        "judged on its own. With fewer than 20 seeds nothing is concluded. Standard deviation and standard error The "
        "standard deviation is that of the accuracies over seeds. The standard error of the test set is that of "
        "counting on 10,000 images drawn at random; all seeds are tested on the same images, so it is no part of the "
        "spread, and no test above contains it."
    )
    classes = study_page.words.split("Class by class, against the published matrix ")[1]
    assert classes.startswith(
        "A confusion matrix was published with the accuracy of 0.8822 (same-example-10-epochs). Could each of its "
        "recalls be that of one more seed? The joint rank test (Westfall and Young’s single-step maxT) asks that, "
        "corrected for asking it of ten classes. A recall with an adjusted p of at most 0.05 is marked as unusual. "
        "Recall: the share of a class’ images that is classified right."
    )
    assert "The model is given by the first 12 digits of the SHA-256 of its file." in study_page.words


def test_one_run_is_spoken_of_as_one(run_page: Page) -> None:
    """Neither its curves nor its mistakes are those of seeds."""
    expected = "the training accuracy 0.9000, the validation accuracy 0.7500."
    assert run_page.alts[1].endswith(expected)
    assert (
        "The most confident mistakes The images that this run was surest about, and wrong. "
        "T-shirt/top , taken for Shirt confidence 0.750 image 3 "
        "Ankle boot , taken for Sneaker confidence 0.500 image 5 Record of the run "
    ) in run_page.words
    photos = [values for tag, values in run_page.elements if values.get("src", "").startswith("data:image/png")]
    assert [(photo["width"], photo["height"]) for photo in photos] == [("28", "28")] * 2


PHONE, DARK = "screen and (max-width: 45rem)", "(prefers-color-scheme: dark)"


def test_each_screen_has_its_picture(tmp_path: Path) -> None:
    """A telephone gets a narrow picture and a dark page a dark one, of the sizes they are drawn in."""
    page = page_of(run_sample(result(7, 0.8765)), tmp_path)
    found = [(*how, sketched.split(" of ")[0]) for *how, sketched in page.pictures()]
    assert found == [
        ("source", f"{PHONE} and {DARK}", "328", "236", "narrow dark svg distribution"),
        ("source", PHONE, "328", "236", "narrow light svg distribution"),
        ("source", f"screen and {DARK}", "680", "272", "dark svg distribution"),
        ("img", "", "680", "272", "light svg distribution"),
        ("source", f"screen and {DARK}", "", "", "dark svg loss_curves"),
        ("img", "", "860", "330", "light svg loss_curves"),
        ("source", f"{PHONE} and {DARK}", "328", "420", "narrow dark svg recalls"),
        ("source", PHONE, "328", "420", "narrow light svg recalls"),
        ("source", f"screen and {DARK}", "", "", "dark svg recalls"),
        ("img", "", "720", "420", "light svg recalls"),
    ]


def test_pictures_are_of_the_sample(tmp_path: Path) -> None:
    """What is drawn is what the page is about, in every form of a picture."""
    page = page_of(run_sample(result(7, 0.8765)), tmp_path)
    told = {sketched.split(" of ", 1)[1] for *_, sketched in page.pictures()}
    published_recalls = [0.86, 0.974, 0.79, 0.88, 0.813, 0.968, 0.689, 0.883, 0.979, 0.986]
    expected = {"seeds": [[0.88] * 10], "figure": published_recalls, "class_names": list(CLASS_NAMES)}
    distribution = {"accuracies": [0.8765], "figures": list(published.matching(PARAMETERS))}
    assert told == {str(distribution), str({"histories": [HISTORY]}), str(expected)}


def test_the_tables_of_a_run(run_page: Page) -> None:
    """Each cell stands under its heading; of one run there are neither deviations nor tests."""
    evidence, matrix, classes, record = run_page.tables
    assert evidence == [
        [
            *("Published accuracy", "Difference of the run", "Is it a plausible single run?"),
            *("Is the mean equivalent to it?", "Outcome"),
        ],
        ["0.8693 tensorflow-tutorial", "+0.0072", "One run cannot tell", "One run cannot tell", "inconclusive"],
        ["0.8822 same-example-10-epochs", "-0.0057", "One run cannot tell", "One run cannot tell", "inconclusive"],
    ]
    assert matrix[0] == ["", *CLASS_NAMES, "Recall"]
    assert matrix[10] == ["Ankle boot", "120", *["0"] * 8, "880", "0.880"]
    assert [row[0] for row in matrix] == ["", *CLASS_NAMES]
    assert classes[:3] == [
        ["Class", "Published", "This run", "Difference"],
        ["T-shirt/top", "0.860", "0.880", "+0.020"],
        ["Trouser", "0.974", "0.880", "-0.094"],
    ]
    assert record[:10] == [
        ["compile_optimizer", "adam"],
        ["epochs", "10"],
        ["validation_split", "0.05"],
        ["seed", "7"],
        ["test loss", "0.3456"],
        ["started", "2026-01-01T00:00:00+00:00, took 12.3 s"],
        ["CPU", "A <fast> CPU (sparc), Linux. Who knows."],
        ["versions", "numpy 3.0, tensorflow 2.0"],
        ["code, SHA-256", "c0de"],
        ["train-images-idx3-ubyte", "da7a"],
    ]
    assert record[10:] == [[name, value] for name, value in RECORD["switches"].items()]


def test_the_tables_of_a_study(study_page: Page) -> None:
    """Those of many seeds have deviations, tests and a row for each seed."""
    evidence, _, classes, record, seeds = study_page.tables
    margin = "two one-sided t-tests, margin ±0.015, p < 0.001"
    unusual = "equivalent, but the published run is unusual"
    assert evidence[0][1] == "Difference of the mean"
    assert evidence[1:] == [
        ["0.8693 tensorflow-tutorial", "+0.0113", "No two-sided rank test, p = 0.033", f"Yes {margin}", unusual],
        [
            "0.8822 same-example-10-epochs",
            "-0.0016",
            "Yes two-sided rank test, p = 0.820",
            f"Yes {margin}",
            "replicated",
        ],
    ]
    assert classes[0] == ["Class", "Published", "Mean", "s.d.", "Difference", "Adjusted p", "The published recall is"]
    assert {len(row) for row in classes} == {7}
    assert record[3:6] == [
        ["seeds", "1000 to 1059"],
        ["mean test loss", "0.3456"],
        ["started", "2026-01-01T00:00:00+00:00, took 12.3 s with 2 worker processes for 60 of 60 seeds"],
    ]
    assert seeds[0] == ["Seed", "Accuracy", "Loss", "Model"]
    assert [row[0] for row in seeds[1:]] == [str(seed) for seed in range(1000, 1060)]


def test_a_study_of_one_seed_speaks_of_one(tmp_path: Path) -> None:
    """Words are singular, a loss is no mean, an unknown CPU is said to be, and no caveat leaves no full stop.

    All that comes before its record, with a count below ten, is what the page of a run of that seed has.
    """
    machine = {"system": "Linux", "cpu": {"architecture": "sparc", "model": None}, "caveat": None}
    page = page_of(study_sample([result(1000, loss=0.25)], jobs=1, trained=1, machine=machine), tmp_path)
    assert page.tables[3][3:7] == [
        ["seed", "1000"],
        ["test loss", "0.2500"],
        ["started", "2026-01-01T00:00:00+00:00, took 12.3 s with 1 worker process for 1 of 1 seed"],
        ["CPU", "unknown (sparc), Linux"],
    ]
    assert "Record of the study" in page.words
    assert page.tables[4][1:] == [["1000", "0.8800", "0.2500", "0" * 12]]
    assert "fmnist study -p compile_optimizer=adam" in page.words
    assert "--first-seed 1000 --seeds 1 -o again" in page.words
    assert "(this page, record.json and log.txt are not in the list)" in page.words
    counts = [[877, 120, 3, *[0] * 7], *COUNTS[1:].tolist()]
    one = result(1000, counts=counts)
    run, study = (page_of(made, tmp_path) for made in (run_sample(one), study_sample([one])))
    assert "T-shirt/top 877 120 3 0" in run.words
    assert study.words.split("Record of the")[0] == run.words.split("Record of the")[0]
    assert study.alts == run.alts


def test_a_resumed_study_tells_workers_from_seeds(tmp_path: Path) -> None:
    """Two processes may have trained one seed, and one process two."""
    for jobs, trained, said in (
        (2, 1, "2 worker processes for 1 of 2 seeds"),
        (1, 2, "1 worker process for 2 of 2 see"),
    ):
        page = page_of(study_sample(sample([0.88, 0.87]), jobs=jobs, trained=trained), tmp_path)
        assert f"took 12.3 s with {said}" in page.words
        # One that trained some of them is not that of the verdict alone.
        assert ["CPU", "A <fast> CPU (sparc), Linux. Who knows."] in page.tables[3]


def test_the_mean_loss_is_that_of_all_seeds(tmp_path: Path) -> None:
    """It is neither the first nor the sum."""
    page = page_of(study_sample([result(1000, loss=0.25), result(1001, loss=0.5)]), tmp_path)
    assert ["mean test loss", "0.3750"] in page.tables[3]


def test_a_wide_spread_shows_nothing(tmp_path: Path) -> None:
    """What is not shown to be equivalent is not said to be."""
    page = page_of(study_sample(sample([0.8, 0.85, 0.9])), tmp_path)
    cells = page.tables[0][1]
    assert cells[2].startswith("Yes 95 % prediction interval 0.6016 to 1.0984")
    assert cells[3:] == ["Not shown two one-sided t-tests, margin ±0.015, p = 0.552", "inconclusive"]


@pytest.mark.parametrize(
    ("n", "asks"), [(18, "With 18 seeds it cannot tell: it takes at least 19"), (19, "A recall with an adjusted p of")]
)
def test_nineteen_seeds_tell_of_classes(tmp_path: Path, n: int, asks: str) -> None:
    """From there on recalls can be unusual; before, the page says why nothing is said of them."""
    page = page_of(study_sample(sample(spread(n))), tmp_path)
    assert f"corrected for asking it of ten classes. {asks}" in page.words
    assert ("Adjusted p" in page.tables[2][0]) is (n == 19)


def test_a_recall_at_the_level_is_unusual(tmp_path: Path) -> None:
    """19 seeds just reach it."""
    study = study_sample(sample(spread(19)))
    assert 0.05 in {one.p for one in study.conclusions[1].classes}
    assert "0.050 unusual" in page_of(study, tmp_path).words


def test_accuracies_alone_have_a_page(tmp_path: Path) -> None:
    """It has the verdict on them, and says what it does not know; nothing of a record is made up."""
    page = page_of(Judged(spread(60), published.matching(PARAMETERS), 0.015), tmp_path)
    assert page.words.startswith("Accuracies of 60 seeds: mean 0.8806 Accuracies of 60 seeds The tutorial's published")
    assert (
        "0.8806 mean accuracy of 60 seeds standard deviation 0.0047, from 0.8710 to 0.8920 The evidence" in page.words
    )
    assert "The margin is only good if it was not chosen in the light of the results." in page.words
    assert "no test above contains it" not in page.words
    assert page.words.endswith(
        "What is not known here This page was made of the accuracies alone. It does not know which program they are "
        "of, on how many images they were counted, and how the seeds were chosen: the verdict holds if nobody chose "
        "them, or the margin, in the light of the results."
    )
    assert len(page.tables) == 1
    assert page.alts == [
        "Dot plot of the accuracies of 60 seeds: from 0.8710 to 0.8920, with the mean at 0.8806. The published 0.8693 "
        "(tensorflow-tutorial) is marked; 0 of 60 seeds are below it. The published 0.8822 (same-example-10-epochs) is "
        "marked; 36 of 60 seeds are below it."
    ]


@pytest.mark.parametrize("n", [1, 1_001])
def test_nobody_knows_when_a_margin_of_accuracies_alone_was_chosen(tmp_path: Path, n: int) -> None:
    """However many there are."""
    page = page_of(Judged(spread(n), published.matching(PARAMETERS), 0.015), tmp_path)
    assert "The margin is only good if it was not chosen in the light of the results." in page.words
    assert "part of the code" not in page.words
    assert page.alts[0].startswith(
        "The accuracy of this run" if n == 1 else "Column chart of the accuracies of 1,001 seeds"
    )


def test_one_accuracy_alone_has_a_page(tmp_path: Path) -> None:
    """It speaks of one run, whose seed nobody knows; figures without a source have no line for it."""
    figures = [published.Figure(name, "", at, {}, "") for name, at in (("theirs", 0.87), ("b", 0.88), ("c", 0.8))]
    page = page_of(Judged([0.87], figures, 0.02), tmp_path)
    assert page.words.startswith("One accuracy: 0.8700 One accuracy One run cannot tell whether the published accuracy")
    assert "0.8700 accuracy of one run One run has no spread: another seed gives another accuracy. The ev" in page.words
    assert "is within ±0.02 of the published accuracy" in page.words
    assert "seeds nothing is concluded. What is not known here" in page.words
    assert page.alts == [
        "The accuracy of this run, 0.8700, as a dot on an axis. The published 0.8700 (theirs) is marked, where the "
        "dot is. The published 0.8800 (b) is marked, 0.0100 above it. The published 0.8000 (c) is marked, 0.0700 below "
        "it."
    ]


def test_a_hostile_figure_does_no_harm(tmp_path: Path) -> None:
    """What somebody gives as published is text, wherever it is shown, and also as the third of several."""
    name, by, source, note = (f'<b title="{what}">' for what in ("name", "by", "source", "note"))
    figures = [published.Figure(one, one, 0.87, {}, "") for one in ("theirs", "ours")]
    figures.append(published.Figure(name, by, 0.87, {}, source, note=note))
    page = page_of(Judged([0.87, 0.88], figures, 0.02), tmp_path)
    assert "b" not in page.tags
    assert f"{name}: {source}. {note}" in page.words
    assert f"{by}'s published accuracy of 0.8700" in page.words
    assert f"0.8700 {name} " in page.tables[0][3][0] + " "
    # What is equal is not below.
    assert f"The published 0.8700 ({name}) is marked; 0 of 2 seeds are below it." in page.alts[0]


def test_a_page_says_in_its_title_what_it_is_of(run_page: Page, study_page: Page) -> None:
    """Title and first line tell a run from a study."""
    assert run_page.words.startswith("Fashion-MNIST, seed 7: accuracy 0.8765 Fashion-MNIST · one run One run cannot")
    expected = "Fashion-MNIST, 60 seeds: mean accuracy 0.8806 Fashion-MNIST · study of 60 seeds The tutorial's"
    assert study_page.words.startswith(expected)


def test_a_page_can_be_read_aloud(run_page: Page, study_page: Page) -> None:
    """It has a language; headings have levels, sections and regions names, and cells of tables headings."""
    for page in (run_page, study_page):
        html, _, charset, viewport, scheme, *_ = (values for _, values in page.elements)
        assert (html["lang"], charset["charset"]) == ("en", "utf-8")
        assert (viewport["content"], scheme["content"]) == ("width=device-width, initial-scale=1", "light dark")
        ids = [values["id"] for _, values in page.elements if "id" in values]
        assert ids == ["evidence", "learning", "confusion", "classes-1", "mistakes", "record", "check"]
        assert [values["aria-labelledby"] for tag, values in page.elements if tag == "section"] == ids
        assert {tag for tag, values in page.elements if "id" in values} == {"h2"}
        scrolled = [values for _, values in page.elements if values.get("role") == "region"]
        assert [values["aria-label"] for values in scrolled] == [
            *("The evidence for each published accuracy", "Loss and accuracy by epoch, picture"),
            *("Confusion matrix, table", "Recalls by class, picture", "Recalls by class, table", "Record"),
            *(["Each seed"] if page is study_page else []),
            "Commands",
        ]
        assert {values["tabindex"] for values in scrolled} == {"0"}
        assert page.tags.count("h1") == 1
    evidence, matrix, record = ["col"] * 5 + ["row"] * 2, ["col"] * 11 + ["row"] * 10, ["row"] * 17
    for page, classes, seeds in ((run_page, 4, []), (study_page, 7, ["col"] * 4 + ["row"] * 60)):
        headings = [values["scope"] for tag, values in page.elements if tag == "th"]
        assert headings == evidence + matrix + ["col"] * classes + ["row"] * 10 + record + seeds


def test_fields_of_the_matrix_are_shaded_by_what_they_are(run_page: Page) -> None:
    """The diagonal is right and the rest wrong, each as strong as the picture of a matrix has it."""
    fields = [
        (values["class"], values["style"])
        for tag, values in run_page.elements
        if tag == "td" and values.get("class") in {"right", "wrong"}
    ]
    assert len(fields) == 100
    first = [("right", "--shade: 44%"), ("wrong", "--shade: 20%"), *[("wrong", "--shade: 0%")] * 7]
    assert fields[:10] == [*first, ("wrong", "--shade: 4%")]
    assert _matrix(STUDY)[0]["fields"][0] == [880, pytest.approx(44)]
    assert fields[11:13] == [("right", "--shade: 44%"), ("wrong", "--shade: 24%")]
    halves = [result(seed, counts=[[3, 1], [1, 4 + seed]], class_names=("cat", "dog")) for seed in (0, 1)]
    assert _matrix(study_sample(halves))[1]["fields"][1] == [4.5, pytest.approx(100 * 4.5 / 11)]


def test_without_a_published_figure_no_verdict_is_invented(odd_run_page: Page, odd_study_page: Page) -> None:
    """Parameters for which nothing was published are compared with nothing."""
    for page, said in ((odd_run_page, "this run gave"), (odd_study_page, "the mean of 2 seeds is")):
        assert f"No accuracy was published for these parameters; {said} 0.8800." in page.words
        assert "The evidence" not in page.words
        assert "0.8693" not in page.words + "".join(page.alts)


def test_nothing_outside_the_page_is_asked_for(run_page: Page, study_page: Page) -> None:
    """The page refers to nothing but what is in it, and runs no scripts."""
    for page in (run_page, study_page):
        assert all(reference.startswith("data:image/") for reference in page.references)
        assert "script" not in page.tags


def test_pictures_are_described_by_what_they_show(study_page: Page) -> None:
    """Who cannot see the pictures reads their numbers."""
    values = spread(60)
    below = sum(value < 0.8693 for value in values)
    dots, curves, classes = study_page.alts[:3]
    assert dots.startswith(f"Dot plot of the accuracies of 60 seeds: from {min(values):.4f} to {max(values):.4f}")
    assert f"The published 0.8693 (tensorflow-tutorial) is marked; {below} of 60 seeds are below it." in dots
    assert "After 3 epochs the training loss is 0.3000, the validation loss 0.5000" in curves
    assert "the training accuracy 0.9000, the validation accuracy 0.7500 on average" in curves
    assert "each class, a dot for each seed and a bar at their mean, with the published one as a diamond" in classes
    assert "They are furthest apart for Shirt: published 0.689, here 0.880." in classes


def test_the_description_of_many_curves_has_their_means(tmp_path: Path) -> None:
    """Of three seeds that differ it has neither the first, nor the last, nor the greatest; they are rounded once."""
    histories = [
        {name: [value + more for value in values] for name, values in history.items()}
        for history, more in zip(HISTORIES, (0.00004, 0.00004, 0.00012), strict=True)
    ]
    results = [replace(one, history=history) for one, history in zip(sample(spread(3)), histories, strict=True)]
    curves = page_of(study_sample(results), tmp_path).alts[1]
    assert "After 3 epochs the training loss is 0.5001, the validation loss 0.7001" in curves
    assert "the training accuracy 1.1001, the validation accuracy 0.9501 on average" in curves


def test_one_epoch_is_spoken_of_as_one(tmp_path: Path) -> None:
    """The description of its dots has no plural."""
    once = {name: values[:1] for name, values in HISTORY.items()}
    curves = page_of(run_sample(result(7, history=once)), tmp_path).alts[1]
    assert "After 1 epoch the training loss is 0.5000, the validation loss 0.6000" in curves


def test_curves_are_described_by_their_end(tmp_path: Path) -> None:
    """The last epoch need not be the best one."""
    worse = {name: values[::-1] for name, values in HISTORY.items()}
    curves = page_of(run_sample(result(7, history=worse)), tmp_path).alts[1]
    assert "After 3 epochs the training loss is 0.5000, the validation loss 0.6000, the training accuracy 0.7" in curves
    assert "the validation accuracy 0.6500." in curves


def test_a_class_may_be_furthest_below(tmp_path: Path) -> None:
    """The greatest distance counts, in either direction."""
    counts = COUNTS.copy()
    counts[1, [1, 2]] = 300, 700
    counts[6, [6, 7]] = 200, 800  # further in proportion
    page = page_of(study_sample([replace(one, counts=counts.tolist()) for one in sample(spread(3))]), tmp_path)
    assert "They are furthest apart for Trouser: published 0.974, here 0.300." in page.alts[2]


@pytest.mark.parametrize(
    ("p", "shown"), [(0.05, "p = 0.050"), (0.001, "p = 0.001"), (0.00099, "p < 0.001"), (0.0, "p < 0.001")]
)
def test_a_p_value_has_three_places(p: float, shown: str) -> None:
    """What would be shown as 0.000 is shown as less than 0.001; no line breaks within."""
    assert _p(p) == shown.replace(" ", "\u00a0")


def test_the_picture_of_a_run_is_described_too(run_page: Page) -> None:
    """The description says that it is one dot, and what is marked beside it."""
    assert run_page.alts[0].startswith("The accuracy of this run, 0.8765, as a dot on an axis.")
    assert "The published 0.8693 (tensorflow-tutorial) is marked, 0.0072 below it." in run_page.alts[0]
    assert "The published 0.8822 (same-example-10-epochs) is marked, 0.0057 above it." in run_page.alts[0]
    assert "each class, a dot for this run, with the published one as a diamond" in run_page.alts[2]


def test_the_pictures_are_those_of_the_module(tmp_path: Path) -> None:
    """The distribution on the page is the picture that a study keeps as a file, in light and in dark."""
    page = Page(write_report(Judged(spread(60), published.matching(PARAMETERS), 0.015), tmp_path))
    shown = [base64.b64decode(reference.split(",")[1]) for reference in page.references]
    looks: list[dict[str, Any]] = [{"narrow": True, "theme": pictures.DARK}, {"narrow": True}, {"theme": pictures.DARK}]
    assert shown == [pictures.distribution(spread(60), published.matching(PARAMETERS), **look) for look in [*looks, {}]]


def test_the_page_keeps_each_picture_the_room_it_is_drawn_for(tmp_path: Path) -> None:
    """In pixels, of which 96 are 72 points."""
    pictures = Page(write_report(run_sample(result(7, 0.8765)), tmp_path)).pictures()
    said = [(float(width), float(height)) for _, _, width, height, _ in pictures if width]
    points = [re.findall(r' (?:width|height)="([\d.]+)pt"', svg)[:2] for *_, width, _, svg in pictures if width]
    assert said == [tuple(float(one) * 96 / 72 for one in size) for size in points]
    assert len(said) == 8, "the distribution, the curves and the recalls"


def test_the_matrix_has_counts_and_recalls(study_page: Page, run_page: Page) -> None:
    """Rows are the true class, in the order of the labels: counts, then the recall; a study's are means."""
    assert "T-shirt/top 880 100 0 0 0 0 0 0 0 20 0.880 Trouser 0 880 120" in run_page.words
    assert "Counts, averaged over the seeds. Rows are the true class" in study_page.words


def test_mean_counts_are_rounded(odd_study_page: Page) -> None:
    """A mean of ten or more has no digit after the point."""
    assert "T-shirt/top 878 100 0 0 0 0 0 0 0 22 0.877" in odd_study_page.words
    assert next(one["style"] for _, one in odd_study_page.elements if one.get("class") == "right") == "--shade: 44%"


def test_each_class_is_compared_with_the_published_one(study_page: Page) -> None:
    """Published recall, mean, deviation, difference, adjusted p, and whether it is unusual, in words."""
    classes = STUDY.conclusions[1].classes
    for one in classes:
        row = f"{one.name} {one.published:.3f} {one.mean:.3f} {one.deviation:.4f} {one.mean - one.published:+.3f}"
        assert f"{row} {one.p:.3f} {'unusual' if one.p <= 0.05 else 'plausible'}" in study_page.words
    assert {one.p <= 0.05 for one in classes} == {True, False}
    assert "Westfall and Young’s single-step maxT" in study_page.words


def test_mistakes_that_most_seeds_make_come_first(odd_study_page: Page, test_set: Split) -> None:
    """Those are ranked by the number of seeds, then by mean confidence, and shown as the images of the dataset."""
    page, shirt = odd_study_page, "T-shirt/top, taken for Shirt"
    expected = ["Test image 13: Trouser, taken for Dress", f"Test image 12: {shirt}", f"Test image 11: {shirt}"]
    assert page.alts[-3:] == expected
    assert "Trouser , taken for Dress by 2 of 2 seeds, mean confidence 0.875 image 13" in page.words
    assert "by 1 of 2 seeds, mean confidence 0.990 image 11" in page.words
    assert base64.b64decode(page.references[-3].split(",")[1]) == pictures.thumbnail(test_set.images[13])


def test_equal_mistakes_come_by_image() -> None:
    """The mean confidence decides before, whichever seed made it first; one for another class is another mistake."""
    first, then, last = ([Mistake(6, 0, 6, 0.375), Mistake(5, 0, 6, one)] for one in (0.25, 0.25, 1.0))
    made = [
        [*first, Mistake(9, 0, 6, 0.5)],
        [*then, Mistake(8, 0, 6, 0.5), Mistake(9, 0, 4, 0.5), Mistake(10, 0, 6, 0.50000001)],
        last,
    ]
    study = study_sample([result(seed, mistakes=one) for seed, one in enumerate(made)])
    found = [(one["image"], one["seeds"], one["confidence"]) for one in _mistakes(study)]
    assert found == [(5, 3, 0.5), (6, 3, 0.375), (10, 1, 0.50000001), (8, 1, 0.5), (9, 1, 0.5), (9, 1, 0.5)]


def test_twelve_mistakes_are_shown(odd_run_page: Page, few_page: Page) -> None:
    """Nobody would look at more; where there is none, the page says so."""
    none = "There is none: every image is classified right."
    assert [alt.split(":")[0] for alt in odd_run_page.alts[-12:]] == [f"Test image {i}" for i in range(12)]
    assert len([alt for alt in odd_run_page.alts if alt.startswith("Test image")]) == 12
    assert none not in odd_run_page.words
    assert none in few_page.words


def test_the_record_is_shown_and_escaped(run_page: Page) -> None:
    """Parameters, versions, digests, switches and the CPU are there, with any characters."""
    expected = ["A <fast> CPU (sparc), Linux. Who knows.", "numpy 3.0, tensorflow 2.0", "c0de", "da7a", "XLA_FLAGS"]
    expected += ["2026-01-01T00:00:00+00:00, took 12.3 s", "test loss 0.3456", "seed 7"]
    for text in expected:
        assert text in run_page.words


def test_the_cpu_of_a_verdict_is_not_taken_for_that_of_the_seeds(study_page: Page, few_page: Page) -> None:
    """If the process that wrote the record trained no seed, as on a cluster, its CPU is named that of the verdict."""
    assert " CPU A <fast> CPU (sparc)" in study_page.words
    assert " CPU of the verdict A <fast> CPU (sparc)" in few_page.words


def test_a_hostile_record_does_no_harm(odd_study_page: Page) -> None:
    """Markup in a value is text."""
    assert "script" not in odd_study_page.tags
    record = odd_study_page.tables[1][5:]
    assert record[0][1] == f"{HOSTILE}, took {HOSTILE} s with {HOSTILE} worker processes for 2 of 2 seeds"
    assert record[1:] == [
        ["CPU", f"{HOSTILE} ({HOSTILE}), {HOSTILE}. {HOSTILE}"],
        ["versions", f"{HOSTILE} {HOSTILE}"],
        ["code, SHA-256", HOSTILE],
        *[[HOSTILE, HOSTILE]] * 2,
    ]
    assert f"compile_optimizer {ODD['compile_optimizer']}" in odd_study_page.words


def test_each_seed_of_a_study_has_a_row(study_page: Page) -> None:
    """Seed, accuracy, loss and the start of its model's digest; the record above says how it was done."""
    assert "1000 to 1059" in study_page.words
    assert "with 2 worker processes for 60 of 60 seeds" in study_page.words
    for one in sample(spread(60)):
        assert f"{one.seed} {one.accuracy:.4f} 0.3456 {one.model[:12]}" in study_page.words


def test_a_thousand_seeds_have_a_row_each(tmp_path: Path) -> None:
    """A thousand is not more than a thousand, for the table as for the pictures."""
    shown = page_of(study_sample(sample(spread(1000))), tmp_path)
    assert re.search(r"1999 0\.8\d{3} 0\.3456", shown.words)
    assert "each seed is a faint line" in shown.words


def test_many_seeds_have_no_row_each(tmp_path: Path) -> None:
    """Of more than a thousand seeds the page names the table that has them, and says what its pictures have."""
    path = write_report(study_sample(sample(spread(1001))), tmp_path)
    shown = Page(path)
    assert "Each seed’s accuracy, loss and model are in accuracies.csv" in shown.words
    assert "1000 to 2000" in shown.words
    assert not re.search(r"1500 0\.8\d{3} 0\.3456", shown.words)
    assert "the seeds are in the faint area, their mean is the strong line" in shown.words
    assert path.stat().st_size < 2_000_000


def test_the_lines_of_the_curves_are_told(run_page: Page, study_page: Page) -> None:
    """Both are of the training set, and a study's are of many seeds."""
    parts = "The training and the validation part of the training set"
    assert f"{parts}. The test images are in neither." in run_page.words
    expected = f"{parts}: each seed is a faint line, the mean of all a strong one. The test images are in neither."
    assert expected in study_page.words


def test_what_is_checked_is_told(run_page: Page, study_page: Page) -> None:
    """The checksums are those of the results; what differs with the code is named."""
    run, study = (page.words.split("Check it yourself")[1] for page in (run_page, study_page))
    assert "check that no result was changed (this page, run.json and log.txt are not in the list)" in run
    assert "With another version of the code, pipeline.yaml , which holds it, differs." in run
    again = "then do the same again and compare every result, byte by byte."
    verify = "fmnist verify does all of it, and checks the records and this page too."
    assert all(again in page and verify in page for page in (run, study))
    assert "check that no result was changed (this page, record.json and log.txt are not in the list)" in study
    assert "With another version of Python or of the code, study.json , which names them, differs." in study


def test_the_commands_to_check_it_can_be_pasted(odd_run_page: Page, odd_study_page: Page) -> None:
    """The commands check the list that is in the folder, and repeat the same run or study, with any parameters."""
    cases = ((odd_run_page, "run", "--seed 7"), (odd_study_page, "study", "--first-seed 1000 --seeds 2"))
    for page, command, seeds in cases:
        [pasted] = re.findall(rf"sha256sum -c {CHECKSUMS} (fmnist .*) diff {CHECKSUMS} again/{CHECKSUMS}", page.words)
        expected = ["fmnist", command]
        for name in ("compile_optimizer", "epochs", "validation_split"):
            expected += ["-p", f"{name}={ODD[name]}"]
        assert shlex.split(pasted) == [*expected, *seeds.split(), "-o", "again"]


@pytest.mark.parametrize("name", ["machine", "versions", "code", "started"])
def test_a_record_with_a_part_missing_is_refused(tmp_path: Path, name: str) -> None:
    """A record that does not say all is bad input, not a crash, and not a page with a hole."""
    whole = run_sample(result(0), ODD)
    record = {key: value for key, value in whole.record.items() if key != name}
    (tmp_path / "report.html").write_text("the one before")
    with pytest.raises(
        ContractError,
        match=f"^folder: expected a whole record and results in .*, got (KeyError|UndefinedError): .*{name}",
    ):
        page_of(replace(whole, record=record), tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the one before"]


@pytest.mark.parametrize(
    ("change", "got"),
    [({"history": {}}, "KeyError: 'loss'"), ({"counts": [[1], [1, 2]]}, "ValueError: ")],
    ids=["no history", "no matrix"],
)
def test_a_result_with_a_part_missing_is_refused(tmp_path: Path, change: dict[str, Any], got: str) -> None:
    """Nor is one that Python made itself."""
    with pytest.raises(ContractError, match=f"^folder: expected a whole record and results in .*, got {got}"):
        write_report(run_sample(result(0, **change)), tmp_path)
    assert not any(tmp_path.iterdir())


def test_the_report_can_be_written_again(tmp_path: Path) -> None:
    """A second report has the bytes of the first; the path that is returned is `report.html` in the folder."""
    first, second = (write_report(run_sample(result(0), ODD), tmp_path / name) for name in ("one", "other"))
    assert (first, second) == (tmp_path / "one" / "report.html", tmp_path / "other" / "report.html")
    assert first.read_bytes() == second.read_bytes()


def test_a_report_keeps_its_size(tmp_path: Path) -> None:
    """Three hundred seeds of a hundred epochs make a page of a megabyte at most."""
    history = {name: np.linspace(0.9, 0.1, 100).tolist() for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    results = [replace(one, history=history) for one in sample(spread(300))]
    assert write_report(study_sample(results), tmp_path).stat().st_size < 1_000_000


def test_the_samples_are_whole() -> None:
    """The made-up matrix has a thousand images of each class, and the record names a CPU that must be escaped."""
    assert COUNTS.sum(axis=1).tolist() == [1_000] * len(CLASS_NAMES)
    assert "<" in RECORD["machine"]["cpu"]["model"]


def test_what_a_report_needs_can_be_imported_before(tmp_path: Path) -> None:
    """After the preparation, writing a report imports no large part of a library any more."""
    code = (
        "import sys; from pathlib import Path; from fmnist.report import page\n"
        "from support.samples import result, run_sample\n"
        "page.prepare(); before = set(sys.modules)\n"
        f"page.write_report(run_sample(result(7)), Path({str(tmp_path)!r})); print(len(set(sys.modules) - before))"
    )
    assert int(helpers.python(code, PYTHONPATH=str(helpers.TESTS))) < 20


def test_all_that_a_report_needs_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the libraries is imported, by a name that is one."""
    imported: list[str] = []
    monkeypatch.setattr("fmnist.report.page.import_module", imported.append)
    prepare()
    assert imported == [
        *("jinja2", "matplotlib.backends.backend_svg", "matplotlib.pyplot", "scipy.stats", "sklearn.metrics"),
    ]
    assert all(importlib.util.find_spec(name) for name in imported)


def test_other_classes_have_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are on it, escaped; nothing of Fashion-MNIST is: neither images nor what was published for it.

    The dataset need not be there, and no command is told that would need it.
    """
    names = ("<i>cat</i>", "<b>dog</b>", "émeu")
    counts = [[5, 1, 0], [0, 4, 2], [0, 0, 0]]
    others = {"counts": counts, "mistakes": [Mistake(3, 0, 1, 0.75)], "class_names": names}
    monkeypatch.delattr(dataset, "load")
    run = page_of(run_sample(result(7, 0.75, **others)), tmp_path)
    page = page_of(study_sample([result(seed, 0.75, **others) for seed in (1000, 1001)]), tmp_path)
    for shown in (run, page):
        assert "Fashion-MNIST" not in shown.words
        assert "Check it yourself" not in shown.words
    assert run.words.startswith("3 classes, seed 7: accuracy 0.7500 3 classes · one run No accuracy was published")
    assert "3 classes · study of 2 seeds No accuracy was published for these parameters" in page.words
    assert "<b>dog</b> 0 4.0 2.0 0.667 émeu 0 0 0 none" in page.words
    assert "<i>cat</i> , taken for <b>dog</b> by 2 of 2 seeds" in page.words
    assert not {"b", "i"} & set(page.tags)


def test_ten_other_classes_are_not_fashion_mnists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many classes of other data, or of another order, have none of its words and images.

    Their own images are counted, as means too.
    """
    monkeypatch.delattr(dataset, "load")
    for names in (tuple("0123456789"), CLASS_NAMES[::-1]):
        page = page_of(run_sample(result(7, 0.75, class_names=names)), tmp_path)
        said = "10 classes, seed 7: accuracy 0.7500 10 classes · one run No accuracy was published"
        assert page.words.startswith(said)
        assert "Check it yourself" not in page.words
    even = [[4, 4, 4], [4, 4, 4], [4, 4, 4]]
    others: dict[str, Any] = {"counts": even, "mistakes": [], "class_names": ("cat", "dog", "emu")}
    results = [result(seed, 0.5, **others) for seed in range(3)]
    results[0] = replace(results[0], counts=[*even[:2], [4, 5, 3]])
    # The mean counts add up to a little less than 36.
    assert "counted on 36 images has a standard error of 0.0833." in page_of(study_sample(results), tmp_path).words
