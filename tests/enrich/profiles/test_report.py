"""The report counts what was asked and what was not."""

from recbole_intent.enrich.profiles.report import ProfileCounts, profile_summary, share_answered


def test_counts_add_up():
    counts = ProfileCounts(total=10)
    counts.add(True, "", (7, 3))
    counts.add(False, "HTTP 400", (1, 0))
    counts.add(False, "HTTP 400", (0, 0))
    assert counts.unasked == 7
    assert share_answered([counts, ProfileCounts(total=5)]) == 1 / 3
    assert share_answered([]) == 1
    values = counts.as_dict()
    assert (values["total"], values["done"], values["failed"], values["unasked"]) == (10, 1, 2, 7)
    report = profile_summary("d", "m (openai)", {"items": counts}, True, ["v.npz: 10 x 3"])
    assert report.splitlines() == [
        "# Texts of d by m (openai)",
        "",
        "Items: 10; 1 by the model, 2 failed (HTTP 400: 2) and 7 not asked about, which both have "
        "texts of metadata.",
        "",
        "Tokens: 8 in prompts, 3 in answers.",
        "",
        "Vectors:",
        "- v.npz: 10 x 3",
    ]
