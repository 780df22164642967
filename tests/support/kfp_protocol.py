"""What requests to the API server of Kubeflow Pipelines look like, and its answers: fields, filters, pages, errors."""

import base64
import email
import email.policy
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import kfp_server_api

Json = dict[str, Any]

PAGING = {"page_token", "page_size", "sort_by", "filter", "namespace"}
GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13}
JSON, TEXT = "application/json", "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Raw:
    """An answer that is more than a JSON object with the status 200."""

    body: bytes
    status: int = 200
    content_type: str = TEXT


class RefusedError(Exception):
    """A request that the server answers with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    def answer(self) -> Raw:
        """Return the server's answer."""
        body = {"code": GRPC_CODES[self.status], "message": str(self)}
        return Raw(json.dumps(body).encode(), self.status, JSON)


class UploadError(RefusedError):
    """An upload that is refused, in the way of uploads."""

    def __init__(self, status: int, message: str, content_type: str = JSON) -> None:
        super().__init__(status, message)
        self.content_type = content_type

    def answer(self) -> Raw:
        """Return the server's answer."""
        body = {"error_message": str(self), "error_details": str(self)}
        return Raw(json.dumps(body).encode(), self.status, self.content_type)


class UnknownError(RefusedError):
    """A request that no client of the API sends: a mistake of ours."""


class LostError(Exception):
    """A request that is never answered."""


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
        try:
            data = json.loads(self.body, parse_constant=_refuse_constant)
        except ValueError as error:
            raise UnknownError(400, f"proto: syntax error: {error}") from error
        try:
            return known(model, data)
        except UnknownFieldError as error:
            at = self.body.decode().find(f'"{error.field}"') + 1
            raise UnknownError(400, f'proto: (line 1:{at}): unknown field "{error.field}"') from error

    def file(self) -> tuple[str, bytes]:
        """Return the name and the content of the file in a multipart form."""
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + self.body, policy=email.policy.HTTP)
        (part,) = [one for one in form.iter_parts() if one.get_param("name", header="content-disposition")]
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        return part.get_filename() or "", content


def _refuse_constant(name: str) -> None:
    raise RefusedError(400, f"proto: syntax error (line 1:1): invalid value {name}")


class UnknownFieldError(ValueError):
    """A field that a message of the API lacks."""

    def __init__(self, field: str, model: str) -> None:
        super().__init__(f"unknown field {field} of {model}")
        self.field = field


def known(model: Any, data: Json) -> Json:
    """Return `data`, which must have no field that `model` of kfp_server_api lacks; the same for what is inside."""
    if not isinstance(data, dict):
        raise UnknownError(400, f"proto: syntax error: {data!r} for {model.__name__}")
    for field in data:
        if field not in model.attribute_map.values():
            raise UnknownFieldError(field, model.__name__)
    for name, key in model.attribute_map.items():
        inner = getattr(kfp_server_api, model.openapi_types[name], None)
        if key in data and inner is not None and inner.attribute_map:
            known(inner, data[key])
    model(**{name: data[key] for name, key in model.attribute_map.items() if key in data})
    return data


def listed(request: Request, kind: str, items: list[Json], id_key: str, limit: int) -> Json:
    """Return a page of `items`, without what was not asked for, ordered as the server orders: then by id."""
    for predicate in predicates(kind, request.query):
        key, value = predicate["key"], predicate["string_value"].casefold()
        items = [item for item in items if str(item.get(key, item["display_name"])).casefold() == value]
    order = request.query.get("sort_by") or "created_at"
    if order not in {"created_at", "created_at desc"}:
        raise UnknownError(400, f"Invalid input error: order {order}")
    items = sorted(items, key=lambda item: (item.get("created_at", ""), item[id_key]), reverse=order.endswith(" desc"))
    start = _offset(request.query.get("page_token", ""))
    end = start + min(int(request.query.get("page_size") or 0) or 20, limit)
    more = {"next_page_token": _token(end)} if end < len(items) else {}
    page = {kind: items[start:end]} if items[start:end] else {}
    return page | {"total_size": len(items)} | more if items else {}


def _token(offset: int) -> str:
    return base64.b64encode(json.dumps({"KeyFieldName": "UUID", "Offset": offset}).encode()).decode()


def _offset(token: str) -> int:
    return int(json.loads(base64.b64decode(token))["Offset"]) if token else 0


def predicates(kind: str, query: dict[str, str]) -> list[Json]:
    """Return what a filter asks for; it is decoded twice, as by the real server."""
    text = query.get("filter", "")
    if not text:
        return []
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise RefusedError(400, "failed to decode filter spec: invalid URL escape")
    where = f"Failed to list {kind} due"
    try:
        wanted = json.loads(unquote_plus(text))
        known(kfp_server_api.V2beta1Filter, wanted)
        found = [_predicate(one) for one in wanted["predicates"]]
    except ValueError as error:
        spec = f"failed to parse filter spec: proto: syntax error (line 1:1): invalid value {unquote_plus(text)}"
        raise UnknownError(400, f"{where} to invalid tag filter in filter spec: Invalid input error: {spec}") from error
    for one in found:
        if one["key"] not in {"display_name", "name"}:
            options = f"pageToken: , pageSize: 0, sortBy: , filter: {text}"
            reason = f'Invalid input error: no support for filtering on unrecognized field "{one["key"]}"'
            raise UnknownError(400, f"{where} invalid list options: {options}: {reason}")
    return found


def _predicate(given: Json) -> Json:
    """Return a predicate with the names of the API's description; the server also takes those of protobuf's JSON."""
    predicate = {re.sub("[A-Z]", lambda big: f"_{big[0].lower()}", key): value for key, value in given.items()}
    known(kfp_server_api.V2beta1Predicate, predicate)
    if predicate["operation"] not in {"EQUALS", 1}:
        raise UnknownError(400, f"Invalid input error: predicate {predicate}")
    return predicate
