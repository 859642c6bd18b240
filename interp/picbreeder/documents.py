"""The genomes in a file's bytes: XML with one root element, or with several as CPPN Explorer writes it."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError
from xml.parsers.expat import errors

import defusedxml.ElementTree as SafeTree
from defusedxml import DefusedXmlException

from interp.errors import InterpError, UnreadableFile, unknown

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
JUNK = errors.codes[errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
DECLARATION = re.compile(rb"<\?xml\s[^>]*\?>")
KNOWN_ROOTS = ("data", "cppn-data", "genome", "storage")


def genome_element(data: bytes, key: str | None, notes: list[str]) -> Element:
    """The element of the genome in a file.

    CPPN Explorer (https://github.com/Evolving-AI-Lab/cppnx) writes an element ``<cppn-data version="1.2"/>`` beside
    ``<data>``, so that its files have two roots. It also stores many generations in a file.

    Args:
        data: the file's contents.
        key: which genome, from 0, where the file holds several.
        notes: what stands in the file and is not read is added here.

    Returns:
        The ``<genome>``.

    Raises:
        UnreadableFile: damaged XML, with entities, or without a genome.
        InterpError: several genomes and no ``key``, or no genome under it.
    """
    roots = root_elements(data)
    genomes = [genome for root in roots for genome in root.iter("genome")]
    if not genomes:
        named = ", ".join(f"<{root.tag[:40]}>" for root in roots[:3])
        raise UnreadableFile(f"not a Picbreeder genome: the XML's {named} contains no <genome>")
    beside = [root.tag[:40] for root in roots if root.tag not in KNOWN_ROOTS and root.find(".//genome") is None]
    if beside:
        notes.append(f"beside the genome the file holds <{'>, <'.join(beside[:5])}>, which is not read")
    if key is None:
        if genomes[1:]:
            raise InterpError(
                f"holds {len(genomes)} genomes; choose one with --key 0 to --key {len(genomes) - 1} (key= in Python)"
            )
        return genomes[0]
    if not key.isdecimal() or int(key[:9]) >= len(genomes):
        raise InterpError(unknown("key", key[:40], [str(i) for i in range(min(len(genomes), 20))]))
    return genomes[int(key)]


def root_elements(data: bytes) -> list[Element]:
    """The root elements, of which XML allows one."""
    data = _utf8(data).removeprefix(BOM).lstrip(b" \t\r\n")
    try:
        return [_parsed(data)]
    except ParseError as error:
        if error.code != JUNK:
            raise _damaged(error) from None
        junk = error
    declared = DECLARATION.match(data)
    body = data[declared.end() :] if declared else data
    try:
        roots = _parsed((declared[0] if declared else b"") + b"<roots>" + body + b"</roots>")
    except ParseError as error:
        raise _damaged(error) from None
    if any((text or "").strip() for text in (roots.text, *(root.tail for root in roots))):
        raise _damaged(junk)  # it is not an element that follows the first one
    return list(roots)


def _utf8(data: bytes) -> bytes:
    """UTF-16, as some editors save XML, as UTF-8."""
    bare = {b"\x00<": "utf-16-be", b"<\x00": "utf-16-le"}.get(data[:2])
    if bare is None and not data.startswith(UTF_16):
        return data
    try:
        text = data.decode(bare or "utf-16")
    except UnicodeDecodeError as error:
        raise _damaged(error) from None
    return re.sub(r"(?i)(?<=encoding=.)utf-16", "UTF-8", text[:200]).encode() + text[200:].encode()


def _parsed(data: bytes) -> Element:
    try:
        return SafeTree.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        kind = type(error).__name__.removesuffix("Forbidden")
        raise UnreadableFile(
            f"the XML declares something that a genome does not need ({kind}), so it is not read"
        ) from None
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise _damaged(error) from None


def _damaged(error: Exception) -> UnreadableFile:
    return UnreadableFile(f"truncated or damaged XML ({error}); copy it again")
