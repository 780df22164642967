"""Tests of the command line: arguments, messages, exit codes."""

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from click.testing import CliRunner, Result
from support import helpers

from fmnist import pipeline
from fmnist.cli import fmnist as cli
from fmnist.replication.sample import Result as SeedResult
from fmnist.replication.sample import Sample
from fmnist.runs import run, study, study_pipeline, verify
from fmnist.runs.shards import Shards
from fmnist.steps import dataset, determinism
from fmnist.steps.errors import DataError, StepError
from fmnist.steps.settings import Settings

RECORD = {"metrics": {"accuracy": 0.8765, "loss": 0.3}, "parameters": vars(Settings())}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch, here: Path) -> list[tuple[Settings, Path]]:
    """What would be run, without running it: the end-to-end tests do that."""
    calls: list[tuple[Settings, Path]] = []

    def run_pipeline(settings: Settings, folder: Path, *_: object) -> dict[str, Any]:
        calls.append((settings, folder))
        return RECORD

    monkeypatch.setattr(run, "run_pipeline", run_pipeline)
    return calls


def invoke(*arguments: str) -> Result:
    """Call the command line."""
    return CliRunner().invoke(cli.main, arguments)


@pytest.mark.parametrize(
    "command",
    [[], ["run"], ["study"], ["compile"], ["data"], ["report"], ["verify"]],
    ids=lambda c: " ".join(c) or "fmnist",
)
def test_help_teaches(command: list[str]) -> None:
    """Each command explains itself, and shows what to type."""
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    assert len(result.stdout.splitlines()) > 5
    assert "\\b" not in result.stdout


@pytest.mark.parametrize(
    ("shell", "typed", "place", "said"),
    [
        ("bash_complete", "fmnist ju", "1", "plain,judge\n"),
        ("fish_complete", "fmnist run --", "--js", "plain,--json\tPrint the record of the run as JSON.\n"),
        ("zsh_source", "", "", "#compdef fmnist\n"),
    ],
)
def test_a_shell_completes_what_is_typed(shell: str, typed: str, place: str, said: str) -> None:
    """Click prints bytes for it."""
    asked = {"_FMNIST_COMPLETE": shell, "COMP_WORDS": typed, "COMP_CWORD": place}
    done = CliRunner().invoke(cli.main, [], env=asked, prog_name="fmnist")
    assert (done.exit_code, done.stderr, done.stdout[: len(said)]) == (0, "", said)


def test_without_a_program_file_the_defaults_run(executed: list[tuple[Settings, Path]]) -> None:
    """In an empty folder the defaults are run, into a folder of the time."""
    assert invoke("run").exit_code == 0
    [(settings, folder)] = executed
    assert settings == Settings()
    assert folder.parts[0] == "runs"


