"""Fields that take what they are given or refuse it: nothing is converted, nothing trimmed unless it says so."""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import email_validator
from django.conf import settings
from django.utils.module_loading import import_string
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

from cases import database, result_schema
from cases.errors import InvalidCase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# What ends a line somewhere (also U+0085, U+2028, U+2029), or is a control character: such a name could add a header.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")

SURROGATE = re.compile("[\ud800-\udfff]")

# What JavaScript's trim() takes off (ECMA-262 §22.1.3.32): with a byte order mark, without the separators U+001C to
# U+001F and U+0085 that Python's strip() takes off, too.
WHITE_SPACE = "\t\n\v\f\r \u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
PYTHONS_WHITE_SPACE = "\x1c\x1d\x1e\x1f\x85"

# A service that is hosted by its users may well write to .local; integrators write to .test and .invalid.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

# `langtag` of RFC 5646 §2.1, without languages of four letters (reserved) and of five to eight (none is registered):
# "german" would be one. Nor are tags that begin with x or i: they name no language that others know.
LANGUAGE = (
    "[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([0-9A-Za-z]{5,8}|[0-9][0-9A-Za-z]{3}))*"
    "(-[0-9A-WY-Za-wy-z](-[0-9A-Za-z]{2,8})+)*(-[Xx](-[0-9A-Za-z]{1,8})+)?"
)


class WithoutSurrogates(ProhibitSurrogateCharactersValidator):
    """REST framework's looks at each character in Python; here at those that there are, mostly none."""

    def __call__(self, value: Any) -> None:
        if isinstance(value, str) and SURROGATE.search(value):  # Base64 has bytes
            super().__call__(value)


class Text(serializers.CharField):
    """A string. Unless `allow_blank`, one with more in it than white space, which `trimmed` takes off its ends."""

    def __init__(self, *, trimmed: bool = False, **options: Any) -> None:
        self.trimmed = trimmed
        super().__init__(trim_whitespace=False, **options)
        self.validators = [
            WithoutSurrogates() if type(validator) is ProhibitSurrogateCharactersValidator else validator
            for validator in self.validators
        ]

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, str):
            if not self.allow_blank and not data.strip(WHITE_SPACE + PYTHONS_WHITE_SPACE):
                self.fail("blank")
            data = data.strip(WHITE_SPACE) if self.trimmed else data
        return super().run_validation(data)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class Line(Text):
    """A string without line breaks and other control characters."""

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if CONTROL.search(text):
            raise serializers.ValidationError("Must not contain line breaks or other control characters.")
        return text


class Zone(Line):
    """The name of a time zone in the IANA database, such as `Europe/Zurich`."""

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in zones():
            raise serializers.ValidationError("Not the name of an IANA time zone, such as Europe/Zurich.")
        return name


@cache
def zones() -> frozenset[str]:
    """Names of places and of UTC; not what a machine or a program is set to, which the disk may have among them."""
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


@extend_schema_field({"type": "string", "examples": ["application/pdf"]})
class MediaType(Line):
    """The name of a MIME type, without parameters (RFC 6838 §4.2)."""

    PATTERN = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}/[A-Za-z0-9][\w.+-]{0,80}", re.ASCII)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        if not self.PATTERN.fullmatch(text):
            raise serializers.ValidationError("Not a MIME type, such as application/pdf.")
        return text


