"""ISRF: prompts, whole words, both tasks' losses and scores, what it must not know."""

import pytest
import torch
import torch.nn.functional as F
from transformers import T5Config, T5ForConditionalGeneration

from recbole_intent.data.loading.split import load_data
from recbole_intent.models.generative.direct_batches import CANDIDATES, DirectBatches
from recbole_intent.models.generative.t5 import own_tokenizer
from recbole_intent.utils.errors import UserError

NO_ALIGNMENT = {"use_alignment_direct": False, "use_alignment_sequential": False}


@pytest.fixture
def made(tiny, tmp_path):
    """A model on `tiny`, its data, a sequential batch and a direct one."""

    def make(**options):
        config = tiny("ISRF", checkpoint_dir=str(tmp_path), n_candidates=9, **options)
        data = load_data(config)
        torch.manual_seed(1)
        model = config.spec.model_class()(config, data.train._dataset)
        direct = DirectBatches(config, data.train._dataset)
        return model, data, next(iter(data.train)), next(direct.epoch(0))

    return make


def _poison(dataset):
    """Other items where validation and test are."""
    users = dataset.clean_users
    held_out = torch.cat([users[:-2] != users[2:], torch.ones(2, dtype=torch.bool)])
    dataset.clean_items = torch.where(held_out, dataset.clean_items % 39 + 1, dataset.clean_items)


# --- inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole_word", ["graph", "position"])
def test_a_token_is_its_vector_and_its_whole_words(made, whole_word):
    model, _, batch, direct = made(sequential_whole_word=whole_word, alpha_direct=3.0)
    torch.nn.init.normal_(model.reader.other_word)
    user, items = batch["user_id"], batch["item_id_list"]
    prompts = model.reader.writer.write("{user} bought {items} and buys next", user, items)
    E = None if whole_word == "position" else model.interests()
    w = model.reader.whole_words(prompts, E)
    is_word = (prompts.place == 0) & prompts.mask
    assert torch.equal(w[is_word], model.reader.other_word.expand(int(is_word.sum()), -1))
    row = 5
    tokens = prompts.tokens[row].tolist()
    at = tokens.index(int(model.reader.writer.targets[items[row, 0], 0]))
    wanted = model.reader.places[1] if E is None else E[model.n_users + items[row, 0]]
    assert torch.equal(w[row, at], wanted)
    assert torch.equal(w[row, 0], model.reader.places[0] if E is None else E[user[row]])
    # (1), with the soft prompts in front, is what the encoder reads.
    seen = {}
    model.t5.encoder.register_forward_pre_hook(
        lambda _, args, kwargs: seen.update(kwargs), with_kwargs=True
    )
    prompts = model.reader.writer.write("{user} {items}", direct["user_id"], direct[CANDIDATES])
    model.reader.encode("direct", prompts, model.interests())
    x = seen["inputs_embeds"]
    t = model.t5.shared(prompts.tokens)
    soft = model.reader.soft_prompts["direct"] + 3 * model.reader.other_word
    torch.testing.assert_close(x[:, :3], soft.expand(len(x), -1, -1))
    torch.testing.assert_close(
        x[:, 3:], t + 3 * model.reader.whole_words(prompts, model.interests())
    )
    assert torch.equal(seen["attention_mask"][:, 3:], prompts.mask)


def test_training_uses_several_templates_and_a_test_the_bare_form(made):
    model, *_ = made(training_prompts="all", sequential_user=True)
    forms = {model.train().reader._template("direct") for _ in range(60)}
    assert len(forms) == 4
    assert {model.eval().reader._template("direct") for _ in range(20)} == {"{user} {items}"}
    bare, *_ = made(training_prompts="bare", sequential_user=True)
    assert {bare.train().reader._template("direct") for _ in range(20)} == {"{user} {items}"}
    forms = {bare.reader._template("sequential") for _ in range(60)}
    assert forms == {"{user} {items}", "{items}"}  # new histories have no user


