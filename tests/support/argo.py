"""What Argo keeps of a run while it lasts: one object of 1 MiB at most, with a node for each part of each task.

A model of the object that Kubeflow Pipelines 2.17 makes of a compiled pipeline. Every task has a driver and an
executor, each with a node of its own and one for its retries; all hold the program of the step, as a container or as
the patch of a pod. `test_argo.py` compares it with what was measured on a real server.
"""

import gzip
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

#: What Argo takes, in bytes.
LIMIT = 1_048_576

#: Argo's gzip, which is not Python's, makes of an object about what Python's makes at this level.
_LEVEL = 4

#: What a node has that no other has, besides the names of other nodes: dates and numbers, in characters.
_OWN = 32

_RUN, _NAME = "e218e0ed-cb67-47d8-9ba2-efd3831480d4", "fashion-mnist-j2xsl"
_TYPE = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
_STORE = {"accessKeyKey": "accesskey", "disableSSL": "true", "endpoint": "seaweedfs.kubeflow:9000", "fromEnv": "false"}
_STORE |= {"maxRetries": "5", "region": "minio", "secretKeyKey": "secretkey", "secretName": "mlpipeline-minio-artifact"}
_METADATA = {"caveat": "none", "cpu": "Intel(R) Xeon(R) Processor", "display_name": "model"}
_METADATA |= {"store_session_info": json.dumps({"Provider": "minio", "Params": _STORE})}
_TIMES = {"startedAt": "2026-11-26T11:33:02Z", "finishedAt": "2026-11-26T11:33:12Z"}


def workflow(spec: Document, iterations: int = 0) -> str:
    """Return the object of a run that has ended, in which the loop had `iterations`, as JSON without spaces."""
    return _json(_workflow(spec, iterations))


def packed(spec: Document, iterations: int) -> int:
    """Return the size in bytes of the object when Argo has compressed its nodes, as it does with large ones."""
    whole = _workflow(spec, iterations)
    del whole["status"]["nodes"]
    return len(_json(whole)) + 4 * compressed(spec, iterations) // 3


def compressed(spec: Document, iterations: int) -> int:
    """Return the size in bytes of the compressed nodes."""
    return len(gzip.compress(_json(_workflow(spec, iterations)["status"]["nodes"]).encode(), _LEVEL))


def count(spec: Document, iterations: int = 0) -> int:
    """Return the number of nodes."""
    return len(_workflow(spec, iterations)["status"]["nodes"])


def _workflow(spec: Document, iterations: int) -> dict[str, Any]:
    # Go writes a map in the order of its keys, which are hashes here.
    nodes = dict(sorted(_nodes(spec, iterations)))
    status = {"phase": "Succeeded", **_TIMES, "progress": f"{len(nodes)}/{len(nodes)}", "nodes": nodes}
    return {"metadata": {"name": _NAME}, "spec": _arguments(spec), "status": status}


def _arguments(spec: Document) -> Document:
    """Return the workflow's own copy of the pipeline, of which its nodes are made."""
    parameters = {"components-root": spec["root"]}
    for name, component in spec["components"].items():
        parameters[f"components-{_hash(name)}"] = component
    for executor in spec["deploymentSpec"]["executors"].values():
        parameters[f"implementations-{_hash(_json(executor))}"] = executor["container"]
    return {"arguments": {"parameters": [{"name": name, "value": _json(one)} for name, one in parameters.items()]}}


def _nodes(spec: Document, iterations: int) -> Iterator[tuple[str, Document]]:
    yield _node("", "DAG", "entrypoint", {})
    yield from _pair("root-driver", "system-dag-driver", _driver(spec["root"], {}), {})
    yield from _pair("root", "root", {"parent-dag-id": "1"}, {})
    yield from _tasks(spec, spec["root"], "root", iterations)


def _tasks(spec: Document, component: Document, place: str, iterations: int) -> Iterator[tuple[str, Document]]:
    for name, task in component["dag"]["tasks"].items():
        inner = spec["components"][task["componentRef"]["name"]]
        if "dag" in inner:
            yield from _loop(spec, task, inner, f"{place}.{name}", iterations)
        else:
            container = spec["deploymentSpec"]["executors"][inner["executorLabel"]]["container"]
            yield from _step(f"{place}.{name}", inner, task, container)


