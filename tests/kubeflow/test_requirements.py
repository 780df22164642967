"""Tests of what a step installs on a cluster."""

import importlib.metadata
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import helpers

from fmnist.kubeflow import bundle, components, requirements
from fmnist.kubeflow.requirements import one_version, pins
from fmnist.runs import study_pipeline

MATRIX = """cloudpickle contourpy cycler fonttools joblib kiwisolver matplotlib narwhals numpy packaging pillow
pyparsing python-dateutil scikit-learn scipy threadpoolctl tzdata"""

#: What TensorFlow, Keras, the dataset's download and the pictures need; scikit-learn is not among it.
NETWORK = """absl-py astunparse certifi charset-normalizer contourpy cycler flatbuffers fonttools gast google-pasta
grpcio h5py idna keras kiwisolver libclang markdown-it-py matplotlib mdurl ml-dtypes namex numpy opt-einsum optree
packaging pillow platformdirs protobuf pygments pyparsing python-dateutil requests rich setuptools six tensorflow
termcolor typing-extensions tzdata urllib3 wheel wrapt"""

#: What the files of a study are checked with.
CHECKED = "annotated-types pydantic pydantic-core typing-inspection"

STEPS: dict[str, tuple[Callable[..., Any], str]] = {
    "train": (components.train, NETWORK),
    "test": (components.test, NETWORK),
    "confusion matrix": (components.confusion_matrix, MATRIX),
    "divide": (study_pipeline.divide, ""),
    "shard": (study_pipeline.shard, f"{NETWORK} {MATRIX} {CHECKED} pebble"),
    "verdict": (study_pipeline.verdict, f"{NETWORK} {MATRIX} {CHECKED} pebble jinja2 markupsafe"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_installs_what_it_needs(step: str) -> None:
    """A step installs what its modules import, and what that requires; the confusion matrix no TensorFlow."""
    function, names = STEPS[step]
    assert {pin.partition("==")[0] for pin in pins(function)} == set(names.split())


def test_python_and_we_are_in_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package is looked for to import Python's modules or ours, which takes as long as the rest of a compilation."""

    def look() -> None:
        raise AssertionError("all packages were looked at")

    requirements._distributions.cache_clear()
    monkeypatch.setattr(importlib.metadata, "packages_distributions", look)
    assert pins(nothing, [b"import json, os.path, numpy, fmnist.steps.errors"]) == [pins(nothing, [b"import numpy"])[0]]
    requirements._distributions.cache_clear()


def nothing() -> None:
    """Import nothing."""


OTHERS = {
    b"import sklearn.metrics": "cloudpickle joblib narwhals numpy scikit-learn scipy threadpoolctl",
    b"from PIL import Image": "pillow",
    b"from fmnist.steps import plots": (
        "contourpy cycler fonttools kiwisolver matplotlib numpy packaging pillow pyparsing python-dateutil tzdata"
    ),
    b"import json, os.path, fmnist.steps.errors": "",
    b"import pandas": "",
}


#: Modules of another name than their package, those of a namespace among them, by what is pinned for them.
NAMED = {
    "import dateutil.parser": ["python-dateutil"],
    "from mpl_toolkits import mplot3d": ["matplotlib"],
    "import typing_extensions": ["typing-extensions"],
    "import google.protobuf": ["protobuf"],
    "from google.protobuf.message import Message": ["protobuf"],
    "from google import protobuf": ["protobuf"],
    "import google.auth": [],
    "import google.protobuf_of_another": [],
    "import yaml": [],
}


@pytest.mark.parametrize(("source", "packages"), NAMED.items(), ids=NAMED)
def test_a_module_of_another_name_is_installed(source: str, packages: list[str]) -> None:
    """What is pinned of the package that has it is installed; another package of its namespace is not."""
    found = {pin.partition("==")[0] for pin in pins(nothing, [source.encode()])}
    assert found >= {*packages}
    assert bool(found) == bool(packages)
    assert packages == ["protobuf"] or "protobuf" not in found


#: A module, by the packages that may have it.
NAMESPACE = {
    "space": ["first-one", "second"],
    "space.one": ["first-one"],
    "space.one.deep": ["first-one"],
    "space.one.deep.Name": ["first-one"],
    "space.two": ["second"],
    "space.two.Name": ["second"],
    "space.shared": ["first-one", "second"],
    "space.shared.own": ["second"],
    "space.shared.gone": ["space-shared", "space-shared-gone"],
    "space.on": ["space-on"],
    "space.of_Mine": ["space-of-mine"],
    "both": ["first-one", "second"],
    "both.Name": ["first-one", "second"],
    "single.Name": ["second"],
    "alone.part.Name": ["second"],
    "alone.gone": ["alone-gone"],
    "unlisted.Name": ["third"],
    "gone_x.y": ["gone-x"],
    "both.deep": ["second"],
    "PIL.Image": ["pillow"],
    "sklearn.metrics": ["scikit-learn"],
    "Numpy.x": ["numpy"],
    "numpy": ["numpy"],
}


@pytest.mark.parametrize(("module", "packages"), NAMESPACE.items(), ids=NAMESPACE)
def test_a_namespace_is_of_many_packages(
    module: str, packages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one has a module is known by their files; what is pinned is known by its name alone."""
    of = {
        "First.One": ["space/one/deep.py", "space/one/__init__.py", "space/shared/a.so", "both/__init__.py"],
        "second": [
            "space/two.py",
            "space/shared/own/__init__.py",
            "both/__init__.py",
            "both/deep.py",
            "single.py",
            "alone/part.py",
            "numpy.py",
        ],
        "third": [],
    }
    for name, files in of.items():
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (folder / "top_level.txt").write_text("unlisted" if name == "third" else "")
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        # A listed file that is not there does not count on Python 3.12 and newer.
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
    monkeypatch.setattr(requirements, "_distributions", importlib.metadata.packages_distributions)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert sorted(requirements.packages_of(module.partition(".")[0], module)) == packages


@pytest.mark.parametrize(
    "requirement",
    [
        "Scikit_Learn",
        "scikit.learn[all]>=1",
        "scikit-learn @ https://a",
        "scikit-learn@https://a",
        " scikit--learn ; python_version<'4'",
    ],
)
def test_a_package_has_one_name(requirement: str) -> None:
    """However a requirement writes it, and whatever it asks for beside it."""
    assert requirements.named(requirement) == "scikit-learn"


@pytest.mark.parametrize(("source", "names"), OTHERS.items())
def test_code_of_others_is_looked_through_too(source: bytes, names: str) -> None:
    """What it imports is installed, by the name of the package and with what that requires, if it is pinned."""
    found = pins(nothing, iter([source]))
    assert found == sorted(found)
    assert [pin.partition("==")[0] for pin in found] == names.split()


#: What is of one version, with that version; an address is of one file or commit, and does not say which version.
PINNED = {
    "numpy==2.0.0": "2.0.0",
    " numpy == 2.0 ": "2.0",
    "numpy===2.0": "2.0",
    "Zope.Interface_x-1==1!2.0rc1.post2+cpu-1": "1!2.0rc1.post2+cpu-1",
    "keras[tests, x-y] == 3.15": "3.15",
    'numpy==2.0; python_version<"3.9"': "2.0",
    "numpy @ https://x/numpy-2.0-py3-none-any.whl#sha256=0a": "",
    "numpy[x]@https://x/numpy.tar.gz": "",
    "numpy @ git+https://x/numpy@v2.0": "",
    "git+https://me@x/numpy@v2.0": "",
}

#: What may be another version tomorrow, or is no requirement.
LOOSE = [
    "",
    "numpy",
    "numpy==",
    "numpy==2.*",
    "numpy>=2.0",
    "numpy~=2.0",
    "numpy>=1,==2.0",
    "numpy==2.0,>=1",
    "numpy==2.0 scipy==1.0",
    "numpy>=1 @x",
    "numpy @ ",
    "==2.0",
    "git+https://x/numpy",
    "git+https://me@x/numpy",
    "https://x/numpy.whl",
]


@pytest.mark.parametrize(("requirement", "version"), PINNED.items(), ids=PINNED)
def test_one_version_is_pinned(requirement: str, version: str) -> None:
    """One version, in any spelling that pip takes, or one file or commit by its address."""
    assert one_version(requirement) == version


@pytest.mark.parametrize("requirement", LOOSE)
def test_what_may_be_another_version_is_not_pinned(requirement: str) -> None:
    """Neither is a range, also one that has a version in it, nor an address that says no tag."""
    assert one_version(requirement) is None


@pytest.mark.parametrize("step", STEPS)
def test_every_module_of_a_step_has_its_pin(step: str) -> None:
    """What a step's modules import is Python's own, the package's, or pinned; kfp runs the step, and requires yaml."""
    function, names = STEPS[step]
    sources = [text.decode() for name, text in bundle.imported_by(function).items() if name.endswith(".py")]
    found = {name.partition(".")[0] for source in sources for name in bundle.imports(source)}
    packages = {"PIL": "pillow", "sklearn": "scikit-learn"}
    pinned = {*names.split(), "fmnist", "kfp", "yaml", *sys.stdlib_module_names}
    assert {packages.get(name, name) for name in found} <= pinned


@pytest.mark.parametrize("step", STEPS)
def test_nothing_that_a_package_requires_is_missing(step: str) -> None:
    """What each package requires here, as its own metadata have it, is installed too."""
    installed = {pin.partition("==")[0] for pin in pins(STEPS[step][0])}
    for name in sorted(installed):
        required = [re.split(r"[^\w.-]", one)[0] for one in importlib.metadata.requires(name) or () if ";" not in one]
        assert {one.lower().replace("_", "-") for one in required} <= installed, name


def test_the_confusion_matrix_is_drawn_without_what_it_does_not_install() -> None:
    """With every other package hidden, as they are on the cluster, the step's own function draws its matrix."""
    packages = [pin.partition("==")[0] for pin in pins(components.confusion_matrix)]
    code = f"""
import importlib.metadata, sys, tempfile
from pathlib import Path
from kfp import dsl
from fmnist.kubeflow.components import confusion_matrix

class Hidden:
    names = {{name for name, by in importlib.metadata.packages_distributions().items()
             if not {{one.lower() for one in by}} & {{"fmnist", "kfp", *{packages!r}}}}}
    def find_spec(self, name, *_):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

for name in [name for name in sys.modules if name.partition(".")[0] in Hidden.names]:
    del sys.modules[name]
sys.meta_path.insert(0, Hidden())
folder = Path(tempfile.mkdtemp())
(folder / "labels").mkdir()
for name, lines in (("true", "0 1 1"), ("predicted", "0 1 0"), ("class_names", "shirt boot")):
    (folder / "labels" / f"{{name}}.txt").write_text(lines.replace(" ", "\\n") + "\\n")
kinds = dict(labels=dsl.Dataset, classification=dsl.ClassificationMetrics, matrix=dsl.Dataset, matrix_plot=dsl.Artifact)
confusion_matrix(**{{name: kind(name=name, uri=str(folder / name)) for name, kind in kinds.items()}})
matrix = (folder / "matrix").read_text().splitlines()[1:]
print(len(Hidden.names) > 20, (folder / "matrix_plot").read_bytes()[1:4], matrix)
"""
    assert helpers.python(code).strip() == "True b'PNG' ['shirt,1,0', 'boot,1,1']"
