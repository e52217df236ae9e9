"""Ray Data's workers, for real: the same files as without them."""

import json

import pytest
import ray

from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import read_options
from recbole_intent.utils.errors import UserError


@pytest.fixture(autouse=True)
def cluster():
    """One for all runs of the test: its start takes most of the time."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def test_the_files_are_those_of_a_run_without_ray(serve, shop, shop_model, error_reply, tmp_path):
    def script(body, before):
        if "number 7\n" in json.dumps(body["messages"][1]["content"]).replace("\\n", "\n"):
            return error_reply(400, "not this one")
        return shop_model(body, before)

    found = {}
    server = serve(script)
    for runner in ("local", "ray"):
        given = {"llm.model": "shop", "llm.base_url": server.url, "runner": runner, "window": 50}
        options = read_options(given={**given, "limit": 8, "refine_features": False, "workers": 2})
        before = len(server.seen)
        where = {"output": tmp_path / runner, "cache": tmp_path / runner / "answers"}
        done = enrich("shop", options, shop, **where)
        asked = len(server.seen) - before
        found[runner] = {
            suffix: (done.folder / f"shop{suffix}").read_bytes()
            for suffix in (".intent", ".intent_pool", ".item_feature", ".intent.manifest.json")
        }
        assert done.asked > 0
        if runner == "ray":
            again = enrich("shop", options, shop, **where)
            assert again.asked == 0
            assert len(server.seen) - before == asked
    assert found["local"] == found["ray"]

    closed = serve(lambda *_: error_reply(401, "who are you?"))
    options = read_options(given={**given, "llm.base_url": closed.url, "runner": "ray"})
    with pytest.raises(UserError, match="401"):
        enrich("shop", options, shop, tmp_path / "closed", cache=tmp_path / "answers")
    assert not list((tmp_path / "closed").glob("shop.intent*"))
