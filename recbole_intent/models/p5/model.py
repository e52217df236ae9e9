"""P5, POD, ELMRec and RSL: what each adds to a T5 that writes the next item."""

from typing import Any

import torch
from torch import Tensor

from recbole_intent.models.generative.direct_batches import CANDIDATES
from recbole_intent.models.generative.interests import RandomItems
from recbole_intent.models.generative.item_ids import item_ids
from recbole_intent.models.generative.model import WritesFromGraph, WritesItems
from recbole_intent.models.generative.prompt_reader import Style
from recbole_intent.models.generative.prompts import MASK, literal_words
from recbole_intent.models.generative.tasks import DIRECT, SEQUENTIAL
from recbole_intent.models.p5.masking import hidden_entities, in_order
from recbole_intent.models.p5.templates import (
    BLANK_NEW_USER,
    BLANK_TEMPLATES,
    INFILL,
    NEW_USER,
    TEMPLATES,
)

_PLACES = 512  # T5's longest input, and the authors' number of whole words
_BEHIND = -1e4  # below every log-probability


def _style(config: Any, n_soft_prompts: int = 0, **options: Any) -> Style:
    return Style(
        alpha={SEQUENTIAL: config["alpha_sequential"], DIRECT: config["alpha_direct"]},
        n_soft_prompts=n_soft_prompts,
        varies=config["training_prompts"] == "all",
        n_places=_PLACES,
        place_sigma=config["place_sigma"],
        **options,
    )


class P5(WritesItems):
    """P5: recommendation as language processing, with text templates and whole-word vectors.

    T5 reads a template of words, users and items and writes the item v, token by token:

        x_j = t_j + α w(j),    L = -Σ_t log P(y_t | y_<t, x),    score(v) = log P(v | x)

    | symbol | shape | meaning |
    |---|---|---|
    | B, S, d | | prompts of a batch, tokens of a prompt, T5's width |
    | t | (B, S, d) | vectors of tokens |
    | w | (512, d) | whole words: all tokens of a prompt's n-th word get row n (`places`) |
    | y | (B, T) | tokens of the item |

    Each batch has one of several templates of its task, and tests have the first. Source: Geng et
    al., RecSys 2022, https://arxiv.org/abs/2203.13366, section 3, and its code (jeykigung/P5).

    Deviations: of the five task families, the two that rank items (sequential, direct) and of
    their templates those that write an item, in our words. A history is the (at most
    `MAX_ITEM_LIST_LENGTH`) items before a target, where P5 draws both of its ends. Decoding is
    constrained to the items (P5 parses free text). α, 1 in P5, is an option; so are one token per
    item and the scratch T5 with smaller initial whole words, our defaults; `--preset=authors` sets
    P5's.

    Raises:
        UserError: a property outside its range, or T5 or libraries are missing.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        style = _style(config, templates=TEMPLATES, new_user=NEW_USER, counts_words=True)
        super().__init__(config, dataset, item_ids(config, dataset, None), style)


class POD(WritesItems):
    """POD: text templates are distilled to learned vectors in front of a prompt.

    As P5, with P = `n_soft_prompts` vectors of each task in front of the tokens (`soft_prompts`):

        X = [s_1, …, s_P, x_1, …, x_S],    x_j = t_j + α w(j)

    Training draws a template of words per batch, or ids alone; tests give ids alone, for which the
    vectors then stand. w numbers only users and items, and other words share w_0. Tasks take turns
    by batches. Source: Li et al., CIKM 2023, https://doi.org/10.1145/3583780.3615017, section 4,
    and its code (lileipisces/POD).

    Deviations: those of P5 but for the whole words; explanations, its third task, are not learned;
    w_0 starts at zero and is also added to the vectors s; items are written with the word `item_`
    before their digits. Its later code mixes the tasks in a batch, the paper alternates them.

    Raises:
        UserError: as `P5`.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        style = _style(config, config["n_soft_prompts"])
        super().__init__(config, dataset, item_ids(config, dataset, None), style)


