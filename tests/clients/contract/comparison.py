"""What one OpenAPI document lacks of another.

`theirs` is the document that clients were made for, `ours` that of the server. Ours may say more:
further routes, optional parameters, answers, fields. It must not lack anything, name anything
differently, ask for more in requests, or promise less in answers:

- a request that theirs allows must be allowed by ours, so types and bounds may only be wider and
  nothing further may be required;
- an answer that ours allows must be one of theirs, so types and bounds may only be narrower, and
  whatever is required must still be.
"""

from collections.abc import Iterator
from typing import Any

from schemas import Document, Schema, component

METHODS = ("get", "head", "post", "put", "patch", "delete")

# Widths of numbers, which bound nothing that JSON could carry and clients do.
WIDTHS = {None, "int32", "int64"}


class Comparison:
    """Two documents, and the differences between them, as `place: what`."""

    def __init__(self, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
        self.theirs = Document(theirs)
        self.ours = Document(ours)
        self.open: set[tuple[int, int, bool]] = set()
        self.seen: set[str] = set()

    def differences(self) -> list[str]:
        """All of them."""
        return sorted(set(self.walk()))

    def walk(self) -> Iterator[str]:
        theirs, ours = self.theirs.root, self.ours.root
        for path, item in theirs["paths"].items():
            if path not in ours["paths"]:
                yield f"{path}: the path is missing"
                continue
            for method in METHODS:
                if method not in item:
                    continue
                place = f"{method.upper()} {path}"
                if method not in ours["paths"][path]:
                    yield f"{place}: the method is missing"
                    continue
                yield from self.operation(place, item, ours["paths"][path], method)
        for kind, components in theirs["components"].items():
            for name in components:
                if name not in ours["components"].get(kind, {}):
                    yield f"components: {kind}/{name} is missing"
        # What only text refers to: the events in a stream.
        for name in theirs["components"]["schemas"].keys() - self.seen:
            if name in ours["components"]["schemas"]:
                reference = {"$ref": f"#/components/schemas/{name}"}
                yield from self.compare(name, reference, reference, request=False)
        for name, scheme in theirs["components"]["securitySchemes"].items():
            found = ours["components"]["securitySchemes"].get(name, {})
            for key in ("type", "scheme", "in", "name"):
                if scheme.get(key) != found.get(key):
                    yield f"security scheme {name}: {key} is {found.get(key)!r}"

    def operation(
        self, place: str, their_item: Any, our_item: Any, method: str
    ) -> Iterator[str]:
        theirs, ours = their_item[method], our_item[method]
        if "operationId" in theirs and theirs["operationId"] != ours.get("operationId"):
            yield f"{place}: operationId is {ours.get('operationId')!r}"
        for tag in theirs.get("tags", []):
            if tag not in ours.get("tags", []):
                yield f"{place}: tag {tag!r} is missing"
        yield from self.parameters(
            place,
            parameters(self.theirs, their_item, theirs),
            parameters(self.ours, our_item, ours),
        )
        if "requestBody" in theirs:
            yield from self.body(place, theirs["requestBody"], ours.get("requestBody"))
        elif self.ours.follow(ours.get("requestBody", {})).get("required"):
            yield f"{place}: a body is newly required"
        for status, answer in theirs["responses"].items():
            if status not in ours["responses"]:
                yield f"{place}: answer {status} is missing"
                continue
            yield from self.answer(f"{place} {status}", answer, ours["responses"][status])

    def parameters(self, place: str, theirs: Any, ours: Any) -> Iterator[str]:
        for key, parameter in theirs.items():
            where = f"{place} {key[0]} {key[1]}"
            if key not in ours:
                yield f"{where}: the parameter is missing"
                continue
            if ours[key].get("required") and not parameter.get("required"):
                yield f"{where}: is newly required"
            for name in ("allowEmptyValue", "allowReserved"):
                if parameter.get(name) and not ours[key].get(name):
                    yield f"{where}: {name} is missing"
            yield from self.compare(where, parameter["schema"], ours[key]["schema"], request=True)
        for key in ours.keys() - theirs.keys():
            if ours[key].get("required"):
                yield f"{place} {key[0]} {key[1]}: is new and required"

    def body(self, place: str, theirs: Any, ours: Any) -> Iterator[str]:
        theirs, ours = self.theirs.follow(theirs), self.ours.follow(ours or {})
        if ours.get("required") and not theirs.get("required"):
            yield f"{place}: the body is newly required"
        yield from self.contents(f"{place} body", theirs, ours, request=True)

    def answer(self, place: str, theirs: Any, ours: Any) -> Iterator[str]:
        theirs, ours = self.theirs.follow(theirs), self.ours.follow(ours)
        for name, header in theirs.get("headers", {}).items():
            if name not in ours.get("headers", {}):
                yield f"{place}: header {name} is missing"
                continue
            found = ours["headers"][name]
            where = f"{place} header {name}"
            yield from self.compare(where, header["schema"], found["schema"], request=False)
        yield from self.contents(place, theirs, ours, request=False)

    def contents(self, place: str, theirs: Any, ours: Any, *, request: bool) -> Iterator[str]:
        for media, content in theirs.get("content", {}).items():
            found = ours.get("content", {}).get(media)
            if found is None:
                yield f"{place}: {media} is missing"
                continue
            yield from self.compare(
                f"{place} {media}", content["schema"], found["schema"], request=request
            )

    def compare(self, place: str, theirs: Any, ours: Any, *, request: bool) -> Iterator[str]:
        """Differences of two schemas; `place` names components by their names."""
        yield from self.types(place, theirs, ours, request=request)
        if name := component(theirs):
            self.seen.add(name)
            place = f"{name} in requests" if request else f"{name} in answers"
        pair = (id(self.theirs.follow(theirs)), id(self.ours.follow(ours)), request)
        if pair in self.open:
            return
        self.open.add(pair)
        yield from self.values(
            place, self.theirs.schema(theirs), self.ours.schema(ours), request=request
        )
        self.open.discard(pair)

    def types(self, place: str, theirs: Any, ours: Any, *, request: bool) -> Iterator[str]:
        accepted, sent = self.theirs.schema(theirs).types, self.ours.schema(ours).types
        if request:
            accepted, sent = sent, accepted
        if missing := sent - accepted:
            verb = "is not accepted" if request else "is not in the contract"
            yield f"{place}: {' or '.join(sorted(missing))} {verb}"

    def values(self, place: str, theirs: Schema, ours: Schema, *, request: bool) -> Iterator[str]:
        yield from self.text(place, theirs, ours, request=request)
        for name in sorted(theirs.properties):
            if name not in ours.properties:
                yield f"{place}.{name}: is missing"
                continue
            yield from self.compare(
                f"{place}.{name}", theirs.properties[name], ours.properties[name], request=request
            )
        if request:
            for name in sorted(ours.required - theirs.required):
                yield f"{place}.{name}: is newly required"
        else:
            for name in sorted(theirs.required - ours.required):
                yield f"{place}.{name}: is no longer promised"
            if theirs.additional is False:
                for name in sorted(ours.properties.keys() - theirs.properties.keys()):
                    yield f"{place}.{name}: the contract allows no more fields"
        if isinstance(theirs.additional, dict):
            if isinstance(ours.additional, dict):
                yield from self.compare(
                    f"{place}.*", theirs.additional, ours.additional, request=request
                )
            else:
                yield f"{place}.*: is missing"
        if theirs.items is not None:
            if ours.items is None:
                yield f"{place}[]: is missing"
            else:
                yield from self.compare(f"{place}[]", theirs.items, ours.items, request=request)
        yield from self.variants(place, theirs, ours, request=request)

    def text(self, place: str, theirs: Schema, ours: Schema, *, request: bool) -> Iterator[str]:
        """Format, values, bounds and default."""
        if theirs.format != ours.format:
            both_widths = {theirs.format, ours.format} <= WIDTHS
            narrower_answer = not request and theirs.format is None
            wider_request = request and ours.format is None
            if not (both_widths or narrower_answer or wider_request):
                yield f"{place}: format {theirs.format} is {ours.format}"
        if theirs.enum is not None:
            lacking = [value for value in theirs.enum if value not in (ours.enum or theirs.enum)]
            if lacking:
                yield f"{place}: values {lacking} are missing"
            if not request and ours.enum is None:
                yield f"{place}: values are not bounded"
        if not request and theirs.enum is not None:
            more = [value for value in ours.enum or () if value not in theirs.enum]
            if more:
                yield f"{place}: values {more} are not in the contract"
        if request and theirs.enum is None and ours.enum is not None:
            yield f"{place}: only some values are accepted"
        for name in sorted(theirs.bounds.keys() | ours.bounds.keys()):
            theirs_is, ours_is = theirs.bounds.get(name), ours.bounds.get(name)
            # What an answer is bound to beyond the contract breaks nobody.
            if theirs_is != ours_is and (request or theirs_is is not None):
                yield f"{place}: {name} {theirs_is} is {ours_is}"
        if theirs.has_default and theirs.default != ours.default:
            yield f"{place}: default {theirs.default!r} is {ours.default!r}"

    def variants(
        self, place: str, theirs: Schema, ours: Schema, *, request: bool
    ) -> Iterator[str]:
        """Each variant of ours in an answer, of theirs in a request, has a counterpart."""
        if not theirs.variants and not ours.variants:
            return
        their_variants = theirs.variants or [True]
        our_variants = ours.variants or [True]
        if not theirs.variants or not ours.variants:
            yield f"{place}: {len(their_variants)} variants are {len(our_variants)}"
            return
        # In both directions every one of theirs is looked for: none may be missing.
        for number, variant in enumerate(their_variants):
            same = [other for other in our_variants if component(other) == component(variant)]
            found = [
                list(self.compare(f"{place}|{number}", variant, other, request=request))
                for other in (same if component(variant) and same else our_variants)
            ]
            yield from min(found, key=len)
        if not request and len(our_variants) > len(their_variants):
            yield f"{place}: {len(their_variants)} variants are {len(our_variants)}"


def parameters(document: Document, item: Any, operation: Any) -> dict[tuple[str, str], Any]:
    """Parameters of an operation by place and name; header names do not care for case."""
    found = {}
    for raw in item.get("parameters", []) + operation.get("parameters", []):
        parameter = document.follow(raw)
        found[parameter["in"], parameter["name"]] = parameter
    return found
