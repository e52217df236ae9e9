"""Progress bars: text on a terminal, a widget in a notebook, none in a pipe or a file."""

from typing import Any

from tqdm.auto import tqdm

from recbole_intent.utils.printable import in_notebook


def bar(values: Any = None, *, shows: bool = True, **options: Any) -> tqdm:
    """Return a progress bar of `tqdm.auto`.

    Args:
        values: what to iterate over.
        shows: False: no bar anywhere.
        options: of `tqdm`.
    """
    # A kernel's streams are no terminals; without ipywidgets tqdm writes text to them.
    has_widgets = in_notebook() and "notebook" in str(tqdm.__mro__)
    quiet = None if shows and not has_widgets else not shows  # None: unless on a terminal
    if values is not None:
        options.setdefault("total", len(values) if hasattr(values, "__len__") else None)
        # `tqdm.auto` would begin to iterate twice, and a loader draws random numbers each time.
        values = (value for value in values)
    return tqdm(values, disable=quiet, **options)
