"""Profiles as lines of JSON; metadata has one text for all uses."""

import pytest

from recbole_intent.data.formats.profile_files import (
    Profile,
    plain_profile,
    profile_path,
    read_profiles,
)
from recbole_intent.data.formats.record_files import write_records
from recbole_intent.utils.errors import UserError

PROFILES = [Profile("i 1", "güt", "bad", "both", "llm"), plain_profile("2", "a lamp")]


def test_what_is_written_is_read(tmp_path):
    path = profile_path(tmp_path, "d", "user")
    assert path == tmp_path / "d.user_profile"
    write_records({path: PROFILES}, tmp_path / "m", dict)
    assert list(read_profiles(path)) == PROFILES
    path.write_text('{"id": "a"}\n')
    with pytest.raises(UserError, match=r"d\.user_profile:1: positive is missing"):
        list(read_profiles(path))


@pytest.mark.parametrize(
    ("which", "text"), [("positive", "güt"), ("negative", "bad"), ("fused", "both")]
)
def test_metadata_has_one_text_for_all(which, text):
    assert [profile.text(which) for profile in PROFILES] == [text, "a lamp"]