# --- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"id_tokens": "digits", "decode": "exact"}], ids=str)
@pytest.mark.parametrize("task", ["sequential", "direct"])
def test_a_score_is_the_log_probability_that_training_raises(made, task, options):
    model, _, *batches = made(**options, direct_loss="tokens", **NO_ALIGNMENT)
    batch = batches[task == "direct"]
    batch = batch[:6]
    model.eval()
    with torch.no_grad():
        for row in range(6):
            losses = dict(
                zip(model.loss_names, model.calculate_loss(batch[row : row + 1]), strict=True)
            )
            target = batch["item_id"][row : row + 1]
            if task == "direct":
                candidates = batch[CANDIDATES][row : row + 1].sort(dim=1).values
                one = batch[row : row + 1]
                one[CANDIDATES] = candidates  # the order in which a test's prompt has them
                loss = model.calculate_loss(one)[model.loss_names.index("direct")]
                scores = model.score_candidates(one, candidates)
                score = scores[candidates == target]
            else:
                loss = losses["sequential"]
                score = model.full_sort_predict(batch[row : row + 1])[0, target]
                assert torch.equal(model.predict(batch[row : row + 1]), score)
            n_tokens = (model.reader.writer.targets[target] != model.reader.writer.pad).sum()
            torch.testing.assert_close(score[0], -loss * n_tokens, atol=1e-4, rtol=1e-4)


def test_the_direct_loss_may_be_over_the_candidates_alone(made):
    model, _, _, direct = made(**NO_ALIGNMENT)
    model.eval()
    direct[CANDIDATES] = direct[CANDIDATES].sort(dim=1).values  # as a test's prompt has them
    with torch.no_grad():
        loss = model.calculate_loss(direct)[model.loss_names.index("direct")]
        scores = model.score_candidates(direct, direct[CANDIDATES])
    is_target = direct[CANDIDATES] == direct["item_id"][:, None]
    torch.testing.assert_close(loss, -scores.log_softmax(dim=1)[is_target].mean())


@pytest.mark.parametrize("task", ["sequential", "direct"])
def test_whole_words_reach_the_decoder(made, task):
    model, _, *batches = made(alpha_direct=2.0, alpha_sequential=2.0, sequential_user=True)
    batch = batches[task == "direct"][:6]
    model.eval()
    E, U = model.interests(), model.n_users
    if task == "direct":
        read = model.reader.read("direct", batch["user_id"], batch[CANDIDATES], E)
    else:
        read = model._read_history(batch, E)
    out = model.t5(
        encoder_outputs=(read.hidden,),
        attention_mask=read.mask,
        decoder_inputs_embeds=(model.t5.shared.weight[0] + 2 * E[batch["user_id"]])[:, None],
        output_hidden_states=True,
    )
    h, tokens = out.decoder_hidden_states[-1][:, 0], model.reader.writer.targets[1:, 0]
    wanted = h @ (model.t5.shared.weight[tokens] + 2 * E[U + 1 :]).T
    torch.testing.assert_close(model.reader.first_logits(read)[:, tokens], wanted)


def test_whole_words_stay_in_the_prompt_where_it_is_asked_or_items_have_many_tokens(made):
    for options in (
        {"decoder_whole_words": False},
        {"id_tokens": "digits"},
        {"protocol": "published"},
    ):
        model, _, batch, _ = made(**options)
        assert not model.reader.decoder_words
        model.eval()
        read = model._read_history(batch, model.interests())
        start = torch.zeros(len(batch), 1, dtype=torch.long)
        wanted = model.t5(
            encoder_outputs=(read.hidden,), attention_mask=read.mask, decoder_input_ids=start
        )
        torch.testing.assert_close(model.reader.first_logits(read), wanted.logits[:, 0])
    for key, value in (("decoder_whole_words", True), ("direct_loss", "candidates")):
        with pytest.raises(UserError, match=f"{key}: {value} needs items that are one token"):
            made(id_tokens="digits", **{key: value})


