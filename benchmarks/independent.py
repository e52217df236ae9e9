"""Independent computation of the baselines from their equations and weights, in numpy and float64.

Nothing here calls the model, the package's data or its metrics. Histories are read from the
dataset's file and are padded only if padding is part of the model. `check` compares the scores, the
metrics and the loss of one batch with the package's. Shapes: U users, V items (0 is padding), d the
width, n the length of a history, N `MAX_ITEM_LIST_LENGTH`.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

GUARD = 1e-10  # RecBole's guard against log 0 in BPR


@dataclass
class World:
    """A dataset as read from its file, under leave-one-out.

    Attributes:
        n_users, n_items: U and V, row 0 included.
        train: (user, item) of all interactions except each user's last two.
        history: user -> items before the test item, by time.
        target: user -> test item.
    """

    n_users: int
    n_items: int
    train: list[tuple[int, int]] = field(default_factory=list)
    history: dict[int, list[int]] = field(default_factory=dict)
    target: dict[int, int] = field(default_factory=dict)


def read_world(config, dataset) -> World:
    """Read the `.inter` file; only the ids' numbering comes from the package's dataset."""
    path = Path(config["data_path"]) / f"{config['dataset']}.inter"
    user_field, item_field = config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]
    rows: dict[int, list[tuple[float, int]]] = {}
    with path.open(encoding="utf-8") as file:
        names = [name.partition(":")[0] for name in file.readline().rstrip("\n").split("\t")]
        columns = [names.index(name) for name in (user_field, item_field, config["TIME_FIELD"])]
        for line in file:
            cells = line.rstrip("\n").split("\t")
            user, item, time = (cells[column] for column in columns)
            user, item = dataset.token2id(user_field, user), dataset.token2id(item_field, item)
            rows.setdefault(int(user), []).append((float(time), int(item)))
    world = World(dataset.user_num, dataset.item_num)
    for user, of_user in rows.items():
        of_user.sort(key=lambda row: row[0])  # stable: equal times keep the file's order
        items = [item for _, item in of_user]
        world.train += [(user, item) for item in items[:-2]]
        world.history[user], world.target[user] = items[:-1], items[-1]
    return world


@dataclass
class Trained:
    """The state of a trained model.

    Attributes:
        w: its weights by name, float64.
        c: its configuration.
        world: its data.
        facts: inputs that are not weights and cannot be recomputed: random samples, clusters,
            features.
    """

    w: Mapping[str, np.ndarray]
    c: Any
    world: World
    facts: dict[str, np.ndarray]

    def window(self, user: int) -> list[int]:
        """Return the last N items of a user's history."""
        return self.world.history[user][-self.c["MAX_ITEM_LIST_LENGTH"] :]


# Pieces


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), any shape."""
    return np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function of x."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def linear(w: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """x W^T + b."""
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def layer_norm(w: Mapping[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    """Normalize over the last axis, with gain and offset."""
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-12)
    return x * w[f"{name}.weight"] + w[f"{name}.bias"]


def transformer(
    w: Mapping[str, np.ndarray], name: str, x: np.ndarray, n_layers: int, heads: int, causal: bool
) -> np.ndarray:
    """Transformer of Vaswani et al. (2017), post-norm: x (n, d), no padding."""
    n, d = x.shape
    for number in range(n_layers):
        layer = f"{name}.layer.{number}"
        attention, ffn = f"{layer}.multi_head_attention", f"{layer}.feed_forward"
        context = np.zeros_like(x)
        q, k, v = (linear(w, f"{attention}.{part}", x) for part in ("query", "key", "value"))
        for head in range(heads):
            own = slice(head * d // heads, (head + 1) * d // heads)
            logits = q[:, own] @ k[:, own].T / math.sqrt(d // heads)
            if causal:
                logits[np.triu_indices(n, 1)] = -np.inf
            context[:, own] = softmax(logits) @ v[:, own]
        x = layer_norm(w, f"{attention}.LayerNorm", x + linear(w, f"{attention}.dense", context))
        inner = gelu(linear(w, f"{ffn}.dense_1", x))
        x = layer_norm(w, f"{ffn}.LayerNorm", x + linear(w, f"{ffn}.dense_2", inner))
    return x


def bpr(positive: np.ndarray, negative: np.ndarray) -> float:
    """Rendle et al. (2009): mean -log sigmoid of the margins."""
    return float(-np.log(GUARD + sigmoid(positive - negative)).mean())


def cross_entropy(scores: np.ndarray, target: np.ndarray) -> float:
    """Mean -log softmax at the targets: scores (B, V), target (B,)."""
    return float(-np.log(softmax(scores)[np.arange(len(target)), target]).mean())


def norms(*tables: np.ndarray) -> float:
    """RecBole's penalty: lengths of the batch's vectors, not squared, over the batch's size."""
    return sum(float(np.linalg.norm(table)) for table in tables) / len(tables[-1])


