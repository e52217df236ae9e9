"""P5, POD, ELMRec and RSL: whole words, hidden items, re-ranking, and how they learn."""

import pytest
import torch
import torch.nn.functional as F
from transformers import T5Config, T5ForConditionalGeneration

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.direct_batches import CANDIDATES, DirectBatches
from recbole_intent.models.generative.t5 import own_tokenizer
from recbole_intent.models.p5.masking import hidden_entities, in_order
from recbole_intent.models.p5.templates import INFILL, TEMPLATES
from recbole_intent.runs.experiment import build, run
from recbole_intent.utils.errors import UserError

OF_SCRATCH = ("hidden_size", "inner_size", "n_layers", "n_heads")
FAMILY = ("P5", "POD", "ELMRec", "RSL")


@pytest.fixture
def made(tiny, tmp_path):
    """A model on `tiny`, in evaluation, a sequential batch and a direct one."""

    def make(name, **options):
        config = tiny(name, checkpoint_dir=str(tmp_path), n_candidates=9, **options)
        data = load_data(config)
        torch.manual_seed(1)
        model = config.spec.model_class()(config, data.train._dataset).eval()
        direct = DirectBatches(config, data.train._dataset)
        return model, next(iter(data.train)), next(direct.epoch(0))

    return make


@pytest.mark.parametrize("name", ["P5", "POD"])
@pytest.mark.parametrize("id_tokens", ["digits", "item"])
def test_a_token_is_its_vector_and_its_whole_words(made, name, id_tokens):
    """Rebuilt from the prompt's text: P5 numbers all words, POD users and items."""
    model, batch, _ = made(name, id_tokens=id_tokens, alpha_sequential=2.0)
    reader, row = model.reader, 5
    torch.nn.init.normal_(reader.other_word)
    asked = []
    model.t5.get_encoder().register_forward_pre_hook(
        lambda _, args, given: asked.append(given["inputs_embeds"]), with_kwargs=True
    )
    model.full_sort_predict(batch)
    template = reader.style.templates["sequential"][0]
    text = reader.writer.text(template, int(batch["user_id"][row]), batch["item_id_list"][row])
    words = [] if name == "P5" else [*reader.soft_prompts["sequential"] + 2 * reader.other_word]
    items = [f"item_{number}" for number in reader.writer.item_ids[1:]]
    tokenizer = own_tokenizer(items if id_tokens == "item" else [], reader.style.words)
    place = 0
    for word in text.split():
        counts = name == "P5" or word.startswith(("user_", "item_"))
        place += counts
        w = reader.places[place - 1] if counts else reader.other_word
        tokens = tokenizer(word, add_special_tokens=False)["input_ids"]
        words += [model.t5.shared.weight[token] + 2 * w for token in tokens]
    words.append(model.t5.shared.weight[1] + 2 * reader.other_word)
    torch.testing.assert_close(asked[0][row, : len(words)], torch.stack(words))
    assert (template == TEMPLATES["sequential"][0]) == (name == "P5")


@pytest.mark.parametrize("id_tokens", ["digits", "item"])
def test_hidden_items_are_written_as_t5_would_write_their_text(made, id_tokens):
    """The loss of one batch equals T5's own of blanks and answers put together as lists."""
    model, batch, _ = made("RSL", id_tokens=id_tokens)
    writer, items, user = model.reader.writer, batch["item_id_list"], batch["user_id"]
    torch.manual_seed(2)
    hidden = hidden_entities(items, 0.4)
    assert hidden.any(dim=1).all()
    assert not hidden[items == 0].any()
    assert not hidden[items > 0].all()
    total, count = 0.0, 0
    for row in range(0, len(items), 9):
        prompts = writer.write(INFILL, user[row, None], items[row, None], hidden[row, None])
        blanks = int(hidden[row].sum())
        blank = prompts.tokens[0] == writer._token[writer._first[writer._number["<extra_id_0>"]]]
        assert int(blank.sum()) == blanks  # one word each, whatever an item's number of tokens
        answer = [t for item in items[row][hidden[row]] for t in writer.targets[item].tolist() if t]
        hidden_states, mask = model.reader.encode("sequential", prompts, None)
        given = torch.tensor([[0, *answer[:-1]]])
        out = model.t5(
            encoder_outputs=(hidden_states,), attention_mask=mask, decoder_input_ids=given
        )
        total += F.cross_entropy(out.logits[0], torch.tensor(answer), reduction="sum").item()
        count += len(answer)
    rows = slice(0, len(items), 9)
    loss = model.infill_loss(user[rows], items[rows], hidden[rows])
    assert float(loss) == pytest.approx(total / count, rel=1e-4)
    tokens = torch.tensor([[[5, 6], [7, 0], [8, 9]]])
    only = torch.tensor([[True, False, True]])
    assert in_order(tokens, only, 0).tolist() == [[5, 6, 8, 9]]
    assert in_order(tokens, ~only, 0).tolist() == [[7]]


def test_hidden_items_are_of_training_and_of_histories(made):
    model, batch, direct = made("RSL", mask_weight=0.5)
    assert model.loss_names == ("sequential", "direct", "infill_sequential")
    assert model.calculate_loss(batch)[2] == 0
    model.train()
    assert model.calculate_loss(batch)[2] > 0
    assert model.calculate_loss(direct)[2] == 0
    assert made("RSL", mask_weight=0)[0].loss_names == ("sequential", "direct")
    assert made("RSL", tasks=["direct"], task="direct")[0].loss_names == ("direct",)


