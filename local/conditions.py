"""Which resources of a template there are, by its conditions."""

from collections.abc import Mapping
from typing import Any

from local.template import Template


def leave_out_conditional(template: Template, parameters: Mapping[str, str]) -> None:
    """Remove the resources and outputs that CloudFormation doesn't make with these parameters."""
    values = {
        name: parameters.get(name, declared.get("Default"))
        for name, declared in template.get("Parameters", {}).items()
    }
    holds = _Conditions(template.get("Conditions", {}), values)
    for section in ("Resources", "Outputs"):
        template[section] = {
            name: entry
            for name, entry in template.get(section, {}).items()
            if "Condition" not in entry or holds.named(entry["Condition"])
        }


class _Conditions:
    def __init__(self, conditions: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._conditions = conditions
        self._values = values

    def named(self, name: str) -> bool:
        return self._holds(self._conditions[name])

    def _holds(self, condition: Any) -> bool:
        ((function, said),) = condition.items()
        match function:
            case "Condition":
                return self.named(said)
            case "Fn::Not":
                return not self._holds(said[0])
            case "Fn::And":
                return all(map(self._holds, said))
            case "Fn::Or":
                return any(map(self._holds, said))
            case "Fn::Equals":
                left, right = map(self._value, said)
                return bool(left == right)
        raise ValueError(f"{function} in a condition")

    def _value(self, said: Any) -> Any:
        match said:
            case {"Ref": name}:
                return self._values[name]
            case {"Fn::Join": [separator, {"Ref": name}]}:
                items = str(self._values[name]).split(",")
                return str(separator).join(item.strip() for item in items)
            case str():
                return said
        raise ValueError(f"{said} in a condition")
