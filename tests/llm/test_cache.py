"""Answers that are kept, claims with one owner, and files that are no caches."""

import asyncio
import resource
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from recbole_intent.llm.cache import AnswerCache
from recbole_intent.llm.sources import Completion
from recbole_intent.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


def child(code: str, *arguments: object, **options) -> subprocess.Popen:
    """A process of its own that runs some code."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_stored_is_there_later(tmp_path):
    path = tmp_path / "new" / "a.sqlite"
    answer = Completion("é\0\n" * 1000, 5, 7)

    async def store(cache: AnswerCache) -> None:
        assert cache.get("k") is None
        assert await cache.claim("k") is True
        await cache.store("k", answer, "tag")
        assert cache.get("k") == await cache.claim("k") == answer

    with AnswerCache(path) as cache:
        asyncio.run(store(cache))
    with AnswerCache(path) as cache:
        assert cache.get("k") == answer
        assert len(cache) == 1
    assert files(path.parent) == {"a.sqlite"}


def test_answers_that_come_together_are_all_stored(tmp_path):
    async def store(cache: AnswerCache) -> None:
        await asyncio.gather(*[cache.store(f"k{i}", Completion(str(i))) for i in range(500)])

    with AnswerCache(tmp_path / "a.sqlite") as cache:
        asyncio.run(store(cache))
        assert [cache.get(f"k{i}").text for i in range(500)] == [str(i) for i in range(500)]


def test_an_answer_that_nobody_waits_for_any_more_is_stored(tmp_path):
    async def store(cache: AnswerCache) -> None:
        tasks = [asyncio.create_task(cache.store(f"k{i}", Completion("a"))) for i in range(50)]
        await asyncio.sleep(0)  # each has handed its answer in
        for task in tasks:
            task.cancel()

    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as cache:
        asyncio.run(store(cache))
    with AnswerCache(path) as cache:
        assert len(cache) == 50


def test_a_claim_has_one_owner_until_it_is_released_or_answered(tmp_path):
    async def claims(one: AnswerCache, other: AnswerCache) -> None:
        assert await one.claim("k") is True
        assert await other.claim("k") is False
        assert await one.claim("k") is True
        await other.release("k")  # not its own
        assert await other.claim("k") is False
        await one.release("k")
        assert await other.claim("k") is True
        await other.store("k", Completion("a"))
        assert await one.claim("k") == one.get("k") == Completion("a")

    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as one, AnswerCache(path) as other:
        asyncio.run(claims(one, other))


def test_closing_frees_claims(tmp_path):
    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as other:
        with AnswerCache(path) as cache:
            assert asyncio.run(cache.claim("k")) is True
            assert asyncio.run(other.claim("k")) is False
        assert asyncio.run(other.claim("k")) is True


CLAIM = """
    import asyncio, sys, time
    from recbole_intent.llm.cache import AnswerCache
    cache = AnswerCache(sys.argv[1])
    assert asyncio.run(cache.claim("k")) is True
    print("mine", flush=True)
    time.sleep(600)
"""


def test_the_claims_of_a_killed_process_are_free_at_once(tmp_path):
    path = tmp_path / "a.sqlite"
    with AnswerCache(path) as cache:
        owner = child(CLAIM, path)
        assert owner.stdout.readline() == "mine\n"
        assert asyncio.run(cache.claim("k")) is False
        owner.kill()
        owner.wait()
        assert asyncio.run(cache.claim("k")) is True
    assert files(tmp_path) == {"a.sqlite"}


def test_opening_sweeps_up_after_a_killed_process(tmp_path):
    path = tmp_path / "a.sqlite"
    owner = child(CLAIM, path)
    assert owner.stdout.readline() == "mine\n"
    owner.kill()
    owner.wait()
    assert len(files(tmp_path)) > 1
    with AnswerCache(path) as cache:
        assert asyncio.run(cache.claim("k")) is True
    assert files(tmp_path) == {"a.sqlite"}


def test_many_processes_may_make_the_cache_at_once(tmp_path):
    code = """
        import asyncio, sys
        from recbole_intent.llm.cache import AnswerCache
        from recbole_intent.llm.sources import Completion
        sys.stdin.readline()
        with AnswerCache(sys.argv[1]) as cache:
            async def work():
                for i in range(20):
                    if await cache.claim(f"k{i}") is True:
                        await cache.store(f"k{i}", Completion(sys.argv[2]))
            asyncio.run(work())
    """
    path = tmp_path / "a.sqlite"
    processes = [child(code, path, i, stdin=subprocess.PIPE) for i in range(5)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with AnswerCache(path) as cache:
        assert len(cache) == 20


def test_a_full_disk_is_one_error_and_loses_nothing(tmp_path):
    """The system refuses to let the file grow, in the middle of a write."""
    code = """
        import asyncio, sys
        from recbole_intent.llm.cache import AnswerCache
        from recbole_intent.llm.sources import Completion
        from recbole_intent.utils.errors import UserError
        stored = 0
        try:
            with AnswerCache(sys.argv[1]) as cache:
                async def work():
                    global stored
                    for i in range(100):
                        await cache.store(f"k{i}", Completion(str(i) * 20_000))
                        stored += 1
                asyncio.run(work())
        except UserError as error:
            print(stored, error)
    """
    path = tmp_path / "a.sqlite"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    said = child(code, path, preexec_fn=limit).communicate(timeout=60)[0]
    stored = int(said.split()[0])
    assert 0 < stored < 100
    assert f"{path}: cannot be written; free some space" in said
    with AnswerCache(path) as cache:
        assert [cache.get(f"k{i}").text for i in range(stored)] == [
            str(i) * 20_000 for i in range(stored)
        ]
        asyncio.run(cache.store("more", Completion("a")))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_full_database_says_so_and_goes_on_when_there_is_space(tmp_path):
    with AnswerCache(tmp_path / "a.sqlite") as cache:
        asyncio.run(cache.store("k", Completion("a")))
        pages = cache._writer.execute("PRAGMA page_count").fetchone()[0]
        cache._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match=r"a\.sqlite: cannot be written.*full"):
            asyncio.run(cache.store("long", Completion("a" * 100_000)))
        cache._writer.execute("PRAGMA max_page_count = 100000")
        asyncio.run(cache.store("short", Completion("b")))
        assert cache.get("long").text == "a" * 100_000  # it waited for its turn
        assert cache.get("k").text == "a"


@pytest.mark.parametrize("content", [b"user_id:token\tx\n" * 100, b"SQLite format 3\0" * 500])
def test_a_file_that_is_no_cache_is_named_and_left(tmp_path, content):
    path = tmp_path / "a.inter"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.inter: is not a cache of answers"):
        AnswerCache(path)
    assert path.read_bytes() == content
    assert files(tmp_path) == {"a.inter"}


def test_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "theirs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE answers (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program's database"):
        AnswerCache(path)
    assert path.read_bytes() == before


def test_a_later_versions_cache_is_left_alone(tmp_path):
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UserError, match="later version"):
        AnswerCache(path)


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match=r"a/b\.sqlite: cannot be used: .*--cache=FILE"):
        AnswerCache(tmp_path / "a" / "b.sqlite")
