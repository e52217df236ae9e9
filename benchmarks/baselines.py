"""Verification of every baseline against a second computation.

python -m benchmarks.baselines > results/baselines.md

Each baseline is trained for one epoch on ml-100k, which is in RecBole's wheel, and compared with
`benchmarks.independent`. Takes some minutes on one CPU thread.
"""

import datetime
import sys

import torch
from recbole.model.abstract_recommender import SequentialRecommender

from benchmarks.independent import MODELS, check
from recbole_intent.config.config import Config
from recbole_intent.config.registry import get_spec, model_names
from recbole_intent.runs.experiment import build

# Small, so that it takes minutes, but with all parts of each model.
SMALL = {
    "data_path": "not-there",  # use RecBole's own copy, not ./dataset
    "device": "cpu",
    "threads": 1,
    "epochs": 1,
    "MAX_ITEM_LIST_LENGTH": 20,
    "train_batch_size": 256,
    "tensorboard": False,
    "show_progress": False,
}
OPTIONS = {
    "NCL": {"num_clusters": 10, "warm_up_step": 0, "train_batch_size": 4096},
    "FDSA": {
        "selected_features": ["class"],
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]},
    },
    "Caser": {"embedding_size": 16},
    "LightGCN": {"train_batch_size": 4096},
    "SimpleX": {"train_batch_size": 4096},
    "BPR": {"train_batch_size": 4096},
}

# Last column of the table: the models as this package runs them.
DEVIATIONS = {
    "Pop": "–",
    "BPR": "no penalty of its own; uniform negatives outside the user's training items",
    "LightGCN": "the penalty is the length of the batch's vectors, not its square, over the batch's"
    " size (`require_pow: True` squares it)",
    "NCL": "penalty as LightGCN's; k-means every `m_step` epochs",
    "SimpleX": "one negative (`train_neg_sample_args: {sample_num: …}`; the paper: hundreds); the"
    " history is a random sample of `history_len` training items, with the positive one; penalty as"
    " LightGCN's",
    "SASRec": "softmax over all items and padding, not one sampled negative; norms after the sums;"
    " GELU and a wider inner layer; each prefix is a row",
    "GRU4Rec": "softmax over all items and padding; each prefix is a row; no biases in the gates; a"
    " dense layer on top; torch's reset gate, which works on the product",
    "BERT4Rec": "each prefix is a row and is masked by itself; a masked first item does not reach"
    " the loss; no rows with the last item alone masked; a history of N items gives the first one"
    " to the mask when it is scored",
    "Caser": "one target (T = 1), softmax over all items and padding; no biases of items, output"
    " table = input table; what a short history lacks is a random vector that never learns",
    "HGN": "softmax over all items and padding by default (the paper's: `loss_type: BPR`); padding"
    " as Caser's, and the instance gate averages over it",
    "FDSA": "softmax over all items and padding; one LayerNorm for items, features and output; each"
    " prefix is a row",
}

HEAD = """# Baselines, computed a second time

Every baseline that stands in one of our tables, or in a table of a paper that `reproduce` fills,
was trained for an epoch on ml-100k and then computed again in numpy and float64, from the
paper's equations and the trained weights
([benchmarks/independent.py](../benchmarks/independent.py)): histories are read from the file by a
plain loop, and never padded unless padding is part of the model. Compared are the scores of every
test user and item, the loss of one batch without dropout, and Recall, NDCG and MRR @5, @10, @20 by
a plain loop. The same on small random weights is a test (tests/models/test_independent.py).
tests/models/test_scores.py asks of all {n_models} models that `--model` knows whether `predict`,
`full_sort_predict` and a batch of one user give a pair the same score, and of those with a plain
loss whether it is of the scores that rank.

```
python -m benchmarks.baselines > results/baselines.md
```

{date}, torch {torch}, seed 2020.

| model | other target or history | scores | loss | metrics | differs from the paper |
|---|--:|--:|--:|--:|---|"""

TAIL = """
- Other target or history: test users for whom the file, sorted by time, has another one. Items of
  the same second keep the file's order.
- Scores: largest difference, over the largest score. Loss: over its value, or absolute where that
  is below 1. Metrics: absolute; 1e-4 would be a near-tie of two items in float32.
- Taken from the run, not computed again: SimpleX's sample of each history (checked to be of the
  user's training items), NCL's clusters, FDSA's features, all other random draws.

Found so, and right since 2026-11-30; `--reference=recbole` keeps what RecBole 1.2.1 computes:

| model | in RecBole |
|---|---|
| Pop | an item counts once in a batch, however often it occurs there, and sampled negatives count\
 too: test Recall@10 on ml-100k is .0000 with `train_batch_size` 8192, .0477 with 2048, .0498 with\
 64 |
| BERT4Rec | scoring drops the first item of every history and moves the others one position\
 down; training does not |
| SHAN | ranks with histories padded on the right, where its short-term items are padding; trains\
 with padding on the left |
| HGN | `loss_type: BPR` scores negatives by another table than positives |
| FISM | two sigmoids in the loss |
| CORE | `predict`, not the ranking, leaves items unnormalised |
| Random | one list of scores for all users of an evaluation batch, another one at each call |"""


SEQUENTIAL = {"train_targets": 20}  # per user


def row(name: str) -> tuple[str, bool]:
    """Return a line of the table and whether all its values agree."""
    is_sequential = issubclass(get_spec(name).model_class(), SequentialRecommender)
    options = {**SMALL, **(SEQUENTIAL if is_sequential else {}), **OPTIONS.get(name, {})}
    config = Config(name, "ml-100k", config_dict=options)
    trainer, data = build(config)
    trainer.fit(data.train, data.valid)
    trainer.load_best()
    found = check(trainer, data)
    agrees = found.targets == 0 and max(found.scores, found.loss) < 1e-4 and found.metrics < 1e-3
    cells = (f"{found.scores:.0e}", f"{found.loss:.0e}", f"{found.metrics:.0e}")
    share = f"{found.targets} of {found.users}"
    return f"| {name} | {share} | {' | '.join(cells)} | {DEVIATIONS[name]} |", agrees


def main() -> int:
    """Print the page; return 1 if a baseline disagrees with its second computation."""
    head = HEAD.format(
        n_models=len(model_names()),
        date=datetime.date.today().isoformat(),
        torch=torch.__version__,
    )
    print(head, flush=True)
    wrong = []
    for name in MODELS:
        line, agrees = row(name)
        print(line, flush=True)
        wrong += [] if agrees else [name]
    print(TAIL)
    if wrong:
        print(f"disagree: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
