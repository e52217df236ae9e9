"""The recipes of CONTRIBUTING.md that add a source or a provider, followed to the end.

Those of trainers are in trainer/test_stage.py, that of a metric in evaluation/test_metrics.py;
eSASRec and LLM-enriched models of models/ follow the others.
"""

import json
from types import SimpleNamespace

import pandas as pd

from recbole_intent.config.config import Config
from recbole_intent.data import sources
from recbole_intent.data.formats.intent_files import read_intents
from recbole_intent.data.loading.split import load_data
from recbole_intent.data.prepare.prepare import prepare
from recbole_intent.data.sources.raw import RawData
from recbole_intent.enrich.intents.pipeline import enrich
from recbole_intent.enrich.options import read_options
from recbole_intent.llm.providers import PROVIDERS, register_provider
from recbole_intent.llm.sources import ChatRequest, Completion
from tests.fixtures.language_models import shopkeeper


def _read_pairs(path, columns):
    """`user>item` on each line, in order of time."""
    lines = path.read_text("utf-8").splitlines()
    user, item = zip(*(line.split(">") for line in lines), strict=True)
    frame = pd.DataFrame({"user_id": user, "item_id": item}, index=range(1, len(lines) + 1))
    frame = frame.astype("category").assign(timestamp=range(len(lines)), file=0)
    return RawData(frame.astype({"timestamp": "float64"}), None, [path])


def test_a_raw_source(tmp_path, monkeypatch):
    source = SimpleNamespace(
        FORM="pairs (user>item)",
        COLUMNS=frozenset(),
        recognises=lambda path, columns: path.is_file() and ">" in path.read_text("utf-8")[:20],
        read=_read_pairs,
    )
    monkeypatch.setattr(sources, "SOURCES", (source, *sources.SOURCES))
    path = tmp_path / "raw.pairs"
    path.write_text("".join(f"u{n % 3}>i{n % 11}\n" for n in range(30)), "utf-8")
    prepare("pairs", path, data_path=tmp_path / "data")
    config = Config("Pop", "pairs", config_dict={"data_path": str(tmp_path / "data")})
    assert len(load_data(config).test.dataset.inter_feat) == 3


class ShopSource:
    """A provider that knows the shop of the tests."""

    name = "shop"
    model = "shopkeeper"

    async def complete(self, request: ChatRequest) -> Completion:
        return Completion(json.dumps(shopkeeper({"messages": request.messages})))

    async def close(self) -> None:
        pass


def test_a_provider_of_a_language_model(shop, tmp_path, monkeypatch):
    monkeypatch.setitem(PROVIDERS, "shop", None)  # removed at the end
    register_provider("shop", lambda llm, needs_likelihood: [ShopSource])
    options = read_options(given={"llm.source": "shop"})
    done = enrich("shop", options, shop, tmp_path / "out", cache=tmp_path / "answers.sqlite")
    assert any(line.passed for line in read_intents(done.folder / "shop.intent"))
