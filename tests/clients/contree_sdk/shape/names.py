"""Every public name of the package named contree_sdk that is installed, with its signature.

    python names.py > names.json            what is installed
    python names.py OLD.json NEW.json       a table of OLD's names and their counterparts in NEW;
                                            fails when one is missing or cannot be called alike

Public is what no underscore begins, in modules of which no part begins with one. What a module has
only imported from elsewhere than this package is not its own.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import json
import pkgutil
import sys
from typing import Any

PACKAGE = "contree_sdk"


def is_private(path: str) -> bool:
    return any(part.startswith("_") for part in path.split("."))


def modules() -> list[str]:
    """The public modules that can be imported here; `__main__` and what needs more is left out."""
    package = importlib.import_module(PACKAGE)
    found = [PACKAGE]
    for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.", onerror=lambda _: None):
        if not is_private(module.name):
            try:
                importlib.import_module(module.name)
            except ImportError as error:
                if (error.name or "").partition(".")[0] == PACKAGE:
                    raise
                continue
            found.append(module.name)
    return found


def parameters(function: Any, *, bound: bool) -> list[dict[str, Any]]:
    """The parameters without annotations, which are compared by type checkers on real code."""
    listed = list(inspect.signature(function).parameters.values())
    return [
        {
            "name": parameter.name,
            "kind": parameter.kind.name,
            **(
                {} if parameter.default is parameter.empty else {"default": repr(parameter.default)}
            ),
        }
        for parameter in listed[1 if bound and listed and listed[0].name == "self" else 0 :]
    ]


def members(path: str, kind: type) -> dict[str, Any]:
    """What a class offers, inherited or not."""
    found: dict[str, Any] = {}
    if issubclass(kind, enum.Enum):
        return {f"{path}.{one.name}": {"kind": "member", "value": one.value} for one in kind}
    if "__init__" in vars(kind) or dataclasses.is_dataclass(kind):
        found[f"{path}()"] = {"kind": "constructor", "parameters": parameters(kind, bound=False)}
    if dataclasses.is_dataclass(kind):
        for field in dataclasses.fields(kind):
            found[f"{path}.{field.name}"] = {"kind": "attribute"}
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] != PACKAGE:
            continue
        for name in {**vars(base), **inspect.get_annotations(base)}:
            full = f"{path}.{name}"
            special = name in ("__call__", "__iter__", "__aiter__", "__await__")
            if full in found or (name.startswith("_") and not special):
                continue
            value = inspect.getattr_static(kind, name, None)
            if isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
                function = getattr(kind, name)
                found[full] = {
                    "kind": "method",
                    "parameters": parameters(function, bound=inspect.isfunction(value)),
                }
            else:
                found[full] = {"kind": "attribute"}
    # Not the standard library's own, of classes that build on it.
    return found


def names() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in modules():
        module = sys.modules[name]
        found[name] = {"kind": "module"}
        for attribute, value in sorted(vars(module).items()):
            home = getattr(value, "__module__", None)
            is_type = inspect.isclass(value) or inspect.isfunction(value)
            if attribute.startswith("_") or inspect.ismodule(value) or inspect.isbuiltin(value):
                continue
            if is_passing(name, attribute, home):
                continue
            path = f"{name}.{attribute}"
            if is_type:
                own = str(home).partition(".")[0] == PACKAGE
                if not own or "_internals" in str(home):
                    continue
                if inspect.isclass(value):
                    found[path] = {"kind": "class", "bases": bases(value)}
                    found.update(members(path, value))
                else:
                    found[path] = {"kind": "function", "parameters": parameters(value, bound=False)}
            elif home == "typing" and attribute in getattr(sys.modules["typing"], "__all__", ()):
                continue
            elif type(value).__name__ not in (
                "TypeVar",
                "ParamSpec",
                "_Feature",
                "_SpecialForm",
                "_MISSING_TYPE",
            ):
                found[path] = {"kind": "value"}
    return found


def is_passing(module: str, attribute: str, home: Any) -> bool:
    """Whether a module has the name only because it uses it: it is public elsewhere."""
    public_home = str(home).partition(".")[0] == PACKAGE and not is_private(str(home))
    loaded = sys.modules[module]
    shown = attribute in getattr(loaded, "__all__", ()) or hasattr(loaded, "__path__")
    return public_home and home != module and not shown


def bases(kind: type) -> list[str]:
    """The public classes of the package, and those of Python, that it is a kind of."""
    return [
        base.__name__
        for base in kind.__mro__[1:]
        if base.__name__ in dir(__builtins__) or base.__module__ in ("io", "enum")
        or base.__module__.startswith(f"{PACKAGE}.sdk.exceptions")
    ]  # fmt: skip


def alike(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In a few words what the counterpart is; begins with `!` when old code would not run on it."""
    if old["kind"] == "class":
        missing = [base for base in old["bases"] if base not in new["bases"] and base != "StrEnum"]
        return f"! is no {', '.join(missing)}" if missing else "same"
    if old["kind"] == "member":
        return "same" if old["value"] == new.get("value") else "! another value"
    if "parameters" not in old:
        return "same" if "parameters" not in new else "! callable"
    if "parameters" not in new:
        return "! not callable"
    if [one["kind"] for one in old["parameters"]] == ["VAR_POSITIONAL", "VAR_KEYWORD"]:
        return "same"
    given = {one["name"]: one for one in new["parameters"]}
    for index, one in enumerate(old["parameters"]):
        other = given.pop(one["name"], None)
        if one["name"].startswith("_") and other is None:
            continue
        if other is None:
            return f"! no parameter {one['name']}"
        positional = one["kind"] == "POSITIONAL_OR_KEYWORD"
        if positional and new["parameters"].index(other) != index:
            return f"! parameter {one['name']} has moved"
        if one["kind"] != other["kind"] and other["kind"] != "POSITIONAL_OR_KEYWORD":
            return f"! parameter {one['name']} is {other['kind']}"
        if "default" in one and one["default"] != other.get("default"):
            if "default" not in other:
                return f"! parameter {one['name']} has no default"
            if (
                "factory" not in one["default"] + other["default"]
                and "Endpoint" not in one["default"]
            ):
                return f"! parameter {one['name']} has another default"
    demanded = [
        name
        for name, one in given.items()
        if "default" not in one and not one["kind"].startswith("VAR_")
    ]
    if demanded:
        return f"! demands {', '.join(demanded)}"
    return f"same, and {', '.join(given)}" if given else "same"


