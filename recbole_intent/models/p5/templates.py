"""Prompts of P5 and RSL, in our own words: by task, the first is used in tests."""

from recbole_intent.models.generative.prompts import MASK

# For histories without a user.
NEW_USER = "a customer bought {items} . what comes next ?"
TEMPLATES: dict[str, tuple[str, ...]] = {
    "sequential": (
        "{user} has bought {items} in this order . what comes next ?",
        "given the purchases {items} of {user} , predict the next one",
        "so far {user} bought {items} . recommend one more item",
        "after {items} , {user} wants to buy",
        "continue the list of {user} : {items}",
        NEW_USER,
    ),
    "direct": (
        "which of {items} suits {user} best ?",
        "{user} can choose among {items} . recommend one of them",
        "one of the candidates {items} was bought by {user} . name it",
        "pick an item for {user} from {items}",
    ),
}


def _with_blank(form: str) -> str:
    return f"{form} {MASK}"


# The item to write is one more hidden entity, at the end of the prompt.
BLANK_NEW_USER = _with_blank(NEW_USER)
BLANK_TEMPLATES = {task: tuple(map(_with_blank, forms)) for task, forms in TEMPLATES.items()}
INFILL = "{user} bought {items} . which are the hidden ones ?"
