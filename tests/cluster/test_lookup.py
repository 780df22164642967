"""What is called so on a cluster is found by its name, and each message is told whole."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from support.kfp_server import Server, respond, serving
from support.submission import submitted

from fmnist.cluster import lookup
from fmnist.cluster.cluster import Cluster, connect
from fmnist.cluster.failures import ClusterError
from fmnist.steps.errors import ContractError

pytestmark = pytest.mark.usefixtures("nowhere")


def failed(status: int | None) -> ClusterError:
    """Return an error of the server."""
    error = ClusterError("no")
    error.status = status
    return error


def test_a_filter_is_what_the_server_decodes() -> None:
    """Once more than other values."""
    decoded = {"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": "50% a+b"}]}
    assert json.loads(unquote(lookup.named("50% a+b"))) == decoded
    assert json.loads(unquote(lookup.named("x", "name")))["predicates"][0]["key"] == "name"
    assert not set('{"+ ') & set(lookup.named("50% a+b"))


@pytest.mark.parametrize("what", ["pipeline", "experiment"])
def test_several_of_one_name_are_told_with_their_ids(server: Server, target: Cluster, what: str) -> None:
    """Nobody guesses which is meant."""
    items = {"pipeline": server.pipelines, "experiment": server.experiments}[what]
    for id_ in ("first", "second", "third"):
        items.append({f"{what}_id": id_, "display_name": "x", "name": id_, "created_at": "2000"})
    with pytest.raises(ContractError) as caught:
        lookup.find(target._client, what, "x")
    assert str(caught.value) == f"{what}: expected one called 'x' at {server.url}, got several: first, second, third."
    filters = [json.loads(unquote(one.query["filter"]))["predicates"][0] for one in server.asked(f"GET .*/{what}s$")]
    keys = {"pipeline": ["name", "display_name"], "experiment": ["display_name"]}[what]
    assert filters == [{"operation": "EQUALS", "key": key, "string_value": "x"} for key in keys]
    found_one = lookup.find(target._client, what, "second")
    assert found_one is None if what == "experiment" else found_one == items[1]


@pytest.mark.parametrize("what", ["pipeline", "version", "experiment"])
def test_a_server_that_refuses_is_told_with_what_was_looked_for(server: Server, target: Cluster, what: str) -> None:
    """Whichever it was."""
    server.fail("GET ", respond(403))
    with pytest.raises(ClusterError, match=f"^find {what} at {server.url}: expected success, got HTTP 403 Forbidden"):
        lookup.find(target._client, what, "x", *(["id"] if what == "version" else []))


def test_a_name_is_looked_for_on_each_page(server: Server, target: Cluster) -> None:
    """The database takes names that differ in case for equal ones."""
    server.page_limit = 1
    for id_, name in enumerate(("X", "X", "x", "X")):
        server.pipelines.append({"pipeline_id": f"{id_}", "display_name": name, "name": name, "created_at": "2000"})
    server.pipelines[0]["display_name"] = "x"  # as the UI shows another one
    one = lookup.find(target._client, "pipeline", "x")
    assert one == server.pipelines[2]


@pytest.mark.parametrize("what", ["pipeline", "version", "experiment"])
def test_what_is_on_two_pages_is_there_once(server: Server, target: Cluster, what: str) -> None:
    """What is made while they are listed moves it to the next page."""
    kind = "pipeline_version" if what == "version" else what
    items = [{f"{kind}_id": id_, "name": "x", "display_name": "x"} for id_ in ("one", "two")]
    pages = [{f"{kind}s": [items[0]], "next_page_token": "2"}, {f"{kind}s": [items[0]]}]
    pages += [{f"{kind}s": items}]
    for page in pages:
        server.fail(
            f"GET .*/{'versions' if what == 'version' else kind + 's'}$", respond(200, json.dumps(page).encode())
        )
    of = ["id"] if what == "version" else []
    assert lookup.find(target._client, what, "x", *of) == items[0]
    with pytest.raises(ContractError, match="got several: one, two.$"):
        lookup.find(target._client, what, "x", *of)


def test_a_run_on_two_pages_is_there_once(server: Server, target: Cluster) -> None:
    """As with anything else that is listed."""
    run = {"run_id": "one", "display_name": "x"}
    for page in ({"runs": [run], "next_page_token": "2"}, {"runs": [run]}):
        server.fail("GET .*/runs$", respond(200, json.dumps(page).encode()))
    assert lookup.find_run(target._client, "x", None) == "one"
    # Nor does it stand for another one, which comes later.
    for page in (
        {"runs": [run], "next_page_token": "2"},
        {"runs": [run], "next_page_token": "3"},
        {"runs": [run | {"run_id": "two"}]},
    ):
        server.fail("GET .*/runs$", respond(200, json.dumps(page).encode()))
    with pytest.raises(ContractError) as caught:
        lookup.find_run(target._client, "x", None)
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == ["one", "two"]


def test_an_empty_page_need_not_be_the_last_one(server: Server, target: Cluster) -> None:
    """As long as the server names a next page, that may have what is looked for."""
    wanted = {"pipeline_id": "1", "name": "x", "display_name": "x"}
    for page in ({"next_page_token": "2"}, {"pipelines": [], "next_page_token": "3"}, {"pipelines": [wanted]}):
        server.fail("GET .*/pipelines$", respond(200, json.dumps(page).encode()))
    assert lookup.find(target._client, "pipeline", "x") == wanted


@pytest.mark.parametrize("tokens", [["2", "2"], ["2", "3", "2"]], ids=["the same", "a circle"])
def test_a_page_that_comes_again_is_the_end(server: Server, target: Cluster, tokens: list[str]) -> None:
    """A server that names a next page for ever would be asked for ever."""
    for token in [*tokens, "4"]:
        server.fail("GET .*/experiments$", respond(200, json.dumps({"next_page_token": token}).encode()))
    with pytest.raises(ClusterError) as caught:
        lookup.find(target._client, "experiment", "x")
    assert str(caught.value) == (
        f"find experiment at {server.url}: expected another page of the list, got one again. "
        "The server, or a proxy before it, repeats its answer: its log may say why."
    )
    assert len(server.asked("GET .*/experiments$")) == len(tokens)


def test_a_name_is_looked_for_in_its_namespace() -> None:
    """Where a cluster has several users, each has names of their own."""
    with serving(multi_user=True) as server:
        client = connect(server.url, namespace="alice")._client
        server.page_limit = 1
        for id_ in ("1", "2"):
            server.experiments.append({"experiment_id": id_, "display_name": "X", "namespace": "alice"})
        assert lookup.find(client, "experiment", "x", namespace="alice") is None
        with pytest.raises(ContractError):
            lookup.find_run(client, "x", "alice")
        asked = [(one.query["namespace"], one.query["filter"]) for one in server.asked("(experiments|runs)$")]
        assert asked == 3 * [("alice", asked[0][1])]


def test_a_run_is_found_by_its_id_or_its_name(server: Server, target: Cluster, compiled: Path) -> None:
    """Its id is returned."""
    run = submitted(target, compiled)
    assert lookup.find_run(target._client, run.id, None) == lookup.find_run(target._client, "try", None) == run.id
    server.fail("GET .*/runs/", respond(403))
    with pytest.raises(ClusterError, match="HTTP 403"):
        lookup.find_run(target._client, run.id, None)


def test_runs_of_one_name_are_told_newest_first(server: Server, target: Cluster, compiled: Path) -> None:
    """With when each was made and its state; of more than a page that there are others."""
    server.page_limit = 2
    ids = [submitted(target, compiled).id for _ in range(3)]
    for day, run in enumerate(server.runs, 1):
        run |= {"state": "RUNNING", "created_at": f"2027-01-0{day}T00:00:00Z"}
    with pytest.raises(ContractError) as caught:
        lookup.find_run(target._client, "try", None)
    assert str(caught.value).splitlines() == [
        f"run: expected one of the name 'try' at {server.url}, got these. Give an id.",
        f"  {ids[2]}  2027-01-03T00:00:00Z  RUNNING",
        f"  {ids[1]}  2027-01-02T00:00:00Z  RUNNING",
        "  and others",
    ]
    del server.runs[0], server.runs[0]["state"]
    with pytest.raises(ContractError) as caught:
        lookup.find_run(target._client, "try", None)
    assert str(caught.value).splitlines()[1:] == [
        f"  {ids[2]}  2027-01-03T00:00:00Z  RUNNING",
        f"  {ids[1]}  2027-01-02T00:00:00Z  ",
    ]


def test_a_run_is_looked_for_on_each_page(server: Server, target: Cluster, compiled: Path) -> None:
    """The database takes names that differ in case for equal ones, and they may be newer."""
    server.page_limit = 1
    ids = [submitted(target, compiled, run_name=name).id for name in ("try", "Try", "TRY", "try", "tRY")]
    for day, run in enumerate(server.runs, 1):
        run["created_at"] = f"2027-01-0{day}T00:00:00Z"
    with pytest.raises(ContractError) as caught:
        lookup.find_run(target._client, "try", None)
    assert [line.split()[0] for line in str(caught.value).splitlines()[1:]] == [ids[3], ids[0]]
    del server.runs[3]
    assert lookup.find_run(target._client, "try", None) == ids[0]


def test_a_page_of_runs_that_comes_again_is_the_end(server: Server, target: Cluster) -> None:
    """As with any other list."""
    for token in ("same", "same", ""):
        server.fail("GET .*/runs$", respond(200, json.dumps({"next_page_token": token}).encode()))
    with pytest.raises(ClusterError, match=f"^find run at {server.url}: expected another page of the list"):
        lookup.find_run(target._client, "x", None)


def test_a_run_that_cannot_be_looked_for_is_told(server: Server, target: Cluster) -> None:
    """By its id or by its name."""
    server.fail("GET .*/runs/", respond(200, b'{"x": 1}'))
    with pytest.raises(ClusterError, match=f"^find run at {server.url}: .* got an answer without run_id"):
        lookup.find_run(target._client, 36 * "a", None)
    for status in (400, 401, 403, 410, 500):
        server.fail("GET .*/runs/", respond(status))
        with pytest.raises(ClusterError, match=f"^find run at {server.url}: expected success, got HTTP {status}"):
            lookup.find_run(target._client, 36 * "a", None)
    server.fail("GET .*/runs$", respond(403))
    with pytest.raises(ClusterError, match=f"^find run at {server.url}: expected success, got HTTP 403"):
        lookup.find_run(target._client, "x", None)


@pytest.mark.parametrize("name", ["nobody", 36 * "a", 36 * "A"])
def test_no_run_is_told_with_the_name(server: Server, target: Cluster, name: str) -> None:
    """Also of what could be an id."""
    with pytest.raises(ContractError) as caught:
        lookup.find_run(target._client, name, None)
    assert str(caught.value) == f"run: expected the id or the name of one at {server.url}, got {name!r}."
    assert len(server.asked("/runs/")) == (len(name) == 36)
    # A server that does not look at the filter may list one without a name.
    server.fail("GET .*/runs$", respond(200, b'{"runs": [{"run_id": "other"}]}'))
    with pytest.raises(ContractError, match="expected the id or the name of one"):
        lookup.find_run(target._client, name, None)


def test_what_is_there_is_not_made() -> None:
    """And what another one makes in the meantime is found."""
    there, made = {"id": "there"}, {"id": "made"}

    def conflicts() -> dict[str, str]:
        raise failed(409)

    assert lookup.found_or_made(lambda: there, lambda: made) == there
    assert lookup.found_or_made(lambda: None, lambda: made) == made
    finds = iter([None, there])
    assert lookup.found_or_made(lambda: next(finds), conflicts) == there


@pytest.mark.parametrize(("status", "times"), [(409, 2), (403, 1), (500, 1), (None, 1)])
def test_only_a_conflict_is_looked_after_again(status: int | None, times: int) -> None:
    """Any other error says nothing of what is there."""
    looks, makes = list[None](), list[None]()

    def make() -> dict[str, str]:
        makes.append(None)
        raise failed(status)

    with pytest.raises(ClusterError, match="^no$") as caught:
        lookup.found_or_made(lambda: looks.append(None), make)
    assert (caught.value.status, len(looks), len(makes)) == (status, times, 1)
