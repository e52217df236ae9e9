"""A figure is written in three formats and placed in a page; a file is whole or not there."""

import re
from xml.etree import ElementTree

import matplotlib
import pytest
from PIL import Image

from recbole_intent.plotting.drawing import FORMATS, drawing, is_picture
from recbole_intent.utils.errors import UserError


def drawn(title="", label="a <b>bold</b> $name$ & </svg>"):
    """One line with a mark in two panels."""
    with drawing((3, 2), 1, 2, title) as found:
        for axes in found.panels.flat:
            (line,) = axes.plot([1, 2], [0.12345, 2], "o-", label=label)
            found.mark(line, label, "seed 1")
        found.panels[0, 0].set_xlabel(label)
    return found


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_figure_gives_the_same_file_in_every_format(tmp_path, kind):
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    paths = [tmp_path / f"{i}.{kind}" for i in (1, 2)]
    for path in paths:
        drawn().save(path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(start[kind])


def test_only_our_pictures_are_ours(tmp_path):
    drawn().save(tmp_path / "ours.png")
    Image.new("RGB", (3, 2)).save(tmp_path / "theirs.png")
    assert is_picture(tmp_path / "ours.png")
    assert not is_picture(tmp_path / "theirs.png")


def test_an_element_of_a_page_is_whole_and_its_texts_are_texts():
    label = "a <b>bold</b> $name$ & </svg>"
    text = drawn("data & seeds").svg("one")
    root = ElementTree.fromstring(text)
    assert root.tag == "svg"
    assert root.get("aria-label") == "data & seeds"
    assert "<b>" not in text
    marks = [element for element in root.iter() if "data-model" in element.attrib]
    assert [mark.get("data-model") for mark in marks] == [label] * 2
    assert [mark[0].text for mark in marks] == [f"{label}\nseed 1"] * 2
    assert label in [element.text for element in root.iter("text")]
    assert "://" not in text
    assert all(name.startswith("one-") for name in re.findall(r"url\(#([^)]*)", text))


def test_ids_are_unique_in_a_page_and_every_reference_has_its_target():
    text = drawn().svg("a-1") + drawn().svg("a-2")
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    wanted = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)
    assert wanted
    assert {a or b for a, b in wanted} <= set(ids)


def test_a_drawing_has_its_size_and_changes_nothing_else(tmp_path):
    before = matplotlib.get_backend(), dict(matplotlib.rcParams)
    with drawing((3, 2), 2, 3) as found:
        assert found.panels.shape == (2, 3)
    found.save(tmp_path / "a.png")
    assert (matplotlib.get_backend(), dict(matplotlib.rcParams)) == before
    assert Image.open(tmp_path / "a.png").size == (360, 240)


def test_a_title_makes_room_for_itself(tmp_path):
    for i, title in enumerate(("among 1 + 99 candidates", "a long title of two lines " * 2)):
        drawn(title).save(tmp_path / "a.png")
        assert Image.open(tmp_path / "a.png").size == (360, 240 + 24 * (i + 1))


def test_a_folder_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        drawn().save(tmp_path / "file/a.png")