def signature(entry: dict[str, Any]) -> str:
    if "value" in entry:
        return f"= {entry['value']!r}"
    if "parameters" not in entry:
        return entry["kind"]
    shown, keyword_only = [], False
    for one in entry["parameters"]:
        if one["kind"] == "KEYWORD_ONLY" and not keyword_only:
            keyword_only = True
            shown.append("*")
        stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(one["kind"], "")
        keyword_only = keyword_only or stars == "*"
        shown.append(stars + one["name"] + (f"={one['default']}" if "default" in one else ""))
    return f"({', '.join(shown)})"


def table(old: dict[str, Any], new: dict[str, Any]) -> int:
    print("| name in 0.3.6 | | counterpart |\n| --- | --- | --- |")
    wrong = 0
    for path, entry in old.items():
        found = new.get(path)
        words = "! missing" if found is None else alike(entry, found)
        wrong += words.startswith("!")
        cell = signature(entry).replace("|", "\\|")
        print(f"| `{path}` | `{cell}` | {words} |")
    print(f"\n{len(old)} names, {wrong} without a counterpart; {len(new.keys() - old.keys())} new.")
    return 1 if wrong else 0


def main() -> int:
    if len(sys.argv) == 3:
        with open(sys.argv[1]) as old, open(sys.argv[2]) as new:
            return table(json.load(old), json.load(new))
    json.dump(names(), sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
