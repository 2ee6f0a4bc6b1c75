"""Writes the JSON Schemas of `mqtt-schemas/` from the models that the code reads messages with.

Run it from the top of the tree after a change of the models: python -m tests.contract.regenerate
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, create_model

from domain.wire import facts, intents, messages

CONTRACT = Path(__file__).resolve().parents[2] / "mqtt-schemas"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def fact_models() -> dict[str, type[BaseModel]]:
    """The model of each kind of fact."""
    union = get_args(get_args(facts.Fact)[0])
    return {model.model_fields["kind"].default: model for model in union}


def intent_models() -> dict[str, type[BaseModel]]:
    """For each kind of intent a model of frame and body together."""
    models: dict[str, type[BaseModel]] = {}
    for kind, body in intents.BODIES.items():
        only: Any = Literal.__getitem__(kind)  # a literal of a value known at run time
        models[kind] = create_model(
            f"{kind.capitalize()}Intent",
            __base__=intents.Intent,
            __doc__=body.__doc__,
            kind=(only, ...),
            body=(body, ...),
        )
    return models


def schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema with its path under `mqtt-schemas/`."""
    for kind, model in fact_models().items():
        yield f"facts/{kind}", _schema(model, require_kind=True)
    for kind, model in intent_models().items():
        yield f"intents/{kind}", _schema(model)
    yield "batch", _schema(facts.Batch, require_kind=True)
    yield "live", _schema(messages.Live)
    yield "pulse", _schema(messages.Pulse)
    yield "watermark", _schema(messages.Watermark)


def text_of(schema: dict[str, Any]) -> str:
    """A schema as it stands in its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _schema(model: type[BaseModel], *, require_kind: bool = False) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    described = [schema, *schema.get("$defs", {}).values()]
    for part in described:
        properties = part.get("properties", {})
        for name in ("kind",) if require_kind else ():
            _require(part, properties, name)
        _require(part, properties, "v")  # the models default to it when writing, never when reading
        for column in properties.values():
            if "patternProperties" in column:
                column["additionalProperties"] = False  # a key of another shape is refused
    return {"$schema": _DIALECT, **schema}


def _require(part: dict[str, Any], properties: dict[str, Any], name: str) -> None:
    if name in properties:
        properties[name].pop("default", None)
        part["required"] = sorted({*part.get("required", ()), name})


def main() -> None:
    for name, schema in schemas():
        path = CONTRACT / f"{name}.schema.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
