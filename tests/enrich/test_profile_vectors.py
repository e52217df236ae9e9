"""Which texts get vectors, and of which files texts are."""

import pytest

from recbole_intent.data.text_vectors import read_text_vectors, vector_path
from recbole_intent.enrich.options import ProfileOptions, read_options
from recbole_intent.enrich.profile_files import MANIFEST, Profile, plain_profile, profile_path
from recbole_intent.enrich.profile_vectors import check_texts, encode_profiles, input_hashes
from recbole_intent.enrich.record_files import write_records
from recbole_intent.enrich.text_encoder import TextEncoder
from recbole_intent.errors import UserError

PROFILES = [Profile("a", "for children", "not for children", "a toy", "llm")]
PROFILES.append(plain_profile("b", "a lamp"))


def write(folder, **manifest):
    files = {profile_path(folder, "d", kind): PROFILES for kind in ("item", "user")}
    values = {"semantics": "llm", "inputs": {}, "about": "m", **manifest}
    write_records(files, folder / f"d{MANIFEST}", lambda: values)


def test_each_text_that_is_asked_for_has_a_file(tmp_path):
    write(tmp_path)
    options = read_options(given={"texts": ["fused", "negative", "fused"]}, kind=ProfileOptions)
    encoder = TextEncoder()
    lines = encode_profiles(tmp_path, "d", options, encoder)
    assert len(lines) == len(list(tmp_path.glob("*.npz"))) == 4
    fused, negative = (
        read_text_vectors(vector_path(tmp_path, "d", "item", "llm", which)).vectors
        for which in ("fused", "negative")
    )
    assert (fused[0] != negative[0]).any()
    assert (fused[1] == negative[1]).all()  # metadata has one text
    assert all(
        line.endswith("as before") for line in encode_profiles(tmp_path, "d", options, encoder)
    )


def test_texts_are_of_their_semantics_and_data(tmp_path):
    for suffix in (".inter", ".item"):
        (tmp_path / f"d{suffix}").write_text("x")
    inputs = input_hashes(tmp_path, "d")
    write(tmp_path, inputs=inputs)
    options = read_options(kind=ProfileOptions)
    assert check_texts(tmp_path, "d", options, inputs) == "m"
    (tmp_path / "d.item").write_text("y")
    with pytest.raises(UserError, match="texts are of other data; write them anew by --steps=all"):
        check_texts(tmp_path, "d", options, input_hashes(tmp_path, "d"))
    plain = read_options(given={"semantics": "metadata"}, kind=ProfileOptions)
    with pytest.raises(UserError, match="its texts are of semantics: llm"):
        check_texts(tmp_path, "d", plain, inputs)
    (tmp_path / "d.item").unlink()
    with pytest.raises(UserError, match=r"d\.item: no such file; `prepare` writes it"):
        input_hashes(tmp_path, "d")
