"""Downloads raw files from their public sources, or explains how to get them."""

import importlib.util
import os
import re
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from recbole_intent.data.prepare.dataset_properties import prepare_properties
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.files import file_sha256
from recbole_intent.utils.progress import bar

TIMEOUT = 20  # seconds without receiving data
BLOCK = 1 << 16
COMMAND = "recbole_intent prepare --dataset={dataset}"


def download(dataset: str, folder: Path) -> Path:
    """Download the raw files of a dataset, resuming interrupted transfers.

    Args:
        dataset: name of a dataset with `prepare: download:` in its properties.
        folder: destination of the files.

    Returns:
        The folder, or the one in RecBole's wheel if RecBole ships the dataset.

    Raises:
        UserError: there is no public source, its licence must be accepted by hand, the network or
            the server fails, or a file differs from the expected one.
    """
    home = _home(dataset)
    if "recbole_example" in home:
        return _example(home["recbole_example"])
    if not home.get("files") or home.get("by_hand"):
        raise UserError(f"cannot download {dataset}: {how_to_get(dataset)}")
    for file in home["files"]:
        url = file["url"]
        target = folder / url.rsplit("/", 1)[-1]
        try:
            fetch(url, target, size=file.get("size"), sha256=file.get("sha256"))
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = getattr(error, "reason", None) or error
            raise UserError(f"cannot download {url} ({reason}): {how_to_get(dataset)}") from error
        except OSError as error:
            raise UserError(
                f"{target}: cannot be written: {error.strerror or error}; mend that, then run the "
                "same command again: it goes on from there"
            ) from error
    return folder


def fetch(url: str, target: Path, *, size: int | None = None, sha256: str | None = None) -> None:
    """Download one file over HTTP, resuming from `<target>.part` by a range request.

    Args:
        url: address of the file.
        target: destination; an existing file is kept.
        size: expected bytes; None: the size that the server announces.
        sha256: expected checksum as hex digits, or None.

    Raises:
        UserError: the transfer was interrupted, or size or checksum differ.
        urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError: the
            network or the server fails.
    """
    if target.exists():
        return
    part = target.with_name(target.name + ".part")
    tag = target.with_name(target.name + ".part.etag")
    total = _transfer(url, part, tag)
    got = part.stat().st_size
    if total is not None and got < total:
        raise UserError(
            f"{url}: cut off after {got:,} of {total:,} bytes; run the same command again: it "
            "goes on from there"
        )
    for expected, actual, what in (
        (total, got, "bytes"),
        (size, got, "bytes"),
        (sha256, sha256 and file_sha256(part), "sha256"),
    ):
        if expected is not None and expected != actual:
            part.unlink()
            tag.unlink(missing_ok=True)
            raise UserError(
                f"{url}: {what} {actual} instead of {expected}; the file was thrown away: run the "
                "same command again, or fetch it by hand and give --source=PATH"
            )
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(target)
    tag.unlink(missing_ok=True)


def unprepared_message(dataset: str) -> str:
    """One line that says what to do before a run on a dataset that is not prepared yet."""
    home = _home(dataset)
    if "recbole_example" in home:
        return (
            f"dataset {dataset!r} is not prepared; run: {COMMAND.format(dataset=dataset)} "
            f"(no network is needed: {how_to_get(dataset)})"
        )
    if home.get("files") and not home.get("by_hand"):
        return (
            f"dataset {dataset!r} is not prepared; run: {COMMAND.format(dataset=dataset)} "
            f"- or, without a network: {how_to_get(dataset)}"
        )
    return f"dataset {dataset!r} is not prepared: {how_to_get(dataset)}"


def how_to_get(dataset: str) -> str:
    """One line that says which files to get from which page, and the command to read them."""
    home = _home(dataset)
    command = COMMAND.format(dataset=dataset) + " --source=PATH"
    if "recbole_example" in home:
        return f"the files come with RecBole's own wheel; for other files: {command}"
    if not home:
        return f"get its raw files and run: {command}"
    names = " and ".join(
        file if isinstance(file, str) else file["url"].rsplit("/", 1)[-1] for file in home["files"]
    )
    licence = f" ({home['by_hand']})" if home.get("by_hand") else ""
    return f"get {names} from {home['page']}{licence}, then run: {command}"


def _home(dataset: str) -> dict[str, Any]:
    return prepare_properties(dataset).get("download") or {}


def _example(name: str) -> Path:
    # find_spec, not import: RecBole itself is not needed, and importing it takes seconds
    spec = importlib.util.find_spec("recbole")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("recbole is not installed; run: pip install recbole==1.2.1")
    return Path(spec.submodule_search_locations[0]) / "dataset_example" / name


def _transfer(url: str, part: Path, tag: Path) -> int | None:
    """Complete `part`; return the whole file's size if the server announces it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "recbole_intent", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag.exists():  # if the file at this address has changed, the server sends all of it
            headers["If-Range"] = tag.read_text()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        ) as response:
            return _receive(response, part, tag, have)
    except urllib.error.HTTPError as error:
        # no bytes follow `part`: it is complete, or too long and then rejected by the size check
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if error.code == 416 and have and whole:
            return int(whole[1])
        raise


def _receive(response: HTTPResponse, part: Path, tag: Path, have: int) -> int | None:
    part.parent.mkdir(parents=True, exist_ok=True)
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if response.status != 206 or (span and int(span[1]) != have):
        span = None
    resumed = span is not None
    announced = response.headers.get("Content-Length")
    total = int(span[2]) if span else int(announced) if announced else None
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        tag.write_text(etag)
    with (
        part.open("ab" if resumed else "wb") as file,
        bar(
            total=total,
            initial=have if resumed else 0,
            unit="B",
            unit_scale=True,
            desc=part.name.removesuffix(".part"),
        ) as received,
    ):
        while block := response.read(BLOCK):
            file.write(block)
            received.update(len(block))
    return total
