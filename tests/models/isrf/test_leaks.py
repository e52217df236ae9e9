"""What ISRF must not know: three files that differ in validation and test alone train alike."""

from pathlib import Path

import numpy as np
import pytest
import torch

from recbole_intent.data.formats.profile_files import profile_path
from recbole_intent.data.loading.loader import SequenceTrainLoader
from recbole_intent.data.loading.sequences import IndexedSequentialDataset
from recbole_intent.data.loading.split import load_data
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.profiles.pipeline import enrich_profiles
from recbole_intent.models.generative.direct_batches import DirectBatches
from recbole_intent.models.generative.graph_edges import graph_edges
from recbole_intent.models.generative.item_ids import item_ids

N_ITEMS, SEEN = 40, 36  # the last four are nobody's in training
WAYS = ("as it is", "moved", "removed")
OPTIONS = {"load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]}}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    """`data_path` of the same 30 users: as they are, with other items in validation and test, and
    without these two interactions.

    RecBole numbers items as they first appear, so training comes first in the files, and it names
    all items but four; those four are kept by the .item file.
    """
    rng = np.random.default_rng(11)
    train, held_out = [], {way: [] for way in WAYS}
    for user in range(30):
        # The first two have all items between them.
        items = rng.permutation(SEEN)[: rng.integers(2, 12)]
        items = np.arange(18) + 18 * user if user < 2 else items
        train += [f"u{user}\ti{item}\t{time}" for time, item in enumerate(items)]
        own = rng.choice(N_ITEMS, 2, replace=False)
        for way, last in (("as it is", own), ("moved", (own + 1 + user % 7) % N_ITEMS)):
            rows = enumerate(last, start=len(items))
            held_out[way] += [f"u{user}\ti{item}\t{time}" for time, item in rows]
    catalogue = [f"i{item}\tc{item % 3} c{item % 5}\tItem {item}" for item in range(N_ITEMS)]
    found = {}
    for way in WAYS:
        found[way] = tmp_path_factory.mktemp(way.replace(" ", "_"))
        for suffix, header, lines in (
            ("inter", "user_id:token\titem_id:token\ttimestamp:float", train + held_out[way]),
            ("item", "item_id:token\tclass:token_seq\ttitle:token", catalogue),
        ):
            path = found[way] / "three" / f"three.{suffix}"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join([header, *lines]) + "\n")
    return found


@pytest.fixture
def read(config, written):
    """A configuration and its batches of training, by the reader that a run has."""

    def read_file(way: str, **options):
        given = {**OPTIONS, "data_path": str(written[way]), "train_batch_size": 32}
        given |= {"MAX_ITEM_LIST_LENGTH": 8, "n_negatives": 9, "direct_targets": 2, **options}
        if way != "removed":
            made = config("ISRF", "three", **given)
            return made, load_data(made).train
        # All that is left is training, which a configuration would refuse.
        made = config("ISRF", "three", **given)
        made["eval_args"]["split"] = {"RS": [1.0, 0.0, 0.0]}
        train, *others = IndexedSequentialDataset(made).build()
        assert not any(len(part.inter_feat) for part in others)
        return made, SequenceTrainLoader(
            made, train, None, trim=made.spec.trim, shares=False, shuffle=True
        )

    return read_file


def _trained(made, loader) -> dict[str, object]:
    """Everything that training takes from the data, in the numbers that T5 is told by."""
    dataset = loader._dataset
    columns: dict[str, torch.Tensor] = {}
    for epoch in range(2):
        loader.set_epoch(epoch)
        direct = DirectBatches(made, dataset)
        for task, batches in (("sequential", loader), ("direct", direct.epoch(epoch))):
            for number, batch in enumerate(batches):
                for name in batch:
                    columns[f"{epoch} {task} {number} {name}"] = batch[name]
    users, items = graph_edges(made, dataset)
    order = np.lexsort((items, users))
    return {
        "batches": columns,
        "edges": torch.stack([users, items])[:, order],
        "ids": item_ids(made, dataset, None),
        "names of users": dataset.field2id_token["user_id"].tolist(),
        "names of items": dataset.field2id_token["item_id"][: SEEN + 1].tolist(),
        "sizes": (dataset.user_num, dataset.item_num),
    }


@pytest.mark.parametrize("way", WAYS[1:])
def test_edges_ids_and_all_batches_are_those_of_training(read, way):
    one, other = _trained(*read("as it is")), _trained(*read(way))
    batches, others = one.pop("batches"), other.pop("batches")
    assert batches.keys() == others.keys()
    tasks = [name.split()[1] for name in batches]
    assert tasks.count("sequential") > 10 < tasks.count("direct")
    assert all(torch.equal(batches[name], others[name]) for name in batches)
    assert torch.equal(one.pop("edges"), other.pop("edges"))
    assert one == other
    assert one["sizes"] == (31, N_ITEMS + 1)


def test_the_published_protocol_would_show(read):
    options = {"protocol": "published"}
    one, other = _trained(*read("as it is", **options)), _trained(*read("moved", **options))
    assert one["ids"] != other["ids"]
    assert one["edges"].shape != other["edges"].shape or not torch.equal(
        one["edges"], other["edges"]
    )


def test_profiles_are_of_training(written, tmp_path):
    """`enrich` itself leaves out the last two interactions: what is moved, not what is removed."""
    options = read_options(given={"semantics": "metadata", "steps": "texts"}, kind=ProfileOptions)
    texts = []
    for way in WAYS[:2]:
        done = enrich_profiles("three", options, written[way], tmp_path / way)
        files = (profile_path(done.folder, "three", kind) for kind in ("item", "user"))
        texts.append([path.read_text() for path in files])
    assert texts[0] == texts[1]
    assert "Item 35" in texts[0][1]
