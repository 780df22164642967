"""Tests of the verification: what is told apart. The end-to-end tests make real runs and studies again."""

import errno
import json
import os
import platform
import random
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner, Result
from kfp.dsl import Artifact
from support import folders
from support.folders import RESULTS, SEEDS, SETTINGS, edit, sign_again

from fmnist import testing
from fmnist.cli import fmnist as cli
from fmnist.kubeflow import bundle, local
from fmnist.replication.sample import Sample
from fmnist.report import page
from fmnist.runs import checked, checksums, findings, workers
from fmnist.runs.folder import claimed
from fmnist.runs.provenance import provenance, stopwatch
from fmnist.runs.verify import _environment, _kept, drawn
from fmnist.runs.verify import verify as verify_folder
from fmnist.steps import dataset, files
from fmnist.steps.confusion import confusion_matrix
from fmnist.steps.errors import ContractError, SettingsError, StepError
from fmnist.steps.settings import Settings

#: The function itself, which most tests have no need to call.
RUN_COMPILED = local.run_compiled

Copy = Callable[[str], Path]


@pytest.fixture(autouse=True)
def again(honest: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Executing and training give what the honest folders have; returns what was executed and trained."""
    done: list[object] = []

    def run_compiled(pipeline: Path, arguments: Mapping[str, Any], folder: Path, *_: object) -> Any:
        done.append((pipeline.read_bytes(), arguments))
        shutil.copytree(honest / "run", folder / "out")
        return {"all": {name: Artifact(uri=str(folder / "out" / one)) for name, one in files.ARTIFACT_FILES.items()}}

    def train(
        settings: Settings, seeds: list[int], _: Path, jobs: int, on_result: Any, on_failure: Any
    ) -> dict[int, str]:
        done.append((settings, seeds, jobs))
        for seed in seeds:
            on_result(folders.result(seed))
        return {}

    monkeypatch.setattr(local, "run_compiled", run_compiled)
    monkeypatch.setattr(workers, "train", train)
    return done


def verify(*arguments: object) -> Result:
    """Call `fmnist verify`; nothing in the folder changes."""
    folder = Path(str(arguments[0]))
    before = {one: testing.contents(one) for one in [folder] if one.is_dir()}
    result = CliRunner().invoke(cli.main, ["verify", *map(str, arguments)])
    assert {one: testing.contents(one) for one in [folder] if one.is_dir()} == before
    return result


def report_again(folder: Path) -> None:
    """Write the report of a folder whose parts were changed, and sign all of it."""
    sign_again(folder)
    checked.write_report_again(folder)


def forge_run(folder: Path) -> None:
    """Make one prediction right in all files of a run, report and checksums among them: no file contradicts another."""
    tested = folders.evaluation(SETTINGS.seed)
    wrong = int((tested.labels.true != tested.labels.predicted).argmax())
    tested.labels.predicted[wrong] = tested.labels.true[wrong]
    files.save(folder, tested, confusion_matrix(tested.labels))
    edit(folder / "run.json", lambda record: record["metrics"].update(accuracy=tested.accuracy))
    report_again(folder)


def forge_seed(folder: Path, seed: int) -> None:
    """Give a seed of a study other predictions, in all files of the study."""
    other = replace(folders.result(seed + 100), seed=seed, model="0" * 64)
    files.write(folder / "seeds" / f"{seed}.json", other.to_json())
    plan, record = (json.loads((folder / name).read_bytes()) for name in ("study.json", "record.json"))
    results = [other if one == seed else folders.result(one) for one in SEEDS]
    findings.write_findings(Sample.of_study(plan, results, record), folder)
    sign_again(folder)


def test_an_honest_run_is_verified(honest: Path, again: list[object]) -> None:
    """Each file is compared, also the report; the code is that of the folder, on the parameters of its record."""
    result = verify(honest / "run")
    assert (result.exit_code, result.stderr) == (0, "")
    *rows, last = result.stdout.splitlines()
    assert last == "Verified: made again, 12 files are the same, byte for byte."
    assert [row.split()[0] for row in rows] == sorted([*RESULTS, "report.html"])
    digest = files.sha256(b"model 5")[:12]
    assert rows[9].split() == ["model.keras", digest, digest, "same"]
    parameters = {"compile_optimizer": "adam", "epochs": 2, "validation_split": 0.05, "seed": 5}
    assert again == [((honest / "run" / "pipeline.yaml").read_bytes(), parameters)]


def test_a_perfect_forgery_of_a_run_is_seen(copy: Copy) -> None:
    """A run whose files all agree, checksums and report too, is not what its code gives."""
    forge_run(folder := copy("run"))
    assert CliRunner().invoke(cli.main, ["report", str(folder)]).exit_code == 0
    result = verify(folder)
    assert result.exit_code == 1
    differ = {row.split()[0] for row in result.stdout.splitlines() if row.endswith("DIFFERS")}
    predictions = {"results.csv", "labels/predicted.txt", "metrics.json"}
    assert differ == predictions | {"confusion_matrix.csv", "confusion_matrix.png"}
    said = "Not verified: 5 of 12 files differ, and nothing of the environment does: these are not the results of "
    assert result.stdout.splitlines()[-1] == f"{said}this code."


def test_what_is_not_made_again_is_seen(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its code does not make any more is one that differs."""
    run_compiled = local.run_compiled

    def without_results(*arguments: Any) -> Any:
        outputs = run_compiled(*arguments)
        del outputs["all"]["results"]
        return outputs

    monkeypatch.setattr(local, "run_compiled", without_results)
    result = verify(copy("run"))
    assert result.exit_code == 1
    assert [row.split()[0] for row in result.stdout.splitlines() if row.endswith("DIFFERS")] == ["results.csv"]


def test_what_is_made_and_not_there_is_seen(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the code makes, and the folder does not have, is one that differs."""
    run_compiled = local.run_compiled

    def with_more(*arguments: Any) -> Any:
        outputs = run_compiled(*arguments)
        Path(outputs["all"]["labels"].path, "more.txt").write_text("7")
        return outputs

    monkeypatch.setattr(local, "run_compiled", with_more)
    result = verify(copy("run"))
    assert result.exit_code == 1
    assert [row.split()[0] for row in result.stdout.splitlines() if row.endswith("DIFFERS")] == ["labels/more.txt"]


def test_another_environment_is_told_apart(copy: Copy) -> None:
    """Each version, switch and CPU flag that differs is named with what is promised; equal results are verified."""
    folder = copy("run")

    def change(record: Any) -> None:
        record["versions"] |= {"tensorflow": "2.0", "pillow": "1.0", "scipy": "0.9", "python": "2.7"}
        record["switches"]["XLA_FLAGS"] = "--fast"
        record["code"]["sha256"] = "0" * 64
        record["machine"]["cpu"] |= {"fma": None, "model": "Z80"}
        record["machine"]["system"] = "Plan 9"

    edit(folder / "run.json", change)
    report_again(folder)
    result = verify(folder)
    *lines, last = result.stdout.splitlines()[12:]
    assert (result.exit_code, last[:9]) == (0, "Verified:")
    promises = {line.partition(",")[0]: line.partition("; ")[2] for line in lines}
    version = "equal bytes are promised with equal versions only"
    cpu = "weights, predictions, confidences and loss are promised to be the same on all x86-64 CPUs with AVX2 and FMA"
    machine = "equal bytes on two machines are promised for Linux on x86-64 with AVX2 and FMA only"
    assert promises == {
        f"code.sha256: recorded {'0' * 64}": "another code may give other bytes: verify with the fmnist that made it",
        "machine.cpu.fma: recorded None": machine,
        "machine.cpu.model: recorded Z80": cpu,
        "machine.system: recorded Plan 9": machine,
        "switches.XLA_FLAGS: recorded --fast": "other switches give other bits",
        "versions.pillow: recorded 1.0": "it draws: pictures may differ, numbers may not",
        "versions.python: recorded 2.7": "no result should differ, but that is promised for equal versions only",
        "versions.scipy: recorded 0.9": "it judges: verdicts may differ in their last digits, results of seeds may not",
        "versions.tensorflow: recorded 2.0": version,
    }
    here = {line.partition(":")[0]: line.partition(", ")[2].partition("; ")[0] for line in lines}
    assert (here["versions.python"], here["machine.system"]) == (
        f"here {platform.python_version()}",
        f"here {platform.system()}",
    )
    forge_run(folder)
    result = verify(folder)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[12:-1] == lines
    assert result.stdout.splitlines()[-1] == "Not verified: 5 of 12 files differ, and so does the environment."


@pytest.mark.parametrize("option", [False, True], ids=["by default", "if asked to"])
def test_other_code_is_not_executed(copy: Copy, again: list[Any], option: bool) -> None:
    """A pipeline.yaml that is not ours is a program of somebody's: it takes an option to execute it."""
    folder = copy("run")
    with (folder / "pipeline.yaml").open("a") as file:
        file.write("# theirs\n")
    sign_again(folder)
    result = verify(folder, *(["--run-their-code"] if option else []))
    assert (result.exit_code, len(again)) == ((0, 1) if option else (2, 0))
    said = (
        "got other code. Nothing was executed: that code can do here whatever you can. Install the fmnist that made "
        "this run, or, if you trust whoever made the folder, give --run-their-code."
    )
    assert (said in result.stderr) is not option
    assert all(pipeline.endswith(b"# theirs\n") for pipeline, _ in again)
    # Their report was written by their code too.
    assert ("report.html" in result.stdout) is False


def test_a_report_that_was_forged_is_seen(copy: Copy) -> None:
    """A report that shows another accuracy than the results, with its checksum, is not what is written of them."""
    folder = copy("run")
    page_ = folder / page.FILE_NAME
    page_.write_text(page_.read_text().replace("0.8773", "0.9773"))
    assert verify(folder).exit_code == 1
    sign_again(folder)
    result = verify(folder)
    assert result.exit_code == 1
    assert [row.split()[0] for row in result.stdout.splitlines() if row.endswith("DIFFERS")] == ["report.html"]


def test_an_honest_study_is_verified(honest: Path, again: list[Any]) -> None:
    """As many seeds as asked for are trained again, and the findings of all are made again."""
    result = verify(honest / "study", "--sample", "2")
    assert result.exit_code == 0
    rows = [row.split()[0] for row in result.stdout.splitlines()[:-1]]
    [(settings, seeds, jobs)] = again
    assert seeds in [[5, 6], [5, 7], [6, 7]]
    assert (replace(settings, seed=5), len(seeds), jobs) == (SETTINGS, 2, len(os.sched_getaffinity(0)))
    pictures = ("confusion_matrix", "distribution", "loss_curves")
    expected = {f"{picture}.{kind}" for picture in pictures for kind in ("png", "svg")} | {"distribution-dark.svg"}
    expected |= {"accuracies.csv", "verdict.json", "report.html", *(f"seeds/{seed}.json" for seed in seeds)}
    assert set(rows) == expected
    last = f"12 files are the same, byte for byte. Trained again: seeds {seeds[0]}, {seeds[1]}."
    assert result.stdout.endswith(f"Verified: made again, {last}\n")
    assert [f"/2, seed {seed}: accuracy " in result.stderr for seed in seeds] == [True, True]


def test_a_study_of_one_seed_is_one() -> None:
    """It has the files of a study, and what decides its verdict is compared too."""
    record = provenance(bundle.REPLICATION) | stopwatch()()
    found = Sample.of_study({"parameters": {}, "seeds": {"first": 5, "count": 1}}, [folders.result(5)], record)
    assert _kept(found, ["seeds/5.json", "verdict.json"]) == {"study.json", "record.json", "SHA256SUMS", "seeds/5.json"}
    assert _environment(found) == []


@pytest.mark.parametrize("sample", [0, -1, True, 2.0, "2"])
def test_a_study_is_not_verified_without_a_seed(honest: Path, again: list[object], sample: Any) -> None:
    """That the findings follow from the seeds says nothing of the seeds."""
    with pytest.raises(SettingsError, match=f"^sample: expected a whole number .*, got {sample!r}"):
        verify_folder(honest / "study", sample)
    assert again == []


def test_nobody_foresees_the_seeds() -> None:
    """They are drawn anew each time, in any state of Python's generator: no forgery can be tried out beforehand."""
    seeds = range(1_000, 1_060)
    draws = []
    for _ in range(3):
        random.seed(7)
        draws.append(drawn(seeds, 20))
    assert draws[0] != draws[1] != draws[2] != draws[0]
    assert all(one == sorted(set(one)) and len(one) == 20 and set(one) <= set(seeds) for one in draws)
    assert {seed for _ in range(200) for seed in drawn(seeds, 20)} == set(seeds)
    assert (drawn(seeds, 60), drawn(seeds, 100)) == (list(seeds), list(seeds))


def test_a_perfect_forgery_of_a_seed_is_seen(copy: Copy) -> None:
    """A seed whose file, verdict, pictures, report and checksums agree is not what its seed gives."""
    forge_seed(folder := copy("study"), 6)
    assert CliRunner().invoke(cli.main, ["report", str(folder)]).exit_code == 0
    result = verify(folder, "--sample", "3", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["outcome"], found["altered"], found["environment"]) == ("results differ", "", [])
    assert found["seeds"] == [5, 6, 7]
    assert [file["name"] for file in found["files"] if file["now"] != file["recorded"]] == ["seeds/6.json"]


def test_a_verdict_of_other_code_is_told_apart(copy: Copy) -> None:
    """A verdict that this code does not give is another environment's where the plan names other code."""
    folder = copy("study")
    (folder / "verdict.json").write_text("[1]\n")
    edit(folder / "study.json", lambda plan: plan["code"].update(sha256="0" * 64))
    edit(folder / "record.json", lambda record: record["machine"].update(system="Plan 9"))
    report_again(folder)
    found = json.loads(verify(folder, "--json").stdout)
    assert found["outcome"] == "environment differs"
    assert [one["name"] for one in found["environment"]] == ["code.sha256", "machine.system"]
    assert [file["name"] for file in found["files"] if file["now"] != file["recorded"]] == ["verdict.json"]


def test_a_missing_finding_is_seen(copy: Copy) -> None:
    """A picture that was removed, from the checksums too, counts as a difference."""
    folder = copy("study")
    (folder / "distribution.png").unlink()
    sign_again(folder)
    assert verify(folder).exit_code == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("run", "verdict.json"),
        ("run", "record.json"),
        ("run", "study.json.png"),
        ("run", "seeds/6.json"),
        ("study", "run.json"),
        ("study", "recalls.png"),
        ("study", "pipeline.yaml"),
    ],
)
def test_what_is_signed_and_cannot_be_made_again_is_seen(copy: Copy, kind: str, name: str) -> None:
    """A verdict beside a run, or a picture of nobody's: its checksum alone does not make it a result."""
    folder = copy(kind)
    files.write(folder / name, b"replicated")
    digests = checksums.digests_in({checksums.DIGESTS: (folder / checksums.DIGESTS).read_bytes()}) | {name: ""}
    checksums.sign(folder, checksums.digests_of(folder, digests.keys() - {*checksums.OTHERS}))
    result = verify(folder)
    assert result.exit_code == 1
    assert [row.split() for row in result.stdout.splitlines() if row.endswith("DIFFERS")] == [
        [name, files.sha256(b"replicated")[:12], "missing", "DIFFERS"]
    ]
    assert ": 1 of 13 files differ, and nothing of the environment does" in result.stdout


