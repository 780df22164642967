"""A strict stand-in for the API server of Kubeflow Pipelines (v2beta1), in memory, on this machine.

It speaks real HTTP or HTTPS with the paths, queries and JSON of kfp_server_api, and notes in `problems` whatever a real
server would not know: another path, query or field. Faults are put in front of requests with `Server.fail`.
"""

import contextlib
import datetime as dt
import email
import email.policy
import http.server
import json
import re
import socket
import ssl
import struct
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import kfp_server_api
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from support import kfp_logs

Json = dict[str, Any]
Handler = http.server.BaseHTTPRequestHandler
Fault = Callable[[Handler], None]

PAGING = {"page_token", "page_size", "sort_by", "filter", "namespace"}
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 501: 12}


class RefusedError(Exception):
    """A request that the server answers with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _refuse_constant(name: str) -> None:
    raise RefusedError(400, f"Invalid input error: {name} is not JSON")


@dataclass
class Request:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self, model: type) -> Json:
        """Return the body, which must be an object with no field that `model` lacks."""
        return known(model, json.loads(self.body, parse_constant=_refuse_constant))


@dataclass
class Server:
    """The state of the server, and what came; it outlives a restart."""

    prefix: str = ""
    token: str | None = None
    multi_user: bool = False
    page_limit: int = 200
    #: The states that a run goes through, one each time it is looked at; the last one stays.
    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    details: Json = field(default_factory=dict)
    pipelines: list[Json] = field(default_factory=list)
    versions: list[Json] = field(default_factory=list)
    experiments: list[Json] = field(default_factory=list)
    runs: list[Json] = field(default_factory=list)
    #: What each run leaves; None on a server without the API of artifacts, as up to 2.17.
    artifacts: list[Json] | None = None
    #: What the full view of a run has on such a server, in the place of details.
    tasks: list[Json] = field(default_factory=list)
    #: What the cluster keeps of runs: their nodes, logs and files.
    store: kfp_logs.Store = field(default_factory=kfp_logs.Store)
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    _faults: list[tuple[str, Fault]] = field(default_factory=list)
    _http: http.server.ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http{'s' if self.context else ''}://{self.host}:{self.port}{self.prefix}"

    def start(self) -> None:
        """Listen, after a restart where it did before."""
        self.stopping.clear()
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler(self))
        if self.context:
            self._http.socket = self.context.wrap_socket(
                self._http.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.02,)).start()

    def stop(self) -> None:
        """Close the port; connections are cut."""
        self.stopping.set()
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def fail(self, pattern: str, fault: Fault, times: int = 1) -> None:
        """Let the next requests whose "METHOD path" matches `pattern` meet `fault`."""
        self._faults += [(pattern, fault)] * times

    def fault(self, request: str) -> Fault | None:
        """Take the fault that waits for `request`, if there is one."""
        for number, (pattern, _) in enumerate(self._faults):
            if re.search(pattern, request):
                return self._faults.pop(number)[1]
        return None

    def asked(self, pattern: str) -> list[Request]:
        """Return the requests whose "METHOD path" matches `pattern`."""
        return [request for request in self.requests if re.search(pattern, f"{request.method} {request.path}")]

    def answer(self, request: Request) -> Any:
        """Return the answer to `request`, or refuse it."""
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            raise RefusedError(401, "Request header error: there is no user identity.")
        for method, pattern, queries, respond in ROUTES:
            match = re.fullmatch(self.prefix + pattern, request.path)
            if match and method == request.method:
                if unknown := request.query.keys() - queries:
                    raise UnknownError(f"query {sorted(unknown)}")
                return respond(self, request, *map(unquote, match.groups()))
        raise UnknownError(f"path {request.method} {request.path} at {self.prefix!r}")


class UnknownError(Exception):
    """A request that no API server knows: a mistake of the client."""


# Faults


def respond(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer with `status`."""

    def fault(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        send(handler, status, body, **headers)

    return fault


def cut(after: int = 0) -> Fault:
    """Reset the connection after so many bytes of the request's body."""

    def fault(handler: Handler) -> None:
        handler.rfile.read(after)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    return fault


def hang(server: Server) -> Fault:
    """Give no answer until the server stops."""

    def fault(handler: Handler) -> None:
        server.stopping.wait(10)
        handler.close_connection = True

    return fault


def truncate(handler: Handler) -> None:
    """Promise more than is sent."""
    handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    send(handler, 200, b'{"pipe', Content_Length="1000")
    handler.close_connection = True


# HTTP


def send(handler: Handler, status: int, body: bytes, **headers: str) -> None:
    """Answer a request."""
    handler.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def handler(server: Server) -> type[Handler]:
    """Return the class that answers for `server`."""

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10
        wbufsize = -1  # head and body in one packet: two would wait for each other

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):  # a client may leave early
                super().handle()

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def _respond(self) -> None:
            url = urlsplit(self.path)
            if server.stopping.is_set():  # a connection from before
                cut()(self)
            elif fault := server.fault(f"{self.command} {url.path}"):
                server.requests.append(Request(self.command, url.path, {}, {}, b""))
                fault(self)
            else:
                query = dict(parse_qsl(url.query, keep_blank_values=True))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Request(self.command, url.path, query, headers, body)
                server.requests.append(request)
                status, answer = judge(server, request)
                if isinstance(answer, kfp_logs.Raw):
                    send(self, answer.status, answer.body, Content_Type=answer.kind)
                    return
                send(self, status, json.dumps(answer).encode(), Content_Type="application/json")

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    return Api


