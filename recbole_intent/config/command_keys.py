"""Tables of command options that are not configuration keys, and a check of their values."""

from collections.abc import Mapping
from typing import Any

from recbole_intent.config.key_kinds import (
    Choice,
    Flag,
    Listing,
    Number,
    Optional,
    Pattern,
    Whole,
    shown,
)
from recbole_intent.config.key_table import KeyTable
from recbole_intent.config.keys import NOISE_KINDS, Key, no_effect
from recbole_intent.utils.errors import UserError


def _table(*keys: Key) -> KeyTable:
    return KeyTable({key.name: key for key in keys})


_STOPS = ({"scheduler": Choice("asha", "median")},)

TUNE = _table(
    Key("trials", Whole(1), "how many there are to be"),
    Key(
        "budget",
        Optional(
            Pattern(
                r"[1-9]\d{0,5}x([1-9]\d{0,5})?",
                "TRIALSx, such as 16x, or TRIALSxEPOCHS, such as 16x30",
                ("16x", "16x30"),
                ("16", "x30", "0x", "16x0"),
            )
        ),
        "trials of every model, and epochs of each",
    ),
    Key("algorithm", Choice("random", "optuna"), "how values are chosen"),
    Key("scheduler", Choice("asha", "median", "none"), "how poor trials are stopped"),
    Key("grace", Optional(Whole(1)), "epochs that every trial gets", needs=_STOPS),
    Key(
        "reduction",
        Number(above=1),
        "asha keeps the best 1/reduction",
        needs=({"scheduler": Choice("asha")},),
    ),
)
COMPARE = _table(
    Key("seeds", Listing(Whole(0, 2**32 - 1), unique=True), "every model is trained with each"),
    Key("workers", Whole(1), "trainings side by side"),
    Key("noise", Listing(Number(above=0, most=1), 0, unique=True), "shares of noise to test under"),
    Key("noise_kinds", Listing(Choice(*NOISE_KINDS), unique=True), "kinds of noise"),
    Key(
        "also",
        Listing(Choice("next-item", "direct", "masked", "unmasked"), 0, unique=True),
        "further tasks, or the ranking with or without the history",
    ),
    Key("figures", Choice("png", "svg", "pdf"), "format of the figures"),
)
RECOMMEND = _table(
    Key("k", Whole(1), "items of a list"),
    Key("history", Choice("train", "valid", "all"), "what users are known by"),
    Key("index", Optional(Choice("faiss")), "approximate search"),
)
PREPARE = _table(
    Key("k_core", Optional(Whole(0)), "least interactions of every user and item"),
    Key("min_rating", Optional(Number()), "least rating"),
    Key("drop_without_text", Optional(Flag()), "drop items without texts"),
    Key("drop_duplicates", Optional(Flag()), "keep the first of equal rows"),
    Key("fill_items", Optional(Flag()), "give empty text to items without any"),
)
SESSIONS = _table(
    Key("max_session_length", Whole(2), "longer sessions are cut"),
    Key("min_session_length", Whole(2), "shorter ones are dropped"),
    Key("session_gap", Optional(Number(above=0)), "seconds of idleness that end a session"),
)


def refuse(
    table: KeyTable,
    values: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
    where: str = "--",
) -> None:
    """Raise if an option has an invalid value or no effect.

    Args:
        table: the command's options.
        values: values of all or some options.
        defaults: values that do not count as given.
        where: prefix of option names in messages.

    Raises:
        UserError: names the first such option.
    """
    for name, value in values.items():
        mistake = table.rows[name].kind.mistake(value)
        if mistake:
            wanted = mistake.removeprefix(f"{shown(value)} is ")
            raise UserError(f"{where}{name}={value}: {wanted}")
    given = [name for name, value in values.items() if value != (defaults or values).get(name)]
    for name, because in table.idle(given, values):
        raise UserError(f"{where}{name}: {no_effect(because)}")