def _loop(
    spec: Document, task: Document, inner: Document, place: str, iterations: int
) -> Iterator[tuple[str, Document]]:
    yield from _pair(f"{place}-driver", "system-dag-driver", _driver(inner, task), {"iteration-count": str(iterations)})
    yield from _pair(place, "iterations", {"parent-dag-id": "2"}, {})
    for number in range(iterations):
        one = f"{place}.iteration-item({number}:{number})"
        yield from _pair(one, "iteration", {"iteration-index": str(number), "parent-dag-id": "2"}, {})
        yield from _pair(f"{one}.iteration-driver", "system-dag-driver", _driver(inner, task), {"execution-id": "1"})
        yield from _pair(f"{one}.iteration", "dag", {"parent-dag-id": "3"}, {})
        yield from _tasks(spec, inner, one, iterations)


def _step(place: str, component: Document, task: Document, container: Document) -> Iterator[tuple[str, Document]]:
    patch = {"cached-decision": "false", "pod-spec-patch": _patch(place, component, container)}
    inputs = {**_driver(component, task), "container": _json(container)}
    yield from _pair(f"{place}-driver", "system-container-driver", inputs, patch)
    yield from _pair(place, "system-container-executor", patch, {})
    yield from _pair(f"{place}.executor", "system-container-impl", {"pod-spec-patch": patch["pod-spec-patch"]}, {})


def _driver(component: Document, task: Document) -> dict[str, str]:
    given = {"component": component, "task": task, "runtime-config": {}, "iteration-index": -1, "parent-dag-id": 12}
    return {name: one if isinstance(one, str) else _json(one) for name, one in given.items()}


def _patch(place: str, component: Document, container: Document) -> str:
    """Return the patch of the pod that runs a step: the launcher's arguments, and after them the step's own."""
    inputs, outputs = (component.get(f"{kind}Definitions", {}) for kind in ("input", "output"))
    told = {
        "inputs": {
            "parameterValues": dict.fromkeys(inputs.get("parameters", {}), 10),
            "artifacts": {
                name: {"artifacts": [_artifact(f"{place}-before", "5", _TYPE) | {"metadata": _METADATA}]}
                for name in inputs.get("artifacts", {})
            },
        },
        "outputs": {
            "artifacts": {
                name: {"artifacts": [_artifact(place, name, one.get("artifactType", _TYPE))]}
                for name, one in {"executor-logs": {}, **outputs.get("artifacts", {})}.items()
            },
            "outputFile": f"{_folder(place)}/output_metadata.json".replace("minio://", "/minio/"),
        },
    }
    args = ["--pipeline_name", _NAME, "--run_id", _RUN, "--execution_id", "12", "--executor_input", _json(told)]
    args += ["--component_spec", _json(component), "--pod_name", "$(KFP_POD_NAME)", "--pod_uid", "$(KFP_POD_UID)"]
    args += ["--mlmd_server_address", "metadata-grpc-service.kubeflow.svc.cluster.local", "--mlmd_server_port", "8080"]
    main = {"name": "main", "image": container["image"], "command": ["/kfp-launcher/launch", *args, "--"]}
    main["args"] = [*container["command"], *container["args"]]
    return _json({"containers": [main | {"resources": container.get("resources", {})}]})


def _artifact(place: str, name: str, kind: Document) -> dict[str, Any]:
    return {"name": name, "type": kind, "uri": f"{_folder(place)}/{name}"}


def _folder(place: str) -> str:
    step, unique = place.rpartition(".")[2], uuid.uuid5(uuid.NAMESPACE_URL, place)
    return f"minio://mlpipeline/v2/artifacts/fashion-mnist/{_RUN}/{step}/{unique}"


def _pair(
    place: str, template: str, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> Iterator[tuple[str, Document]]:
    """Give the node of a part and the one of its first try."""
    yield _node(place, "Retry", template, inputs, outputs)
    yield _node(f"{place}(0)", "Pod", template, inputs, outputs)


def _node(
    place: str, kind: str, template: str, inputs: Mapping[str, str], outputs: Mapping[str, str] | None = None
) -> tuple[str, Document]:
    name = _id(place)
    node: dict[str, Any] = {
        "id": name,
        "name": f"{_NAME}.{place}",
        "displayName": place.rpartition(".")[2],
        "type": kind,
    }
    node |= {"templateName": template, "templateScope": f"local/{_NAME}", "phase": "Succeeded"}
    node |= {"boundaryID": _id(place.rpartition(".")[0]), "children": [_id(f"{place}.child")], **_TIMES}
    node |= {"progress": "1/1", "resourcesDuration": {"cpu": 8, "memory": 40}, "hostNodeName": "node-1"}
    node["inputs"] = {"parameters": [{"name": key, "value": value} for key, value in inputs.items()]}
    node["outputs"] = {"parameters": [{"name": key, "value": value} for key, value in (outputs or {}).items()]}
    return name, node | {"message": _hash(place)[:_OWN]}


def _id(place: str) -> str:
    return f"{_NAME}-{int(_hash(place)[:8], 16)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
