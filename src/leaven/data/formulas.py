"""Texts that a spreadsheet would run: written to CSV with a quote before them, and read back.

A cell that begins with one of these signs is a formula to Excel and its kin, and may call programs
or send what stands beside it away (OWASP, "CSV Injection"). The quote makes it a text. One that
has such a quote already gets another, so that what is read back is always what was written.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["defused", "defused_table", "restored"]

#: How a formula may begin; the wide signs stand for the others in some settings.
_SIGNS = "=+-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}\
\N{FULLWIDTH COMMERCIAL AT}"
_QUOTE = "'"
_SUSPECT = rf"^'*[{_SIGNS.replace('-', '')}\-]"


def defused(text: str) -> str:
    """The text as it is safe in a CSV file; a number stays one.

    >>> [defused(one) for one in ("=cmd()", "-5", "-x", "'=x", "it's")]
    ["'=cmd()", '-5', "'-x", "''=x", "it's"]
    """
    return _QUOTE + text if _begins(text.lstrip(_QUOTE)) and not _is_number(text) else text


def restored(text: str) -> str:
    """The text that `defused` was given.

    >>> [restored(one) for one in ("'=cmd()", "-5", "''=x", "'s cold")]
    ['=cmd()', '-5', "'=x", "'s cold"]
    """
    is_quoted = text.startswith(_QUOTE) and _begins(text.lstrip(_QUOTE))
    return text[1:] if is_quoted else text


def defused_table(table: pa.Table) -> pa.Table:
    """The table with all texts and names of columns defused."""
    for place, field in enumerate(table.schema):
        texts = table[place]
        if pa.types.is_dictionary(field.type) and _is_text(field.type.value_type):
            texts = texts.cast(field.type.value_type)
        if not _is_text(texts.type):
            continue
        if pc.any(pc.match_substring_regex(texts, _SUSPECT)).as_py():
            safe = [None if one is None else defused(one) for one in texts.to_pylist()]
            table = table.set_column(place, field.name, pa.array(safe, texts.type))
    return table.rename_columns([defused(name) for name in table.column_names])


def _begins(text: str) -> bool:
    return text[:1] in _SIGNS if text else False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
