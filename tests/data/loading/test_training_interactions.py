"""What is training: the same for every loader and for files that are split already."""

import shutil

import numpy as np
import pytest
from recbole.data.dataset import SequentialDataset

from recbole_intent.data.loading.split import load_data, read_parts
from recbole_intent.data.loading.training_interactions import (
    Split,
    check_split,
    definition,
    enrich_command,
    enriched_folder,
    training_histories,
    training_split,
)
from recbole_intent.utils.errors import UserError
from recbole_intent.utils.parsing import parse_value

RATIO = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}}}
SPLITS = {
    "leave-one-out": {},
    "ratio": RATIO,
    "ratio over all": {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "group_by": None}},
    "filtered": {"user_inter_num_interval": "[6,inf)", "item_inter_num_interval": "[8,inf)"},
    "short lists": {"MAX_ITEM_LIST_LENGTH": 3},
}


def by_user(histories) -> dict[str, list[str]]:
    found = {
        str(user): histories.item_ids[histories.of(index)].tolist()
        for index, user in enumerate(histories.ids)
    }
    return {user: items for user, items in found.items() if items}


def of(config):
    return training_histories(config, read_parts(config).train)


@pytest.mark.parametrize("options", SPLITS.values(), ids=SPLITS)
def test_training_is_all_that_training_rows_of_recbole_show_or_ask_for(tiny, options):
    wide = tiny(**{**options, "MAX_ITEM_LIST_LENGTH": 50})
    train = SequentialDataset(wide).build()[0]
    names, expected = train.field2id_token, {}
    for user, items, length, target in zip(
        *(train.inter_feat[f].tolist() for f in ("user_id", "item_id_list", "item_length")),
        train.inter_feat["item_id"].tolist(),
        strict=True,
    ):
        row = [*items[:length], target]
        expected.setdefault(user, row)
        expected[user] = max(expected[user], row, key=len)
    expected = {
        str(names["user_id"][user]): [str(names["item_id"][item]) for item in items]
        for user, items in expected.items()
    }
    for given in ({}, {"fast_sequences": False}, {"noise": {"ratio": 0.5, "where": "train"}}):
        if "noise" in given:
            config = tiny(**{**options, **given})
            found = training_histories(config, load_data(config).train._dataset)
        else:
            found = of(tiny(**{**options, **given}))
        assert by_user(found) == expected


def test_training_of_a_general_model_is_its_training_split(tiny):
    train = read_parts(tiny("BPR")).train.inter_feat
    assert sum(map(len, by_user(of(tiny("BPR"))).values())) == len(train)


def test_of_sessions_it_is_the_training_sessions(walks, session_path):
    parts = (session_path / "walks/walks.split").read_text().splitlines()[1:]
    training = {line.split("\t")[0] for line in parts if line.endswith("\ttrain")}
    rows = (session_path / "walks/walks.inter").read_text().splitlines()[1:]
    expected = {}
    for row in rows:
        session, item = row.split("\t")[:2]
        if session in training:
            expected.setdefault(session, []).append(item)
    assert by_user(of(walks())) == expected
    assert len(training) > 20


def test_files_that_are_split_already_tell_the_same(tiny, tiny_path, tmp_path):
    parts = read_parts(tiny(MAX_ITEM_LIST_LENGTH=50))
    folder = tmp_path / "tiny"
    folder.mkdir()
    tokens = parts.train.field2id_token
    for name in ("train", "valid", "test"):
        split = getattr(parts, name)
        lines = ["user_id:token\titem_id_list:token_seq\titem_id:token"]
        rows = split.rows(np.arange(len(split.inter_feat)))
        for user, items, length, target in zip(
            *(rows[f].tolist() for f in ("user_id", "item_id_list", "item_length", "item_id")),
            strict=True,
        ):
            shown = " ".join(tokens["item_id"][items[:length]])
            lines.append(f"{tokens['user_id'][user]}\t{shown}\t{tokens['item_id'][target]}")
        (folder / f"tiny.{name}.inter").write_text("\n".join(lines) + "\n")
    given = {
        "data_path": str(tmp_path),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]},
        "alias_of_item_id": ["item_id_list"],
        "MAX_ITEM_LIST_LENGTH": 50,
    }
    found = of(tiny("STAMP", **given))
    assert by_user(found) == by_user(of(tiny()))
    assert found.fingerprint() == of(tiny()).fingerprint()


