"""Prompt templates from the files in prompts/, versioned by their content.

A prompt is a Markdown file of messages, each starting with a line `# system` or `# user`. Words in
braces are placeholders; doubled braces are literal braces.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "prompts"
_HEADING = re.compile(r"^# (system|user|assistant)\n", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """A message template.

    Attributes:
        name: name of its file.
        version: first digits of the SHA-256 of its file, so a changed text has a new version.
        parts: (role, text with placeholders), in order.
    """

    name: str
    version: str
    parts: tuple[tuple[str, str], ...]

    @property
    def tag(self) -> str:
        """Name and version, recorded in requests and manifests."""
        return f"{self.name}@{self.version}"

    def messages(self, **values: object) -> tuple[dict[str, str], ...]:
        """The messages of a request, with placeholders filled in."""
        return tuple({"role": role, "content": text.format(**values)} for role, text in self.parts)


@cache
def prompt(name: str) -> Prompt:
    """Load the prompt `prompts/<name>.md`."""
    data = (_FOLDER / f"{name}.md").read_bytes()
    pieces = _HEADING.split(data.decode("utf-8"))
    roles, texts = pieces[1::2], pieces[2::2]
    parts = tuple((role, text.strip()) for role, text in zip(roles, texts, strict=True))
    return Prompt(name, hashlib.sha256(data).hexdigest()[:12], parts)