def test_the_program_file_here_is_read(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """When nothing else is said, same.yaml decides."""
    (here / "same.yaml").write_text("run: {parameters: {epochs: 4}}")
    assert invoke("run").exit_code == 0
    assert executed[0][0] == Settings(epochs=4)


def test_a_program_file_that_leads_nowhere_is_refused(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """Its parameters are not the defaults, whatever they are."""
    (here / "same.yaml").symlink_to("moved.yaml")
    result = invoke("run")
    assert result.exit_code == 2
    assert "program file: expected YAML in same.yaml, got: [Errno 2] No such file or directory" in result.stderr
    assert executed == []


def test_the_most_specific_parameter_wins(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """-p stands above the program file, and --seed above -p."""
    (here / "other.yaml").write_text("run: {parameters: {epochs: 4, seed: 1, validation_split: 0.2}}")
    assert invoke("run", "-f", "other.yaml", "-p", "seed=2", "-p", "epochs=5", "--seed", "3", "-o", "x").exit_code == 0
    assert executed == [(Settings(epochs=5, seed=3, validation_split=0.2), Path("x"))]


def test_a_run_prints_its_result(executed: list[tuple[Settings, Path]]) -> None:
    """The table says the accuracy, the published ones, and where report and pictures are."""
    lines = [line.split() for line in invoke("run", "-o", "x").stdout.splitlines()]
    assert lines == [
        ["accuracy", "0.8765"],
        ["published", "0.8693", "(tensorflow-tutorial)"],
        ["published", "0.8822", "(same-example-10-epochs)"],
        ["report", "x/report.html"],
        ["picture", "x/loss_plot.png"],
        ["picture", "x/confusion_matrix.png"],
    ]


def test_another_optimizer_is_not_compared(
    executed: list[tuple[Settings, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each parameter counts: of a run with another one nothing was published."""
    for name, value in {"compile_optimizer": "sgd", "epochs": 11, "validation_split": 0.2}.items():
        record = {**RECORD, "parameters": {**vars(Settings()), name: value}}
        monkeypatch.setattr(run, "run_pipeline", lambda *_, record=record: record)
        assert "published" not in invoke("run", "-o", "x").stdout


def test_a_program_reads_json(executed: list[tuple[Settings, Path]]) -> None:
    """With --json stdout is the record."""
    assert json.loads(invoke("run", "--json").stdout) == RECORD


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "epochs=0"], "epochs: expected a whole number of at least 1, got 0"),
        (["-p", "epochs=ten"], "epochs: expected a whole number of at least 1, got 'ten'"),
        (
            ["-p", "validation_split=NaN"],
            "validation_split: expected a number greater than 0 and less than 1, got nan",
        ),
        (["-p", "compile_optimizer=adm"], "Did you mean 'adam'?"),
        (["-p", "epoch=3"], "Did you mean 'epochs'?"),
        (["-p", "epochs"], "expected NAME=VALUE, got 'epochs'"),
        (["--seed", "-1"], "seed: expected a whole number from 0 to 2147483647, got -1"),
        (["--seed", ""], "seed: expected a whole number from 0 to 2147483647, got ''"),
        (["--seed", "0x10"], "seed: expected a whole number from 0 to 2147483647, got '0x10'"),
        (["-f", "missing.yaml"], "program file: expected YAML in missing.yaml"),
        (["--nothing"], "No such option"),
    ],
)
def test_bad_input_is_exit_code_2(executed: list[tuple[Settings, Path]], arguments: list[str], message: str) -> None:
    """Bad input ends before any work, with one message that says what to do."""
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert executed == []


@pytest.mark.parametrize(
    "error",
    [
        StepError("step train: it broke"),
        DataError("no source left"),
        OSError(5, "Input/output error", "x"),
    ],
    ids=["step", "data", "disk"],
)
def test_what_fails_is_exit_code_3(monkeypatch: pytest.MonkeyPatch, here: Path, error: Exception) -> None:
    """A step, a download or a disk that fails ends the run with one message."""
    monkeypatch.setattr(run, "run_pipeline", Mock(side_effect=error))
    result = invoke("run")
    assert result.exit_code == 3
    assert result.stderr == f"Error: {error}\n"


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """An error that nobody foresaw is not dressed up, nor taken for a figure that does not hold."""
    monkeypatch.setattr(run, "run_pipeline", Mock(side_effect=ZeroDivisionError))
    result = invoke("run")
    assert result.exit_code == 70
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("ZeroDivisionError\n")


def sample(*accuracies: float, epochs: int = 10) -> Sample:
    """Return a study of seeds from 5 on."""
    counts = [[1] * 10] * 10
    found = [SeedResult(5 + i, "", accuracy, 0.3, {}, counts, []) for i, accuracy in enumerate(accuracies)]
    parameters = {"compile_optimizer": "adam", "epochs": epochs, "validation_split": 0.05}
    return Sample(parameters, found, {}, is_study=True)


@pytest.fixture
def studied(monkeypatch: pytest.MonkeyPatch, here: Path) -> tuple[list[Sample], list[tuple[Any, ...]]]:
    """A study's result, to be put in, and what would be studied: `test_study_end_to_end.py` does it."""
    given: list[Sample] = [sample(0.868, 0.870, 0.881)]
    calls: list[tuple[Any, ...]] = []

    def run_study(settings: Settings, seeds: range, folder: Path, jobs: int | None, **_: object) -> Sample:
        calls.append((settings, seeds, folder, jobs))
        return given[0]

    monkeypatch.setattr(study, "run_study", run_study)
    return given, calls


Studied = tuple[list[Sample], list[tuple[Any, ...]]]


def test_sixty_seeds_on_all_cores_are_studied_by_default(studied: Studied) -> None:
    """Without options 60 seeds from 0 on are studied, one a core, into a folder of the time."""
    invoke("study")
    [(settings, seeds, folder, jobs)] = studied[1]
    assert (settings, seeds, jobs) == (Settings(), range(60), None)
    assert folder.parts[0] == "studies"


def test_the_seeds_of_a_study_are_chosen(studied: Studied) -> None:
    """Parameters, first seed, number of seeds, jobs and folder are taken over."""
    invoke("study", "-p", "epochs=3", "--first-seed", "7", "--seeds", "4", "--jobs", "3", "-o", "x")
    assert studied[1] == [(Settings(epochs=3, seed=7), range(7, 11), Path("x"), 3)]


def test_a_study_has_the_parameters_of_a_program_file(studied: Studied, here: Path) -> None:
    """Of the file that is named, as a run has them; a first seed that is given stands above it, also 0."""
    (here / "other.yaml").write_text("run: {parameters: {epochs: 4, seed: 9}}\n")
    invoke("study", "-f", "other.yaml", "--seeds", "2")
    invoke("study", "-f", "other.yaml", "--seeds", "2", "--first-seed", "0")
    assert [one[:2] for one in studied[1]] == [
        (Settings(epochs=4, seed=9), range(9, 11)),
        (Settings(epochs=4, seed=0), range(2)),
    ]


def test_an_interrupted_study_says_how_to_go_on(studied: Studied, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folder, which nobody chose, and the exit code of an interrupt."""
    monkeypatch.setattr(study, "run_study", Mock(side_effect=KeyboardInterrupt))
    result = invoke("study")
    assert result.exit_code == 130
    assert re.fullmatch(
        r"Error: interrupted; finished seeds are kept\. To resume, run the same command with -o studies/\S+\.\n",
        result.stderr,
    )


def test_a_study_prints_its_result(studied: Studied) -> None:
    """The table says seeds, mean, deviation, range, each verdict and where to look; the sentences follow."""
    studied[0][0] = sample(*[0.868, 0.870, 0.881] * 20)
    result = invoke("study", "-o", "x")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[:6] == [
        "seeds 60, from 5 on",
        "mean 0.8730",
        "deviation 0.0058",
        "range 0.8680 to 0.8810",
        "published 0.8693 (tensorflow-tutorial): replicated",
        "published 0.8822 (same-example-10-epochs): equivalent, but the published run is unusual",
    ]
    assert lines[6:8] == ["report x/report.html", "picture x/distribution.png"]
    assert lines[8:] == [
        "The tutorial's published accuracy of 0.8693 replicates: it is a plausible single run, and "
        "the mean of 60 seeds, 0.8730, is within 0.015 of it.",
        "The SAME example's published accuracy of 0.8822 is near the average, but would be an unusual single run: "
        "the mean of 60 seeds, 0.8730, is within 0.015 of it.",
    ]


def test_a_study_without_a_published_figure_says_so(studied: Studied) -> None:
    """Where nothing was published for the parameters, nothing is compared, and that is no failure."""
    studied[0][0] = sample(0.868, 0.870, epochs=11)
    result = invoke("study", "-o", "x")
    assert result.exit_code == 0
    assert [" ".join(line.split()) for line in result.stdout.splitlines()] == [
        "seeds 2, from 5 on",
        "mean 0.8690",
        "deviation 0.0014",
        "range 0.8680 to 0.8700",
        "published nothing for these parameters, so nothing is compared",
        "report x/report.html",
        "picture x/distribution.png",
    ]
    assert invoke("study", "-o", "x", "--json").stdout == "[]\n"


def test_a_study_says_where_it_is_though_nobody_chose_that(studied: Studied) -> None:
    """Without -o its report is in a folder whose name only this tells."""
    studied[0][0] = sample(0.868, 0.870)
    said = " ".join(invoke("study").stdout.split())
    [(_, _, folder, _)] = studied[1]
    assert re.fullmatch(r"studies/\d{8}-\d{6}", str(folder))
    assert f" report {folder}/report.html picture {folder}/distribution.png " in said


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (sample(*[0.870, 0.875, 0.880] * 7), 0),
        (sample(*[0.870, 0.875, 0.880] * 6), 1),
        (sample(0.88), 1),
        (sample(*[0.860, 0.861, 0.862] * 7), 1),
        (sample(0.2, 0.3, epochs=11), 0),
    ],
    ids=["equivalent to both", "few seeds", "one seed", "equivalent to one", "nothing published"],
)
def test_the_exit_code_says_whether_the_figures_hold(studied: Studied, given: Sample, code: int) -> None:
    """0 if the mean is equivalent to every published figure, 1 if that is not shown; JSON is no other answer."""
    studied[0][0] = given
    assert [invoke("study", "-o", "x", *options).exit_code for options in ((), ("--json",))] == [code, code]


def test_a_program_reads_the_verdicts_as_json(studied: Studied) -> None:
    """With --json stdout is a list of verdicts."""
    verdicts = json.loads(invoke("study", "--json").stdout)
    assert [verdict["name"] for verdict in verdicts] == ["tensorflow-tutorial", "same-example-10-epochs"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "0 is not in the range x>=1"),
        (["--jobs", "0"], "0 is not in the range x>=1"),
        (["--first-seed", "-1"], "-1 is not in the range x>=0"),
        (["--first-seed", "2147483647", "--seeds", "2"], "seed: expected a whole number from 0 to 2147483647"),
        (["-p", "epochs=0"], "epochs: expected a whole number of at least 1, got 0"),
    ],
)
def test_a_bad_study_is_exit_code_2(studied: Studied, arguments: list[str], message: str) -> None:
    """Bad input ends before any seed is trained."""
    result = invoke("study", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert studied[1] == []


def test_seeds_that_fail_are_exit_code_3(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """A study with a seed that failed has no verdict."""
    monkeypatch.setattr(study, "run_study", Mock(side_effect=StepError("study: 1 of its seeds failed")))
    result = invoke("study")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == "Error: study: 1 of its seeds failed\n"


def test_another_cpu_is_warned_of(executed: list[tuple[Settings, Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where other machines may give other bits, the run says so, and goes on."""
    monkeypatch.setattr(determinism, "caveat", lambda: "CPU: who knows.")
    result = invoke("run")
    assert result.exit_code == 0
    assert result.stderr == "Warning: CPU: who knows.\n"


@pytest.mark.parametrize(
    ("options", "name", "called"),
    [
        ([], "fashion_mnist_pipeline.yaml", "fashion-mnist"),
        (["--study"], "fashion_mnist_study_pipeline.yaml", "fashion-mnist-study"),
        (["--component", "confusion-matrix"], "confusion_matrix.yaml", "confusion-matrix"),
        (["--component", "train", "-o", "~x.yaml"], "~x.yaml", "train"),
    ],
    ids=["pipeline", "study", "component", "file"],
)
def test_what_is_compiled_is_named(here: Path, options: list[str], name: str, called: str) -> None:
    """The pipeline, that of a study, or a component is written here, and its file is the result."""
    result = invoke("compile", "--image", "registry.example/fmnist:1", *options)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{name}\n", "")
    document = next(yaml.safe_load_all((here / name).read_text()))
    assert document["pipelineInfo"]["name"] == called
    assert "registry.example/fmnist:1" in (here / name).read_text()


@pytest.mark.parametrize("options", [[], ["--study"]], ids=["pipeline", "study"])
def test_no_cache_is_compiled_in(here: Path, options: list[str]) -> None:
    """With --no-cache no step of the pipeline may come from the cache; without, they may."""
    for caching in ([], ["--no-cache"]):
        assert invoke("compile", "-o", "x.yaml", *options, *caching).exit_code == 0
        assert ("enableCache: true" in (here / "x.yaml").read_text()) is not bool(caching)


@pytest.mark.parametrize("option", [["--no-cache"], ["--mirror", "https://mirror.example/x"]], ids=["cache", "mirror"])
def test_what_a_component_cannot_hold_is_refused(here: Path, option: list[str]) -> None:
    """Caching and mirror are of a pipeline's tasks: asked of a component, they are not silently dropped."""
    sentence = "expected no --no-cache or --mirror with --component: they configure the tasks of a pipeline."
    for more in ([], ["-o", "x.yaml"], ["--image", "an/image:1"]):
        result = invoke("compile", "--component", "train", *option, *more)
        assert result.exit_code == 2
        assert f"Error: {sentence}\n" in result.stderr
        assert not any(here.iterdir())


@pytest.mark.parametrize(
    "mirror",
    [
        "https://me:s3cret@m.example/x",
        "https://s3cret@m.example",
        "https://m.example/?sig=s3cret",
        "http://m/#s3cret",
        "https://me:s3 cret@m.example",
    ],
)
def test_a_mirror_with_a_password_is_not_compiled_in(here: Path, mirror: str) -> None:
    """Everybody who sees the pipeline would see it; the error says where it belongs, and does not show it."""
    result = invoke("compile", "--mirror", mirror)
    assert result.exit_code == 2
    assert "Let the steps' pods get FMNIST_MIRROR from a Secret of Kubernetes" in result.stderr
    assert "s3" not in result.output
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("options", [[], ["--study", "--image", "an-image"]], ids=["pipeline", "study"])
def test_a_mirror_is_compiled_in(here: Path, options: list[str]) -> None:
    """With --mirror the steps ask no public web folder for the dataset."""
    assert invoke("compile", "--mirror", "https://mirror.example/x", "-o", "x.yaml", *options).exit_code == 0
    assert (here / "x.yaml").read_text().count("https://mirror.example/x") == 3


@pytest.mark.parametrize("options", [[], ["-o", "x.yaml"], ["--image", "an/image:1"], ["--seeds", "5"]], ids=" ".join)
def test_a_study_and_a_component_are_two_things(here: Path, options: list[str]) -> None:
    """Asking for both is bad usage, whatever else is asked for."""
    result = invoke("compile", "--study", "--component", "train", *options)
    assert result.exit_code == 2
    assert "Error: expected --study or --component, got both.\n" in result.stderr
    assert not any(here.iterdir())


def test_a_study_of_any_size_is_compiled(here: Path) -> None:
    """Seeds, the first of them, shards, and how many of these run at once are in the compiled file."""
    options = ["--seeds", "10000", "--first-seed", "5000", "--shards", "100", "--parallel", "50"]
    assert invoke("compile", "--study", "--image", "an/image:1", "-o", "x.yaml", *options).exit_code == 0
    root = next(yaml.safe_load_all((here / "x.yaml").read_text()))["root"]
    inputs = root["inputDefinitions"]["parameters"]
    values = [inputs[name]["defaultValue"] for name in ("seeds", "first_seed", "shards")]
    assert values == [10_000, 5_000, 100]
    assert root["dag"]["tasks"]["for-loop-1"]["iteratorPolicy"]["parallelismLimit"] == 50


def test_each_option_reaches_what_is_compiled_whatever_others_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of an image, a cache, a mirror and the numbers of a study counts only with another one, or without it."""
    compiled: list[tuple[Any, ...]] = []
    monkeypatch.setattr(pipeline, "compile_pipeline", lambda *given: compiled.append(given))
    monkeypatch.setattr(pipeline, "compile_component", lambda *given: compiled.append(given))
    monkeypatch.setattr(study_pipeline, "compile_pipeline", lambda *given: compiled.append(given))
    of_tasks = {"image": "an/image:1", "no-cache": None, "mirror": "https://mirror.example/x"}
    of_shards = {"seeds": 7, "first-seed": 3, "shards": 2, "parallel": 4}

    def words(chosen: Mapping[str, Any]) -> list[str]:
        return [str(word) for name, value in chosen.items() for word in (f"--{name}", value) if word is not None]

    for chosen in subsets(of_tasks):
        where = pipeline.Where(chosen.get("image"), caching="no-cache" not in chosen, mirror=chosen.get("mirror"))
        for path in ([], ["-o", "x.yaml"]):
            invoke("compile", *words(chosen), *path)
            invoke("compile", "--study", *words(chosen), *path)
            name, studys = (Path("x.yaml"),) * 2 if path else (pipeline.FILE_NAME, study_pipeline.FILE_NAME)
            assert compiled == [(name, where), (studys, where, Shards())]
            compiled.clear()
    for image in (None, "an/image:1"):
        invoke("compile", "--component", "confusion-matrix", *([] if image is None else ["--image", image]))
        assert compiled == [("confusion-matrix", "confusion_matrix.yaml", pipeline.Where(image))]
        compiled.clear()
    for numbers in subsets(of_shards):
        invoke("compile", "--study", *words(numbers))
        shards = Shards(**{name.replace("-", "_"): number for name, number in numbers.items()})
        assert compiled == [(study_pipeline.FILE_NAME, pipeline.ANYWHERE, shards)]
        compiled.clear()


def subsets(options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options in each combination."""
    chosen = [itertools.combinations(options.items(), n) for n in range(len(options) + 1)]
    return [dict(one) for one in itertools.chain.from_iterable(chosen)]


def test_a_study_without_an_image_is_told_of(here: Path) -> None:
    """It compiles, but the object that Argo keeps of it is too large, which a cluster would say after minutes."""
    sentence = "\nIts steps carry more code than Argo keeps of a run: there, compile with --image.\n"
    for options in ([], ["-o", "x.yaml"], ["--seeds", "2", "--shards", "1"]):
        assert sentence in invoke("compile", "--study", *options).stderr
    assert invoke("compile", "--study", "--image", "an/image:1").stderr == ""


def test_a_program_reads_the_name_of_the_compiled_file(here: Path) -> None:
    """It is all that is printed to stdout; what a person should know of the file is said on stderr, if anything."""
    for options in ([], ["--component", "confusion-matrix"]):
        plain = invoke("compile", "-o", "x.yaml", *options)
        assert (plain.stdout, plain.stderr) == (
            "x.yaml\n",
            "Its steps install packages, as root. Where pods may not, compile with --image.\n",
        )
    image = invoke("compile", "-o", "x.yaml", "--image", "an/image:1")
    assert (image.stdout, image.stderr) == ("x.yaml\n", "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--study", "--seeds", "0"], "Invalid value for '--seeds': 0 is not in the range x>=1."),
        (["--study", "--seeds", "3000000000"], "seeds: expected a whole number from 1 to 2147483648, got 3000000000."),
        (["--study", "--first-seed", "-1"], "Invalid value for '--first-seed': -1 is not in the range x>=0."),
        (
            ["--study", "--first-seed", "2147483600"],
            "seeds: expected a last seed of at most 2147483647",
        ),
        (["--study", "--shards", "0"], "Invalid value for '--shards': 0 is not in the range 1<=x<=100."),
        (["--study", "--shards", "101"], "Invalid value for '--shards': 101 is not in the range 1<=x<=100."),
        (["--study", "--parallel", "0"], "Invalid value for '--parallel': 0 is not in the range 1<=x<=100."),
        (["--study", "--seeds", "1_000"], "Invalid value for '--seeds': '1_000' is not a valid integer range."),
        (["--study", "--seeds", "many"], "Invalid value for '--seeds': 'many' is not a valid integer range."),
        (["--seeds", "5", "--first-seed", "1"], "expected --study with --seeds, --first-seed, got none."),
        (["--first-seed", "0"], "expected --study with --first-seed, got none."),
        (["--component", "train", "--parallel", "2"], "expected --study with --parallel, got none."),
        (["--image", "an/image:1", "--seeds", "5"], "expected --study with --seeds, got none."),
        (["-o", "x.yaml", "--no-cache", "--shards", "3"], "expected --study with --shards, got none."),
    ],
)
def test_a_study_that_cannot_be_is_not_compiled(here: Path, options: list[str], said: str) -> None:
    """A number that is none, and one that would be dropped without a word, is bad input, and nothing is written."""
    result = invoke("compile", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not any(here.iterdir())


@pytest.mark.parametrize(
    ("module", "function", "arguments", "events"),
    [
        (study, "run_study", ["study"], ["on_failure", "on_progress", "on_result", "on_seeds"]),
        (verify, "verify", ["verify", "."], ["on_event", "on_failure", "on_progress", "on_result", "on_seeds"]),
        (dataset, "fetch", ["data"], ["on_progress"]),
    ],
    ids=["study", "verify", "data"],
)
@pytest.mark.usefixtures("here")
def test_each_event_is_shown(
    module: Any, function: str, arguments: list[str], events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens in long work goes to the part of the display that has its name."""
    work = Mock(side_effect=StepError("enough"))
    monkeypatch.setattr(module, function, work)
    assert invoke(*arguments).exit_code == 3
    shown = {name: call.__func__.__name__ for name, call in work.call_args.kwargs.items() if name.startswith("on_")}
    assert shown == {name: name for name in events}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("theirs", [False, True])
def test_what_is_verified_is_chosen(theirs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, how many seeds, and whether somebody else's code may run are taken over."""
    work = Mock(side_effect=StepError("enough"))
    monkeypatch.setattr(verify, "verify", work)
    invoke("verify", ".", "--json", "--sample", "7", *["--run-their-code"] * theirs)
    assert work.call_args.args == (Path(), 7)
    assert work.call_args.kwargs["run_their_code"] == theirs


SAME, OTHER = verify.File("history.json", "d1" * 32, "d1" * 32), verify.File("labels", "d1" * 32, "d2" * 32)
ENVIRONMENT = (verify.Difference("versions.numpy", "1.0", "2.0", "equal bytes are promised with equal versions only"),)


@pytest.mark.parametrize(
    ("found", "outcome", "code"),
    [
        (verify.Verification(files=[SAME]), "verified", 0),
        (verify.Verification(environment=ENVIRONMENT, files=[SAME]), "verified", 0),
        (verify.Verification(environment=ENVIRONMENT, files=[SAME, OTHER]), "environment differs", 1),
        (verify.Verification(files=[SAME, OTHER]), "results differ", 1),
        (verify.Verification(altered="history.json: gone"), "altered", 1),
    ],
    ids=["verified", "verified elsewhere", "environment", "results", "altered"],
)
def test_the_exit_code_says_whether_it_is_verified(
    here: Path, monkeypatch: pytest.MonkeyPatch, found: verify.Verification, outcome: str, code: int
) -> None:
    """0 if all is the same, wherever that is, and 1 whatever else comes out; JSON is no other answer."""
    monkeypatch.setattr(verify, "verify", lambda *_, **__: found)
    told, printed = invoke("verify", "."), invoke("verify", ".", "--json")
    assert (told.exit_code, printed.exit_code) == (code, code)
    assert told.stdout.endswith(f"\n{found.sentence}\n") or told.stdout == f"{found.sentence}\n"
    assert json.loads(printed.stdout)["outcome"] == outcome


def test_data_says_where_the_dataset_is() -> None:
    """`fmnist data --offline` verifies what is here, and prints its folder."""
    result = invoke("data", "--offline")
    assert result.exit_code == 0
    assert result.stdout == f"{dataset.data_folder()}\n"


@pytest.mark.parametrize("options", [[], ["--offline"]], ids=["online", "offline"])
def test_data_stays_off_the_network_if_asked(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--offline` reaches the search for the dataset, and nothing else does."""
    fetch = Mock(return_value=Path("data"))
    monkeypatch.setattr(dataset, "fetch", fetch)
    assert invoke("data", *options).stdout == "data\n"
    assert fetch.call_args.kwargs["offline"] == bool(options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["compile", "-o", "folder"], "File 'folder' is a directory."),
        (["diff", "folder", "file"], "File 'folder' is a directory."),
        (["diff", "file", "folder"], "File 'folder' is a directory."),
        (["run", "-f", "folder"], "File 'folder' is a directory."),
        (["report", "file"], "Directory 'file' is a file."),
        (["report", "none"], "Directory 'none' does not exist."),
        (["verify", "file"], "Directory 'file' is a file."),
        (["verify", "none"], "Directory 'none' does not exist."),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_file_is_no_folder_nor_a_folder_a_file(here: Path, arguments: list[str], said: str) -> None:
    """What was mixed up is bad input, and named."""
    (here / "folder").mkdir()
    (here / "file").touch()
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_report_needs_a_finished_run(here: Path) -> None:
    """A folder without a run is bad input."""
    result = invoke("report", str(here))
    assert result.exit_code == 2
    assert "expected a finished run or study in" in result.stderr


def test_the_command_starts_without_heavy_imports() -> None:
    """Neither TensorFlow nor kfp is loaded for --help."""
    assert helpers.heavy_imports("fmnist.cli.fmnist", "--help") == set()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("FMNIST_DATADIR", "FMNIST_DATA_DIR"),
        ("FMNIST_MIRRORS", "FMNIST_MIRROR"),
        ("FMNIST_KFP_COOKIE", "FMNIST_KFP_COOKIES"),
    ],
)
def test_a_misspelt_variable_is_told(
    name: str, near: str, executed: list[tuple[Settings, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the environment that nothing reads does not pass unseen."""
    monkeypatch.setenv(name, "x")
    result = invoke("run")
    assert result.exit_code == 0
    assert f"Warning: the variable {name} has no effect. Did you mean '{near}'?" in result.stderr


def test_a_key_without_effect_is_told(executed: list[tuple[Settings, Path]], here: Path) -> None:
    """A misspelt key of the program file does not pass unseen here; the sections for clusters are known."""
    (here / "same.yaml").write_text("metadata: {name: x}\nrun: {paramters: {epochs: 4}}\npipelin: {}\n")
    result = invoke("run")
    assert executed[0][0] == Settings()
    assert result.stderr.splitlines() == [
        "Warning: program file same.yaml, line 2: run.paramters has no effect: expected one of name, parameters. "
        "Did you mean 'parameters'?",
        "Warning: program file same.yaml, line 3: pipelin has no effect: expected one of run, apiVersion, metadata, "
        "workflow, pipeline. Did you mean 'pipeline'?",
    ]
