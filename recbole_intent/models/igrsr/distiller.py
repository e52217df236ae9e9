"""IGR-SR's Latent Intent Distiller: learned prefix and intent vectors on a frozen SASRec."""

import torch
import torch.nn.functional as F
from recbole.model.layers import TransformerEncoder
from torch import Tensor, nn

from recbole_intent.nn.sasrec_layers import finish, project


class FrozenSASRec(nn.Module):
    """A frozen SASRec that accepts any input vectors and any attention mask.

    Its submodules are named as in RecBole's SASRec, so the state dict of a trained SASRec loads
    unchanged. It always stays in eval mode, and its parameters do not require gradients; gradients
    flow through it to its inputs.

    Args:
        item_embedding: V item vectors of width d_l.
        position_embedding: position vectors of width d_l; index 0 is the first item.
        layer_norm: LayerNorm of the input.
        trm_encoder: RecBole's layers, which normalise after each sub-layer.
    """

    def __init__(
        self,
        item_embedding: nn.Embedding,
        position_embedding: nn.Embedding,
        layer_norm: nn.LayerNorm,
        trm_encoder: TransformerEncoder,
    ) -> None:
        super().__init__()
        self.item_embedding = item_embedding
        self.position_embedding = position_embedding
        self.LayerNorm = layer_norm
        self.trm_encoder = trm_encoder
        self.width = item_embedding.embedding_dim
        self.n_heads = trm_encoder.layer[0].multi_head_attention.num_attention_heads
        self.n_layers = len(trm_encoder.layer)
        self.requires_grad_(False)
        self.eval()

    @classmethod
    def untrained(
        cls,
        n_items: int,
        max_seq_length: int,
        width: int,
        n_layers: int = 2,
        n_heads: int = 2,
        inner_size: int | None = None,
        hidden_act: str = "gelu",
        layer_norm_eps: float = 1e-12,
    ) -> "FrozenSASRec":
        """A randomly initialised encoder of width d_l = `width`, for `load_state_dict`."""
        encoder = TransformerEncoder(
            n_layers=n_layers,
            n_heads=n_heads,
            hidden_size=width,
            inner_size=inner_size or 4 * width,
            hidden_act=hidden_act,
            layer_norm_eps=layer_norm_eps,
        )
        return cls(
            nn.Embedding(n_items, width, padding_idx=0),
            nn.Embedding(max_seq_length, width),
            nn.LayerNorm(width, eps=layer_norm_eps),
            encoder,
        )

    def train(self, mode: bool = True) -> "FrozenSASRec":
        """Keep eval mode, because the encoder is frozen."""
        return super().train(False)

    def embed_items(self, item_seq: Tensor) -> Tensor:
        """Input vectors (B, n, d_l) of `item_seq` (B, n), before the input LayerNorm."""
        return self.item_embedding(item_seq) + self.position_embedding.weight[: item_seq.size(1)]

    def project(self, i: int, x: Tensor, *, query: bool = True) -> tuple[Tensor, ...]:
        """Queries, keys and values of layer `i`; see `sasrec_layers.project`."""
        return project(self.trm_encoder.layer[i], x, query=query)

    def finish(self, i: int, x: Tensor, context: Tensor) -> Tensor:
        """Apply the rest of layer `i` after attention; see `sasrec_layers.finish`."""
        return finish(self.trm_encoder.layer[i], x, context)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Apply all layers to input vectors x (B, t, d_l).

        `mask` is added to the scores and broadcasts to (B, h, t, t). Returns (B, t, d_l).
        """
        x = self.LayerNorm(x)
        for i in range(self.n_layers):
            q, k, v = self.project(i, x)  # (B, h, t, e)
            weights = (q @ k.transpose(-1, -2) + mask).softmax(dim=-1)
            x = self.finish(i, x, weights @ v)
        return x


class LatentIntentDistiller(nn.Module):
    """Distils m intents from a history with k learned prefix vectors and m learned intent vectors.

        S_aug = [p_1 .. p_k ; s_1 .. s_n ; i_1 .. i_m]      (1)
        H_l   = LID(S_aug)                                   (2)
        T_l   = the last m states of H_l                     (3)

    Attention is causal: a prefix attends to the prefixes up to itself; an item to the prefixes and
    the items up to itself; an intent to prefixes, items and the intents up to itself. Histories are
    right-padded and padding is masked. Items keep the encoder's own positions, starting at 0.
    Prefixes and intents have no position vectors (being free vectors, they can learn them) but
    pass through the encoder's input LayerNorm like items.

    Only `prefix` and `intent` are trained. Three facts save computation without changing results:
    prefixes do not attend to items, so their states are the same for all histories and are
    computed once per batch; items do not attend to intents, so several prefixes of one history
    share its item states; and the last layer only computes the states of the intents.

    Args:
        encoder: the frozen SASRec of width d_l.
        n_prefix: k >= 0; the paper searches 2 .. 32.
        n_intents: m >= 1; the paper searches 1 .. 5.
        initializer_range: standard deviation of the free vectors' initial values.

    Source: IGR-SR, section 3.1.
    """

    def __init__(
        self,
        encoder: FrozenSASRec,
        n_prefix: int,
        n_intents: int,
        initializer_range: float = 0.02,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.prefix = nn.Parameter(torch.randn(n_prefix, encoder.width) * initializer_range)
        self.intent = nn.Parameter(torch.randn(n_intents, encoder.width) * initializer_range)

    def forward(self, item_seq: Tensor, item_seq_len: Tensor) -> Tensor:
        """Distil intents from histories, or from several prefixes of each history.

        Args:
            item_seq: (B, n) items, right-padded with 0.
            item_seq_len: (B,) or (B, T): number of visible items, 0 .. n.

        Returns:
            T_l (B, m, d_l), or (B, T, m, d_l).
        """
        encoder, device = self.encoder, item_seq.device
        (B, n), (k, _), (m, d_l) = item_seq.shape, self.prefix.shape, self.intent.shape
        lengths = item_seq_len.view(B, -1)  # (B, T)
        T, h = lengths.size(1), encoder.n_heads

        causal = _minus_inf(torch.ones(k + n, k + n, dtype=torch.bool, device=device).triu(1))
        too_late = torch.arange(n, device=device) >= lengths.unsqueeze(-1)  # (B, T, n)
        seen = _minus_inf(F.pad(too_late, (k, 0)))[:, None, :, None]  # (B, 1, T, 1, k+n)
        own = causal.new_full((m, m), float("-inf")).triu(1)

        # Prefixes are the same for all histories, and so are intents until they attend to items:
        # until then, dimensions of size 1 stand for B and T.
        prefix = encoder.LayerNorm(self.prefix)[None]  # (1, k, d_l)
        items = encoder.LayerNorm(encoder.embed_items(item_seq))  # (B, n, d_l)
        intents = encoder.LayerNorm(self.intent)[None, None]  # (1, 1, m, d_l)

        for i in range(encoder.n_layers):
            is_last = i == encoder.n_layers - 1
            *q_prefix, k_prefix, v_prefix = encoder.project(i, prefix, query=not is_last)
            *q_items, k_items, v_items = encoder.project(i, items, query=not is_last)
            keys = torch.cat([k_prefix.expand(B, -1, -1, -1), k_items], dim=2)  # (B, h, k+n, e)
            values = torch.cat([v_prefix.expand(B, -1, -1, -1), v_items], dim=2)

            q, k_own, v_own = (x.transpose(1, 2) for x in encoder.project(i, intents))
            # Each (1|B, h, 1|T, m, e). One product for all intents of a history with its keys.
            scores = q.flatten(2, 3) @ keys.transpose(-1, -2)  # (B, h, 1|T m, k+n)
            scores = scores.unflatten(2, (-1, m)) + seen  # (B, h, T, m, k+n)
            own_scores = (q @ k_own.transpose(-1, -2) + own).expand(B, h, T, m, m)
            weights = torch.cat([scores, own_scores], dim=-1).softmax(dim=-1)
            on_history, on_own = weights.split([k + n, m], dim=-1)
            context = (on_history.flatten(2, 3) @ values).unflatten(2, (T, m))
            context = context + on_own @ v_own  # (B, h, T, m, e)
            intents = encoder.finish(i, intents, context.transpose(1, 2))  # (B, T, m, d_l)

            if not is_last:
                weights = (q_items[0] @ keys.transpose(-1, -2) + causal[k:]).softmax(dim=-1)
                items = encoder.finish(i, items, weights @ values)
                weights = q_prefix[0] @ k_prefix.transpose(-1, -2) + causal[:k, :k]
                prefix = encoder.finish(i, prefix, weights.softmax(dim=-1) @ v_prefix)
        return intents.view(B, m, d_l) if item_seq_len.dim() == 1 else intents

    def forward_all(self, item_seq: Tensor) -> Tensor:
        """Intents of every prefix 1 .. j of `item_seq` (B, n) -> (B, n, m, d_l).

        Results at positions beyond a history's last item are meaningless and must not be used.
        """
        B, n = item_seq.shape
        return self(item_seq, torch.arange(1, n + 1, device=item_seq.device).expand(B, n))


def _minus_inf(hidden: Tensor) -> Tensor:
    """True -> -inf, False -> 0."""
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, float("-inf"))
