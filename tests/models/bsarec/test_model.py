"""BSARec's filter, and its independence of how rows are padded."""

import torch

from recbole_intent.models.bsarec.model import FrequencyLayer, low_pass
from recbole_intent.runs.experiment import build


def test_the_filter_is_a_truncated_fourier_transform():
    x = torch.randn(3, 50, 4)
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    spectrum[:, 3:] = 0
    expected = torch.fft.irfft(spectrum, n=50, dim=1, norm="ortho")
    torch.testing.assert_close(low_pass(50, 3) @ x, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(low_pass(50, 26) @ x, x, atol=1e-5, rtol=1e-5)


def test_beta_1_leaves_the_states_unfiltered():
    layer = FrequencyLayer(6, 4, 2, 0.0, 1e-12)
    torch.nn.init.ones_(layer.beta)
    x = torch.randn(2, 6, 4)
    torch.testing.assert_close(layer(x), layer.LayerNorm(2 * x))


def test_the_width_of_a_batch_does_not_matter(tiny):
    trainer, data = build(tiny("BSARec", train_batch_size=64))
    model = trainer.model.eval()
    batch = next(iter(data.train))
    item_seq, length = batch["item_id_list"], batch["item_length"]
    with torch.no_grad():
        whole = model(item_seq, length)
        for row in range(4):
            n = int(length[row])
            alone = model(item_seq[row : row + 1, :n], length[row : row + 1])
            torch.testing.assert_close(whole[row], alone[0], atol=1e-5, rtol=1e-4)


def test_no_filter_leaves_self_attention(tiny):
    """With α = 0 nothing of the filters is learned; with α = 1 nothing of the attention."""
    for alpha, idle in ((0.0, "filters"), (1.0, "multi_head_attention")):
        trainer, data = build(tiny("BSARec", filter_weight=alpha, train_batch_size=64))
        trainer.model.calculate_loss(next(iter(data.train))).backward()
        for name, parameter in trainer.model.named_parameters():
            if idle in name:
                assert parameter.grad is None or not parameter.grad.any(), name
            else:
                assert parameter.grad is not None, name