def judge(server: Server, request: Request) -> tuple[int, Any]:
    """Return the status and the body of the answer to `request`."""
    try:
        return 200, server.answer(request)
    except RefusedError as error:
        status, message = error.status, str(error)
    except (UnknownError, AssertionError, ValueError, KeyError, TypeError) as error:
        status, message = 501, f"{type(error).__name__}: {error}"
        server.problems.append(f"{request.method} {request.path}: {message}")
    if "upload" in request.path:
        return status, {"error_message": message, "error_details": message}
    return status, {"error": message, "code": GRPC_CODES[status], "message": message, "details": []}


# The API


def known(model: Any, data: Json) -> Json:
    """Return `data`, which must have no field that `model` of kfp_server_api lacks; the same for what is inside."""
    if not isinstance(data, dict):
        raise UnknownError(f"{data!r} for {model.__name__}")
    if unknown := data.keys() - model.attribute_map.values():
        raise UnknownError(f"field {sorted(unknown)} of {model.__name__}")
    for name, key in model.attribute_map.items():
        inner = getattr(kfp_server_api, model.openapi_types[name], None)
        if key in data and inner is not None and inner.attribute_map:
            known(inner, data[key])
    model(**{name: data[key] for name, key in model.attribute_map.items() if key in data})
    return data


def healthz(server: Server, _: Request) -> Json:
    """Say whether there are namespaces for users."""
    return known(
        kfp_server_api.V2beta1GetHealthzResponse, {"multi_user": server.multi_user, "pipeline_store": "database"}
    )


def listed(server: Server, request: Request, kind: str, items: list[Json]) -> Json:
    """Return a page of `items`, without what was not asked for."""
    for predicate in predicates(request.query.get("filter", "")):
        key, value = predicate["key"], predicate["string_value"].casefold()
        items = [item for item in items if item[key].casefold() == value]
    if request.query.get("sort_by") == "created_at desc":
        items = items[::-1]
    elif request.query.get("sort_by"):
        raise UnknownError(f"order {request.query['sort_by']}")
    start = int(request.query.get("page_token") or 0)
    end = start + min(int(request.query.get("page_size") or 20), server.page_limit)
    more = {"next_page_token": str(end)} if end < len(items) else {}
    page = {kind: items[start:end]} if items[start:end] else {}
    return page | {"total_size": len(items)} | more if items else {}


def predicates(text: str) -> list[Json]:
    """Return what a filter asks for; it is decoded twice, as by the real server."""
    if not text:
        return []
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise RefusedError(400, "failed to decode filter spec: invalid URL escape")
    wanted: list[Json] = known(kfp_server_api.V2beta1Filter, json.loads(unquote_plus(text)))["predicates"]
    for predicate in wanted:
        known(kfp_server_api.V2beta1Predicate, predicate)
        if predicate["operation"] not in {"EQUALS", 1} or predicate["key"] not in {"display_name", "name"}:
            raise UnknownError(f"predicate {predicate}")
    return wanted


