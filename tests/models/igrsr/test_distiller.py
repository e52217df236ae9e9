"""The distiller: its fast path equals eq. (1)-(3) written out, and only its free vectors learn."""

import pytest
import torch
from recbole.model.sequential_recommender.sasrec import SASRec
from torch import nn

from recbole_intent.models.igrsr.distiller import FrozenSASRec, LatentIntentDistiller

N_ITEMS, N, D_L = 30, 7, 8


class _Fields:
    def num(self, field):
        return N_ITEMS


def _sasrec() -> SASRec:
    config = {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "item_length",
        "NEG_PREFIX": "neg_",
        "MAX_ITEM_LIST_LENGTH": 10,
        "device": "cpu",
        "n_layers": 2,
        "n_heads": 2,
        "hidden_size": D_L,
        "inner_size": 4 * D_L,
        "hidden_dropout_prob": 0.5,
        "attn_dropout_prob": 0.5,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.3,  # large, so that attention is far from uniform
        "loss_type": "CE",
    }
    return SASRec(config, _Fields())


def _distiller(k: int = 3, m: int = 3) -> LatentIntentDistiller:
    torch.manual_seed(0)
    s = _sasrec()
    encoder = FrozenSASRec(s.item_embedding, s.position_embedding, s.LayerNorm, s.trm_encoder)
    return LatentIntentDistiller(encoder, k, m, initializer_range=0.5)


def _histories() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    length = torch.tensor([7, 1, 4, 6])
    item_seq = torch.randint(1, N_ITEMS, (4, N))
    return item_seq * (torch.arange(N) < length[:, None]), length


def _written_out(distiller: LatentIntentDistiller, item_seq, length) -> torch.Tensor:
    """Equations (1) to (3) with the dense mask."""
    B, k, m = len(item_seq), len(distiller.prefix), len(distiller.intent)
    items = distiller.encoder.embed_items(item_seq)
    S_aug = torch.cat(
        [distiller.prefix.expand(B, -1, -1), items, distiller.intent.expand(B, -1, -1)], dim=1
    )
    hidden = torch.ones(k + N + m, k + N + m).triu(1).bool().repeat(B, 1, 1)
    for row, n_real in enumerate(length.tolist()):
        hidden[row, :, k + n_real : k + N] = True  # padding
    mask = torch.zeros(hidden.shape).masked_fill(hidden, -1e9)[:, None]
    return distiller.encoder(S_aug, mask)[:, -m:]


@pytest.mark.parametrize(("k", "m"), [(3, 3), (2, 1), (0, 2)])
def test_fast_path_equals_equations_written_out(k, m):
    distiller = _distiller(k, m)
    item_seq, length = _histories()
    torch.testing.assert_close(
        distiller(item_seq, length), _written_out(distiller, item_seq, length), atol=1e-5, rtol=0
    )


def test_encoder_equals_recbole():
    distiller, (item_seq, length) = _distiller(), _histories()
    sasrec = _sasrec().eval()
    distiller.encoder.load_state_dict(sasrec.state_dict())
    causal = torch.full((N, N), float("-inf")).triu(1)
    states = distiller.encoder(distiller.encoder.embed_items(item_seq), causal)
    last = states[torch.arange(4), length - 1]
    torch.testing.assert_close(last, sasrec(item_seq, length), atol=1e-5, rtol=0)


def test_all_prefixes_at_once_equal_one_run_each():
    distiller, (item_seq, length) = _distiller(), _histories()
    together = distiller.forward_all(item_seq)
    assert together.shape == (4, N, 3, D_L)
    for j in range(1, N + 1):
        rows = length >= j
        alone = distiller(item_seq[rows, :j], torch.full((int(rows.sum()),), j))
        torch.testing.assert_close(together[rows, j - 1], alone, atol=1e-5, rtol=0)


def test_several_lengths_a_row_equal_one_row_each():
    distiller, (item_seq, _) = _distiller(), _histories()
    lengths = torch.tensor([[7, 2], [1, 0], [3, 4], [1, 6]])
    together = distiller(item_seq, lengths)
    for t in range(2):
        torch.testing.assert_close(
            together[:, t], distiller(item_seq, lengths[:, t]), atol=1e-5, rtol=0
        )


def test_padding_is_never_seen():
    distiller, (item_seq, length) = _distiller(), _histories()
    scribbled = torch.where(torch.arange(N) < length[:, None], item_seq, 9)
    wider = nn.functional.pad(item_seq, (0, 2))
    for other in (scribbled, wider):
        torch.testing.assert_close(
            distiller(item_seq, length), distiller(other, length), atol=1e-6, rtol=0
        )


def test_causality_intents_see_earlier_intents_only():
    distiller, (item_seq, length) = _distiller(), _histories()
    before = distiller(item_seq, length)
    with torch.no_grad():
        distiller.intent[1] += torch.randn(D_L)
    after = distiller(item_seq, length)
    torch.testing.assert_close(after[:, 0], before[:, 0], atol=1e-6, rtol=0)
    assert (after[:, 1:] - before[:, 1:]).abs().amax(dim=(0, 2)).min() > 1e-3


@pytest.mark.parametrize("all_prefixes", [False, True])
def test_gradients_reach_prefix_and_intent_alone(all_prefixes):
    distiller, (item_seq, length) = _distiller(), _histories()
    distiller.train()
    assert not any(module.training for module in distiller.encoder.modules())
    T_l = distiller.forward_all(item_seq) if all_prefixes else distiller(item_seq, length)
    T_l.pow(3).sum().backward()
    learning = {name for name, p in distiller.named_parameters() if p.grad is not None}
    assert learning == {"prefix", "intent"}
    assert distiller.prefix.grad.abs().amax(dim=1).min() > 0
    assert distiller.intent.grad.abs().amax(dim=1).min() > 0
    # ... and they are the gradients of the equations written out.
    if not all_prefixes:
        fast = distiller.prefix.grad.clone(), distiller.intent.grad.clone()
        distiller.zero_grad()
        _written_out(distiller, item_seq, length).pow(3).sum().backward()
        torch.testing.assert_close(fast[0], distiller.prefix.grad, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(fast[1], distiller.intent.grad, atol=1e-4, rtol=1e-3)
