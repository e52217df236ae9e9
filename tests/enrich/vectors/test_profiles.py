"""Which texts get vectors, and of which files texts are."""

import pytest

from recbole_intent.data.formats.profile_files import MANIFEST, Profile, plain_profile, profile_path
from recbole_intent.data.formats.record_files import write_records
from recbole_intent.data.formats.text_vectors import read_text_vectors, vector_path
from recbole_intent.data.loading.training_interactions import Split
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.vectors.profiles import check_texts, encode_profiles
from recbole_intent.enrich.vectors.text_encoder import TextEncoder
from recbole_intent.utils.errors import UserError

PROFILES = [Profile("a", "for children", "not for children", "a toy", "llm")]
PROFILES.append(plain_profile("b", "a lamp"))


def write(folder, **manifest):
    files = {profile_path(folder, "d", kind): PROFILES for kind in ("item", "user")}
    values = {"semantics": "llm", "inputs": {}, "about": "m", **manifest}
    write_records(files, folder / f"d{MANIFEST}", lambda: values)


def test_each_text_that_is_asked_for_has_a_file(tmp_path):
    write(tmp_path)
    options = read_options(given={"texts": ["fused", "negative"]}, kind=ProfileOptions)
    encoder = TextEncoder()
    lines = encode_profiles(tmp_path, "d", options, encoder, Split({}, "0"))
    assert len(lines) == len(list(tmp_path.glob("*.npz"))) == 4
    fused, negative = (
        read_text_vectors(vector_path(tmp_path, "d", "item", "llm", which)).vectors
        for which in ("fused", "negative")
    )
    assert (fused[0] != negative[0]).any()
    assert (fused[1] == negative[1]).all()  # metadata has one text
    assert all(
        line.endswith("as before")
        for line in encode_profiles(tmp_path, "d", options, encoder, Split({}, "0"))
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inputs": {"d.item": "2"}}, "texts are of other data; write them again by --steps=all"),
        ({"split": Split({}, "1")}, "texts are of other data; write them again by --steps=all"),
        ({"semantics": "metadata"}, "its texts are of semantics: llm"),
    ],
)
def test_texts_are_of_their_semantics_and_data(tmp_path, changed, message):
    usual = {"semantics": "llm", "inputs": {"d.item": "1"}, "split": Split({}, "0")}
    write(tmp_path, inputs=usual["inputs"], split=usual["split"].plain())

    def check(semantics, inputs, split):
        options = read_options(given={"semantics": semantics}, kind=ProfileOptions)
        return check_texts(tmp_path, "d", options, inputs, split)

    assert check(**usual) == "m"
    with pytest.raises(UserError, match=message):
        check(**{**usual, **changed})