def test_without_gradients_prompts_are_encoded_in_parts(made, monkeypatch):
    model, _, batch, _ = made()
    model.eval()
    whole = model.full_sort_predict(batch)
    monkeypatch.setattr("recbole_intent.models.generative.prompt_reader._AT_ONCE", 70)
    torch.testing.assert_close(model.full_sort_predict(batch), whole)


def test_a_beam_finds_the_best_and_leaves_the_rest(made):
    model, _, batch, _ = made(id_tokens="digits", decode="exact", initializer_range=3.0)
    exact = model.eval().full_sort_predict(batch[:8])
    model.config["decode"], model.config["num_beams"] = "beam", 7
    beam = model.full_sort_predict(batch[:8])
    reached = beam > float("-inf")
    assert (reached.sum(1) == 7).all()
    torch.testing.assert_close(beam[reached], exact[reached], atol=1e-4, rtol=1e-4)
    model.config["num_beams"] = 500
    whole = model.full_sort_predict(batch[:8])
    torch.testing.assert_close(whole[:, 1:], exact[:, 1:], atol=1e-4, rtol=1e-4)


def test_a_search_gives_no_beam_to_what_is_not_wanted_and_finds_as_many_as_are(made):
    model, _, batch, _ = made(
        id_tokens="digits", decode="exact", initializer_range=3.0, num_beams=3
    )
    batch = batch[:8]
    exact = model.eval().full_sort_predict(batch)
    best = exact.topk(6).indices
    excluded = torch.arange(8).repeat_interleave(6), best.flatten()
    assert torch.equal(model.search(batch, excluded, 5), exact)
    model.config["decode"] = "beam"
    for k, least in ((0, 3), (2, 3), (7, 7), (40, 34)):
        found = model.search(batch, excluded, k)
        reached = found > float("-inf")
        assert (reached.sum(1) == least).all()
        assert not reached[excluded].any()
        torch.testing.assert_close(found[reached], exact[reached], atol=1e-4, rtol=1e-4)


def test_the_direct_task_asks_about_somebody(made):
    model, _, _, direct = made()
    with pytest.raises(ValueError, match="a prompt of the direct task names a user"):
        model.reader.read("direct", None, direct[CANDIDATES], model.interests())


@pytest.mark.parametrize("id_tokens", ["item", "digits"])
def test_candidates_are_scored_whatever_their_order(made, id_tokens):
    model, _, _, direct = made(id_tokens=id_tokens)
    model.eval()
    candidates = direct[CANDIDATES]
    scores = model.score_candidates(direct, candidates)
    order = torch.randperm(candidates.size(1))
    torch.testing.assert_close(
        model.score_candidates(direct, candidates[:, order]), scores[:, order]
    )
    assert scores.std() > 1e-3


@pytest.mark.parametrize("options", [{}, {"id_tokens": "digits", "num_beams": 2}], ids=str)
def test_without_the_direct_task_candidates_are_scored_by_the_history(made, options):
    model, _, batch, _ = made(tasks=["sequential"], **options)
    candidates = torch.arange(1, 11).expand(len(batch), -1)
    scores = model.eval().score_candidates(batch, candidates)
    model.config["decode"] = "exact"
    torch.testing.assert_close(scores, model.full_sort_predict(batch)[:, 1:11])


@pytest.mark.parametrize("named", [True, False])
def test_a_new_history_needs_no_user(made, named):
    """It is read as all are that name none."""
    model, _, batch, _ = made(sequential_user=named)
    model.eval()
    known = model.full_sort_predict(batch)
    history = batch[:]
    del history.interaction["user_id"]
    scores = model.full_sort_predict(history)
    assert torch.isfinite(scores).all()
    assert torch.equal(scores, known) != named


def test_interests_are_computed_once_until_weights_may_have_changed(made):
    model, *_ = made()
    model.eval()
    with torch.no_grad():
        E = model.interests()
        assert model.interests() is E
        model.explicit.user_vectors += 1
        model.load_state_dict(model.state_dict())
        assert not torch.equal(model.interests(), E)
        E = model.interests()
        model.eval()
        assert model.interests() is not E


