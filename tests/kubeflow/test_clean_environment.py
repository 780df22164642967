"""Tests of the environment in which steps run: what surrounds the process does not reach them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kfp import compiler, dsl
from support import helpers

from fmnist.kubeflow import local
from fmnist.kubeflow.environment import clean_environment
from fmnist.steps.errors import ContractError

#: Each of these changes a result, a picture or a compiled file, ends a step, or is secret.
HOSTILE = {
    "TF_DETERMINISTIC_OPS": "1",
    "FREETYPE_PROPERTIES": "truetype:interpreter-version=35",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "KFP_DISABLE_EXECUTION_CACHING_BY_DEFAULT": "true",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONSTARTUP": "/nowhere.py",
    "FMNIST_KFP_TOKEN": "a-secret-token",
    "HOMEBREW_GITHUB_API_TOKEN": "a-secret-token",
    "LANGSMITH_API_KEY": "a-secret-key",
    "USER_PASSWORD": "a-secret-password",
    "NOBODY_THOUGHT_OF_IT": "1",
}

KEPT = {
    "HOME": "/home/someone",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
    "SSL_CERT_FILE": "/certificates.pem",
    "SSL_CERT_DIR": "/certificates",
    "REQUESTS_CA_BUNDLE": "/certificates.pem",
    "CURL_CA_BUNDLE": "/certificates.pem",
    "USER": "someone",
    "LOGNAME": "someone",
    "LANG": "C.UTF-8",
    "LANGUAGE": "de:en",
    "LD_LIBRARY_PATH": "/nowhere",
    "XDG_CACHE_HOME": "/cache",
    "XDG_CONFIG_HOME": "/settings",
    "FMNIST_DATA_DIR": "/data",
    "FMNIST_MIRROR": "http://mirror/",
}


def show(environment: dsl.Output[dsl.Artifact]) -> None:
    """Write down the environment and the interpreter of a step."""
    import json
    import os
    import sys

    with open(environment.path, "w") as file:  # noqa: PTH123 - kfp copies this text
        json.dump({"prefix": sys.prefix, "optimize": str(sys.flags.optimize), **os.environ}, file)


def compiled(function: Callable[..., None], folder: Path) -> Path:
    """Compile a pipeline with the one step `function` into `folder`."""
    component = dsl.component(function, base_image="python", install_kfp_package=False)

    @dsl.pipeline(name="small")  # type: ignore[untyped-decorator]
    def small() -> None:
        component().set_env_variable("LC_TIME", "of the step")

    compiler.Compiler().compile(small, str(folder / "small.yaml"))
    return folder / "small.yaml"


def shown(folder: Path) -> dict[str, str]:
    """Run a step that shows its environment with its outputs in `folder`, and return what it shows."""
    folder.mkdir(parents=True)
    outputs = local.run_compiled(compiled(show, folder), {}, folder, io.StringIO())
    return dict(json.loads(Path(outputs["show"]["environment"].path).read_text()))


def test_only_what_is_allowed_reaches_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that changes results, a secret, and one that nobody thought of stay out; what finds files goes in."""
    for name, value in {**HOSTILE, **KEPT, "LC_TIME": "of all steps"}.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    found = shown(tmp_path / "work")
    assert HOSTILE.keys() & found.keys() == set()
    assert {name: found.get(name) for name in KEPT} == KEPT
    assert (found["optimize"], found["LC_TIME"]) == ("0", "of the step")
    assert dict(os.environ) == before


def test_places_are_the_same_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step has a working folder of its own; what is unset, or in a home folder, stays so, and no name means here."""
    monkeypatch.chdir(tmp_path)
    given = {"FMNIST_DATA_DIR": "da:ta", "LD_LIBRARY_PATH": "a::/b", "SSL_CERT_FILE": "", "LANG": "C"}
    given |= {"PYTHONPATH": "", "CURL_CA_BUNDLE": "~/ca", "SSL_CERT_DIR": "c", "REQUESTS_CA_BUNDLE": "/d/../e"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = shown(tmp_path / "work")
    assert {name: found[name] for name in given} == {
        "FMNIST_DATA_DIR": f"{tmp_path}/da:ta",
        "LD_LIBRARY_PATH": f"{tmp_path}/a:{tmp_path}:/b",
        "SSL_CERT_FILE": "",
        "LANG": "C",
        "PYTHONPATH": "",
        "CURL_CA_BUNDLE": "~/ca",
        "SSL_CERT_DIR": f"{tmp_path}/c",
        "REQUESTS_CA_BUNDLE": "/d/../e",
    }
    assert os.environ["FMNIST_DATA_DIR"] == "da:ta"


@pytest.mark.parametrize("name", ["python3-course", "a b", "it's; $(touch gone)"])
def test_a_step_runs_in_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A folder's name is no text that a program replaces, and no shell reads it."""
    assert shown(tmp_path / name)["prefix"] == sys.prefix
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_folder_whose_name_kubeflow_replaces_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kfp would look for the outputs of a step in another folder."""
    with pytest.raises(
        ContractError, match=r"expected a path without '{{\$', which Kubeflow replaces, got .*/{{\$.inputs}}"
    ):
        shown(tmp_path / "{{$.inputs}}")


@pytest.mark.parametrize("name", ["my env", "python3 env"])
def test_a_step_runs_in_an_environment_under_any_path(tmp_path: Path, name: str) -> None:
    """The interpreter is this one also where its path has a space, or a name that kfp replaces."""
    folder = tmp_path / name / "bin"
    folder.mkdir(parents=True)
    (folder / "python").symlink_to(sys.executable)
    (tmp_path / name / "pyvenv.cfg").write_text(f"home = {Path(os.path.realpath(sys.executable)).parent}\n")
    code = (
        "import sys, io, json, pytest; from pathlib import Path\n"
        f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from kubeflow.test_clean_environment import shown\n"
        f"print(shown(Path({str(tmp_path / 'work')!r}))['prefix'])"
    )
    program = tmp_path / "program.py"
    program.write_text(code)
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [folder / "python", program],
        capture_output=True,
        text=True,
        check=False,
        env={**helpers.clean_environment(), "PYTHONPATH": paths},
    )
    assert done.stdout.splitlines()[-1:] == [str(tmp_path / name)], done.stderr


def test_the_environment_is_clean_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside there is what is allowed; afterwards all is as it was, also what was changed inside."""
    monkeypatch.setenv("NOBODY_THOUGHT_OF_IT", "1")
    monkeypatch.setenv("TMPDIR", "/theirs")
    before = dict(os.environ)
    with clean_environment(ADDED="yes", TMPDIR="/ours"):
        assert "NOBODY_THOUGHT_OF_IT" not in os.environ
        assert (os.environ["ADDED"], os.environ["TMPDIR"]) == ("yes", "/ours")
        os.environ["INSIDE"] = "1"
    assert dict(os.environ) == before


def test_what_is_allowed_is_never_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may look for it at any time."""
    gone = list[str]()

    class Watched(dict[str, str]):
        """Says what is taken out of it."""

        def __delitem__(self, name: str) -> None:
            gone.append(name)
            super().__delitem__(name)

    monkeypatch.setattr(os, "environ", Watched(PATH="/bin", OTHER="1"))
    with clean_environment(ADDED="2"):
        assert gone == ["OTHER"]
        assert os.environ == {"PATH": "/bin", "ADDED": "2"}
    assert gone == ["OTHER", "ADDED"]
    assert os.environ == {"PATH": "/bin", "OTHER": "1"}
