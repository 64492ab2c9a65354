"""The scalar types of the configuration, and the strict base that every section shares. Imports nothing of ours.

Scalars arrive as text, whatever YAML would have made of them, so `press: 0123` keeps its zero and `on` stays a word.
"""

import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import (
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Spec(BaseModel):
    """A section of the configuration: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        defer_build=True,  # what validates a section is part of what validates the whole; its own would be 3 MB in all
    )


def problem(message: str, at: str | None = None) -> PydanticCustomError:
    """Return an error for a validator to raise; `at` names the key inside the section that it should point to."""
    return PydanticCustomError("earwitness", "{message}", {"message": message, "at": at})


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration(value: Any) -> float:
    """Return seconds. `1h30m`, `250ms`, `7d`; a bare number is refused, since nobody knows its unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    if not text or _DURATION.sub("", text):
        raise problem(f"{text!r} is not a duration; write a number and a unit, such as 250ms, 30s, 5m, 1h30m or 7d")
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))


Duration = Annotated[float, BeforeValidator(parse_duration, json_schema_input_type=str)]


def parse_count(text: str, units: Collection[str]) -> tuple[int, str] | None:
    """Return how many of something in which of the units, as of `30/m`. None: it is not written so."""
    number, _, unit = text.strip().partition("/")
    if unit not in units or not number.isascii() or not number.isdigit() or int(number) < 1:
        return None
    return int(number), unit


class Money(NamedTuple):
    """An amount and its ISO 4217 currency."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


def parse_money(value: Any) -> Money:
    if isinstance(value, Money):
        return value
    amount, _, currency = str(value).strip().partition(" ")
    try:
        parsed = Decimal(amount)
    except InvalidOperation:
        parsed = Decimal(-1)
    if not parsed.is_finite() or parsed < 0 or not re.fullmatch(r"[A-Z]{3}", currency):
        raise problem(f"{value!r} is not an amount of money; write a number and a currency, such as 25 USD")
    return Money(parsed, currency)


Price = Annotated[Money, BeforeValidator(parse_money, json_schema_input_type=str)]


def parse_share(value: Any) -> float:
    """Return a share between 0 and 1 from `20%` or `0.2`."""
    text = str(value).strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise problem(f"{text!r} is not a share; write a percentage between 0% and 100%")
    return share


Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=str)]


_SIZES = {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_size(value: Any) -> int:
    """Return bytes from `64 kB`, `1MiB` or a bare number of bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", str(value).strip())
    if not match or match[2] not in _SIZES:
        raise problem(f"{value!r} is not a size; write a number and a unit, such as 64kB or 1MiB")
    return int(float(match[1]) * _SIZES[match[2]])


Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str)]


class Secret:
    """A value that prints as `<secret>` wherever it is shown; `reveal()` is the only way to the text."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


def _secret(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value:
        raise problem("an empty secret; set the environment variable or write the file it comes from")
    return Secret(value)


SecretValue = Annotated[Secret, BeforeValidator(_secret, json_schema_input_type=str)]


def read_secret_file(path: Path, key: str) -> Secret:
    """Return the file's text without the newline at its end; errors name the file, never its content."""
    try:
        text = path.read_text().rstrip("\r\n")
    except OSError as error:
        raise problem(
            f"cannot read {path}: {error.strerror}; write the secret there, readable for this user", key
        ) from error
    except UnicodeDecodeError as error:
        raise problem(f"{path} is not text; write the secret there as UTF-8", key) from error
    if not text:
        raise problem(f"{path} is empty; write the secret there", key)
    return Secret(text)


class WithSecret(Spec):
    """A section in which each secret `NAME` may come from a file instead: `NAME_file`. One of the two, not both.

    A relative path starts at the folder of the configuration. Several files make several secrets.
    """

    _secrets: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **_kwargs: Any) -> None:
        cls._secrets = tuple(name for name in cls.model_fields if f"{name}_file" in cls.model_fields)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Ask for a secret or for its file, where one is needed."""
        told = handler.resolve_ref_schema(handler(schema))
        needed = [name for name in told.get("required", ()) if name in cls._secrets]
        told["required"] = [name for name in told.get("required", ()) if name not in needed]
        if needed:
            told["allOf"] = [{"anyOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in needed]
        return told

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        folder = (info.context or {}).get("folder", Path())
        for name in cls._secrets:
            file_key = f"{name}_file"
            if name in data and file_key in data:
                raise problem(f"both {name} and {file_key} are set; keep one", file_key)
            if data.get(file_key):
                data = {**data, name: _read_secrets(data[file_key], folder, file_key)}
        return data


def _read_secrets(named: Any, folder: Path, key: str) -> Secret | list[Secret]:
    if isinstance(named, list | tuple):
        return [read_secret_file(folder / str(path), key) for path in named]
    return read_secret_file(folder / str(named), key)


def parse_flag(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if str(value).lower() not in words:
        raise problem(f"{value!r} is neither true nor false")
    return words[str(value).lower()]


Flag = Annotated[bool, BeforeValidator(parse_flag)]


class Limits(Spec):
    """Two limits on one measure: past `minor` it is a nuisance, past `major` the customer is blocked."""

    minor: Duration | None = None
    major: Duration | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minor is not None and self.major is not None and self.minor > self.major:
            raise problem("minor is above major; the minor limit is the one that is passed first", "minor")
        return self


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str | Secret | Path) else value


class OneOrMore:
    """Lets a list of one be written as that one alone, and says so in the schema that editors read."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(as_list, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        listed = handler(schema)
        return {"anyOf": [listed.get("items", {"type": "string"}), listed]}


class OrText:
    """Lets a section be written as one word, number or `true`, which its validator understands, and says so in the schema."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": ["string", "number", "boolean"]}, handler(schema)]}


def _web_address(value: Any) -> str:
    """Return the text as it was written, once it is known to be a web address."""
    try:
        url = TypeAdapter(AnyHttpUrl).validate_python(value)
    except ValidationError as error:
        raise problem("this is not a web address; write http:// or https:// and a host") from error
    if url.port == 0:
        raise problem("there is no such port; write one from 1 to 65535")
    return str(value)


WebAddress = Annotated[str, BeforeValidator(_web_address)]


def parse_address(value: Any) -> IPv4Address | IPv6Address:
    text = str(value).strip()
    try:
        return ip_address(text.strip("[]"))
    except ValueError as error:
        raise problem(f"{text!r} is not an IP address; write one such as 192.0.2.1 or 2001:db8::1") from error


def _name_server(value: Any) -> str:
    text = str(value).strip()
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::(\d{1,5}))?|([0-9a-fA-F:.]+)", text)
    if found is None or not 0 < int(found[3] or 53) < 65536:
        raise problem(f"{text!r} is not a name server; write an address and perhaps a port, such as 192.0.2.53:5353")
    parse_address(found[1] or found[2] or found[4])
    return text


IpAddress = Annotated[IPv4Address | IPv6Address, BeforeValidator(parse_address, json_schema_input_type=str)]
NameServer = Annotated[str, BeforeValidator(_name_server)]
Texts = Annotated[tuple[str, ...], OneOrMore()]
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