@pytest.mark.parametrize("options", [{}, {"id_tokens": "digits", "num_beams": 39}], ids=str)
def test_items_of_the_history_rank_behind_all_others(made, options):
    """The order of the others is that of the scores without re-ranking."""
    model, batch, _ = made("ELMRec", **options)
    batch, history = batch[:8], batch["item_id_list"][:8]
    scores = model.search(batch, None, 0)[:, 1:]
    model.config["rerank"], model.config["decode"] = False, "exact"
    plain = model.search(batch, None, 0)[:, 1:]
    for row in range(8):
        seen = set(history[row].tolist()) - {0}
        reached = scores[row].isfinite()
        ranked = [i + 1 for i in scores[row].argsort(descending=True).tolist() if reached[i]]
        wanted = [i + 1 for i in plain[row].argsort(descending=True).tolist() if i + 1 not in seen]
        n_others = len(ranked) - len(seen)
        assert ranked[:n_others] == wanted[:n_others]
        assert set(ranked[n_others:]) == seen
        assert n_others == len(wanted)


def test_random_features_spread_along_the_graph_for_the_direct_task(made):
    """E is LightGCN's mean of layers; prompts of histories number words by place."""
    model, batch, direct = made("ELMRec", sigma=5.0, hide_edges="none", gcn_layers=2)
    E0 = torch.cat([model.explicit.user_vectors, model.explicit.item_vectors()])
    assert float(E0.std()) == pytest.approx(5.0, rel=0.1)
    A = model.explicit.propagation._matrix("adjacency", None).to_dense()
    torch.testing.assert_close(model.interests(), (E0 + A @ E0 + A @ (A @ E0)) / 3)
    model.train()
    for rows, learns in ((batch, "places"), (direct, "explicit")):
        model.zero_grad()
        sum(model.calculate_loss(rows)).backward()
        moved = {name for name, p in model.named_parameters() if p.grad is not None}
        assert ("reader.places" in moved) == (learns == "places")
        assert ("explicit.user_vectors" in moved) == (learns == "explicit")


@pytest.mark.parametrize("name", FAMILY)
def test_a_pretrained_t5_learns_a_step_and_scores_both_tasks(made, tmp_path, name):
    style = made(name)[0].reader.style
    tokenizer = own_tokenizer([], style.words)
    sizes = T5Config(vocab_size=len(tokenizer), d_model=8, d_kv=4, d_ff=16, num_layers=1,
                     num_heads=2, decoder_start_token_id=0)  # fmt: skip
    T5ForConditionalGeneration(sizes).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, batch, direct = made(name, t5=str(tmp_path), id_tokens="digits", num_beams=5)
    model.train()
    idle = {key for key, p in model.named_parameters() if p.numel()}
    for rows in (batch, direct):
        model.zero_grad()
        sum(model.calculate_loss(rows)).backward()
        idle -= {key for key, p in model.named_parameters() if p.grad is not None}
    assert not idle
    scores = model.eval().full_sort_predict(batch[:4])
    assert ((scores > -1e4).sum(1) == 5).all()
    candidates = direct[CANDIDATES]
    found = model.score_candidates(direct, candidates)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(model.score_candidates(direct, candidates.flip(1)), found.flip(1))
    history = batch[:4]
    del history.interaction["user_id"]
    assert (model.full_sort_predict(history) > -1e4).any()


def test_a_cut_off_run_ends_as_a_whole_one(tiny, tmp_path, resumes_exactly):
    resumes_exactly(tiny("ELMRec", epochs=3, decay_epochs=0, checkpoint_dir=str(tmp_path)))


def test_a_killed_run_ends_as_an_undisturbed_one(
    on_tiny, tmp_path, killed_run, ends_as_undisturbed
):
    options = {**on_tiny, "checkpoint_dir": str(tmp_path), "threads": 1, "epochs": 9}
    options |= {"stopping_step": 30, "hidden_size": 16, "inner_size": 16, "n_heads": 2}
    options |= {"n_layers": 1, "n_negatives": 9, "train_batch_size": 64}
    killed = killed_run("RSL", options, "valid ndcg@10", 2)
    ends_as_undisturbed("RSL", options, killed)


def test_it_learns_walks_along_a_ring(tiny, tmp_path):
    """Chance is .11; all items are ranked after histories of a few."""
    options = {"tasks": ["sequential"], "epochs": 25, "decay_epochs": 25, "stopping_step": 25}
    trainer, data = build(tiny("POD", learning_rate=0.01, **options), tmp_path)
    trainer.fit(data.train, data.valid)
    trainer.load_best()
    assert trainer.evaluate(data.test)["ndcg@10"] > 0.25


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("P5", {"t5": "/no/such"}, "t5: /no/such: no such folder"),
        ("POD", {"tasks": ["direct"]}, r"lacks sequential, so this POD writes no items"),
        ("P5", {"item_ids": "sequential_p5"}, "item_ids: .* id_tokens: 'item'"),
        ("RSL", {"mask_ratio": 0}, "mask_ratio: 0 "),
        ("RSL", {"mask_weight": 0, "mask_ratio": 0.2}, "mask_ratio: .* mask_weight"),
        ("ELMRec", {"tasks": ["sequential"], "sigma": 2.0}, "has no effect with tasks"),
        ("ELMRec", {"n_negatives": 39}, "n_negatives: 39: a user has only"),
    ],
    ids=str,
)
def test_bad_input_is_refused_in_one_line(tiny, tmp_path, name, options, message):
    given = {**tiny(name).external_config_dict, **options}
    if "t5" in options:  # which has sizes of its own
        given = {key: given[key] for key in given if key not in OF_SCRATCH}
    with pytest.raises(UserError, match=message) as caught:
        run(name, "tiny", overrides=given, output=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "result.json").exists()


def test_sessions_are_refused(walks):
    with pytest.raises(UserError, match="session_split: RSL learns its users"):
        walks("RSL")
