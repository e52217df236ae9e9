"""A T5 from scratch and a pretrained one come through the same calls."""

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from recbole_intent.models.generative.prompts import PromptWriter
from recbole_intent.models.generative.t5 import make_t5, own_tokenizer, t5_files
from recbole_intent.utils.errors import UserError

IDS = ["", "12", "7", "130"]


def test_own_tokens_are_words_digits_and_items():
    tokenizer = own_tokenizer([])
    pieces = tokenizer.tokenize("predict user_12 : item_130 ?")
    assert pieces == ["predict", "user_", "1", "2", ":", "item_", "1", "3", "0", "?"]
    tokenizer = own_tokenizer(["item_12", "item_130"])
    assert tokenizer.tokenize("user_12 item_12 item_130") == [
        "user_", "1", "2", "item_12", "item_130",
    ]  # fmt: skip
    assert tokenizer("user_1")["input_ids"][-1] == tokenizer.eos_token_id
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id) == (0, 1)


def test_sizes_are_those_of_the_properties(tiny):
    t5, tokenizer = make_t5(tiny("ISRF", attn_dropout_prob=0.25), IDS)
    assert (t5.config.d_model, t5.config.d_ff, t5.config.num_layers) == (16, 32, 1)
    assert t5.config.vocab_size == len(tokenizer)
    dropouts = [m.dropout for m in t5.modules() if type(m).__name__ == "T5Attention"]
    assert dropouts == [0.25] * 3  # encoder, decoder, cross
    assert not [m for m in t5.modules() if isinstance(m, torch.nn.Dropout)]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A folder as `save_pretrained` leaves it: a tiny T5 and a tokenizer."""
    folder = tmp_path_factory.mktemp("t5") / "tiny-t5"
    tokenizer = own_tokenizer([])
    # As with the published ones, more rows than tokens.
    sizes = T5Config(
        vocab_size=len(tokenizer) + 5, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    T5ForConditionalGeneration(sizes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("id_tokens", ["digits", "item"])
def test_a_pretrained_one_is_read_with_its_own_tokenizer(tiny, pretrained, id_tokens):
    config = tiny("ISRF", t5=str(pretrained), id_tokens=id_tokens)
    t5, tokenizer = make_t5(config, IDS)
    assert t5.config.d_model == 8
    theirs = T5ForConditionalGeneration.from_pretrained(pretrained).state_dict()
    n_tokens = theirs["shared.weight"].size(0)
    assert torch.equal(t5.shared.weight[: n_tokens - 5], theirs["shared.weight"][: n_tokens - 5])
    writer = PromptWriter(tokenizer, 20, IDS)
    assert writer.one_token == (id_tokens == "item")
    assert int(writer.targets.max()) < t5.get_input_embeddings().num_embeddings
    found = writer.write("{user} {items}", torch.tensor([3]), torch.tensor([[1, 2]]))
    assert found.tokens[0].tolist() == tokenizer("user_3 item_12 item_7")["input_ids"]
    assert {path.name for path in t5_files(config)} >= {"config.json", "tokenizer.json"}
    assert t5_files(tiny("ISRF")) == []


def test_new_tokens_of_a_pretrained_one_are_told(tiny, pretrained, caplog):
    with caplog.at_level("INFO", "recbole_intent"):
        make_t5(tiny("ISRF", t5=str(pretrained), id_tokens="digits"), IDS)
        assert caplog.text == ""
        make_t5(tiny("ISRF", t5=str(pretrained)), IDS)
    assert f"t5: {pretrained}: 3 new tokens, a random one for each item" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t5": "./no-such"}, r"t5: \./no-such: no such folder of a pretrained T5"),
        ({"t5": "/no/such"}, "t5: /no/such: no such folder"),
        ({"id_tokens": "word"}, "id_tokens: 'word' is not one of digits, item"),
    ],
)
def test_what_is_not_there_is_named(tiny, options, message):
    with pytest.raises(UserError, match=message):
        make_t5(tiny("ISRF", **options), IDS)


def test_an_empty_folder_and_a_hub_out_of_reach_give_one_line(tiny, tmp_path, monkeypatch):
    for name in (str(tmp_path), "someone/some-t5"):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(UserError, match="no pretrained T5 could be loaded") as error:
            make_t5(tiny("ISRF", t5=name), IDS)
        assert "\n" not in str(error.value)