def in_namespace(server: Server, items: list[Json], request: Request) -> list[Json]:
    """Return the items of the namespace that is asked for; with several users, there must be one."""
    namespace = checked(server, request.query.get("namespace", ""))
    return [item for item in items if item.get("namespace", "") == namespace]


def checked(server: Server, namespace: str) -> str:
    """Return `namespace`, which must be there with several users, and only then."""
    if bool(namespace) != server.multi_user:
        wanted = "cannot be empty in multi-user mode" if server.multi_user else "must be empty in single-user mode"
        raise RefusedError(400, f"Invalid input error: Namespace {wanted}.")
    return namespace


def list_pipelines(server: Server, request: Request) -> Json:
    """List the pipelines of a namespace."""
    return listed(server, request, "pipelines", in_namespace(server, server.pipelines, request))


def list_experiments(server: Server, request: Request) -> Json:
    """List the experiments of a namespace."""
    return listed(server, request, "experiments", in_namespace(server, server.experiments, request))


def list_versions(server: Server, request: Request, pipeline_id: str) -> Json:
    """List the versions of a pipeline."""
    one(server.pipelines, pipeline_id=pipeline_id)
    own = [version for version in server.versions if version["pipeline_id"] == pipeline_id]
    return listed(server, request, "pipeline_versions", own)


def one(items: list[Json], **keys: str) -> Json:
    """Return the item with these values."""
    for item in items:
        if keys.items() <= item.items():
            return item
    raise RefusedError(404, f"ResourceNotFoundError: {keys} not found.")


def add(items: list[Json], model: Any, id_key: str, **data: Any) -> Json:
    """Add an item with a new id; its display name must be new among `data`'s like."""
    if not data.get("display_name"):
        raise RefusedError(400, "Invalid input error: name is required")
    item = {"created_at": "2026-01-02T03:04:05Z", **data, id_key: str(uuid.uuid4())}
    items.append(known(model, item))
    return item


def unique(items: list[Json], what: str, **keys: str) -> None:
    """Refuse a second item with these values, which the database compares without regard to case."""
    if any(all(item[key].casefold() == value.casefold() for key, value in keys.items()) for item in items):
        raise RefusedError(409, f"Already exist error: {what} {keys} already exists.")


def create_pipeline(server: Server, request: Request) -> Json:
    """Make a pipeline without versions."""
    data = request.json(kfp_server_api.V2beta1Pipeline)
    namespace = checked(server, data.get("namespace", ""))
    unique(in_namespace_of(server.pipelines, namespace), "pipeline", name=data["name"])
    return add(server.pipelines, kfp_server_api.V2beta1Pipeline, "pipeline_id", **data)


def create_experiment(server: Server, request: Request) -> Json:
    """Make an experiment."""
    data = request.json(kfp_server_api.V2beta1Experiment)
    namespace = checked(server, data.get("namespace", ""))
    unique(in_namespace_of(server.experiments, namespace), "experiment", display_name=data["display_name"])
    return add(server.experiments, kfp_server_api.V2beta1Experiment, "experiment_id", **data)


def in_namespace_of(items: list[Json], namespace: str) -> list[Json]:
    """Return the items of `namespace`."""
    return [item for item in items if item.get("namespace", "") == namespace]


def upload_version(server: Server, request: Request) -> Json:
    """Make a version of a pipeline from an uploaded file."""
    pipeline_id, name = request.query["pipelineid"], request.query["name"]
    one(server.pipelines, pipeline_id=pipeline_id)
    unique(server.versions, "version", pipeline_id=pipeline_id, display_name=name)
    data = {"pipeline_id": pipeline_id, "name": name, "display_name": name, "pipeline_spec": spec(uploaded(request))}
    data["description"] = request.query.get("description", "")
    return add(server.versions, kfp_server_api.V2beta1PipelineVersion, "pipeline_version_id", **data)