# General models: scores (U', V) of users (U',), loss of a batch of users, positives, negatives


def pop_scores(m: Trained, users: list[int]) -> np.ndarray:
    """Training interactions of each item, over the largest number."""
    counts = Counter(item for _, item in m.world.train)
    row = np.array([counts[item] for item in range(m.world.n_items)], dtype=float)
    return np.tile(row / row.max(), (len(users), 1))


def pop_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """Nothing is learned, so there is no loss."""
    return (0.0,)


def bpr_scores(m: Trained, users: list[int]) -> np.ndarray:
    """p_u · q_i."""
    return m.w["user_embedding.weight"][users] @ m.w["item_embedding.weight"].T


def bpr_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """BPR without a penalty."""
    return (_margins(bpr_scores(m, batch["user"]), batch),)


def _margins(scores: np.ndarray, batch: dict[str, np.ndarray]) -> float:
    row = np.arange(len(scores))
    return bpr(scores[row, batch["item"]], scores[row, batch["negative"]])


def _walked(m: Trained, n_layers: int) -> list[np.ndarray]:
    """LightGCN (He et al., 2020), equation 3: vectors of users and items after 0, 1 … layers."""
    users, items = (np.array(column) for column in zip(*m.world.train, strict=True))
    weight = 1 / np.sqrt(np.bincount(users)[users] * np.bincount(items)[items])  # 1/√(|N_u||N_i|)
    layers = [np.concatenate([m.w["user_embedding.weight"], m.w["item_embedding.weight"]])]
    for _ in range(n_layers):
        last, new = layers[-1], np.zeros_like(layers[-1])
        nodes = items + m.world.n_users
        np.add.at(new, users, weight[:, None] * last[nodes])
        np.add.at(new, nodes, weight[:, None] * last[users])
        layers.append(new)
    return layers


def lightgcn_scores(m: Trained, users: list[int]) -> np.ndarray:
    """Equations 4 and 6: the mean over the layers, and products."""
    mean = np.mean(_walked(m, m.c["n_layers"]), axis=0)
    return mean[users] @ mean[m.world.n_users :].T