def test_a_failed_seed_is_exit_code_3(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a seed cannot be trained, nothing is said of the results."""
    monkeypatch.setattr(workers, "train", lambda *_: {6: "it broke", 5: "it too"})
    result = verify(honest / "study")
    assert (result.exit_code, result.stdout, result.stderr) == (
        3,
        "",
        "seeds: started\nError: verify: seed 5: it too\nseed 6: it broke\n",
    )


@pytest.mark.parametrize("parameters", [{"compile_optimizer": "adm"}, {"validation_split": 0.999999}], ids=str)
def test_parameters_that_cannot_be_are_seen(copy: Copy, again: list[object], parameters: dict[str, object]) -> None:
    """Parameters that no run could have had are not executed."""
    folder = copy("run")
    edit(folder / "run.json", lambda record: record["parameters"].update(parameters))
    report_again(folder)
    result = verify(folder)
    assert (result.exit_code, again) == (1, [])
    assert next(iter(parameters)) in result.stdout


@pytest.mark.parametrize("content", ["", "[1]", "{", "components: 3\nroot: 4\n", "a: &a [*a]"], ids=repr)
def test_a_file_that_is_no_pipeline_is_exit_code_3(copy: Copy, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """Whatever the file of others holds, it ends with a message."""
    monkeypatch.setattr(local, "run_compiled", RUN_COMPILED)
    folder = copy("run")
    (folder / "pipeline.yaml").write_text(content)
    sign_again(folder)
    result = verify(folder, "--run-their-code")
    assert (result.exit_code, result.stdout) == (3, "")
    assert re.match(r"Error: pipeline.yaml: expected a pipeline, got (?!NoneType)\w+: ", result.stderr)


@pytest.mark.parametrize("error", [OSError("no room"), StepError("step train: no")], ids=["OSError", "StepError"])
def test_other_errors_stay_what_they_are(copy: Copy, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """A full disk is not called an error of others' pipeline, and a step's error is not told twice."""

    def run_compiled(*_: object) -> None:
        raise error

    monkeypatch.setattr(local, "run_compiled", run_compiled)
    folder = copy("run")
    (folder / "pipeline.yaml").write_text("theirs")
    sign_again(folder)
    with pytest.raises(type(error)) as failed:
        verify_folder(folder, 1, run_their_code=True)
    assert failed.value is error


def test_what_is_made_again_is_told(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step as it begins and ends, and each seed, or that it failed; what they print is kept from the terminal."""
    told: list[object] = []

    def run_compiled(pipeline: Path, _: object, folder: Path, log: IO[str], on_event: Callable[[object], None]) -> Any:
        log.write("\u2713")
        on_event(pipeline.name)
        raise StepError("enough")

    def train(*arguments: Any) -> dict[int, str]:
        settings, seeds, log, _, _, on_failure = arguments
        assert (settings.seed, log.name) == (SEEDS[0], "log.txt")
        on_failure(seeds[0])
        return dict.fromkeys(reversed(seeds), "no luck")

    monkeypatch.setattr(local, "run_compiled", run_compiled)
    monkeypatch.setattr(workers, "train", train)
    with pytest.raises(StepError, match="^enough$"):
        verify_folder(honest / "run", 1, on_event=told.append)
    with pytest.raises(StepError) as error:
        verify_folder(honest / "study", 2, on_seeds=told.extend, on_failure=told.append)
    event, *seeds, failed = told
    assert (event, failed) == ("pipeline.yaml", seeds[0])
    assert str(error.value) == f"verify: seed {seeds[0]}: no luck\nseed {seeds[1]}: no luck"


def test_from_python_a_run_is_made_again_elsewhere(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a temporary folder, which has that of its steps; a download is reported, and no seed of a study is named."""
    told: list[object] = []
    run_compiled = local.run_compiled

    def looked_at(pipeline: Path, parameters: Mapping[str, Any], folder: Path, *others: Any) -> Any:
        told.append(Path(tempfile.gettempdir()).relative_to(folder))
        return run_compiled(pipeline, parameters, folder, *others)

    def progress(*_: object) -> None:
        """Be told of bytes."""

    def fetch(*, on_progress: object) -> None:
        told.append(on_progress)

    monkeypatch.setattr(local, "run_compiled", looked_at)
    monkeypatch.setattr(dataset, "fetch", fetch)
    found = verify_folder(honest / "run", 1, on_progress=progress)
    assert (found.outcome, found.seeds, told) == ("verified", [], [progress, Path("tmp")])


def test_from_python_other_code_is_not_executed_either(copy: Copy, again: list[object]) -> None:
    """Whoever says nothing of it does not trust it."""
    with ((folder := copy("run")) / "pipeline.yaml").open("a") as file:
        file.write("# theirs\n")
    sign_again(folder)
    with pytest.raises(ContractError, match="expected the code of this installation, got other code"):
        verify_folder(folder, 1)
    assert again == []


def test_what_contradicts_itself_is_named_with_its_folder(copy: Copy) -> None:
    """Of several folders a user knows which one it was."""
    edit((folder := copy("run")) / "run.json", lambda record: record["metrics"].update(accuracy=0.5))
    sign_again(folder)
    altered = verify_folder(folder, 1).altered
    assert f" study in {folder}, or a study to resume, as it was recorded, got:\n  run.json: " in str(altered)


def test_temporary_files_that_stay_do_not_fail_it(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step may have left a process that still writes into their folder."""
    rmdir = os.rmdir

    def busy(path: str, **options: Any) -> None:
        if Path(path).parent == tmp_path:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", path)
        rmdir(path, **options)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "rmdir", busy)
    assert verify_folder(honest / "run", 1).outcome == "verified"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_at_work_is_bad_input(honest: Path) -> None:
    """While a study works in its folder, its files may not agree yet: that is no forgery."""
    with claimed(honest / "study", "study"):
        result = verify(honest / "study")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "results folder: expected one in which no other process works" in result.stderr


def test_a_folder_of_something_else_is_bad_input(tmp_path: Path) -> None:
    """A folder without a run or a study is bad input; so is none."""
    (tmp_path / "notes.txt").write_text("mine")
    assert "expected a finished run or study in" in verify(tmp_path).stderr
    assert verify(tmp_path).exit_code == verify(tmp_path / "missing").exit_code == 2
