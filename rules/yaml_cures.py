"""What to write instead of YAML that cannot be read, or that is read otherwise than it looks.

YAML's own words name what its parser met ("found character that cannot start any token"); the author of the line needs
to know what to put there. Everything here is a function of the lines of a file and a place in them.
"""

import re
from collections.abc import Sequence

QUOTE_PLACEHOLDER = 'a text with {{ }} stands in quotes: "{{ data.id }}"'

_NEEDS_QUOTES = "a text with , : ' { } [ ] in it needs double quotes"
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\\\]|\\\\.)*\"")
_ODD_SPACE = re.compile(r" *([^\S \t\r\n])")
"""White space in an indentation that is none for YAML, as a no-break space of a web page is."""
_GLUED = re.compile(r"\s*(?:-\s+)*([\w.-]+):(?=\S)(.*)")


def syntax_cure(message: str, lines: Sequence[str], line: int, column: int, opened: int | None = None) -> str:
    """The cure for a complaint of the YAML parser at a place (from 0); `opened` is the line where a bracket or a quote
    began, if the parser named one. Empty if all that can be said is the message.
    """
    text = lines[line] if line < len(lines) else ""
    first = (line if opened is None else opened) + 1
    if "escape" in message:
        return r"in double quotes \\ begins an escape: put the text in single quotes, or write \\\\"
    if "\t" in text[: column + 1] and not text[:column].strip():
        return "indent with spaces, never with tabs"
    for number in (line, line - 1):
        odd = _ODD_SPACE.match(lines[number]) if 0 <= number < len(lines) else None
        if odd is not None:
            seen = f"a character that only looks like a space (U+{ord(odd[1]):04X})"
            return f"line {number + 1} begins with {seen}: write spaces"
    if "quoted scalar" in message or "document separator" in message:
        return f"the quote that opens in line {first} is never closed"
    near = [
        (number, lines[number])
        for number in (line, line - 1, opened)
        if number is not None and 0 <= number < len(lines)
    ]
    for _, candidate in near:
        if "{{" in _QUOTED.sub("", candidate).partition(" #")[0]:
            return QUOTE_PLACEHOLDER
    for number, candidate in near:
        if re.search(r"\s#[\w{$]", _QUOTED.sub("", candidate)):
            return f"everything from # on in line {number + 1} is taken for a comment: put the whole text in quotes"
    at = text[column : column + 1]
    if column and text[column - 1] in "*&":
        at = text[column - 1]
    if "alias" in message or "anchor" in message or at in ("%", "@", "`", "&", "*", "!", "|", ">", "{", "}", "]", ","):
        if at in ("%", "@", "`", "&", "*", "!"):
            return f"a text that begins with {at} stands in quotes"
        if at in ("|", ">"):
            return f"behind {at} the text begins in the next line; else put it in quotes"
    if "mapping values are not allowed" in message:
        return "a text with a colon and a space in it stands in quotes; keys beside each other begin in the same column"
    for number, candidate in near:
        glued = _GLUED.match(candidate)
        if glued is not None and not glued[2].startswith("//"):
            return (
                f"a space is missing behind the colon in line {number + 1}: write {glued[1]}: {glued[2].strip()[:40]}"
            )
    if "another document" in message:
        return "one document a file: leave out ---"
    if "flow node" in message:
        return f"a value, or the closing bracket, is missing in line {first}"
    if "flow mapping" in message:
        return f"a comma or the closing }} is missing for the {{ in line {first}, or {_NEEDS_QUOTES}"
    if "flow sequence" in message:
        return f"a comma or the closing ] is missing for the [ in line {first}, or {_NEEDS_QUOTES}"
    if "block" in message or "expected key" in message or "expected <" in message:
        return "keys beside each other begin in the same column, and what belongs to a key begins further right"
    return ""


def lost_behind_hash(line: str, end: int, *, is_empty: bool) -> str:
    """The rest of a line that YAML takes for a comment, where it looks like the rest of an unquoted value; else empty.

    `#ff0000` alone is lost whole; of `Order #12` and `Order #{{ data.n }}` all behind the space is. A comment has a space
    behind its #, or stands behind a value that needs no more.
    """
    found = re.match(r"\s*(#(\S).*)", line[end:])
    if found is None or found[2] == ">":
        return ""
    return found[1].rstrip() if found[2].isdigit() or found[2] in "{$" or (is_empty and found[2].isalnum()) else ""
