"""Tests of checking arguments against the inputs of a compiled pipeline."""

from typing import Any

import pytest

from fmnist.cluster.arguments import parse_arguments
from fmnist.steps.errors import ContractError


def spec(**inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a compiled pipeline with these inputs."""
    return {"root": {"inputDefinitions": {"parameters": inputs}}}


#: What numbers in a list or a mapping are.
KEPT = r"with finite numbers, whole ones up to 2\*\*53"

KINDS = ["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("STRING", "a", "a"),
        ("STRING", "3", "3"),
        ("STRING", "", ""),
        ("NUMBER_INTEGER", 3, 3),
        ("NUMBER_INTEGER", "-3", -3),
        ("NUMBER_DOUBLE", 0.5, 0.5),
        ("NUMBER_DOUBLE", "1e-3", 0.001),
        ("NUMBER_DOUBLE", "0.30000000000000004", 0.30000000000000004),
        ("NUMBER_DOUBLE", 3, 3.0),
        ("NUMBER_DOUBLE", "3", 3.0),
        ("BOOLEAN", True, True),
        ("BOOLEAN", "True", True),
        ("BOOLEAN", "FALSE", False),
        ("BOOLEAN", "tRUE", True),
        ("LIST", '[1, "A"]', [1, "A"]),
        ("LIST", "[9007199254740992, -9007199254740992, 1e300, true]", [2**53, -(2**53), 1e300, True]),
        ("STRUCT", '{"a": null}', {"a": None}),
    ],
)
def test_a_value_of_the_type_is_taken(kind: str, value: Any, expected: Any) -> None:
    """A value of an input's type is taken as it is, text for it is read; a whole number is a number too."""
    [got] = parse_arguments(spec(x={"parameterType": kind}), {"x": value}).values()
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(("kind", "value", "expected"), [("INT", "3", 3), ("DOUBLE", "3", 3.0), ("STRING", "3", "3")])
def test_a_type_of_an_older_compiler_is_known(kind: str, value: str, expected: Any) -> None:
    """Before kfp 2 it had another key, and numbers other names."""
    [got] = parse_arguments(spec(x={"type": kind}), {"x": value}).values()
    assert (got, type(got)) == (expected, type(expected))
    with pytest.raises(ContractError, match="^parameter x: expected "):
        parse_arguments(spec(x={"type": kind}), {"x": None})


@pytest.mark.parametrize("definition", [{}, {"type": "PRIMITIVE_TYPE_UNSPECIFIED"}])
def test_an_input_without_a_type_takes_nothing(definition: dict[str, Any]) -> None:
    """Nobody knows what its step would make of it."""
    with pytest.raises(ContractError, match="^parameter x: expected a value that can be given, got '3'.$"):
        parse_arguments(spec(x=definition), {"x": "3"})


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("STRING", 3, "expected text, got 3"),
        ("STRING", True, "expected text, got True"),
        ("STRING", "\udcff", "expected text, got '.udcff'"),
        ("NUMBER_INTEGER", 2**63, "expected a whole number, at most 2\\*\\*53 from zero, got 9223372036854775808"),
        pytest.param("NUMBER_INTEGER", 10**5000, "expected a whole number, at most .*, got an int", id="no digits"),
        ("NUMBER_INTEGER", "1" + "0" * 5000, "expected a whole number, at most 2\\*\\*53 from zero, got '1000"),
        ("STRING", [10**5000], "expected text, got a list"),
        ("NUMBER_DOUBLE", 10**400, "expected a finite number, got 1000"),
        ("NUMBER_DOUBLE", "1" + "0" * 400, "expected a finite number, got '1000"),
        ("LIST", [10**400], f"expected a list as JSON, {KEPT}, got .1000"),
        ("LIST", [{1, 2}], f"expected a list as JSON, {KEPT}, got .{{1, 2}}"),
        ("STRUCT", {"a": [10**400]}, f"expected a mapping as JSON, {KEPT}, got"),
        ("STRUCT", {"a": "\udcff"}, f"expected a mapping as JSON, {KEPT}, got"),
        ("LIST", "[9007199254740993]", rf"expected a list as JSON, {KEPT}, got '\[9007199254740993\]'"),
        ("LIST", [1, {"a": 2**53 + 1}, 2], ".*, got .1, .'a': 9007199254740993., 2"),
        ("STRUCT", {"b": 1, "a": [-(2**53) - 1]}, ".*, got .'b': 1, 'a': .-9007199254740993"),
        ("STRUCT", {"a": [-(2**53) - 1]}, f"expected a mapping as JSON, {KEPT}, got .'a': .-9007199254740993"),
        ("NUMBER_INTEGER", 3.0, "expected a whole number, at most 2\\*\\*53 from zero, got 3.0"),
        ("NUMBER_INTEGER", True, "expected a whole number, at most 2\\*\\*53 from zero, got True"),
        ("NUMBER_INTEGER", "ten", "expected a whole number, at most 2\\*\\*53 from zero, got 'ten'"),
        ("NUMBER_INTEGER", "", "expected a whole number, at most 2\\*\\*53 from zero, got ''"),
        ("NUMBER_INTEGER", "9007199254740993", "expected a whole number, at most 2\\*\\*53 from zero, got '9007"),
        ("LIST", "[NaN]", rf"expected a list as JSON, {KEPT}, got '\[NaN\]'"),
        ("STRUCT", '{"a": 1e999}', f"expected a mapping as JSON, {KEPT}, got"),
        ("NUMBER_DOUBLE", "NaN", "expected a finite number, got 'NaN'"),
        ("NUMBER_DOUBLE", "1e999", "expected a finite number, got '1e999'"),
        ("NUMBER_DOUBLE", False, "expected a finite number, got False"),
        ("BOOLEAN", 1, "expected true or false, got 1"),
        ("BOOLEAN", "yes", "expected true or false, got 'yes'"),
        ("BOOLEAN", " True", "expected true or false, got ' True'"),
        ("LIST", "{}", f"expected a list as JSON, {KEPT}, got '{{}}'"),
        ("LIST", "[" * 100_000, f"expected a list as JSON, {KEPT}, got"),
        ("STRUCT", "[]", f"expected a mapping as JSON, {KEPT}, got"),
        ("TASK_FINAL_STATUS", "x", "expected a value that can be given, got 'x'"),
    ],
)
def test_a_value_of_another_type_is_refused(kind: str, value: Any, message: str) -> None:
    """A value that is not of its input's type is refused by the input's name."""
    with pytest.raises(ContractError, match=f"^parameter x: {message}") as caught:
        parse_arguments(spec(x={"parameterType": kind}), {"x": value})
    assert len(str(caught.value)) < 400