# --- losses --------------------------------------------------------------------------------------


def test_alignment_moves_groups_and_its_teacher_stands_still(made):
    model, _, batch, direct = made(hide_edges="none", learn_users=True)
    model.train()
    for task, rows in (("direct", direct), ("sequential", batch)):
        model.zero_grad()
        losses = dict(zip(model.loss_names, model.calculate_loss(rows), strict=True))
        other = {"direct": "sequential", "sequential": "direct"}[task]
        assert losses[other] == losses[f"align_{other}"] == 0
        losses[f"align_{task}"].backward()
        assert model.group.table.grad.any()
        moved = model.explicit.user_vectors.grad
        assert (moved is not None and bool(moved.any())) == (task == "sequential")


def test_direct_alignment_is_infonce_of_cosines(made):
    model, _, _, direct = made(hide_edges="none", align_weight=0.5, align_temperature=0.2)
    losses = dict(zip(model.train().loss_names, model.calculate_loss(direct), strict=True))
    user = direct["user_id"]
    group, known = (F.normalize(x[user], dim=1) for x in (model.group(), model.interests()))
    wanted = 0.5 * F.cross_entropy(group @ known.T / 0.2, torch.arange(len(user)))
    torch.testing.assert_close(losses["align_direct"], wanted)
    soft, _, _, direct = made(alignment="soft_target")
    assert torch.isfinite(sum(soft.train().calculate_loss(direct)))


def test_the_mean_of_a_history_passes_over_padding(made):
    model, _, batch, _ = made()
    E = model.interests()
    means = model.reader.mean_word(batch["item_id_list"], E)
    for row in (0, len(batch) - 1):
        items = batch["item_id_list"][row]
        wanted = E[model.n_users + items[items > 0]].mean(0)
        torch.testing.assert_close(means[row], wanted)


def test_alignment_in_some_batches_weighs_as_much(made):
    model, _, _, direct = made(align_every=4)
    every, _, _, _ = made()
    model.load_state_dict(every.state_dict())
    for each in (model, every):
        each.train()
        each.t5.eval()
    place = model.loss_names.index("align_direct")
    with torch.no_grad():
        once = float(every.calculate_loss(direct)[place])
        found = [float(model.calculate_loss(direct)[place]) for _ in range(80)]
    present = [x for x in found if x]
    assert present == pytest.approx([4 * once] * len(present))
    assert 8 <= len(present) <= 34


@pytest.mark.parametrize(
    "options",
    [
        {"semantics": "random", **NO_ALIGNMENT},  # ELMRec's random features
        {"semantics": "random", "user_semantics": "metadata"},  # "w/o" semantics
        {"use_adapter": False},
        {"adapter_activation": "gelu", "sequential_whole_word": "position"},
        {"use_alignment_direct": False},
        {"use_alignment_sequential": False},
        {"protocol": "published", "alignment": "soft_target"},
        {"tasks": ["direct"], "task": "direct"},
        {"tasks": ["direct"], "task": "direct", "sequential_whole_word": "position"},
        {"item_ids": "tree", "id_tokens": "digits"},
        {"gcn_layers": 0, "n_soft_prompts": 0, "alpha_sequential": 0},
    ],
    ids=str,
)
def test_every_choice_learns(made, options):
    model, _, *batches = made(**{"learn_users": True, **options})
    model.train()
    parameters = dict(model.named_parameters())
    for batch, task in zip(batches, ("sequential", "direct"), strict=True):
        if task in model.tasks:
            sum(model.calculate_loss(batch)).backward()
    idle = {name for name, p in parameters.items() if p.grad is None}
    numbers_nothing = model.reader.by_place and "sequential" not in model.tasks
    assert idle == ({"reader.places"} if numbers_nothing else set())
    assert ("group.table" in parameters) == bool(model.aligned)


def test_users_vectors_may_stay_as_drawn(made):
    model, _, *batches = made(learn_users=False)
    for batch in batches:
        sum(model.train().calculate_loss(batch)).backward()
    still = {name for name, p in model.named_parameters() if p.grad is None}
    assert still == {"explicit.user_vectors"}
    assert "explicit.user_vectors" in model.state_dict()


