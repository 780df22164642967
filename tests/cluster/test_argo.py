"""Tests of the names of Argo's nodes: what is around each, and what has nothing below it."""

from fmnist.cluster import argo


def test_a_name_has_those_of_the_nodes_around_it() -> None:
    """Each attempt is in the node that is tried again."""
    assert list(argo.around("w(0).root.a(1).executor(2)")) == [
        "w(0).root.a(1).executor(2)",
        "w(0).root.a(1).executor",
        "w(0).root.a(1)",
        "w(0).root.a",
        "w(0).root",
        "w(0)",
        "w",
    ]


def test_a_name_has_argos_digest() -> None:
    """That of its bytes in UTF-8, also where it goes on from the digest of its beginning."""
    assert argo.node_id("w", "w.root.train") == "w-2469954184"
    assert argo.digest("é") == 513665217
    assert argo.digest(".train", argo.digest("w.root")) == 2469954184


def test_a_node_is_deeper_than_those_around_it() -> None:
    """An attempt too is within the node that is tried again."""
    names = ["w", "w(0)", "w(0).root", "w(0).root.a", "w(0).root.a(1)", "w(0).root.a(1).executor"]
    assert [argo.depth(name) for name in names] == [0, 1, 2, 3, 4, 5]


def test_below_what_works_there_is_nothing() -> None:
    """Neither below an executor or a driver nor below an attempt of one; what only sounds like them has children."""
    leaves = ["w.root.a.executor", "w.root.a.executor(0)", "w.root.a-driver", "w.root.a-driver(10)"]
    others = ["w.root.a", "w.root.a(0)", "w.root.driver", "w.root.executor-a", "w.root.a-driver.b"]
    assert [name for name in leaves + others if argo.LEAF.search(name)] == leaves


def test_an_executor_is_of_the_step_above_it() -> None:
    """Also of a step that is called as its executor is; what is called otherwise is of none."""
    steps = {"w.root.a.executor": "w.root.a", "w.root.executor.executor": "w.root.executor"}
    others = dict.fromkeys(["w.root.a", "w.root.a.executor(0)", "w.root.my-executor"], "")
    assert {name: argo.parent_of_executor(name) for name in steps | others} == steps | others
