"""What IGRSR tells of its intents is what it computes."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_intent.modeling.explain import ExplainsIntents, nearest_items
from recbole_intent.models.igrsr.dual_attention import Attention, DualAttentionReasoner
from recbole_intent.runs.experiment import build
from recbole_intent.utils.errors import UserError

B, N, M, D = 3, 6, 4, 8


def test_weights_are_those_of_the_forward_pass():
    torch.manual_seed(0)
    attention = Attention(D, 2).eval()
    x, context = torch.randn(B, D), torch.randn(B, M, D)
    weights = attention.weights(x, context)  # (B, h, M)
    values = attention.key_value(context).view(B, M, 2, 2, D // 2)[:, :, 1]
    read = torch.einsum("bhm,bmhe->bhe", weights, values).reshape(B, D)
    torch.testing.assert_close(attention.dense(read), attention(x[:, None], context)[:, 0])
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 2))


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_position_reads_what_it_sees_and_nothing_later(is_causal):
    torch.manual_seed(0)
    reasoner = DualAttentionReasoner(2, D, 2).eval()
    for parameter in reasoner.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    H = torch.randn(B, N, D)
    T_D = torch.randn(B, N, M, D) if is_causal else torch.randn(B, M, D)
    last = torch.tensor([2, 5, 0])
    weights = reasoner.intent_weights(H, T_D, last)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B))
    for b, t in enumerate(last.tolist()):
        cut = T_D[b : b + 1, : t + 1] if is_causal else T_D[b : b + 1]
        alone = reasoner.intent_weights(H[b : b + 1, : t + 1], cut, torch.tensor([t]))
        torch.testing.assert_close(alone[0], weights[b])


@pytest.mark.parametrize("scope", ["prefix", "causal"])
def test_explanations_do_not_depend_on_padding_or_neighbours(tiny, scope):
    options = {"hidden_size": 16, "inner_size": 16, "intent_scope": scope}
    trainer, _ = build(tiny("IGRSR", **options))
    model = trainer.model.eval()
    assert isinstance(model, ExplainsIntents)
    seq = torch.tensor([[3, 9, 3, 5], [7, 0, 0, 0]])
    told = model.explain(_rows(model, seq, [4, 1]), 2)
    assert [len(row) for row in told] == [model.distiller.intent.size(0)] * 2
    (alone,) = model.explain(_rows(model, seq[1:, :1], [1]), 2)
    for intent, other in zip(told[1], alone, strict=True):
        assert intent.weight == pytest.approx(other.weight, abs=1e-5)
        assert intent.text is None
        ((item, cosine),) = intent.items
        assert item == 7
        assert cosine == pytest.approx(other.items[0][1], abs=1e-5)
    # The cosine written out, in the distiller's space.
    T_l = model.distiller(seq[:1], torch.tensor([4]))[0].detach()
    table = model.distiller.encoder.item_embedding.weight
    for intent, vector in zip(told[0], T_l, strict=True):
        cosine = {i: float(torch.cosine_similarity(vector, table[i], dim=0)) for i in (3, 9, 5)}
        best = sorted(cosine, key=cosine.get, reverse=True)[:2]
        assert [item for item, _ in intent.items] == best
        assert [c for _, c in intent.items] == pytest.approx([cosine[i] for i in best], abs=1e-5)


@pytest.mark.parametrize("options", [{"use_lid": False}, {"fusion": "concat"}], ids=str)
def test_an_ablation_without_cross_attention_says_so(tiny, options):
    trainer, _ = build(tiny("IGRSR", hidden_size=16, inner_size=16, **options))
    model = trainer.model.eval()
    with pytest.raises(UserError, match="no cross-attention over intents"):
        model.explain(_rows(model, torch.tensor([[3]]), [1]), 2)


def test_nearest_items_are_distinct_and_no_padding():
    cosine = torch.tensor([0.5, 0.9, 0.5, 0.9, 1.0])
    items = torch.tensor([4, 2, 4, 1, 0])
    found = nearest_items(cosine, items, 3)
    assert [item for item, _ in found] == [1, 2, 4]
    assert len(nearest_items(cosine, items, 2)) == 2


def _rows(model, seq, lengths) -> Interaction:
    return Interaction({model.ITEM_SEQ: seq, model.ITEM_SEQ_LEN: torch.tensor(lengths)})