def test_a_list_in_a_list_is_taken_or_refused_however_deep() -> None:
    """What can be read may still be too deep to be looked at."""
    refused = 0
    for depth in range(700, 1_000):
        try:
            parse_arguments(spec(x={"parameterType": "LIST"}), {"x": "[" * depth + "]" * depth})
        except ContractError:
            refused += 1
    assert refused


def test_an_unknown_parameter_is_refused() -> None:
    """A name that the pipeline lacks is refused, and the nearest one suggested."""
    takes = spec(epochs={"parameterType": "NUMBER_INTEGER"}, seed={"parameterType": "NUMBER_INTEGER"})
    with pytest.raises(ContractError) as caught:
        parse_arguments(takes, {"x": 2, "epoch": 3, "seed": 1, "f": 4})
    # Of several the first by name.
    assert str(caught.value) == "parameter: expected one of epochs, seed, got 'epoch'. Did you mean 'epochs'?"
    # Of several the first by name.
    with pytest.raises(ContractError, match="^parameter: expected one of epochs, seed, got 'long'"):
        parse_arguments(takes, {"z": 1, "long": 2, "of": 3, "seed": 1})
    documents: list[dict[str, Any]] = [{}, {"root": {}}, {"root": {"inputDefinitions": {"artifacts": {}}}}]
    for none in documents:
        with pytest.raises(ContractError) as caught:
            parse_arguments(none, {"epoch": 3})
        assert str(caught.value) == "parameter: expected none, as the pipeline takes none, got 'epoch'."


def test_what_has_no_default_must_be_given() -> None:
    """An input without a default is wanted; one with a default, or that is optional, is not."""
    needed = {"parameterType": "STRING"}
    takes = spec(a=needed, b={**needed, "defaultValue": ""}, c={**needed, "isOptional": True})
    assert parse_arguments(takes, {"a": "x"}) == {"a": "x"}
    with pytest.raises(ContractError) as caught:
        parse_arguments(takes, {})
    assert str(caught.value) == "parameter a: expected a value, as the pipeline has no default, got none."
    with pytest.raises(ContractError, match="^parameter b: expected a value, as"):  # the first in its own order
        parse_arguments(spec(b=needed, a=needed), {})
    with pytest.raises(ContractError, match="^parameter a: expected a value, as"):
        parse_arguments(spec(a={**needed, "isOptional": False}), {})
    with pytest.raises(ContractError, match=r"^parameter a: expected text, got None\.$"):
        parse_arguments(takes, {"a": None})


@pytest.mark.parametrize("text", ["1_0", "010", "+3", "0x3", "３", "3.", ".5", "0,5", "1 0", '"3"', "true", "1L"])
@pytest.mark.parametrize("kind", ["NUMBER_INTEGER", "NUMBER_DOUBLE"])
def test_numbers_are_spelt_as_in_json(kind: str, text: str) -> None:
    """What Python, YAML, another script or another country takes for a number is none."""
    with pytest.raises(ContractError, match="^parameter x: expected a (whole|finite) number.*, got "):
        parse_arguments(spec(x={"parameterType": kind}), {"x": text})


@pytest.mark.parametrize("whole", [2**53, -(2**53), str(2**53)])
def test_the_largest_whole_number_is_taken(whole: Any) -> None:
    """What a double keeps to the last digit."""
    assert parse_arguments(spec(x={"parameterType": "NUMBER_INTEGER"}), {"x": whole}) == {"x": int(whole)}


@pytest.mark.parametrize(("length", "shown"), [(298, 298 * "y" + "'"), (299, 299 * "y" + " ...")])
def test_a_long_value_is_cut(length: int, shown: str) -> None:
    """Its first 300 characters are enough to know it."""
    with pytest.raises(ContractError) as caught:
        parse_arguments(spec(x={"parameterType": "BOOLEAN"}), {"x": length * "y"})
    assert str(caught.value) == f"parameter x: expected true or false, got '{shown}."