@extend_schema_field({"type": "string", "contentEncoding": "base64"})
class Base64(Text):
    """Bytes in base64 (RFC 4648 §4), padded and without line breaks; or bytes, where they came as a file."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_blank": True, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        if isinstance(data, bytes):
            return data
        return super().run_validation(data) or b""  # a blank text would never get to to_internal_value

    def to_internal_value(self, data: Any) -> Any:
        text = super().to_internal_value(data)
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise serializers.ValidationError("Not base64.") from error

    def to_representation(self, value: Any) -> str:
        return base64.b64encode(value).decode()


@extend_schema_field({"type": "string", "maxLength": 35, "pattern": f"^{LANGUAGE}$"})
class Language(Line):
    """A language tag (BCP 47), such as `de`, `pt-BR` or `zh-Hant-TW`. Whether its parts exist is not looked up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 35, **options})

    def to_internal_value(self, data: Any) -> str:
        tag = super().to_internal_value(data)
        if not re.fullmatch(LANGUAGE, tag):
            raise serializers.ValidationError("Not a language tag (BCP 47), such as de, pt-BR or zh-Hant-TW.")
        return tag


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
class TextMap(serializers.DictField):
    """An object whose values are strings."""

    child = Text(allow_blank=True)


class Whole(serializers.IntegerField):
    """An integer as JSON Schema has it: 3 and 3.0 are one, "3" and true are none. The database holds 31 bits."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_value": 2**31 - 1, **options})

    def to_internal_value(self, data: Any) -> int:
        if type(data) is int or (isinstance(data, float) and data.is_integer()):
            return int(data)
        self.fail("invalid")


LATEST_MILLISECONDS = 253402300799999  # the year 9999 ends


@extend_schema_field({"type": "integer", "format": "int64", "minimum": 0, "maximum": LATEST_MILLISECONDS})
class FutureTime(Whole):
    """Unix milliseconds, later than the database's time; as an aware datetime."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_value": LATEST_MILLISECONDS, **options})

    def run_validation(self, data: Any = serializers.empty) -> Any:
        moment = EPOCH + timedelta(milliseconds=super().run_validation(data))
        if moment <= database.now():
            raise serializers.ValidationError("Must be in the future.")
        return moment


@extend_schema_field({"type": "object", "additionalProperties": {}})
class AnyObject(serializers.Field[Any, Any, Any, Any]):
    """An object with anything in it, kept as it is."""

    default_error_messages = {"invalid": "Not an object."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("invalid")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


@extend_schema_field({"oneOf": [{"type": "string"}, {"type": "object", "additionalProperties": {}}]})
class TextOrObject(AnyObject):
    """Knowledge: prose, or an object with anything in it."""

    default_error_messages = {"invalid": "Neither a string nor an object."}

    def to_internal_value(self, data: Any) -> Any:
        return data if isinstance(data, str) else super().to_internal_value(data)


class ResultSchema(AnyObject):
    """A JSON Schema that results can be checked against."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        schema = super().to_internal_value(data)
        translated(result_schema.accept, schema)
        return schema


@extend_schema_field({"type": "string", "format": "uri", "maxLength": 2048})
class WebhookUrl(Line):
    """An http or https URL to which settings.OFFLOAD_WEBHOOK_URL_CHECK does not object. Nothing is looked up here."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_length": 2048, **options})

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        try:
            parts = urlsplit(url)
            complete = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, half an IPv6 address
            complete = False
        if not complete or " " in url:
            raise serializers.ValidationError("Not an http or https URL.")
        translated(import_string(settings.OFFLOAD_WEBHOOK_URL_CHECK), url)
        return url


def translated(check: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call the check, and raise its InvalidCase as serializers.ValidationError, at the path of the field."""
    try:
        check(*arguments, **options)
    except InvalidCase as error:
        messages = [detail["message"] for detail in error.details or []]
        raise serializers.ValidationError(messages or [error.message]) from error


def check_mail_address(address: str) -> str:
    """The address as mail programs write it: its domain in ASCII (IDNA), all in lower case.

    Raises serializers.ValidationError for what is no address (RFC 5321, without quoted local parts and IP addresses),
    and for a local part beyond ASCII, which only mail servers with SMTPUTF8 (RFC 6531) could take. Looks nothing up.
    """
    try:
        found = email_validator.validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    except email_validator.EmailNotValidError as error:
        raise serializers.ValidationError(f"Not an e-mail address: {error}") from error
    return str(found.ascii_email).lower()