def uploaded(request: Request) -> bytes:
    """Return the file in a multipart form."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    parts = [part for part in form.iter_parts() if part.get_param("name", header="content-disposition") == "uploadfile"]
    (part,) = parts
    return bytes(part.get_content(), "utf-8") if isinstance(part.get_content(), str) else part.get_content()


def spec(content: bytes) -> Json:
    """Return a compiled pipeline, which must be one."""
    try:
        documents = list(yaml.safe_load_all(content))
        json_format.ParseDict(documents[0], pipeline_spec_pb2.PipelineSpec())
    except (yaml.YAMLError, json_format.ParseError, IndexError, AttributeError) as error:
        raise RefusedError(400, f"Invalid input error: unknown template format: {type(error).__name__}") from error
    first: Json = documents[0]
    return {"pipeline_spec": first, "platform_spec": documents[1]} if len(documents) > 1 else first


def get_version(server: Server, _: Request, pipeline_id: str, version_id: str) -> Json:
    """Return a version."""
    return one(server.versions, pipeline_id=pipeline_id, pipeline_version_id=version_id)


#: What JSON gives for an input of each type.
TYPES = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": int | float,
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


def check_parameters(inputs: Json, given: Json) -> None:
    """Refuse what the server refuses: unknown inputs, missing ones, and those of another type."""
    if unknown := given.keys() - inputs:
        raise RefusedError(400, f"Invalid input error: unknown parameters {sorted(unknown)}")
    for name, definition in inputs.items():
        if name not in given and not ("defaultValue" in definition or definition.get("isOptional")):
            raise RefusedError(400, f"Invalid input error: {name} is not optional, yet has no value")
        if name in given and not isinstance(given[name], TYPES[definition["parameterType"]]):
            raise RefusedError(400, f"Invalid input error: {name} is not of its type")


def create_run(server: Server, request: Request) -> Json:
    """Start a run of a version, or of a pipeline that is part of the request: of one of them."""
    data = request.json(kfp_server_api.V2beta1Run)
    one(server.experiments, experiment_id=data["experiment_id"])
    if ("pipeline_spec" in data) == ("pipeline_version_reference" in data):
        raise UnknownError("oneof pipeline_source")
    content = data.get("pipeline_spec") or one(server.versions, **data["pipeline_version_reference"])["pipeline_spec"]
    content = content.get("pipeline_spec", content)
    json_format.ParseDict(content, pipeline_spec_pb2.PipelineSpec())
    inputs = content["root"].get("inputDefinitions", {}).get("parameters", {})
    check_parameters(inputs, data["runtime_config"].get("parameters", {}))
    return add(server.runs, kfp_server_api.V2beta1Run, "run_id", **data, state="PENDING")


def get_run(server: Server, request: Request, run_id: str) -> Json:
    """Return a run, which has gone on since it was last looked at."""
    run = one(server.runs, run_id=run_id)
    if "view" in request.query:
        return {"run_id": run_id, "tasks": server.tasks}
    run["state"] = server.states.pop(0) if len(server.states) > 1 else server.states[0]
    looks = server.store.looks
    details = looks.pop(0) if len(looks) > 1 else looks[0] if looks else server.details
    return known(kfp_server_api.V2beta1Run, run | details)


def list_runs(server: Server, request: Request) -> Json:
    """List the runs of the namespace's experiments."""
    namespace = checked(server, request.query.get("namespace", ""))
    own = {one["experiment_id"] for one in in_namespace_of(server.experiments, namespace)}
    return listed(server, request, "runs", [run for run in server.runs if run["experiment_id"] in own])


def get_log(server: Server, request: Request, run_id: str, node: str) -> kfp_logs.Raw:
    """Return what a node has printed, which the UI's address does not have here."""
    if server.store.ui:
        return kfp_logs.Raw(b"404 page not found\n", status=404)
    if request.query != {"follow": "false"}:
        raise UnknownError(f"query {request.query}")
    return server.store.log(node)


def get_pod_log(server: Server, request: Request) -> kfp_logs.Raw:
    """Return what a pod has printed, at the UI's address."""
    return server.store.pod_log(request.query) if server.store.ui else kfp_logs.Raw(b"404 page not found\n", status=404)


