"""Batch files in turns: they lead to the same files of intents as asking one by one."""

import json

import pytest

from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import read_options
from recbole_intent.llm.batch_files import BatchPending
from recbole_intent.utils.errors import UserError


@pytest.fixture
def run(shop, tmp_path):
    def start(folder: str, url: str = "http://127.0.0.1:9/v1", **files):
        given = {"llm.model": "shop", "llm.base_url": url, "window": 50}
        where = {"output": tmp_path / folder, "cache": tmp_path / folder / "answers"}
        return enrich("shop", read_options(given=given), shop, **where, **files)

    return start


def results(requests, shop_model) -> list[dict]:
    """What the batch service would send back, in another order."""
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    assert all(line["url"] == "/v1/chat/completions" for line in lines)
    return [
        {
            "custom_id": line["custom_id"],
            "response": {
                "status_code": 200,
                "body": json.loads(shop_model(line["body"], 0).content()),
            },
            "error": None,
        }
        for line in reversed(lines)
    ]


def test_export_and_import_take_turns_to_the_same_files(run, serve, shop_model, tmp_path):
    reference = run("reference", serve(shop_model).url)
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    imported, turns, asked = None, 0, set()
    while True:
        try:
            done = run("batch", export_batch=requests, import_batch=imported)
            break
        except BatchPending:
            turns += 1
        found = results(requests, shop_model)
        keys = {line["custom_id"] for line in found}
        assert not keys & asked
        asked |= keys
        answers.write_text("".join(json.dumps(line) + "\n" for line in found))
        imported = answers
    assert turns == 2 + 3  # pool, features, three attempts
    assert done.asked == 0
    for suffix in (".intent", ".intent_pool", ".item_feature", ".intent.manifest.json"):
        name = f"shop{suffix}"
        assert (done.folder / name).read_bytes() == (reference.folder / name).read_bytes()


def test_failed_requests_are_exported_again(run, shop_model, tmp_path):
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    with pytest.raises(BatchPending, match=r"1 requests: .*requests\.jsonl"):
        run("batch", export_batch=requests)
    first = requests.read_text()
    (line,) = results(requests, shop_model)
    answers.write_text(json.dumps({**line, "response": {"status_code": 500, "body": {}}}) + "\n")
    with pytest.raises(BatchPending):
        run("batch", export_batch=requests, import_batch=answers)
    assert requests.read_text() == first


def test_an_absent_file_and_other_sources_are_refused(run, shop, tmp_path):
    with pytest.raises(UserError, match="none: cannot be read"):
        run("out", import_batch=tmp_path / "none")
    with pytest.raises(UserError, match=r"go with --llm\.source=openai"):
        enrich(
            "shop", read_options(given={"intents": "metadata"}), shop, export_batch=tmp_path / "r"
        )
