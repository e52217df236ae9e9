"""Encode the text files of ISRF into vector files."""

from pathlib import Path

from recbole_intent.data.formats.profile_files import (
    MANIFEST,
    PROFILES,
    profile_path,
    read_profiles,
)
from recbole_intent.data.formats.record_files import check_records, read_manifest
from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.enrich.options import ProfileOptions
from recbole_intent.enrich.vectors.encoding import encode_texts
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.own_files import checked


def check_texts(
    folder: Path, dataset: str, options: ProfileOptions, inputs: dict[str, str], split: Split
) -> str:
    """Check the existing texts and return their origin.

    Raises:
        UserError: the texts are missing, or have other semantics or come from other data.
    """
    path = folder / f"{dataset}{MANIFEST}"
    again = "write the texts again by --steps=all"
    manifest = checked(
        path, read_manifest(path, again), {"semantics": str, "inputs": dict, "about": str}, again
    )
    check_records(profile_path(folder, dataset, "item"), path)
    if manifest["semantics"] != options.semantics:
        raise UserError(
            f"{path}: its texts are of semantics: {manifest['semantics']}; give that, or write "
            "others by --steps=all"
        )
    if manifest["inputs"] != inputs or manifest.get("split") != split.plain():
        raise UserError(f"{path}: its texts are of other data; write them again by --steps=all")
    return manifest["about"]


def encode_profiles(
    folder: Path, dataset: str, options: ProfileOptions, encoder: TextEncoder, split: Split
) -> list[str]:
    """Write the missing vectors of items and users.

    Returns:
        One line per file, for the report.

    Raises:
        UserError: a file cannot be written or the encoder cannot be loaded.
    """
    lines = []
    for kind in PROFILES:
        profiles = list(read_profiles(profile_path(folder, dataset, kind)))
        for which in dict.fromkeys(options.texts):
            path = vector_path(folder, dataset, kind, options.semantics, which)
            is_new = encode_texts(
                {profile.id: profile.text(which) for profile in profiles},
                encoder,
                path,
                semantics=options.semantics,
                chunk=options.encoder_chunk,
                split=split,
            )
            n, width = read_text_vectors(path).vectors.shape
            state = "" if is_new else ", as before"
            lines.append(f"{path.name}: {n:,} x {width} by {encoder.name}{state}")
    return lines
