"""T5 and its tokenizer, small and trained from scratch or pretrained, with one interface."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recbole_intent.models.generative.prompts import MASK, item_word, literal_words
from recbole_intent.nn.sasrec_layers import use_fast_dropout
from recbole_intent.utils.errors import UserError

SCRATCH = "scratch"
_LOGGER = logging.getLogger("recbole_intent")


def make_t5(
    config: Any, item_ids: Sequence[str], words: Sequence[str] | None = None
) -> tuple[Any, Any]:
    """Build a `T5ForConditionalGeneration` and its tokenizer.

    Args:
        config: `t5`: `scratch`, with the sizes of `n_layers` (of each stack), `n_heads`,
            `hidden_size`, `inner_size`, `hidden_dropout_prob`, `attn_dropout_prob` and
            `initializer_range` (T5's own factor); or the name or path of a pretrained T5.
            `id_tokens`: `digits` of users and items, or one token per `item`.
        item_ids: (V,) ids of items, "" for padding.
        words: the words of templates.

    Raises:
        UserError: transformers is not installed, or the T5 does not exist.
    """
    whole_items = [item_word(name) for name in item_ids[1:]] if _is_whole(config) else []
    try:
        import transformers
    except ImportError as error:
        raise UserError(
            f"{config['model']} needs transformers (extra t5): pip install transformers"
        ) from error
    if config["t5"] == SCRATCH:
        tokenizer = own_tokenizer(whole_items, words)
        t5 = _scratch(transformers, config, len(tokenizer))
    else:
        t5, tokenizer = _pretrained(transformers, config["t5"], whole_items)
    use_fast_dropout(t5)
    return t5, tokenizer


def _is_whole(config: Any) -> bool:
    return config["id_tokens"] == "item"


def own_tokenizer(whole_items: Sequence[str], words: Sequence[str] | None = None) -> Any:
    """A fast transformers tokenizer for only the templates' words and ids.

    A user is `user_` and one token per digit. So is an item, `item_` and digits, unless it is one
    of `whole_items`, which are single tokens.
    """
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    items = list(whole_items) or ["item_"]
    literals = literal_words() if words is None else words
    known = ["<pad>", "</s>", "<unk>", *literals, "user_", *"0123456789", *items]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(known)}, "<unk>"))
    pieces = rf"{MASK}|item_\d+|user_|\d" if whole_items else rf"{MASK}|item_|user_|\d"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(pieces), "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        "$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _scratch(transformers: Any, config: Any, n_tokens: int) -> Any:
    d, heads = config["hidden_size"], config["n_heads"]
    sizes = transformers.T5Config(
        vocab_size=n_tokens,
        d_model=d,
        d_kv=d // heads,
        d_ff=config["inner_size"],
        num_layers=config["n_layers"],
        num_decoder_layers=config["n_layers"],
        num_heads=heads,
        dropout_rate=config["hidden_dropout_prob"],
        initializer_factor=config["initializer_range"],
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    # As in T5 1.1. The factor d^-½ of the first T5 fits its large initial vectors: a small T5 with
    # small ones (`initializer_range`) would start with nearly equal scores of all items.
    sizes.scale_decoder_outputs = False
    t5 = transformers.T5ForConditionalGeneration(sizes)
    # Dropout or a learned relative position bias prevents fused attention from being fast; the
    # plain one is faster.
    t5.set_attn_implementation("eager")
    for module in t5.modules():
        if isinstance(module, transformers.models.t5.modeling_t5.T5Attention):
            module.dropout = config["attn_dropout_prob"]
    return t5


def _pretrained(transformers: Any, name: str, whole_items: list[str]) -> tuple[Any, Any]:
    is_path = Path(name).is_dir()
    if not is_path and (name.count("/") > 1 or name.startswith(("/", "."))):
        raise UserError(f"t5: {name}: no such folder of a pretrained T5")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, local_files_only=is_path)
        t5 = transformers.T5ForConditionalGeneration.from_pretrained(name, local_files_only=is_path)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"t5: {name}: no pretrained T5 could be loaded ({reason}); give the PATH of a folder "
            "that `save_pretrained` wrote, a name of the hub where there is a network, or "
            f"{SCRATCH}"
        ) from error
    if whole_items:
        new = tokenizer.add_tokens(whole_items)
        _LOGGER.info(
            "t5: %s: %d new tokens, a random one for each item; id_tokens: digits adds none",
            name,
            new,
        )
        t5.resize_token_embeddings(max(len(tokenizer), t5.config.vocab_size))
    return t5.float(), tokenizer


def t5_files(config: Any) -> list[Path]:
    """The files of a pretrained T5 given by a path, which a run reads in addition to the data."""
    folder = Path(str(config["t5"]))
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
