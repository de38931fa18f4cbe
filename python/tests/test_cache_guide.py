"""The code of the guide of `metagit.core.gitcache`, as it stands in it, in the order of its sections; hosts aside."""

import subprocess
import sys
from pathlib import Path

import git_http
import pytest


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def site(tmp_path):
    """The host of the guide's repositories."""
    folder = tmp_path / "site"
    source = tmp_path / "source"
    git = ["git", "-C", str(source)]
    subprocess.run(["git", "init", "-q", "-b", "main", str(source)], check=True)
    (source / "README").write_text("Hello World!\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "First"], check=True)
    for name in ("octocat/Hello-World", "user/repo1", "user/repo2", "user/repo", "private/repo"):
        subprocess.run(["git", "clone", "-q", "--bare", str(source), str(folder / f"{name}.git")], check=True)
    with git_http.serving(folder) as serving:
        yield serving


@pytest.fixture
def project(tmp_path):
    """The guide's local directory."""
    path = tmp_path / "project"
    path.mkdir()
    (path / "main.py").write_text("print()\n")
    return str(path)


@pytest.fixture
def manager():
    return basic_setup()


def basic_setup():
    from metagit.core.gitcache import GitCacheConfig, GitCacheManager
    from pathlib import Path

    # Create configuration
    config = GitCacheConfig(
        cache_root=Path("./.metagit/.cache"),
        default_timeout_minutes=60,
        max_cache_size_gb=10.0
    )

    # Create manager
    manager = GitCacheManager(config)
    return manager


def test_caching_git_repositories(manager, site, capsys):
    # Cache a git repository
    entry = manager.cache_repository(f"{site.url}/octocat/Hello-World.git")

    if isinstance(entry, Exception):
        print(f"Error: {entry}")
    else:
        print(f"Cached: {entry.name}")
        print(f"Path: {entry.cache_path}")
        print(f"Status: {entry.status}")

    assert capsys.readouterr().out == "Cached: Hello-World\nPath: .metagit/.cache/Hello-World\nStatus: fresh\n"
    assert Path(".metagit/.cache/Hello-World/README").read_text() == "Hello World!\n"


def test_caching_local_directories(manager, project, capsys):
    # Cache a local directory
    entry = manager.cache_repository(project, name="my-project")

    if isinstance(entry, Exception):
        print(f"Error: {entry}")
    else:
        print(f"Cached: {entry.name}")
        print(f"Type: {entry.cache_type}")

    assert capsys.readouterr().out == "Cached: my-project\nType: local\n"


def test_asynchronous_operations(manager, site, project, capsys):
    import asyncio

    async def cache_multiple_repos():
        # Cache multiple repositories concurrently
        tasks = [
            manager.cache_repository_async(f"{site.url}/user/repo1.git"),
            manager.cache_repository_async(f"{site.url}/user/repo2.git"),
            manager.cache_repository_async(project)
        ]

        results = await asyncio.gather(*tasks, return_exceptions=True)

        for result in results:
            if isinstance(result, Exception):
                print(f"Error: {result}")
            else:
                print(f"Successfully cached: {result.name}")

    # Run async function
    asyncio.run(cache_multiple_repos())

    names = ("repo1", "repo2", "project")
    assert capsys.readouterr().out == "".join(f"Successfully cached: {name}\n" for name in names)


def test_cache_management(manager, site, capsys):
    manager.cache_repository(f"{site.url}/user/repo.git", name="repo-name")

    # List all cache entries
    entries = manager.list_cache_entries()
    for entry in entries:
        print(f"{entry.name}: {entry.cache_type} ({entry.status})")

    # Get cache statistics
    stats = manager.get_cache_stats()
    print(f"Total entries: {stats['total_entries']}")
    print(f"Total size: {stats['total_size_gb']:.2f} GB")

    # Get cached repository path
    cache_path = manager.get_cached_repository("repo-name")
    if isinstance(cache_path, Exception):
        print(f"Error: {cache_path}")
    else:
        print(f"Cache path: {cache_path}")

    # Refresh cache entry
    entry = manager.refresh_cache_entry("repo-name")
    assert entry.name == "repo-name"

    # Remove cache entry
    result = manager.remove_cache_entry("repo-name")
    assert result is True and not cache_path.exists()

    # Clear all cache
    result = manager.clear_cache()
    assert result is True

    assert capsys.readouterr().out == (
        "repo-name: git (fresh)\nTotal entries: 1\nTotal size: 0.00 GB\nCache path: .metagit/.cache/repo-name\n"
    )


def test_provider_integration(manager, site):
    from metagit.core.providers.github import GitHubProvider

    site.password = "your-token"
    # Register a git provider
    provider = GitHubProvider(api_token="your-token", base_url=site.url)
    manager.register_provider(provider)

    # The manager will use the provider for authentication when cloning
    entry = manager.cache_repository(f"{site.url}/private/repo.git")

    assert entry.status == "fresh"


def test_git_configuration(site):
    from metagit.core.gitcache import GitCacheConfig, GitCacheManager

    config = GitCacheConfig(
        git_config={
            "user.name": "Your Name",
            "user.email": "your.email@example.com",
            "http.extraheader": "AUTHORIZATION: basic cmVhZGVyOnNlc2FtZQ=="
        }
    )

    site.password = "sesame"
    entry = GitCacheManager(config).cache_repository(f"{site.url}/private/repo.git")
    assert entry.status == "fresh"


@pytest.mark.parametrize(
    "password, path, said",
    [
        ("sesame", "user/repo", "Please check your credentials"),
        (None, "user/none", "Repository does not exist or is private"),
    ],
)
def test_error_handling(manager, site, capsys, password, path, said):
    site.password = password
    entry = manager.cache_repository(f"{site.url}/{path}.git")

    if isinstance(entry, Exception):
        # Handle error
        print(f"Cache failed: {entry}")
        # Check if it's a specific type of error
        if "Authentication failed" in str(entry):
            print("Please check your credentials")
        elif "Repository not found" in str(entry):
            print("Repository does not exist or is private")
    else:
        # Handle success
        print(f"Successfully cached: {entry.name}")

    failed, advice = capsys.readouterr().out.splitlines()
    assert failed.startswith("Cache failed: ") and advice == said


def test_the_modules_that_programs_import():
    import metagit.core.gitcache
    import packhouse.cache
    from metagit.core.gitcache.config import CacheStatus, CacheType, GitCacheConfig, GitCacheEntry
    from metagit.core.gitcache.manager import GitCacheManager
    from metagit.core.providers import GitProvider, registry
    from metagit.core.providers.gitlab import GitLabProvider

    assert sorted(metagit.core.gitcache.__all__) == ["GitCacheConfig", "GitCacheManager"]
    assert GitCacheManager is packhouse.cache.GitCacheManager and GitCacheConfig is packhouse.cache.GitCacheConfig
    assert {CacheStatus, CacheType, GitCacheEntry} and issubclass(GitLabProvider, GitProvider)
    assert registry.get_all_providers() == []


def test_importing_it_loads_pydantic_and_nothing_else_of_others():
    code = "import sys, metagit.core.gitcache; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"metagit", "packhouse", "pydantic"} <= loaded
    assert not loaded & {"rich", "ruamel", "yaml", "click", "loguru", "git", "requests", "httpx", "dotenv", "pytest"}
