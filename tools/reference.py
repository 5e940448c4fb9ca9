"""docs/reference/: docs/openapi.json as pages to read, one a domain."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.template import ROOT

FOLDER = ROOT / "docs/reference"

type Json = dict[str, Any]


def write(document: Json) -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages(document).items():
        path.write_text(text)


def pages(document: Json) -> dict[Path, str]:
    """Return the text of each page, and of the one that lists all routes."""
    names = [tag["name"] for tag in document["tags"]]
    found = {FOLDER / _file(name): _Page(document, name).text() for name in names}
    return {FOLDER / "README.md": _contents(document, names), **found}


def _contents(document: Json, names: list[str]) -> str:
    told = (
        "Every route. Written by `make openapi` from [openapi.json](../openapi.json), which client"
        " generators read; how answers, errors, limits and repeated requests work is in"
        " [the guide](../api.md). Every route may also answer 500 `INTERNAL_ERROR` and 503"
        " `UNAVAILABLE`, and takes an `X-Request-Id`. In the examples `API` is the address, "
        "`http://127.0.0.1:8080` for the local stack, and `TOKEN` an access token."
    )
    lines = ["# API reference", "", told]
    for name in names:
        lines += ["", f"## [{name}]({_file(name)})", "", "| | |", "|---|---|"]
        for method, path, operation in _operations(document, name):
            link = f"{_file(name)}#{operation['operationId'].lower()}"
            lines.append(f"| [`{method} {path}`]({link}) | {operation['summary']} |")
    return "\n".join(lines) + "\n"


def _operations(document: Json, tag: str) -> list[tuple[str, str, Json]]:
    return [
        (method.upper(), path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if tag in operation["tags"]
    ]


def _file(tag: str) -> str:
    return tag.lower().replace(" ", "-") + ".md"


class _Page:
    """The page of one tag."""

    def __init__(self, document: Json, tag: str) -> None:
        self.document = document
        self.tag = tag

    def text(self) -> str:
        head = f"# {self.tag}\n\nWritten by `make openapi`. [All routes](README.md)\n"
        operations = _operations(self.document, self.tag)
        return head + "".join("\n" + self.section(*operation) for operation in operations)

    def section(self, method: str, path: str, operation: Json) -> str:
        """Return what is said of one route."""
        parts = [
            f"## {operation['operationId']}",
            f"**`{method} {path}`**. {operation['summary']}.",
            operation.get("description", ""),
            self.callers(operation),
            self.parameters(operation),
            self.body(operation),
            self.answers(operation),
            self.example(method, path, operation),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def callers(self, operation: Json) -> str:
        security = operation["security"]
        if not security:
            who = "Public"
        elif {} in security:
            who = "Public, for some of it with an access token"
        else:
            permissions = security[0]["accessToken"]
            needed = f" with `{permissions[0]}`" if permissions else ""
            who = f"Needs an access token{needed}"
        limit = operation.get("x-rate-limit")
        if not limit:
            return f"{who}. No rate limit."
        return (
            f"{who}. Limit `{limit['class']}`: {limit['requestsAMinute']} a minute and"
            f" {limit['atOnce']} at once of {limit['of']}."
        )

    def parameters(self, operation: Json) -> str:
        rows = []
        for parameter in map(self.resolved, operation["parameters"]):
            if parameter["name"] == "X-Request-Id":  # every route's
                continue
            place = {"path": "path", "query": "query", "header": "header"}[parameter["in"]]
            said = parameter.get("description") or parameter["schema"].get("description", "")
            rows.append((parameter["name"], place, self.form(parameter["schema"]), said))
        return _table(("parameter", "in", "", ""), rows)

    def body(self, operation: Json) -> str:
        request = operation.get("requestBody")
        if not request:
            return ""
        ((kind, content),) = request["content"].items()
        schema = self.whole(content["schema"])
        may = "" if request.get("required") else ", may be left out"
        return f"Body, `{kind}`{may}:\n\n{self.fields(schema)}"

    def answers(self, operation: Json) -> str:
        rows = []
        for status, answer in operation["responses"].items():
            told = self.resolved(answer)["description"]
            if status >= "500":
                continue  # every route's
            if status < "300":
                told = self.success(self.resolved(answer), told)
            rows.append((status, told))
        return _table(("answer", ""), rows)

    def success(self, answer: Json, told: str) -> str:
        content = answer.get("content", {}).get("application/json")
        if not content:
            return told
        schemas = content["schema"].get("anyOf", [content["schema"]])
        names = [schema.get("$ref", "").rpartition("/")[2] for schema in schemas]
        names = [f"`{name}`" for name in names if name and name not in {"Error", "GatewayError"}]
        return f"{told}: {' or '.join(names)}" if names else told

    def example(self, method: str, path: str, operation: Json) -> str:
        """Return a request for a shell, and its answer."""
        query = []
        headers = [] if not operation["security"] else ['-H "Authorization: Bearer $TOKEN"']
        for parameter in map(self.resolved, operation["parameters"]):
            value = parameter.get("example")
            if value is None:
                continue
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", str(value))
            elif parameter["in"] == "query":
                query.append(f"{parameter['name']}={json.dumps(value).strip('"')}")
            else:
                headers.append(f"-H '{parameter['name']}: {value}'")
        address = f'"$API{path}{"?" if query else ""}{"&".join(query)}"'
        how = {"GET": [], "HEAD": ["--head"]}.get(method, [f"-X {method}"])
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if content.get("example") is not None:
                how += _sent(kind, content["example"])
        lines = ["curl " + " ".join([*how[:1], address]), *headers, *how[1:]]
        shown = "```sh\n" + " \\\n  ".join(lines) + "\n```"
        for status, answer in operation["responses"].items():
            content = self.resolved(answer).get("content", {}).get("application/json", {})
            if status < "300" and "example" in content:
                body = json.dumps(content["example"], indent=2, ensure_ascii=False)
                return f"{shown}\n\n```json\n{body}\n```"
        return shown

    def fields(self, schema: Json, *, within: str = "") -> str:
        rows = self.rows(schema, within)
        return _table(("field", "", "", ""), rows)

    def rows(self, schema: Json, within: str = "") -> list[tuple[str, ...]]:
        """Return the fields of an object and of those in it."""
        rows: list[tuple[str, ...]] = []
        for name, of in schema.get("properties", {}).items():
            needed = "" if name in schema.get("required", []) else "optional"
            own = self.whole(of)
            rows.append((within + name, self.form(of), needed, own.get("description", "")))
            parts = own.get("anyOf", [own])
            for inner in map(self.whole, parts):
                if "properties" in inner:
                    rows += self.rows(inner, f"{within}{name}.")
                elif "items" in inner and "properties" in self.whole(inner["items"]):
                    rows += self.rows(self.whole(inner["items"]), f"{within}{name}[].")
        return rows

    def form(self, schema: Json) -> str:
        """Return what a value may be, in few words."""
        schema = self.whole(schema)
        if "anyOf" in schema:
            return " or ".join(dict.fromkeys(self.form(it) for it in schema["anyOf"]))
        if "enum" in schema:
            return ", ".join(f"`{value}`" for value in schema["enum"])
        if "const" in schema:
            return f"`{schema['const']}`"
        kind = schema.get("format") or schema.get("type", "any")
        if kind == "array":
            most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
            return f"list of {self.form(schema['items'])}{most}"
        bounds = [
            word.format(_plain(schema[name])) for name, word in _BOUNDS.items() if name in schema
        ]
        if "default" in schema and schema["default"] not in (None, [], {}):
            bounds.append(f"{json.dumps(schema['default'])} unless told")
        return ", ".join([kind, *bounds])

    def resolved(self, part: Json) -> Json:
        found: Any = part
        if "$ref" in part:
            found = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            found = found | {name: it for name, it in part.items() if name != "$ref"}
        return dict(found)

    whole = resolved


_BOUNDS = {
    "minLength": "from {} characters",
    "maxLength": "up to {} characters",
    "minimum": "from {}",
    "exclusiveMinimum": "over {}",
    "maximum": "to {}",
    "exclusiveMaximum": "under {}",
    "pattern": "`{}`",
}


def _plain(bound: Any) -> str:
    return f"{bound:,.0f}" if isinstance(bound, int | float) else str(bound)


def _sent(kind: str, example: Any) -> list[str]:
    if kind == "application/json":
        body = shlex.quote(json.dumps(example, ensure_ascii=False))
        return [f"-H 'Content-Type: {kind}'", f"-d {body}"]
    return [f"--data-urlencode {shlex.quote(f'{name}={value}')}" for name, value in example.items()]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
