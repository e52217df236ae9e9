"""The whole offline step of ISRF against a real server: what is asked and written."""

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

from recbole_intent.data.formats.profile_files import profile_path, read_profiles
from recbole_intent.data.formats.record_files import read_manifest
from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path, vectors_for
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.profiles.pipeline import enrich_profiles
from recbole_intent.enrich.training_data import read_training_data
from recbole_intent.llm.batch_files import BatchPending
from recbole_intent.utils.errors import UserError

FILES = ("market.item_profile", "market.user_profile", "market.profile.manifest.json")


@pytest.fixture
def run(market, tmp_path):
    """Run on the market, with a cache of its own; texts alone unless asked otherwise."""

    def start(server, name: str, data_path: Path = market, batch: dict | None = None, **options):
        llm = {"llm.model": "market", "llm.base_url": server.url} if server else {}
        given = read_options(given={**llm, "steps": "texts", **options}, kind=ProfileOptions)
        where = {"output": tmp_path / name, "cache": tmp_path / name / "market.answers.sqlite"}
        return enrich_profiles("market", given, data_path, **where, **(batch or {}))

    return start


def profiles_of(folder: Path, kind: str) -> dict:
    return {profile.id: profile for profile in read_profiles(profile_path(folder, "market", kind))}


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_all_items_and_users_have_texts(run, serve, market_model):
    server = serve(market_model)
    done = run(server, "out")
    items, users = profiles_of(done.folder, "item"), profiles_of(done.folder, "user")
    assert set(items) == {f"i{n}" for n in range(41)}
    assert set(users) == {f"u{n}" for n in range(12)}
    assert items["i5"].fused == "key features: chair number 5"
    assert [p.id for p in items.values() if p.source == "metadata"] == ["i39", "i40"]
    assert (items["i40"].positive, items["i40"].fused) == ("", "i40")
    assert all(user.source == "llm" for user in users.values())
    assert users["u0"].negative.startswith("dislike: ")
    assert len(server.seen) == 3 * (39 + 12) == done.asked
    assert done.share == 1
    assert "Items: 41; 39 by the model, 0 failed and 2 not asked about" in done.report
    assert "Tokens: 1,071 in prompts, 459 in answers." in done.report
    counts = read_manifest(done.folder / FILES[2])["counts"]
    assert (counts["items"]["done"], counts["users"]["done"]) == (39, 12)


def test_a_users_prompt_shows_a_sample_of_training_items_alone(run, serve, market, market_model):
    server = serve(market_model)
    run(server, "out", users_sample=5)
    histories = read_training_data("ISRF", "market", market).histories
    allowed = {
        frozenset(histories.item_ids[histories.of(index)]) for index in range(len(histories))
    }
    shown = set()
    for body in server.bodies():
        asked = body["messages"][1]["content"]
        if asked.startswith("Items that"):
            lines = asked.split("\n\n")[0].splitlines()[1:]
            titled = [line for line in lines if " number " in line]
            assert len(lines) <= 5
            assert all("key features: " in line for line in titled)  # the item's fused text
            shown.add(frozenset(f"i{line.split(' number ')[1].split('.')[0]}" for line in titled))
    assert shown
    for items in shown:
        assert any(items <= history for history in allowed), items


def poisoned(market: Path, folder: Path) -> Path:
    """The market with other items and times as what is held out of each user."""
    lines = (market / "market/market.inter").read_text().splitlines()
    users: dict[str, list[str]] = {}
    for line in lines[1:]:
        users.setdefault(line.split("\t")[0], []).append(line)
    made = [lines[0]]
    for number, (user, rows) in enumerate(users.items()):
        held_out = min(2, len(rows) - 2)  # the run trains on the first two of three
        others = [f"{user}\ti{(number + 7) % 39}\t1{place}0000000" for place in range(held_out)]
        made += [*others, *rows[:-held_out]]  # elsewhere in the file, too
    (folder / "market").mkdir(parents=True)
    (folder / "market/market.inter").write_text("\n".join(made) + "\n")
    item = (market / "market/market.item").read_bytes()
    (folder / "market/market.item").write_bytes(item)
    return folder


def test_no_request_depends_on_validation_and_test(run, serve, market, market_model, tmp_path):
    server, again = serve(market_model), serve(market_model)
    run(server, "out")
    run(again, "other", poisoned(market, tmp_path / "data"))

    def requests(of):
        return {json.dumps(body, sort_keys=True) for body in of.bodies()}

    assert requests(again) == requests(server)
    assert "u1" not in json.dumps(server.bodies())  # nor does any user's id


def test_metadata_does_not_depend_on_them_either(run, market, tmp_path):
    first = run(None, "out", semantics="metadata")
    again = run(None, "other", poisoned(market, tmp_path / "data"), semantics="metadata")
    for kind in ("item", "user"):
        ours, theirs = (profiles_of(done.folder, kind) for done in (first, again))
        assert {n: ours[n] for n in theirs} == theirs  # an item may be gone with its interaction
    assert not (first.folder / "market.answers.sqlite").exists()
    assert first.report.startswith("# Texts of market by metadata (the .item file; no language")
    assert "Users: 12, all by metadata." in first.report


def test_the_same_again_asks_nothing_and_changes_nothing(run, serve, market_model):
    server = serve(market_model)
    done = run(server, "out")
    before, asked = files_of(done.folder), len(server.seen)
    again = run(server, "out", concurrency=2)
    assert len(server.seen) == asked
    assert (again.asked, again.cached) == (0, asked)
    assert files_of(again.folder) == before


