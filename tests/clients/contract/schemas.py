"""Schemas of OpenAPI 3.0 and 3.1 in one form, without what only people read."""

from dataclasses import dataclass, field, replace
from typing import Any

ALL_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})

BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")


@dataclass
class Schema:
    """What a schema says about values."""

    types: frozenset[str] = ALL_TYPES
    format: str | None = None
    enum: tuple[Any, ...] | None = None
    bounds: dict[str, Any] = field(default_factory=dict)
    default: Any = None
    has_default: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    additional: Any = None
    items: Any = None
    variants: list[Any] = field(default_factory=list)


class Document:
    """An OpenAPI document whose references can be followed."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def follow(self, value: Any) -> Any:
        """What a reference leads to; anything else as it is."""
        while isinstance(value, dict) and "$ref" in value:
            place: Any = self.root
            for name in value["$ref"].removeprefix("#/").split("/"):
                place = place[name]
            value = place
        return value

    def schema(self, raw: Any) -> Schema:
        """A schema, with the parts of `allOf` as one and `null` among the types."""
        if raw is True or raw is None:
            return Schema()
        if "$ref" in raw:
            # In 3.1 more may stand beside a reference.
            beside = {name: value for name, value in raw.items() if name != "$ref"}
            return merge(self.schema(self.follow(raw)), self.schema(beside))
        types = raw.get("type")
        types = frozenset([types] if isinstance(types, str) else types or ALL_TYPES)
        schema = Schema(
            # Every whole number is a number.
            types=types | {"integer"} if "number" in types else types,
            format=raw.get("format"),
            enum=tuple(raw["enum"]) if "enum" in raw else None,
            bounds={name: raw[name] for name in BOUNDS if name in raw},
            default=raw.get("default"),
            has_default="default" in raw,
            properties=dict(raw.get("properties", {})),
            required=frozenset(raw.get("required", [])),
            additional=raw.get("additionalProperties"),
            items=raw.get("items"),
        )
        for part in raw.get("allOf", []):
            schema = merge(schema, self.schema(part))
        variants = raw.get("oneOf", []) + raw.get("anyOf", [])
        nullable = raw.get("nullable", False) or any(is_null(part) for part in variants)
        variants = [part for part in variants if not is_null(part)]
        if len(variants) == 1:
            schema = merge(schema, self.schema(variants[0]))
        elif variants:
            kinds = frozenset[str]().union(*(self.schema(part).types for part in variants))
            schema = replace(schema, types=schema.types & kinds, variants=variants)
        if nullable:
            schema = replace(schema, types=schema.types | {"null"})
        return schema


def is_null(raw: Any) -> bool:
    """Whether a schema is that of `null` alone."""
    return isinstance(raw, dict) and raw.get("type") == "null"


def component(raw: Any) -> str | None:
    """The name of the component that a schema refers to."""
    return raw["$ref"].rsplit("/", 1)[1] if isinstance(raw, dict) and "$ref" in raw else None


def merge(first: Schema, second: Schema) -> Schema:
    """Both at once; where both say something, the later is the more exact."""
    return Schema(
        types=first.types & second.types,
        format=second.format or first.format,
        enum=second.enum if second.enum is not None else first.enum,
        bounds=first.bounds | second.bounds,
        default=second.default if second.has_default else first.default,
        has_default=first.has_default or second.has_default,
        properties=first.properties | second.properties,
        required=first.required | second.required,
        additional=second.additional if second.additional is not None else first.additional,
        items=second.items if second.items is not None else first.items,
        variants=second.variants or first.variants,
    )
