"""Faults of a server and of the disk, in the middle of a run: what they change, and what not."""

import itertools
import json
import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from recbole_intent.data.formats.intent_files import SessionIntents, read_intents
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import read_options
from recbole_intent.llm.client import ChatClient
from recbole_intent.llm.openai_source import OpenAISource
from recbole_intent.llm.retry import Retry
from recbole_intent.utils.errors import UserError

FILES = ("intent", "intent_pool", "item_feature", "intent.manifest.json", "intent.report.md")
ATTEMPTS = 3


@pytest.fixture
def run(shop, tmp_path, monkeypatch):
    """Run on the shop with short waits, all sessions seeing one pool: `run(server, "out")`."""
    # Waits and time-outs are for real servers; here they are as short as a busy machine allows.
    quick = Retry(max_tries=10, time_limit=60, first_wait=0.01, longest_wait=0.05)
    monkeypatch.setattr("recbole_intent.llm.asking.ChatClient", partial(ChatClient, retry=quick))
    monkeypatch.setattr(
        "recbole_intent.llm.providers.OpenAISource", partial(OpenAISource, timeout=1.0)
    )

    def start(server, name: str, **options):
        given = {"llm.model": "shop", "llm.base_url": server.url, "window": 50, **options}
        where = {"output": tmp_path / name, "cache": tmp_path / name / "answers"}
        return enrich("shop", read_options(given=given), shop, **where)

    return start


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"shop.{name}").read_bytes() for name in FILES}


def test_what_passes_changes_no_byte(run, serve, reply, shop_model):
    undisturbed = run(serve(shop_model), "undisturbed")
    half = {"body": None}  # of an answer's JSON, which the server believes to be all
    faults = [
        {"status": 429, "headers": {"Retry-After": "0.05"}},
        {"status": 500},
        {"fault": "reset"},
        {"fault": "truncated"},
        {"fault": "hang"},
        {"body": b"<html>no gateway</html>"},
        half,
        {},
    ]
    numbers, hit = itertools.count(), Counter()

    def script(body, before):
        answer = shop_model(body, before)
        if before:
            return answer
        number = next(numbers) % len(faults)
        hit[number] += 1
        if faults[number] is half:
            return reply(body=answer.content()[:-40])
        return reply(answer.text, **faults[number])

    disturbed = run(serve(script), "disturbed")
    assert min(hit[number] for number in range(len(faults))) >= 5
    assert files_of(disturbed.folder) == files_of(undisturbed.folder)
    assert disturbed.asked == undisturbed.asked


def test_what_cannot_be_used_touches_its_own_session(run, serve, reply, shop_model):
    """Faults in turn, session by session: one is asked after another."""
    undisturbed = run(serve(shop_model), "undisturbed")
    useless = {
        "no candidate": {"intents": ["anything"], "next_item": "no such item", "reason": ""},
        "malformed": {"intents": "a good lamp"},
        "too long": {"intents": ["a"], "next_item": "1", "reason": "x" * 10_000_000},
        "": None,
    }
    faults = []

    def script(body, before):
        messages = body["messages"]
        if "Candidates" not in messages[1]["content"] or len(messages) > 2 or before:
            return shop_model(body, before)
        faults.append(list(useless)[len(faults) % len(useless)])
        answer = useless[faults[-1]]
        return reply(json.dumps(answer)) if answer else shop_model(body, before)

    disturbed = run(serve(script), "disturbed", concurrency=1)
    lines, expected = (
        list(read_intents(done.folder / "shop.intent")) for done in (disturbed, undisturbed)
    )
    assert len(lines) == len(expected) == len(faults) == 24
    for line, good, fault in zip(lines, expected, faults, strict=True):
        if fault == "too long":
            assert line == SessionIntents(good.session, (), (), 1, passed=False)
        elif not fault:
            assert line == good
        elif good.attempts < ATTEMPTS:  # one attempt later, but the same
            late = SessionIntents(**{**vars(good), "attempts": good.attempts + 1})
            assert line == late
        else:
            assert line.attempts == ATTEMPTS
    assert any(f and g.attempts < ATTEMPTS for f, g in zip(faults, expected, strict=True))
    counts = read_manifest(disturbed.folder / "shop.intent.manifest.json")["counts"]
    assert counts["failures"]["too long"] == faults.count("too long") == 6
    assert b"anything" not in files_of(disturbed.folder)["intent_pool"]
    # The same again asks what was not answered, and that alone.
    mended = serve(shop_model)
    run(mended, "disturbed")
    for line, old, good, fault in zip(
        read_intents(disturbed.folder / "shop.intent"), lines, expected, faults, strict=True
    ):
        assert line == (good if fault == "too long" else old)
    assert 6 <= len(mended.seen) <= 6 * ATTEMPTS


@pytest.mark.parametrize("name", ["intent_pool", "item_feature", "intent.manifest.json"])
def test_a_full_disk_leaves_the_old_files_and_all_answers(run, serve, shop_model, tmp_path, name):
    run(serve(shop_model), "out", limit=3)
    before = files_of(tmp_path / "out")

    def script(body, _):
        # What the run is going to write to: a device that is always full.
        full = tmp_path / "out" / f".shop.{name}.{os.getpid()}.tmp"
        if "Candidates" in body["messages"][1]["content"] and not full.exists():
            full.symlink_to("/dev/full")
        return shop_model(body, 0)

    server = serve(script)
    with pytest.raises(UserError, match=rf"shop\.{name}: cannot be written: No space left"):
        run(server, "out")
    assert files_of(tmp_path / "out") == before
    assert not list((tmp_path / "out").glob(".*.tmp"))
    asked = serve(shop_model)
    done = run(asked, "out")
    assert not asked.seen
    reference = run(serve(shop_model), "reference")
    assert files_of(done.folder) == files_of(reference.folder)