def test_another_output_asks_only_what_is_new(serve, market, market_model, tmp_path):
    data, server = shutil.copytree(market, tmp_path / "data"), serve(market_model)
    given = {"llm.model": "market", "llm.base_url": server.url, "steps": "texts"}
    whole, part = (
        enrich_profiles(
            "market",
            read_options(given={**given, "users_sample": most}, kind=ProfileOptions),
            data,
            tmp_path / str(most),
        )
        for most in (20, 5)
    )
    bodies = [json.dumps(body, sort_keys=True) for body in server.bodies()]
    assert len(set(bodies)) == len(bodies) == whole.asked + part.asked
    assert part.cached >= 3 * 39  # all items, and users of few
    assert 0 < part.asked < whole.asked


def test_a_kill_costs_what_was_under_way_at_most(run, serve, market, market_model, tmp_path):
    def slowly(body, before):
        answer = market_model(body, before)
        answer.seconds = 0.02
        return answer

    server = serve(slowly)
    words = f"enrich --for=ISRF --dataset=market --data_path={market} --output={tmp_path}/killed "
    words += f"--cache={tmp_path}/killed/market.answers.sqlite "
    words += f"--llm.model=market --llm.base_url={server.url} --steps=texts --concurrency=3"
    code = "from recbole_intent.cli.main import main; raise SystemExit(main())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code, *words.split()], env=environment)
    while len(server.seen) < 70 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("market.*profile*"))  # nothing half-written
    done = run(server, "killed")
    assert sum(count - 1 for count in server.answered.values()) <= 3  # what was under way
    assert files_of(done.folder) == files_of(run(serve(market_model), "whole").folder)
    assert not list((tmp_path / "killed").glob(".*.tmp"))


def test_a_request_that_fails_leaves_the_text_of_metadata(run, serve, market_model, error_reply):
    def script(body, before):
        first = body["messages"][1]["content"].splitlines()[0]
        if first.startswith("lamp number 8."):
            return error_reply(400, "no such words here")
        return market_model(body, before)

    done = run(serve(script), "out")
    items = profiles_of(done.folder, "item")
    assert items["i8"].source == "metadata"
    assert items["i8"].fused == "lamp number 8. brand: A. categories: Shop > Lamps"
    assert "38 by the model, 1 failed (HTTP 400: 1) and 2 not asked about" in done.report
    assert done.share == pytest.approx(50 / 51)


def test_a_sample_is_affordable_and_the_rest_has_metadata(run, serve, market_model):
    server = serve(market_model)
    done = run(server, "out", sample=0.5, limit=4, items_shown="metadata")
    assert len(server.seen) == 3 * (4 + 4)
    items = profiles_of(done.folder, "item")
    assert sum(item.source == "llm" for item in items.values()) == 4
    assert all(item.fused for item in items.values())
    assert "key features" not in "".join(
        body["messages"][1]["content"].split("\n\n")[0]
        for body in server.bodies()
        if body["messages"][1]["content"].startswith("Items that")
    )


def test_batches_take_a_turn_for_each_question(run, serve, market_model, tmp_path):
    reference = run(serve(market_model), "reference")
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    batch, turns = {"export_batch": requests}, 0
    url = {"llm.model": "market", "llm.base_url": "http://127.0.0.1:9/v1"}
    while True:
        try:
            done = run(None, "batch", batch=batch, **url)
            break
        except BatchPending:
            turns += 1
        lines = [json.loads(line) for line in requests.read_text().splitlines()]
        answered = [
            {
                "custom_id": line["custom_id"],
                "response": {
                    "status_code": 200,
                    "body": json.loads(market_model(line["body"], 0).content()),
                },
            }
            for line in lines
        ]
        answers.write_text("".join(json.dumps(line) + "\n" for line in answered))
        batch["import_batch"] = answers
    assert turns == 6
    assert done.asked == 0
    assert files_of(done.folder) == files_of(reference.folder)


def test_vectors_follow_the_texts_and_are_made_once(run):
    done = run(None, "out", steps="all", semantics="metadata")
    paths = [vector_path(done.folder, "market", k, "metadata", "fused") for k in ("item", "user")]
    items, users = map(read_text_vectors, paths)
    assert (items.vectors.shape, users.vectors.shape) == ((41, 384), (12, 384))
    assert (items.semantics, users.semantics) == ("metadata", "metadata")
    norms = np.linalg.norm(users.vectors, axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)
    ordered = vectors_for(items, ["[PAD]", "i3", "i7", "i5"])
    alike = ordered @ ordered.T
    assert alike[1, 2] > alike[1, 3]  # two vases, and a chair
    before = [path.read_bytes() for path in paths]
    again = run(None, "out", steps="vectors", semantics="metadata")
    assert [path.read_bytes() for path in paths] == before
    assert again.report.count(", as before") == 2
    assert (done.folder / "market.profile.report.md").read_text() == done.report


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--llm.model=… is missing"),
        ({"semantics": "metadata", "texts": ["positive"]}, "give --texts="),
        ({"steps": "vectors", "semantics": "metadata"}, "market.profile.manifest.json: no such"),
        ({"steps": "all", "semantics": "metadata", "encoder": "no/such"}, "encoder: no/such: no"),
        ({"steps": "all", "semantics": "metadata", "encoder": "./no"}, r"\./no: no such folder"),
    ],
)
def test_mistakes_are_one_line(run, tmp_path, monkeypatch, options, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match=message) as caught:
        run(None, "out", **options)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.glob("out/*.npz*")) + list(tmp_path.glob("out/.*"))


def test_vectors_alone_want_texts_of_their_own(run, market, tmp_path):
    run(None, "out", semantics="metadata")
    with pytest.raises(UserError, match="its texts are of semantics: metadata"):
        run(None, "out", steps="vectors")
    with pytest.raises(UserError, match="its texts are of other data"):
        run(None, "out", poisoned(market, tmp_path / "d"), steps="vectors", semantics="metadata")
