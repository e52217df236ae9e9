"""Text vectors that `enrich` made for a run: their files, and those of users checked by split."""

from pathlib import Path
from typing import Any

from recbole_intent.data.formats.profile_files import MANIFEST
from recbole_intent.data.formats.text_vectors import (
    Kind,
    Semantics,
    Text,
    TextVectors,
    read_text_vectors,
    vector_path,
)
from recbole_intent.data.loading.training_interactions import (
    Split,
    check_split,
    enrich_command,
    find_enriched,
    training_split,
)
from recbole_intent.utils.errors import UserError


def texts_folder(config: Any) -> Path:
    """The output folder of `enrich`'s texts; user files belong to this run's split."""
    if config["texts_folder"]:
        return Path(config["texts_folder"])
    return find_enriched(config, [f"{config['dataset']}{MANIFEST}"])


def text_file(
    config: Any,
    kind: Kind,
    semantics: Semantics,
    text: Text = "fused",
    *,
    purpose: str,
    key: str = "semantics",
    without: str = "",
) -> Path:
    """The file of the vectors of items' or users' texts.

    Args:
        config: `texts_folder`, and the keys of the split.
        kind: `item` or `user`.
        semantics: `llm` or `metadata`.
        text: the text of a profile.
        purpose: the model, as in `enrich --for`.
        key: the key that chose the semantics, for the message.
        without: options to do without texts, for the message.

    Raises:
        UserError: it does not exist; names the commands that make it.
    """
    path = vector_path(texts_folder(config), config["dataset"], kind, semantics, text)
    if not config["texts_folder"]:
        path = find_enriched(config, [path.name]) / path.name
    if path.is_file():
        return path

    def command(semantics: Semantics, *words: str) -> str:
        given = config["texts_folder"]
        output = [f"--output={given}"] if given else []
        return enrich_command(config, purpose, *output, f"--semantics={semantics}", *words)

    ways = []
    if semantics != "metadata" and text == "fused":
        plain = vector_path(texts_folder(config), config["dataset"], kind, "metadata", "fused")
        when = "which is there already" if plain.is_file() else f"after {command('metadata')}"
        ways.append(f"--{key}=metadata, {when}, needs no language model")
    texts = [] if text == "fused" else [f"--texts=[fused,{text}]"]
    model = ["--llm.model=MODEL"] if semantics == "llm" else []
    ways.append(f"{command(semantics, *texts, *model)} makes it")
    if without:
        ways.append(f"{without} does without texts")
    raise UserError(f"{path}: no such file; {'; '.join(ways)}")


def read_user_texts(
    config: Any, dataset: Any, path: Path, text: Text = "fused", *, purpose: str
) -> TextVectors:
    """The vectors of users' texts, made from this run's training interactions.

    Args:
        config: configuration of the run.
        dataset: its training split.
        path: from `text_file`.
        text, purpose: as there.

    Raises:
        UserError: they were made from another split.
    """
    vectors = read_text_vectors(path)
    mine, theirs = training_split(config, dataset), Split.of_text(vectors.split)
    words = [f"--semantics={vectors.semantics}"]
    if vectors.semantics == "llm":
        words.append("--llm.model=MODEL")
    if text != "fused":
        words.append(f"--texts=[fused,{text}]")
    remedy = ""
    if given := config["texts_folder"]:
        is_other = theirs is not None and theirs.definition != mine.definition
        output = f"{given.rstrip('/')}-{mine.fingerprint[:10]}" if is_other else given
        words.append(f"--output={output}")
        remedy = f", and --texts_folder={output} reads them" if is_other else ""
    remedy = f"{enrich_command(config, purpose, *words)} makes those of this run{remedy}"
    check_split(path, theirs, mine, remedy)
    return vectors
