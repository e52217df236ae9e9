"""Every baseline of our tables equals a second computation, from its equations, in numpy."""

import pytest
import torch

from benchmarks.independent import MODELS, check
from recbole_intent.runs.experiment import build

OPTIONS = {
    "NCL": {"num_clusters": 5},
    "FDSA": {"selected_features": ["class"]},
    "GRU4Rec": {"num_layers": 2},
    "SimpleX": {"history_len": 6, "train_neg_sample_args": {"sample_num": 3}},
    "LightGCN": {"reg_weight": 0.1},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_baseline_is_what_its_equations_say(tiny, name):
    trainer, data = build(tiny(name, train_batch_size=128, epochs=1, **OPTIONS.get(name, {})))
    if name == "Pop":
        trainer.fit(data.train, data.valid)
    torch.manual_seed(7)
    for parameter in trainer.model.parameters():
        if name != "Pop":
            torch.nn.init.normal_(parameter, std=0.3)
    if name == "NCL":
        trainer.model.e_step()
    if name == "SimpleX":  # sums over padding, whose vector is and stays zero
        trainer.model.item_emb.weight.data[0] = 0
    difference = check(trainer, data)
    assert (difference.users, difference.n_items) == (60, 40)
    assert difference.targets == 0
    assert difference.scores < 1e-5
    assert difference.loss < 1e-5
    assert difference.metrics < 1e-9
