"""Stored text made harmless for a terminal: what an agent or a stranger wrote may hold commands to it."""

from __future__ import annotations

import re

# C0 and C1 controls, DEL; marks and overrides of direction (they reorder what is read); line and paragraph
# separators; soft hyphen and the invisible operators; lone surrogates, which no output encoding takes.
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_HARMFUL_IN_TEXT = re.compile(_HARMFUL.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def escape(text: str) -> str:
    """The text on one line, with everything that could act on a terminal written out, like `\\x1b`."""
    return _HARMFUL.sub(_written_out, text)


def escape_lines(text: str) -> str:
    """The same, with newlines and tabs left as they are."""
    return _HARMFUL_IN_TEXT.sub(_written_out, text)


def shortened(text: str, width: int) -> str:
    """The first line's worth of a text: runs of blanks as one, at most `width` characters, escaped."""
    line = escape(" ".join(text[: width * 8].split()))
    return line if len(line) <= width else line[: width - 1] + "\u2026"


def _written_out(found: re.Match[str]) -> str:
    code = ord(found.group())
    if found.group() in _SHORT:
        return _SHORT[found.group()]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