class ELMRec(WritesFromGraph):
    """ELMRec: POD with whole words from random features on the graph, and re-ranking.

    In the direct task the whole words of users and items are the rows of

        E = 1/(L + 1) Σ_l (D^-½ A D^-½)^l E_0,    E_0 ~ N(0, σ²),    x_j = t_j + α E[word of j]

    with A from interactions and E_0 (U + V, d) trained end to end, w_0 for other words. The
    sequential task numbers words by place, as POD, and scales them by its own α. Re-ranking: items
    of the history, which T5 tends to repeat, rank behind all others (`rerank`). Source: Wang et
    al., EMNLP 2024, https://arxiv.org/abs/2409.19979, sections 3.2-3.4, and its code
    (WangXFng/ELMRec).

    Deviations: those of POD. The graph holds training interactions, where the code has a random
    split of reviews with some test pairs (`graph_edges: any`). Our default `hide_edges: targets`
    removes the edges between users and targets of a batch for its step, which otherwise give the
    answer away (authors: `none`). The code draws N further items and drops those of the whole
    history, filling gaps at random; here the search itself leaves out the prompt's history, so N is
    not needed.

    Raises:
        UserError: as `P5`.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(
            config,
            dataset,
            item_ids(config, dataset, None),
            _style(config, config["n_soft_prompts"]),
            lambda d: RandomItems(dataset.item_num, d, config["sigma"]),
            config["hide_edges"],
        )

    def search(self, interaction: Any, excluded: tuple[Tensor, Tensor] | None, k: int) -> Tensor:
        """As `WritesItems.search`; items of the history have the lowest finite scores."""
        if not self.config["rerank"]:
            return super().search(interaction, excluded, k)
        history = interaction[self.ITEM_SEQ]  # (B, n)
        rows = torch.arange(len(history), device=history.device).repeat_interleave(history.size(1))
        away = rows, history.flatten()
        if excluded is not None:
            away = torch.cat([excluded[0], rows]), torch.cat([excluded[1], away[1]])
        scores = super().search(interaction, away, k)
        behind = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, history, True)
        behind[:, 0] = False  # padding of histories
        if excluded is not None:
            behind[excluded] = False
        return torch.where(behind, scores.clamp_min(_BEHIND) + _BEHIND, scores)


class RSL(WritesItems):
    """RSL (RecSysLLM): P5's templates, and whole entities that are hidden and written again.

    In each sequential batch, a share `mask_ratio` of a history's items (at least one), each as a
    whole, becomes one blank word, and T5 writes the hidden items m_1, m_2 … in their order:

        L = L_task + λ L_infill,    L_infill = -Σ_k Σ_t log P(m_k,t | m_<k, m_k,<t, x without m)

    λ is `mask_weight`. A blank takes a single word whatever the number of tokens behind it. Its
    whole word, the number of its place among the words of the prompt, says which entity it is, and
    T5's relative positions say where a token is within an entity. The item to recommend is one more
    blank, at the end of the prompt. Source: Chu et al. 2023, https://arxiv.org/abs/2308.10837
    (entity masks, span order, positions).

    Deviations: no code is public, so sizes of masks and weights are ours, and the backbone is the
    T5 of the other models, trained whole, where the paper has a GLM with LoRA. Positions of spans
    reach the decoder by attention only. Only items are hidden, not users. Hidden items and tasks
    are learned together rather than one after the other. Otherwise as P5.

    Raises:
        UserError: as `P5`.
    """

    def __init__(self, config: Any, dataset: Any) -> None:
        style = _style(
            config,
            templates=BLANK_TEMPLATES,
            new_user=BLANK_NEW_USER,
            further=(MASK, *literal_words({SEQUENTIAL: (INFILL,)})),
            counts_words=True,
        )
        super().__init__(config, dataset, item_ids(config, dataset, None), style)
        self.infills = SEQUENTIAL in self.tasks and config["mask_weight"] > 0
        if self.infills:
            self.loss_names = (*self.tasks, f"infill_{SEQUENTIAL}")

    def calculate_loss(self, interaction: Any) -> tuple[Tensor, ...]:
        """As `WritesItems.calculate_loss`, plus the loss of hidden items in training."""
        terms = super().calculate_loss(interaction)
        if not (self.training and self.infills) or CANDIDATES in interaction.interaction:
            return terms
        items = interaction[self.ITEM_SEQ]
        hidden = hidden_entities(items, self.config["mask_ratio"])
        loss = self.infill_loss(interaction[self.USER_ID], items, hidden)
        return *terms[:-1], self.config["mask_weight"] * loss

    def infill_loss(self, user: Tensor, items: Tensor, hidden: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens of hidden items, in their order.

        Args:
            user: (B,).
            items: (B, n) histories, 0 for padding.
            hidden: (B, n) bool, at least one in the batch.
        """
        writer = self.reader.writer
        prompts = writer.write(INFILL, user, items, hidden)
        encoded, mask = self.reader.encode(SEQUENTIAL, prompts, None)
        labels = in_order(self.targets[items], hidden, writer.pad)
        return self.t5(encoder_outputs=(encoded,), attention_mask=mask, labels=labels).loss