def test_a_pretrained_t5_learns_a_step_and_scores(made, tmp_path):
    tokenizer = own_tokenizer([])
    sizes = T5Config(vocab_size=len(tokenizer), d_model=8, d_kv=4, d_ff=16, num_layers=1,
                     num_heads=2, decoder_start_token_id=0)  # fmt: skip
    T5ForConditionalGeneration(sizes).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model, _, batch, direct = made(t5=str(tmp_path), id_tokens="digits", num_beams=5)
    model.train()
    before = model.t5.shared.weight.clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for rows in (batch, direct):
        optimizer.zero_grad()
        sum(model.calculate_loss(rows)).backward()
        optimizer.step()
    assert not torch.equal(model.t5.shared.weight, before)
    scores = model.eval().full_sort_predict(batch[:4])
    assert ((scores > float("-inf")).sum(1) == 5).all()
    assert torch.isfinite(model.score_candidates(direct, direct[CANDIDATES])).all()


# --- what it must not know -----------------------------------------------------------------------


def test_a_batchs_own_edges_leave_the_graph_of_its_step(made):
    model, _, batch, direct = made(**NO_ALIGNMENT)
    asked = []
    model.explicit.register_forward_pre_hook(lambda _, args: asked.append(args))
    for rows in (batch, direct):
        model.train().calculate_loss(rows)
        (users, items), *_ = asked.pop()
        assert torch.equal(users, rows["user_id"])
        assert torch.equal(items, rows["item_id"])
    model.eval().full_sort_predict(batch)
    assert asked.pop() == ()
    stays, *_, direct = made(hide_edges="none", **NO_ALIGNMENT)
    stays.explicit.register_forward_pre_hook(lambda _, args: asked.append(args))
    stays.train().calculate_loss(direct)
    assert asked.pop() == (None,)


def test_nor_are_edges_there_that_a_prompt_does_not_show(made):
    model, data, batch, direct = made(hide_edges="unseen", **NO_ALIGNMENT)
    asked = []
    model.explicit.register_forward_pre_hook(lambda _, args: asked.append(args[0]))
    model.train().calculate_loss(batch)
    hidden = {*zip(*(part.tolist() for part in asked.pop()), strict=True)}
    pairs = data.train._dataset.inter_matrix(form="coo")
    wanted = {*zip(batch["user_id"].tolist(), batch["item_id"].tolist(), strict=True)}
    for user, shown in zip(batch["user_id"].tolist(), batch["item_id_list"].tolist(), strict=True):
        bought = pairs.col[pairs.row == user].tolist()
        wanted |= {(user, item) for item in bought if item not in shown}
    assert hidden == wanted
    assert len(wanted) > len(batch)  # some come later than the target
    model.calculate_loss(direct)  # the other items are what a candidate is chosen by
    assert torch.equal(
        torch.stack(asked.pop()), torch.stack([direct["user_id"], direct["item_id"]])
    )


def test_nothing_of_training_changes_with_what_comes_after(tiny):
    """Other validation and test items: the same ids, edges, weights, losses and interests."""
    found = []
    for poisoned in (False, True):
        config = tiny("ISRF")
        data = load_data(config)
        if poisoned:
            _poison(data.train._dataset)
        torch.manual_seed(1)
        model = config.spec.model_class()(config, data.train._dataset).train()
        batches = [next(iter(data.train))]
        batches.append(next(DirectBatches(config, data.train._dataset).epoch(0)))
        losses = torch.stack([loss for rows in batches for loss in model.calculate_loss(rows)])
        found.append((model.reader.writer.item_ids, losses, model.explicit()))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert torch.equal(found[0][2], found[1][2])


def test_sessions_are_refused(walks):
    with pytest.raises(UserError, match="session_split: ISRF learns its users"):
        walks("ISRF", semantics="random", **NO_ALIGNMENT)
