"""Prompts put together by indexing equal what the tokenizer makes of their strings."""

import pytest
import torch

from recbole_intent.models.generative.prompts import NEW_USER, TEMPLATES, PromptWriter
from recbole_intent.models.generative.t5 import own_tokenizer
from recbole_intent.utils.errors import UserError

IDS = ["", *(str(7 * n % 41 + 90) for n in range(1, 41))]  # of two and three digits


@pytest.fixture(params=["digits", "item"])
def tokenizer(request):
    return own_tokenizer([f"item_{name}" for name in IDS[1:]] if request.param == "item" else [])


def _rows(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    items = torch.randint(1, 41, (9, 6), generator=generator)
    length = torch.randint(1, 7, (9, 1), generator=generator)
    items[torch.arange(6) >= length] = 0
    return torch.randint(1, 120, (9,), generator=generator), items


@pytest.mark.parametrize("task", TEMPLATES)
def test_rows_are_those_of_the_tokenizer(tokenizer, task):
    writer = PromptWriter(tokenizer, 120, IDS)
    user, items = _rows()
    for template in TEMPLATES[task]:
        found = writer.write(template, user, items)
        assert found.tokens.shape == found.mask.shape == found.node.shape == found.place.shape
        for row in range(len(items)):
            text = writer.text(template, int(user[row]), items[row].tolist())
            wanted = tokenizer(text)["input_ids"]
            assert found.tokens[row][found.mask[row]].tolist() == wanted, text
            assert found.mask[row].int().diff().le(0).all()  # ends once
            assert (found.tokens[row][~found.mask[row]] == tokenizer.pad_token_id).all()


def test_each_token_knows_its_whole_word(tokenizer):
    writer = PromptWriter(tokenizer, 120, IDS)
    user, items = _rows(1)
    found = writer.write("what will {user} buy after {items} ?", user, items)
    for row in range(len(items)):
        node, place = found.node[row], found.place[row]
        pieces = tokenizer.convert_ids_to_tokens(found.tokens[row].tolist())
        names = [int(user[row]), *(120 + items[row][items[row] > 0]).tolist()]
        assert node[place > 0].unique_consecutive().tolist() == names
        assert (node[place == 0] == -1).all()
        assert sorted(set(place.tolist())) == list(range(len(names) + 1))
        for number, name in enumerate(names, start=1):
            word = "".join(p for p, at in zip(pieces, place.tolist(), strict=True) if at == number)
            assert word == (f"user_{name}" if name < 120 else f"item_{IDS[name - 120]}")


def test_users_without_numbers_are_one_word_and_still_tell_their_node(tokenizer):
    writer = PromptWriter(tokenizer, 120, IDS, number_users=False)
    user, items = _rows(2)
    found = writer.write("{user} {items}", user, items)
    numbered = PromptWriter(tokenizer, 120, IDS).write("{user} {items}", user, items)
    for row in range(len(items)):
        text = writer.text("{user} {items}", int(user[row]), items[row].tolist())
        assert text.startswith("user_ item_")
        assert found.tokens[row][found.mask[row]].tolist() == tokenizer(text)["input_ids"]
        names = [prompts.node[row].unique_consecutive() for prompts in (found, numbered)]
        assert names[0][names[0] >= 0].tolist() == names[1][names[1] >= 0].tolist()
    assert found.node[:, 0].tolist() == user.tolist()
    assert (found.node[:, 1] >= 120).all()  # one token


def test_padding_within_a_row_is_passed_over(tokenizer):
    writer = PromptWriter(tokenizer, 5, IDS)
    user = torch.tensor([1, 2])
    short = writer.write("{user} {items}", user, torch.tensor([[3, 4], [5, 0]]))
    gaps = writer.write("{user} {items}", user, torch.tensor([[0, 3, 0, 4, 0], [0, 0, 5, 0, 0]]))
    for name in ("tokens", "mask", "node", "place"):
        assert torch.equal(getattr(short, name), getattr(gaps, name))


def test_a_new_history_has_no_user(tokenizer):
    writer = PromptWriter(tokenizer, 5, IDS)
    found = writer.write(NEW_USER, None, torch.tensor([[3, 4]]))
    assert found.tokens[0].tolist() == tokenizer(writer.text(NEW_USER, None, [3, 4]))["input_ids"]
    assert NEW_USER in TEMPLATES["sequential"]
    assert NEW_USER not in TEMPLATES["direct"]


def test_targets_are_the_items_and_end_where_they_have_several_tokens(tokenizer):
    writer = PromptWriter(tokenizer, 5, IDS)
    end = [] if writer.one_token else [tokenizer.eos_token_id]
    assert (writer.targets[0] == tokenizer.pad_token_id).all()
    for item in range(1, 41):
        row = writer.targets[item]
        tokens = tokenizer(f"item_{IDS[item]}", add_special_tokens=False)["input_ids"]
        assert row[row != tokenizer.pad_token_id].tolist() == [*tokens, *end]


def test_what_the_tokenizer_cannot_write_is_named(tokenizer):
    with pytest.raises(UserError, match="does not know the word 'item_9x'; give another T5"):
        PromptWriter(tokenizer, 5, ["", "9x"])
    with pytest.raises(UserError, match="writes two items alike; give --id_tokens=item"):
        PromptWriter(tokenizer, 5, ["", IDS[1], IDS[1]])
