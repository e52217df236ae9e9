"""Generated parts of the site: `<!-- make: NAME WORDS -->` in a page becomes Markdown.

| name | words | becomes |
|---|---|---|
| help | a command, or nothing | its `--help` |
| options | a model, or `overall` | its keys: default, values, comment of the properties file |
| file | a path | the text of that file |
| include | a path, and a heading | a Markdown file, or one section of it |
| models | | the table of all models |
| baselines | | family by family, the baselines and their own options |

`results/` and the notebooks become part of the site. Formulas become MathML, so that no page needs
a script of another server.
"""

import json
import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

import yaml
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from recbole_intent.cli.commands import COMMANDS, TRAIN
from recbole_intent.cli.options import help_text
from recbole_intent.config.key_table import KeyTable, key_table
from recbole_intent.config.registry import ModelSpec, get_spec, model_names

ROOT = Path(__file__).resolve().parent.parent
INTENTS = ("IGRSR", "VELI4SBR", "ISRF")  # with pages of their own
FAMILIES = ("sequential", "session", "general", "generative")
_MARK = re.compile(r"^<!-- make: (\w+) ?(.*?) -->$", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
_ROW = re.compile(r"^([A-Za-z_]\w*): *(.*?)(?: +# ?(.*))?$")
_TYPE = re.compile(r"^\([^)]*\) ")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_SPECIAL = re.compile(r"([\\*_\[\]|~`])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and pictures of `results/`, and the notebooks as pages."""
    for path in sorted((ROOT / "results").rglob("*")):
        if path.suffix in (".md", ".png"):
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        name = f"notebooks/{path.stem}.md"
        files.append(File.generated(config, name, content=_notebook(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the generated parts; in a file of the repository, links that leave the site are text."""
    is_ours = not page.file.src_uri.startswith("results/")
    markdown = _MARK.sub(lambda mark: _made(mark[1], mark[2], page, files), markdown)
    return markdown if is_ours else _inside(markdown, page.file.src_uri, page, files)


def on_page_content(html: str, **_: object) -> str:
    """Turn the formulas into MathML."""

    def formula(found: re.Match[str]) -> str:
        if found[1] == "span":
            return convert(unescape(found[2]))
        return f'<div class="formula">{convert(unescape(found[2]), display="block")}</div>'

    return _FORMULA.sub(formula, html)


def _notebook(path: Path) -> str:
    """The cells of a notebook as Markdown."""
    cells = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        cells.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(cells)


def _made(name: str, words: str, page: Page, files: Files) -> str:
    if name == "help":
        (command,) = (c for c in (TRAIN, *COMMANDS) if c.name == words)
        return f"```text\n{help_text(command, () if words else COMMANDS)}```"
    if name == "options":
        return _options(words)
    if name == "file":
        text = (ROOT / words).read_text("utf-8")
        return f"```yaml title={words!r}\n{text}```"
    if name == "include":
        path, _, heading = words.partition(" ")
        text = _section((ROOT / path).read_text("utf-8"), heading)
        return _inside(text, path, page, files)
    return "\n".join({"models": _models, "baselines": _baselines}[name]())


def _inside(markdown: str, source: str, page: Page, files: Files) -> str:
    """Let the links of a repository's file lead to pages of the site; others become text."""

    def link(found: re.Match[str]) -> str:
        target = (ROOT / source).parent / found[2]
        name = target.resolve().relative_to(ROOT).as_posix()
        file = files.get_file_from_path(name)
        if file is None:
            return f"{found[1]}" if found[1] == found[2] else f"{found[1]} (`{name}`)"
        up = "../" * page.file.src_uri.count("/")
        return f"[{found[1]}]({up}{name}{found[3] or ''})"

    return _LINK.sub(link, markdown)


def _section(text: str, heading: str) -> str:
    """A section without its heading; the whole file, without its title, if `heading` is empty."""
    level, name = ("##", heading) if heading else ("#", text.splitlines()[0].lstrip("# "))
    (_, after) = f"\n{text}".split(f"\n{level} {name}\n", 1)
    return after if level == "#" else re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]


def _models() -> Iterator[str]:
    yield from _table(map(get_spec, model_names()), "family")


def _baselines() -> Iterator[str]:
    for family in FAMILIES:
        specs = [get_spec(name) for name in model_names() if name not in INTENTS]
        specs = [spec for spec in specs if spec.family == family]
        if not specs:
            continue
        yield f"## {family.capitalize()} models\n"
        yield from _table(specs)
        for spec in specs:
            if (ROOT / "properties" / "model" / f"{spec.name}.yaml").is_file():
                yield f"\n### {spec.name}\n\n{_source(spec)}\n\n{_options(spec.name, '####')}"


def _source(spec: ModelSpec) -> str:
    """The paper, and the presets."""
    presets = sorted((ROOT / "properties" / "preset").glob(f"*/{spec.name}.yaml"))
    named = ", ".join(f"`--preset={path.parent.name}`" for path in presets)
    title = spec.title or "RecBole"
    paper = f"[{title}]({spec.url})" if spec.url else title
    return f"{paper}." + (f" Presets: {named}." if named else "")


def _table(specs: Iterator[ModelSpec] | list[ModelSpec], column: str = "") -> Iterator[str]:
    names = ["model", "paper", *([column] if column else []), "tasks", "needs", "fast path"]
    yield "| " + " | ".join([*names, "torchrun"]) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for spec in specs:
        paper = f"[{spec.title}]({spec.url})" if spec.url else spec.title
        cells = [f"`{spec.name}`", paper, *([getattr(spec, column)] if column else [])]
        cells += [", ".join(spec.tasks), spec.needs, spec.fast_path]
        yield "| " + " | ".join(f"{cell or '–'}" for cell in (*cells, spec.splits and "yes")) + " |"


def _options(name: str, heading: str = "###") -> str:
    """The keys of a properties file, in its order and under its comments as headings."""
    folder, keys = ("", None) if name == "overall" else ("model/", get_spec(name).keys)
    text = (ROOT / "properties" / f"{folder}{name}.yaml").read_text("utf-8")
    values, table = yaml.safe_load(text), key_table(keys)
    lines: list[str] = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines += _block(block, values, table, heading)
    return "\n".join(lines)


def _block(block: str, values: dict[str, object], table: KeyTable, heading: str) -> Iterator[str]:
    said: list[str] = []
    rows: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        row = _ROW.match(line)
        if row:
            rows.append((row[1], [row[3] or ""]))
        elif line.lstrip().startswith("#"):
            text = re.sub(r"^\s*# ?", "", line)
            (rows[-1][1] if rows else said).append(text)
    if rows and said:  # a block without rows is the file's header
        title, dot, _ = said[0].partition(". ")
        yield f"\n{heading} {_plain(title.rstrip('.'))}\n"
        rest = [line for line in (said[0][len(title) + len(dot) :], *said[1:]) if line]
        if len(rest) < 3:
            yield from (_plain(line) for line in rest)
        else:
            yield '??? note "How these were chosen"\n\n    ```text'
            yield from (f"    {line}" for line in rest)
            yield "    ```\n"
    elif len(said) > 2:
        yield '??? note "The values behind these defaults"\n\n    ```text'
        yield from (f"    {line}" for line in said)
        yield "    ```\n"
    if rows:
        yield "\n| key | default | values | meaning |\n|---|---|---|---|"
    for name, words in rows:
        value = values[name]
        kind = table.row(name, value).kind.wanted
        meaning = _TYPE.sub("", " ".join(word.strip() for word in words))
        cells = (f"`{name}`", f"`{_shown(value)}`", _plain(kind), _plain(meaning))
        yield "| " + " | ".join(cells) + " |"


def _shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "~" if value is None else str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...").replace("|", "\\|")


def _plain(text: str) -> str:
    # A brace at the end of a cell would be its attributes.
    return _SPECIAL.sub(r"\\\1", escape(text, quote=False)).replace("{", "&#123;")
