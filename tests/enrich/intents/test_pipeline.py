"""The whole offline step against a real server: what is asked and written, what a kill costs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recbole_intent.data.formats.intent_files import (
    read_features,
    read_intents,
    read_pool,
)
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.data.formats.text_vectors import read_text_vectors
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import read_options
from recbole_intent.enrich.training_data import read_training_data
from recbole_intent.utils.errors import UserError

SUFFIXES = (".intent", ".intent_pool", ".item_feature", ".intent.manifest.json")


@pytest.fixture
def run(shop, tmp_path):
    """Run on the shop, with a cache of its own: `run(server, "out", window=4)`."""

    def start(server, name: str, **options):
        llm = {"llm.model": "shop", "llm.base_url": server.url} if server else {}
        given = read_options(given={**llm, **options})
        cache = tmp_path / name / "shop.answers.sqlite"
        return enrich("shop", given, shop, tmp_path / name, cache=cache)

    return start


def sessions_of(shop: Path):
    return read_training_data("VELI4SBR", "shop", shop).histories.at_least(2)


def files_of(folder: Path) -> dict[str, bytes]:
    return {suffix: (folder / f"shop{suffix}").read_bytes() for suffix in SUFFIXES}


def test_intents_of_all_training_sessions_are_found(run, serve, shop, shop_model):
    server = serve(shop_model)
    done = run(server, "out", window=5)
    sessions = sessions_of(shop)
    lines = list(read_intents(done.folder / "shop.intent"))
    assert [line.session for line in lines] == list(sessions.ids)
    pool = {entry.intent: entry.sessions for entry in read_pool(done.folder / "shop.intent_pool")}
    assert list(pool)[:2] == ["Good value", "gift"]
    assert pool["gift"] == 0
    features = read_features(done.folder / "shop.item_feature")
    for index, line in enumerate(lines):
        ids = sessions.item_ids[sessions.of(index)]
        assert line.passed == bool(line.intents)
        assert set(line.intents) <= set(pool)
        assert not set(line.hard_negatives) & set(ids)
        if line.passed:
            kind = features[ids[0]][0]
            assert line.intents == (f"A {kind} for the home", "Good value")  # in the pool's words
            assert len(line.hard_negatives) == line.attempts - 1
    passed = sum(line.passed for line in lines)
    assert pool["Good value"] == passed
    manifest = read_manifest(done.folder / "shop.intent.manifest.json")
    assert manifest["counts"]["passed"] == passed
    assert manifest["counts"]["above_chance"]
    assert manifest["prompts"].keys() >= {"item_features", "intent_pool", "predict_and_correct"}
    assert "Clearly above chance" in done.report
    assert (done.folder / "shop.intent.report.md").read_text() == done.report


def test_sessions_of_validation_and_test_never_reach_the_model(run, serve, shop, shop_model):
    server = serve(shop_model)
    run(server, "out")
    sessions = sessions_of(shop)
    title = {str(item): f"number {item}" for item in sessions.item_ids}
    shown = set()
    for body in server.bodies():
        asked = body["messages"][1]["content"]
        if "Session:" in asked:
            block = asked.split("Session:\n")[1].split("\n\n")[0]
            shown.add(tuple(line.split("; ")[1] for line in block.splitlines()))
    of_training = {
        tuple(title[item] for item in sessions.item_ids[sessions.of(i)[:-1]])
        for i in range(len(sessions))
    }
    assert shown == of_training
    everything = json.dumps(server.bodies())
    assert "u2" not in everything  # nor does any session's id
    assert "#1" not in everything


def test_no_request_depends_on_validation_and_test(run, serve, shop, shop_model, tmp_path):
    server = serve(shop_model)
    run(server, "out")
    first = {json.dumps(body, sort_keys=True) for body in server.bodies()}
    other = tmp_path / "data" / "shop"
    other.mkdir(parents=True)
    parts = dict(line.split("\t") for line in (shop / "shop/shop.split").read_text().splitlines())
    lines = (shop / "shop/shop.inter").read_text().splitlines()
    of_training = [line for line in lines[1:] if parts[line.split("\t")[0]] == "train"]
    # Other items, other times, in other places of the file.
    others = [f"u{n}#1\t{item}\t{item}" for n in range(24, 36) for item in (47, 5, n)]
    (other / "shop.inter").write_text("\n".join([lines[0], *others, *of_training]) + "\n")
    for suffix in (".split", ".item", ".yaml"):
        (other / f"shop{suffix}").write_bytes((shop / f"shop/shop{suffix}").read_bytes())
    again = serve(shop_model)
    options = read_options(given={"llm.model": "shop", "llm.base_url": again.url})
    enrich("shop", options, other.parent, tmp_path / "other")
    assert {json.dumps(body, sort_keys=True) for body in again.bodies()} == first


def test_the_order_of_answers_changes_nothing(run, serve, reply, shop_model):
    def slowly(body, before):
        answer = shop_model(body, before)
        answer.seconds = hash(json.dumps(body)) % 7 / 300  # another order in every process
        return answer

    one_by_one = run(serve(shop_model), "one", window=8, concurrency=1)
    server = serve(slowly)
    at_once = run(server, "many", window=8, concurrency=8)
    assert server.most_at_once > 1
    assert files_of(one_by_one.folder) == files_of(at_once.folder)


def test_a_window_of_one_shows_what_the_session_before_found(run, serve, shop_model):
    server = serve(shop_model)
    run(server, "out", window=1, concurrency=8, refine_features=False)
    pools = [
        body["messages"][1]["content"].split("Pool of intents:\n")[1].split("\n\n")[0]
        for body in server.bodies()
        if len(body["messages"]) == 2 and "Pool of intents" in body["messages"][1]["content"]
    ]
    sizes = [len(pool.splitlines()) for pool in pools]
    assert sizes[0] == 2  # the first pool
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 3  # it grows session by session
    whole = serve(shop_model)
    run(whole, "whole", window=100, refine_features=False)
    first_asked = [b for b in whole.bodies() if len(b["messages"]) == 2][1:]
    assert {b["messages"][1]["content"].count("- A ") for b in first_asked} == {0}


def test_the_same_again_asks_nothing_and_changes_nothing(run, serve, shop_model):
    server = serve(shop_model)
    done = run(server, "out")
    before, asked = files_of(done.folder), len(server.seen)
    again = run(server, "out")
    assert len(server.seen) == asked
    assert again.asked == 0
    assert again.cached > 0
    assert files_of(again.folder) == before


def test_other_outputs_ask_only_what_is_new(run, serve, shop, shop_model, tmp_path):
    """As the ablations of Table 4 do: one cache, beside the dataset, whatever the output."""
    data, server = shutil.copytree(shop, tmp_path / "data"), serve(shop_model)

    def beside(name, **ablated):
        options = read_options(given={"llm.model": "shop", "llm.base_url": server.url, **ablated})
        return enrich("shop", options, data, tmp_path / name)

    whole = beside("whole")
    refined = beside("refined", predict_and_correct=False)
    base = beside("base", predict_and_correct=False, refine_features=False)
    bodies = [json.dumps(body, sort_keys=True) for body in server.bodies()]
    assert len(set(bodies)) == len(bodies) == whole.asked + 2 * 24
    assert (refined.asked, base.asked, base.cached) == (24, 24, 1)
    assert refined.cached > 1
    assert list(tmp_path.rglob("*.answers.sqlite")) == [data / "shop" / "shop.answers.sqlite"]
    alone = run(server, "alone", predict_and_correct=False)
    assert files_of(alone.folder) == files_of(refined.folder)


def test_a_kill_costs_what_was_under_way_at_most(run, serve, shop, shop_model, tmp_path):
    reference = run(serve(shop_model), "reference", window=6)
    server = serve(lambda body, before: _later(shop_model(body, before)))
    words = f"enrich --for=VELI4SBR --dataset=shop --data_path={shop} --output={tmp_path}/killed "
    words += f"--cache={tmp_path}/killed/answers "
    words += f"--llm.model=shop --llm.base_url={server.url} --window=6 --concurrency=3"
    command = [
        sys.executable,
        "-c",
        "from recbole_intent.cli.main import main; raise SystemExit(main())",
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([*command, *words.split()], env=environment)
    while len(server.seen) < 60 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("shop.i*"))  # nothing half-written
    assert len(list((tmp_path / "killed").glob(".shop.i*.tmp"))) > 0
    subprocess.run([*command, *words.split()], env=environment, check=True, capture_output=True)
    assert files_of(tmp_path / "killed") == files_of(reference.folder)
    assert not list((tmp_path / "killed").glob(".*.tmp"))
    twice = sum(count - 1 for count in server.answered.values())
    assert twice <= 3  # what the kill found under way


def _later(answer):
    answer.seconds = 0.02
    return answer


def test_a_request_that_fails_fails_its_session_alone(run, serve, shop_model, error_reply):
    def script(body, before):
        asked = body["messages"][1]["content"]
        if "Candidates" in asked and "number 7\n" in asked:
            return error_reply(400, "no such words here", code="content_filter")
        return shop_model(body, before)

    done = run(serve(script), "out")
    lines = list(read_intents(done.folder / "shop.intent"))
    failed = [line for line in lines if not line.passed]
    assert 0 < len(failed) < len(lines)
    reasons = read_manifest(done.folder / "shop.intent.manifest.json")["counts"]["failures"]
    assert any("400" in reason for reason in reasons), reasons


def test_blind_picks_are_called_so(run, serve, reply, shop_model):
    def blind(body, before):
        asked = body["messages"][1]["content"]
        if "Candidates" not in asked:
            return shop_model(body, before)
        first = asked.split("Candidates:\n- [")[1].split("]")[0]
        return reply(json.dumps({"intents": ["anything"], "next_item": first, "reason": ""}))

    done = run(serve(blind), "out", refine_features=False)
    assert "NOT clearly above chance" in done.report
    assert "42.1%" in done.report  # of three blind picks among six
    assert "50.0%" in done.report


def test_without_predict_and_correct_every_first_answer_counts(run, serve, shop_model):
    server = serve(shop_model)
    done = run(server, "out", predict_and_correct=False, refine_features=False)
    assert done.share == 1
    assert len(server.seen) == 1 + 24
    assert not any("Candidates" in json.dumps(body) for body in server.bodies())
    assert "Nothing was validated" in done.report


def test_a_sample_is_a_part_of_a_larger_one(run, tmp_path):
    found = []
    for share in (0.25, 0.5, 1.0):
        done = run(None, f"s{share}", intents="metadata", sample=share)
        found.append([line.session for line in read_intents(done.folder / "shop.intent")])
    assert [len(sessions) for sessions in found] == [6, 12, 24]
    assert set(found[0]) < set(found[1]) < set(found[2])
    limited = run(None, "limited", intents="metadata", sample=0.5, limit=4)
    assert [x.session for x in read_intents(limited.folder / "shop.intent")] == found[1][:4]


def test_metadata_needs_no_model_and_says_so(run):
    done = run(None, "out", intents="metadata")
    assert "metadata (categories of the items; no language model)" in done.report
    manifest = read_manifest(done.folder / "shop.intent.manifest.json")
    assert (manifest["source"], manifest["column"]) == ("metadata", "categories")
    assert not (done.folder / "shop.answers.sqlite").exists()
    for line in read_intents(done.folder / "shop.intent"):
        assert line.intents[0] in ("Lamps", "Chairs", "Rugs", "Vases")
        assert line.attempts == 0


def test_the_first_pool_may_be_of_metadata(run, serve, shop_model):
    server = serve(shop_model)
    done = run(server, "out", first_pool="metadata", refine_features=False, limit=3)
    pool = [entry.intent for entry in read_pool(done.folder / "shop.intent_pool")]
    assert set(pool[:4]) == {"Lamps", "Chairs", "Rugs", "Vases"}
    assert not any("You know why" in json.dumps(body) for body in server.bodies())
    assert "first pool from metadata (categories)" in done.report


def test_the_rest_may_have_intents_of_metadata_which_are_told_apart(run, serve, shop, shop_model):
    server = serve(shop_model)
    few = {"first_pool": "metadata", "refine_features": False, "limit": 3}
    asked = run(server, "few", **few)
    done = run(server, "all", **few, rest="metadata")
    lines = list(read_intents(done.folder / "shop.intent"))
    by_model = list(read_intents(asked.folder / "shop.intent"))
    assert lines[:3] == by_model
    everyone = {str(i) for i in sessions_of(shop).ids}
    assert {line.session for line in lines} == everyone
    assert len(lines) == 24
    of_metadata = {
        line.session: line.intents
        for line in read_intents(run(None, "m", intents="metadata").folder / "shop.intent")
    }
    for line in lines[3:]:
        assert line.attempts == 0
        assert set(line.intents) == set(of_metadata[line.session])
    assert done.share == asked.share  # of those that were asked
    assert "21 further sessions were not asked: their intents are of metadata" in done.report
    assert "further sessions" not in asked.report
    manifest = read_manifest(done.folder / "shop.intent.manifest.json")
    assert manifest["rest"] == {"source": "metadata", "column": "categories", "sessions": 21}
    assert manifest["counts"]["sessions"] == 3


def test_vectors_of_texts_are_an_option(run, shop):
    """Of items and of intents; the files of intents are the same without them."""
    done = run(None, "out", intents="metadata")
    before = files_of(done.folder)
    run(None, "out", intents="metadata", encoder="embedded")
    assert files_of(done.folder) == before
    found = read_text_vectors(done.folder / "shop.item_text.metadata.fused.npz")
    items = sessions_of(shop).item_ids
    assert set(found.ids) == set(map(str, items))
    assert found.vectors.shape == (len(items), 384)
    assert len(np.unique(found.vectors, axis=0)) == len(items)
    pool = [entry.intent for entry in read_pool(done.folder / "shop.intent_pool")]
    found = read_text_vectors(done.folder / "shop.intent_vectors.npz")
    assert found.ids.tolist() == pool
    assert found.semantics == "metadata"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--llm.model=… is missing"),
        ({"intents": "metadata", "rest": "metadata"}, "rest: metadata goes with intents: llm"),
        ({"llm.model": "m", "validate": "likelihood"}, "needs llm.source: embedded"),
        ({"llm.model": "m", "negatives": 60}, "give at most --negatives="),
    ],
)
def test_mistakes_are_said_before_anything_is_asked(run, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run(None, "out", **options)
    assert not list(tmp_path.glob("out/*"))


def test_old_files_stay_when_nothing_is_answered(run, serve, shop_model, error_reply):
    done = run(serve(shop_model), "out")
    before = files_of(done.folder)
    closed = serve(lambda *_: error_reply(401, "who are you?"))
    with pytest.raises(UserError, match="401"):
        run(closed, "out", **{"llm.model": "another"})
    assert files_of(done.folder) == before