def test_the_fingerprint_is_of_training_and_not_of_the_file(tiny, tiny_path, tmp_path):
    def digest(change) -> str:
        folder = shutil.copytree(tiny_path / "tiny", tmp_path / "tiny", dirs_exist_ok=True)
        path = folder / "tiny.inter"
        header, *lines = (tiny_path / "tiny/tiny.inter").read_text().splitlines()
        path.write_text("\n".join([header, *change(lines)]) + "\n")
        return of(tiny(data_path=str(tmp_path))).fingerprint()

    usual = digest(lambda lines: lines)
    rows = (tiny_path / "tiny/tiny.inter").read_text().splitlines()[1:]
    users = [*(row.split("\t")[0] for row in rows), ""]
    ends = [n for n in range(len(rows)) if users[n] != users[n + 1]]

    def other_test_items(lines):
        lines = list(lines)
        for n in ends:
            user, item, time = lines[n].split("\t")
            lines[n] = f"{user}\ti{(int(item[1:]) + 5) % 40}\t{time}"
        return lines

    def another_training_item(lines):
        user, item, time = lines[0].split("\t")
        return [f"{user}\ti{(int(item[1:]) + 5) % 40}\t{time}", *lines[1:]]

    assert digest(other_test_items) == usual
    assert digest(lambda lines: lines[::-1]) == usual
    assert digest(another_training_item) != usual
    assert of(tiny(**RATIO)).fingerprint() != usual


def test_a_split_is_said_and_has_a_folder_and_a_command(tiny, tiny_path):
    usual, other = tiny("ISRF"), tiny("ISRF", **RATIO, rm_dup_inter="first")
    assert definition(usual) == {
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user"}
    }
    assert definition(other)["rm_dup_inter"] == "first"
    assert enriched_folder(usual) == tiny_path / "tiny"
    assert enriched_folder(other).parent == tiny_path / "tiny"
    command = enrich_command(other, "ISRF", "--semantics=metadata")
    assert command == (
        "`recbole_intent enrich --for=ISRF --dataset=tiny --semantics=metadata "
        "'--eval_args={split: {RS: [0.6, 0.2, 0.2]}}' --rm_dup_inter=first "
        f"--data_path={tiny_path}`"
    )
    assert parse_value("{split: {RS: [0.6, 0.2, 0.2]}}") == RATIO["eval_args"]


def test_a_file_of_another_split_is_refused_with_both(tiny, tmp_path):
    mine, theirs = (training_split(c, read_parts(c).train) for c in (tiny(**RATIO), tiny()))
    check_split(tmp_path, Split.of_plain(mine.plain()), mine, "do this")
    with pytest.raises(
        UserError, match=r"LS: valid_and_test.*, and this run .* {RS: .*; do this$"
    ) as error:
        check_split(tmp_path / "f", theirs, mine, "do this")
    assert str(error.value).startswith(f"{tmp_path / 'f'}: ")
    with pytest.raises(UserError, match="does not say which split it was made from; do this"):
        check_split(tmp_path / "f", Split.of_text("{}"), mine, "do this")


def test_a_random_order_is_the_seeds_own(tiny):
    """Whoever reads the data, and whatever was drawn before."""
    options = {"eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"}}
    first, again = of(tiny("BPR", **options)), of(tiny("BPR", **options))
    assert first.fingerprint() == again.fingerprint()
    assert of(tiny("BPR", **options, seed=7)).fingerprint() != first.fingerprint()
