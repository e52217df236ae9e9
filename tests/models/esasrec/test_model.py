"""eSASRec's layers and loss."""

import pytest
import torch

from recbole_intent.models.esasrec.model import LiGRLayer
from recbole_intent.runs.experiment import build, run


def test_a_layer_by_its_formula():
    torch.manual_seed(1)
    layer = LiGRLayer(8, 2, 8, 0.3).eval()
    x = torch.randn(2, 5, 8)
    attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        attention.in_proj_weight.copy_(layer.query_key_value.weight)
        attention.in_proj_bias.copy_(layer.query_key_value.bias)
        attention.out_proj.load_state_dict(layer.out.state_dict())
        later = torch.ones(5, 5, dtype=torch.bool).triu(1)
        normed = layer.norm_1(x)
        attended, _ = attention(normed, normed, normed, attn_mask=later)
        half = x + layer.gate_1(x).sigmoid() * attended
        gate, value = layer.up(layer.norm_2(half)).chunk(2, -1)
        expected = half + layer.gate_2(half).sigmoid() * layer.down(
            torch.nn.functional.silu(gate) * value
        )
        torch.testing.assert_close(layer(x), expected)
        last = torch.tensor([4, 2])
        torch.testing.assert_close(layer(x, last), expected[[0, 1], last])


@pytest.mark.parametrize("n_layers", [1, 2])
def test_shared_passes_equal_rows_with_positions_from_the_start(tiny, n_layers):
    options = {"n_layers": n_layers, "positions": "start", "softmax": "full"}
    trainer, data = build(tiny("eSASRec", train_batch_size=64, **options))
    model = trainer.model.eval()
    batch = next(iter(data.train))
    item_seq, length = batch["item_id_list"], batch["item_length"]
    prefixes = torch.stack([length, length.sub(1).clamp_min(1)], dim=1)
    with torch.no_grad():
        shared = model(item_seq, prefixes)
        torch.testing.assert_close(shared[:, 0], model(item_seq, length))
        for row in range(4):
            n = int(prefixes[row, 1])
            alone = model(item_seq[row : row + 1, :n], prefixes[row : row + 1, 1])
            torch.testing.assert_close(shared[row, 1], alone[0])


@pytest.mark.parametrize(
    "options",
    [{}, {"softmax": "in_batch"}, {"softmax": "log_uniform", "softmax_shared": True}],
)
def test_the_sampled_softmax_learns_as_the_full_one(tiny, options):
    """Every choice of negatives beats random scores after some epochs."""
    config = {"epochs": 8, "learning_rate": 0.01, "show_progress": False, **options}
    values = tiny("eSASRec", **config)
    trainer, data = build(values)
    before = trainer.evaluate(data.valid)["ndcg@10"]
    trainer.fit(data.train, data.valid)
    assert trainer.best_valid["ndcg@10"] > before


def test_a_run_repeats(tiny_path, tmp_path):
    def metrics(folder):
        options = {"data_path": str(tiny_path), "hidden_size": 8, "epochs": 2, "passes": 1}
        options |= {"checkpoint_dir": str(tmp_path / folder), "device": "cpu"}
        return run("eSASRec", "tiny", overrides=options).result["test"]

    assert metrics("a") == metrics("b")
