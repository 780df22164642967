"""Tests of the plugin as a whole: it asks for little, and disturbs nobody."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from support import helpers
from support.failing_test import failing

from fmnist import testing

#: Only what pytest and kfp bring.
ALONE = """
import importlib.metadata as metadata, re, sys

def required(name, found):
    if name not in found:
        found.add(name)
        for one in metadata.requires(name) or ():
            if "extra ==" not in one:
                try: required(re.split(r"[^\\w.-]", one)[0].lower().replace("_", "-"), found)
                except metadata.PackageNotFoundError: pass
    return found

allowed = required("pytest", set()) | required("kfp", set()) | {"fmnist"}
of = {name: {one.lower().replace("_", "-") for one in by} for name, by in metadata.packages_distributions().items()}

class Hidden:
    def find_spec(self, name, *_):
        top = name.partition(".")[0]
        if of.get(top) and not of[top] & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in [*sys.modules]:
    if (by := of.get(name.partition(".")[0])) and not by & allowed:
        del sys.modules[name]
sys.meta_path.insert(0, Hidden())
import fmnist.testing
print(len(of) > 50, sorted({"keras", "tensorflow", "hypothesis", "numpy", "pydantic", "kfp"} & sys.modules.keys()))
"""


def test_it_needs_pytest_and_kfp_alone() -> None:
    """With every package hidden that neither of the two requires, it is imported."""
    assert helpers.python(ALONE).strip() == "True []"


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
try:
    import fmnist.testing
except ImportError as error:
    print(error)
"""


def test_without_pytest_it_says_what_to_install() -> None:
    """The package itself does not require pytest."""
    said = "fmnist.testing: expected pytest, got none. Install it, with pip install pytest."
    assert helpers.python(WITHOUT_PYTEST).strip() == said


def test_the_package_does_not_disturb_other_tests() -> None:
    """It has no entry point, so that nobody's tests load it unasked; its wheel requires nothing for tests."""
    from importlib.metadata import distribution

    package = distribution("fmnist")
    assert {point.group for point in package.entry_points} == {"console_scripts"}
    assert not [one for one in package.requires or () if one.startswith(("pytest", "hypothesis"))]


def test_a_traceback_into_the_plugin_is_seen() -> None:
    """The tests of failures look for that: others' tests are to show their own lines."""
    for place, seen in ((testing.__file__, True), (__file__, False)):
        raising = compile("raise AssertionError('no luck')", str(Path(place).with_name("made_up.py")), "exec")
        with pytest.raises(AssertionError, match="not in") if seen else nullcontext(), failing("no luck"):
            exec(raising)  # noqa: S102 - as written here
