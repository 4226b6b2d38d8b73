"""What our own mail server says about the sender's domain, in the Authentication-Results it wrote (RFC 8601)."""

import re

import authres
from authres import dmarc

from outreach.inbound import mime
from outreach.inbound.arrival import Standing

# DMARC (RFC 7489 §11.1) is a feature that the library has to be asked for; without it the result is unread.
_FEATURES = authres.FeatureContext(dmarc)
_CLAUSE = re.compile(
    r'(?:"(?:[^"\\]|\\.)*"|\((?:[^()\\]|\\.)*\)|[^;"(])+'
)  # a semicolon may stand in quotes and comments

MAX_RESULTS = 50
MAX_RESULT_CHARS = 1000  # the library takes quadratic time


def standing_of(raw: bytes, from_address: str, authserv_id: str) -> Standing:
    """The standing of the mail `raw`, whose author was read as `from_address`, by the server of that id.

    Headers of any other id are the sender's own claim, or a stranger's, and count for nothing; without an id of ours
    all of them are. Where several of ours speak of DMARC the topmost counts, for a server writes above what it was
    handed. It also has to remove those that pretend to be its own (§5); we can't tell them apart.
    """
    headers = mime.read_headers(raw).headers
    domain = from_address.rpartition("@")[2]
    if not authserv_id or not domain:
        return Standing.UNKNOWN
    ours = [_results(value, authserv_id) for name, value in headers if name == "authentication-results"]
    verdicts = next(filter(None, ([result for result in header if result.method == "dmarc"] for header in ours)), [])
    if any(result.result == "fail" for result in verdicts):
        return Standing.FAILED
    is_ambiguous = sum(name == "from" for name, _ in headers) > 1  # the server may have judged another one
    is_aligned = any(_is_aligned(result, domain) for header in ours for result in header)
    if not is_ambiguous and (is_aligned or any(_passes_dmarc(result, domain) for result in verdicts)):
        return Standing.PASSED
    return Standing.UNKNOWN


def _results(value: str, authserv_id: str) -> list[authres.AuthenticationResult]:
    """The results in a header's value, in lower case; none if it is not of that server.

    Read one by one: where a server copies an odd MAIL FROM, which its sender chose, the others must not be lost.
    """
    id_, *clauses = _CLAUSE.findall(value[: mime.MAX_VALUE_CHARS])[:MAX_RESULTS] or [""]
    if re.split(r"[\s(]", id_.strip())[0].lower() != authserv_id.lower():
        return []
    return [result for clause in clauses for result in _result(clause)]


def _result(clause: str) -> list[authres.AuthenticationResult]:
    try:
        results = _FEATURES.parse_value(f"ours; {clause[:MAX_RESULT_CHARS]}").results
    except (authres.AuthResError, RecursionError):  # the library descends into nested comments without a limit
        return []
    for result in results:
        result.method, result.result = result.method.lower(), result.result.lower()
    return list(results)


def _passes_dmarc(result: authres.AuthenticationResult, domain: str) -> bool:
    return result.result == "pass" and _domain(_property(result, "header", "from")) in ("", domain)


def _is_aligned(result: authres.AuthenticationResult, domain: str) -> bool:
    """Whether SPF or DKIM passed for the very domain of the author; not every domain publishes a DMARC policy."""
    if result.result != "pass":
        return False
    if result.method == "spf":
        return _domain(_property(result, "smtp", "mailfrom")) == domain
    if result.method == "dkim":
        return _domain(_property(result, "header", "d") or _property(result, "header", "i")) == domain
    return False


def _property(result: authres.AuthenticationResult, type_: str, name: str) -> str:
    found = next((one for one in result.properties if (one.type.lower(), one.name.lower()) == (type_, name)), None)
    return str(found.value) if found else ""


def _domain(text: str) -> str:
    return text.rpartition("@")[2].strip("<> ").rstrip(".").lower()
