"""Item texts: the text columns of the .item file."""

from collections.abc import Sequence
from pathlib import Path

from recbole_intent.data.formats.atomic_tables import read_atomic, read_header
from recbole_intent.data.formats.titles import title_like
from recbole_intent.utils.errors import UserError

_LONGEST = 600  # characters of a field in a prompt, such as a description


class ItemTexts:
    """The text columns of some items.

    Args:
        path: the .item file.
        item_ids: (V,) items to keep, in the order of their codes; None keeps all items.

    Attributes:
        ids: (V,) id of each code.
        columns: text column -> whether it is a sequence.

    Raises:
        UserError: the file is missing, malformed, or has no text column.
    """

    def __init__(self, path: Path, item_ids: Sequence[str] | None = None) -> None:
        if not path.is_file():
            raise UserError(f"{path}: no such file; it has to hold the texts of items")
        is_seq = {name: kind == "token_seq" for name, kind in read_header(path).items()}
        if "item_id" not in is_seq:
            raise UserError(f"{path}: no column 'item_id:token'")
        frame = read_atomic(path, texts=[name for name in is_seq if name != "item_id"]).frame
        texts = [name for name in frame if name != "item_id"]
        if "attributes" in texts and len(texts) > 1:  # repeats brand and categories
            texts.remove("attributes")
        if not texts:
            raise UserError(f"{path}: no text column besides item_id, such as title:token_seq")
        frame = frame.drop_duplicates("item_id").set_index("item_id")[texts]
        self.path = path
        self.columns = {name: is_seq[name] for name in texts}
        self.ids = list(frame.index if item_ids is None else item_ids)
        frame = frame.reindex(self.ids, fill_value="")
        # Lists, because row access in a data frame is many times slower.
        self._texts = {name: frame[name].tolist() for name in texts}
        self._title = title_like(texts)

    def fields(self, code: int) -> dict[str, str]:
        """Column -> text, for the non-empty columns of an item; long texts are cut."""
        row = {name: texts[code] for name, texts in self._texts.items()}
        return {name: _cut(text) for name, text in row.items() if text.strip()}

    def column(self, name: str) -> list[str]:
        """One column, with one text per item."""
        return self._texts[name]

    def title(self, code: int) -> str:
        """The title, else the first available text, else the id."""
        fields = self.fields(code)
        first = next(iter(fields.values()), str(self.ids[code]))
        return fields.get(self._title or "") or first


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST].rsplit(" ", 1)[0] + " …"