def _ego(m: Trained, batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    user, item = m.w["user_embedding.weight"], m.w["item_embedding.weight"]
    return [user[batch["user"]], item[batch["item"]], item[batch["negative"]]]


def lightgcn_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """Equation 15 with RecBole's penalty."""
    loss = _margins(lightgcn_scores(m, batch["user"]), batch)
    return (loss + m.c["reg_weight"] * norms(*_ego(m, batch)),)


def ncl_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """Lin et al. (2022): BPR, structural neighbours (equations 6 to 8), prototypes (11, 12)."""
    c, n_users = m.c, m.world.n_users
    start, far = (_walked(m, 2 * c["hyper_layers"])[index] for index in (0, -1))
    structural, prototypes = 0.0, 0.0
    for kind, nodes, first, last in (
        ("user", batch["user"], 0, n_users),
        ("item", batch["item"], n_users, n_users + m.world.n_items),
    ):
        near = unit(start[first:last])
        logits = unit(far[first:last][nodes]) @ near.T / c["ssl_temp"]
        share = c["alpha"] if kind == "item" else 1.0
        structural += share * cross_entropy(logits, nodes) * len(nodes)
        centres, cluster = m.facts[f"{kind}_centroids"], m.facts[f"{kind}_2cluster"]
        logits = near[nodes] @ centres.T / c["ssl_temp"]
        prototypes += cross_entropy(logits, cluster[nodes]) * len(nodes)
    loss = _margins(lightgcn_scores(m, batch["user"]), batch)
    loss += c["reg_weight"] * norms(*_ego(m, batch))
    return loss, c["ssl_reg"] * structural, c["proto_reg"] * prototypes


def _simplex_users(m: Trained, users: list[int]) -> np.ndarray:
    """Mao et al. (2021), equation 5, with mean pooling: g e_u + (1 - g) V mean of the history."""
    item, g = m.w["item_emb.weight"], m.c["gamma"]
    rows = []
    for user in users:
        history = [i for i in m.facts["history"][user] if i]
        assert set(history) <= m.facts["seen"][user]
        mean = item[history].mean(axis=0) if history else np.zeros(item.shape[1])
        rows.append(g * m.w["user_emb.weight"][user] + (1 - g) * linear(m.w, "UI_map", mean))
    return np.stack(rows)


def simplex_scores(m: Trained, users: list[int]) -> np.ndarray:
    """Cosines."""
    return unit(_simplex_users(m, users)) @ unit(m.w["item_emb.weight"]).T


def simplex_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """The cosine contrastive loss, equation 1, and RecBole's penalty."""
    c, item = m.c, m.w["item_emb.weight"]
    n_negatives = c["train_neg_sample_args"]["sample_num"]
    B = len(batch["user"]) // n_negatives
    users, positive = batch["user"][:B], batch["item"][:B]
    negative = batch["negative"].reshape(n_negatives, B)
    scores, rows = simplex_scores(m, users), np.arange(B)
    loss = np.maximum(0, 1 - scores[rows, positive])
    for drawn in negative:
        beyond = np.maximum(0, scores[rows, drawn] - c["margin"])
        loss = loss + c["negative_weight"] * beyond / n_negatives
    read = (
        m.w["user_emb.weight"][users],
        item[positive],
        item[m.facts["history"][users]],
        item[negative.T],
    )
    return (float(loss.mean()) + c["reg_weight"] * norms(*read),)


# Sequential models: user vectors (B, d) of histories without padding, scores against a table


def sasrec(m: Trained, user: int, items: list[int]) -> np.ndarray:
    """Kang and McAuley (2018), section 3: the state (d,) at the last item."""
    x = m.w["item_embedding.weight"][items] + m.w["position_embedding.weight"][: len(items)]
    x = layer_norm(m.w, "LayerNorm", x)
    return transformer(m.w, "trm_encoder", x, m.c["n_layers"], m.c["n_heads"], True)[-1]


def gru4rec(m: Trained, user: int, items: list[int]) -> np.ndarray:
    """Hidasi et al. (2016), equations 1 to 4 (gates as in torch), and a dense layer: (d,)."""
    xs = m.w["item_embedding.weight"][items]
    for layer in range(m.c["num_layers"]):
        W, R = m.w[f"gru_layers.weight_ih_l{layer}"], m.w[f"gru_layers.weight_hh_l{layer}"]
        h, states = np.zeros(R.shape[1]), []
        for x in xs:
            (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(W @ x, 3), np.split(R @ h, 3)
            z = sigmoid(z_x + z_h)
            h = (1 - z) * np.tanh(n_x + sigmoid(r_x + r_h) * n_h) + z * h
            states.append(h)
        xs = states
    return linear(m.w, "dense", xs[-1])


def _bert4rec_states(m: Trained, items: list[int]) -> np.ndarray:
    x = m.w["item_embedding.weight"][items] + m.w["position_embedding.weight"][: len(items)]
    x = layer_norm(m.w, "LayerNorm", x)
    x = transformer(m.w, "trm_encoder", x, m.c["n_layers"], m.c["n_heads"], False)
    return layer_norm(m.w, "output_ln", gelu(linear(m.w, "output_ffn", x)))  # equation 7, inside


def _bert4rec_logits(m: Trained, states: np.ndarray) -> np.ndarray:
    """Equation 7: the table is shared, and the mask is not an item."""
    return states @ m.w["item_embedding.weight"][: m.world.n_items].T + m.w["output_bias"]


def bert4rec_scores(m: Trained, users: list[int]) -> np.ndarray:
    """Sun et al. (2019), section 3.6: at a mask after the last N - 1 items."""
    rows = []
    for user in users:
        items = m.world.history[user][1 - m.c["MAX_ITEM_LIST_LENGTH"] :]
        rows.append(_bert4rec_states(m, [*items, m.world.n_items])[-1])
    return _bert4rec_logits(m, np.stack(rows))


def bert4rec_loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
    """Equation 8: the masked items of the batch, except at position 0."""
    logits, targets = [], []
    for row, places, items in zip(
        batch["masked"], batch["masked_places"], batch["masked_items"], strict=True
    ):
        if places.any():
            states = _bert4rec_states(m, [item for item in row if item])
            logits.append(_bert4rec_logits(m, states[places[places > 0]]))
            targets.append(items[places > 0])
    return (cross_entropy(np.concatenate(logits), np.concatenate(targets)),)


def _padded(m: Trained, items: list[int]) -> np.ndarray:
    """Vectors (N, d): RecBole's Caser and HGN pad on the right with a padding vector."""
    return m.w["item_embedding.weight"][[*items, *[0] * (m.c["MAX_ITEM_LIST_LENGTH"] - len(items))]]


def caser(m: Trained, user: int, items: list[int]) -> np.ndarray:
    """Tang and Wang (2018), equations 3 to 10: horizontal and vertical filters, the user: (d,)."""
    w, E = m.w, _padded(m, items)
    N = len(E)
    vertical = [(F[0, :, 0, None] * E).sum(axis=0) + b for F, b in _filters(w, "conv_v")]
    horizontal = []
    for height in range(1, N + 1):
        for F, b in _filters(w, f"conv_h.{height - 1}"):
            values = [(E[i : i + height] * F[0]).sum() + b for i in range(N - height + 1)]
            horizontal.append(max(0.0, *values))
    z = np.maximum(0, linear(w, "fc1", np.concatenate([*vertical, horizontal])))
    both = np.concatenate([z, w["user_embedding.weight"][user]])
    return np.maximum(0, linear(w, "fc2", both))


def _filters(w: Mapping[str, np.ndarray], name: str) -> list[tuple[np.ndarray, float]]:
    return list(zip(w[f"{name}.weight"], w[f"{name}.bias"], strict=True))


def _caser_penalty(m: Trained, batch: dict[str, np.ndarray]) -> float:
    names = "user_embedding item_embedding conv_v fc1 fc2".split()
    names += [f"conv_h.{number}" for number in range(m.c["MAX_ITEM_LIST_LENGTH"])]
    return m.c["reg_weight"] * sum(np.linalg.norm(m.w[f"{name}.weight"]) for name in names)


def hgn(m: Trained, user: int, items: list[int]) -> np.ndarray:
    """Ma et al. (2019), equations 2 to 6: gates of features, of instances, item to item: (d,)."""
    w, S, u = m.w, _padded(m, items), m.w["user_embedding.weight"][user]
    gated = S * sigmoid(linear(w, "w1", S) + linear(w, "w2", u) + w["b"])
    weight = sigmoid(linear(w, "w3", gated)[:, 0] + linear(w, "w4", u))
    return u + (weight[:, None] * gated).sum(axis=0) / weight.sum() + S.sum(axis=0)


def fdsa(m: Trained, user: int, items: list[int]) -> np.ndarray:
    """Zhang et al. (2019), sections 3.3 to 3.5: attention over items, and over features: (d,)."""
    w, position = m.w, m.w["position_embedding.weight"][: len(items)]
    x = layer_norm(w, "LayerNorm", w["item_embedding.weight"][items] + position)
    table = w["feature_embed_layer.token_seq_embedding_table.item.0.weight"]
    features = np.stack([table[[t for t in m.facts["features"][i] if t]].mean(0) for i in items])
    # With one kind of feature, the attention over kinds gives it weight 1.
    y = layer_norm(w, "LayerNorm", features + position)
    size = (m.c["n_layers"], m.c["n_heads"], True)
    last = [
        transformer(w, f"{kind}_trm_encoder", states, *size)[-1]
        for kind, states in (("item", x), ("feature", y))
    ]
    return layer_norm(w, "LayerNorm", linear(w, "concat_layer", np.concatenate(last)))


Vector = Callable[[Trained, int, list[int]], np.ndarray]


def _next_item(vector: Vector, table: str, penalty: Callable | None = None):
    """Return scores of a model with user vectors, and its cross-entropy over items and padding."""

    def scores(m: Trained, users: list[int]) -> np.ndarray:
        rows = [vector(m, user, m.window(user)) for user in users]
        return np.stack(rows) @ m.w[table].T

    def loss(m: Trained, batch: dict[str, np.ndarray]) -> tuple[float, ...]:
        rows = zip(batch["user"], batch["history"], strict=True)
        vectors = np.stack([vector(m, user, [i for i in row if i]) for user, row in rows])
        value = cross_entropy(vectors @ m.w[table].T, batch["item"])
        return (value + (penalty(m, batch) if penalty else 0.0),)

    return scores, loss


ITEMS = "item_embedding.weight"
MODELS = {
    "Pop": (pop_scores, pop_loss),
    "BPR": (bpr_scores, bpr_loss),
    "LightGCN": (lightgcn_scores, lightgcn_loss),
    "NCL": (lightgcn_scores, ncl_loss),
    "SimpleX": (simplex_scores, simplex_loss),
    "SASRec": _next_item(sasrec, ITEMS),
    "GRU4Rec": _next_item(gru4rec, ITEMS),
    "BERT4Rec": (bert4rec_scores, bert4rec_loss),
    "Caser": _next_item(caser, ITEMS, _caser_penalty),
    "HGN": _next_item(hgn, "item_embedding_for_prediction.weight"),
    "FDSA": _next_item(fdsa, ITEMS),
}


# The comparison


@dataclass(frozen=True)
class Difference:
    """Largest differences between the package and the second computation.

    Attributes:
        targets: test users whose target or history differs from the file.
        scores: of any user and item, relative to the largest score.
        loss: of any part of a batch's loss, relative to its value (or to 1, if that is smaller).
        metrics: of any metric of the test set, absolute.
        users, n_items: how many were compared.
    """

    targets: int
    scores: float
    loss: float
    metrics: float
    users: int
    n_items: int


def check(trainer, data) -> Difference:
    """Compute a model of `MODELS` a second time, in its current state.

    Args:
        trainer: the package's trainer, with the model.
        data: its `SplitData`.
    """
    model, config = trainer.model.eval(), trainer.config
    world = read_world(config, data.dataset)
    weights = {name: x.detach().double().numpy() for name, x in model.state_dict().items()}
    m = Trained(weights, config, world, _facts(model, config, data, world))
    scores_of, loss_of = MODELS[config["model"]]

    wrong, ours, users = 0, [], []
    with torch.no_grad():
        for batch in data.test:
            ours.append(trainer.scores(batch.interaction, world.n_items).numpy())
            users += batch.user.tolist()
            for row, (user, target) in enumerate(
                zip(batch.user.tolist(), batch.target.tolist(), strict=True)
            ):
                wrong += target != world.target[user] or not _same_history(
                    m, user, batch.interaction, row
                )
        rows = next(iter(data.train))
        parts = model.calculate_loss(rows)
    ours = np.concatenate(ours)[:, 1:]
    theirs = scores_of(m, users)[:, 1:]
    parts = [float(part) for part in (parts if isinstance(parts, tuple) else (parts,))]
    others = loss_of(m, _batch(rows, config))
    loss = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(parts, others, strict=True))
    found = _metrics(theirs, [world.target[user] for user in users], config["topk"])
    stated = trainer.evaluate(data.test)
    return Difference(
        targets=wrong,
        scores=float(np.abs(ours - theirs).max() / np.abs(theirs).max()),
        loss=loss,
        metrics=max(abs(value - stated[name]) for name, value in found.items()),
        users=len(users),
        n_items=world.n_items - 1,
    )


def _same_history(m: Trained, user: int, interaction, row: int) -> bool:
    if "item_id_list" not in interaction.interaction:
        return True
    return [i for i in interaction["item_id_list"][row].tolist() if i] == m.window(user)


def _facts(model, config, data, world: World) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if config["model"] == "NCL":
        for kind in ("user", "item"):
            facts[f"{kind}_centroids"] = getattr(model, f"{kind}_centroids").double().numpy()
            facts[f"{kind}_2cluster"] = getattr(model, f"{kind}_2cluster").numpy()
    if config["model"] == "SimpleX":  # a random sample of each user's training items
        facts["history"] = model.history_item_id.numpy()
        facts["seen"] = [set() for _ in range(world.n_users)]
        for user, item in world.train:
            facts["seen"][user].add(item)
    if config["model"] == "FDSA":
        (name,) = config["selected_features"]
        facts["features"] = data.dataset.get_item_feature()[name].numpy()
    return facts


def _batch(rows, config) -> dict[str, np.ndarray]:
    names = {
        "user": "user_id",
        "item": "item_id",
        "negative": "neg_item_id",
        "history": "item_id_list",
        "masked": "Mask_item_id_list",
        "masked_places": "MASK_INDEX",
        "masked_items": "Pos_item_id",
    }
    return {
        ours: rows[theirs].numpy() for ours, theirs in names.items() if theirs in rows.interaction
    }


def _metrics(scores: np.ndarray, targets: list[int], topk: list[int]) -> dict[str, float]:
    """Recall, NDCG and MRR with one target per user, by a plain loop, ties counted half."""
    sums: Counter[str] = Counter()
    for row, target in zip(scores, targets, strict=True):
        own = row[target - 1]
        better = sum(1 for score in row if score > own)
        tied = sum(1 for score in row if score == own) - 1
        rank = 1 + better + tied / 2
        for k in topk:
            if rank <= k:
                sums[f"recall@{k}"] += 1
                sums[f"ndcg@{k}"] += 1 / math.log2(rank + 1)
                sums[f"mrr@{k}"] += 1 / rank
    return {
        f"{n}@{k}": sums[f"{n}@{k}"] / len(targets) for n in ("recall", "ndcg", "mrr") for k in topk
    }