def get_file(server: Server, request: Request) -> kfp_logs.Raw:
    """Return a file of the store, at the UI's address."""
    return server.store.file(request.query) if server.store.ui else kfp_logs.Raw(b"404 page not found\n", status=404)


def list_artifact_tasks(server: Server, request: Request) -> Json:
    """List which task of a run has which artifact, as https://github.com/kubeflow/pipelines/pull/13986 has it."""
    run_id = one(server.runs, run_id=request.query["run_ids"])["run_id"]
    if request.query["type"] != "OUTPUT":
        raise UnknownError(f"type {request.query['type']}")
    ids = [artifact["artifact_id"] for artifact in left_behind(server)]
    tasks = [{"id": f"link-{id_}", "artifact_id": id_, "run_id": run_id, "type": "OUTPUT"} for id_ in ids]
    return listed(server, request, "artifact_tasks", tasks)


def get_artifact(server: Server, _: Request, artifact_id: str) -> Json:
    """Return an artifact."""
    return one(left_behind(server), artifact_id=artifact_id)


def left_behind(server: Server) -> list[Json]:
    """Return the artifacts; a server without them has no such path."""
    if server.artifacts is None:
        raise RefusedError(404, "Not Found")
    return server.artifacts


#: Method, path, the queries that are allowed, and what answers.
ROUTES: list[tuple[str, str, set[str], Callable[..., Any]]] = [
    ("GET", "/apis/v2beta1/healthz", set(), healthz),
    ("GET", "/apis/v2beta1/pipelines", PAGING, list_pipelines),
    ("POST", "/apis/v2beta1/pipelines", set(), create_pipeline),
    ("POST", "/apis/v2beta1/pipelines/upload_version", {"name", "description", "pipelineid"}, upload_version),
    ("GET", "/apis/v2beta1/pipelines/([^/:]+)/versions", PAGING - {"namespace"}, list_versions),
    ("GET", "/apis/v2beta1/pipelines/([^/:]+)/versions/([^/:]+)", set(), get_version),
    ("GET", "/apis/v2beta1/experiments", PAGING, list_experiments),
    ("POST", "/apis/v2beta1/experiments", set(), create_experiment),
    ("POST", "/apis/v2beta1/runs", {"experiment_id"}, create_run),
    ("GET", "/apis/v2beta1/runs", PAGING | {"experiment_id"}, list_runs),
    ("GET", "/apis/v2beta1/runs/([^/:]+)", {"experiment_id", "view"}, get_run),
    ("GET", "/apis/v1alpha1/runs/([^/:]+)/nodes/([^/:]+)/log", {"follow"}, get_log),
    ("GET", "/k8s/pod/logs", {"podname", "runid", "podnamespace", "createdat"}, get_pod_log),
    ("GET", "/artifacts/get", {"source", "namespace", "bucket", "key"}, get_file),
    ("GET", "/apis/v2beta1/artifact_tasks", PAGING | {"run_ids", "type"}, list_artifact_tasks),
    ("GET", "/apis/v2beta1/artifacts/([^/:]+)", set(), get_artifact),
]


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """Give a running server; at the end, nothing may have come that the API does not know."""
    server = Server(**settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    assert server.problems == []


# Certificates


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests' own: its certificate, and that of a server for `host`."""

    ca: Path
    context: ssl.SSLContext


def authority(folder: Path, host: str = "localhost") -> Authority:
    """Make an authority, and the certificate of a server that is called `host`, in a new folder."""
    folder.mkdir()
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = certificate(
        "tests' CA", ca_key.public_key(), "tests' CA", ca_key, x509.BasicConstraints(ca=True, path_length=0)
    )
    own = certificate(host, key.public_key(), "tests' CA", ca_key, x509.SubjectAlternativeName([x509.DNSName(host)]))
    (folder / "ca.pem").write_bytes(ca)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + own)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


def certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> bytes:
    """Return a certificate in PEM format, valid from yesterday to tomorrow."""
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    builder = x509.CertificateBuilder(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]),
        key,
        x509.random_serial_number(),
        now - day,
        now + day,
    )
    signed = builder.add_extension(extension, critical=True).sign(issuer_key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)
