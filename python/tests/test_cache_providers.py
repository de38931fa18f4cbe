"""Providers of packhouse.cache: URLs, credentials and tokens."""

import git_http
import pytest
from cache_site import config, manager, remote, site

from packhouse.cache import GitCacheManager
from packhouse.cache.providers import BasicProvider, GitHubProvider, GitLabProvider, TokenProvider


def test_providers_know_their_urls_and_credentials():
    github, gitlab = GitHubProvider("t1"), GitLabProvider("t2")
    for url in (
        "https://github.com/o/r.git",
        "https://me@GitHub.com:443/o/r.git",
        "git@github.com:o/r.git",
        "ssh://git@github.com:22/o/r",
    ):
        assert github.can_handle_url(url) and github.supports_url(url) and not gitlab.can_handle_url(url)
        info = github.extract_repo_info(url)
        assert info == {"owner": "o", "repo": "r", "api_url": "https://api.github.com/repos/o/r"}
    assert not github.can_handle_url("https://github.com:8443/o/r")
    assert not github.can_handle_url("https://github.com.evil.example/o/r")
    assert not github.can_handle_url("https://evil.example/github.com/o/r")
    assert github.get_credentials("https://github.com/o/r") == ("x-access-token", "t1")
    assert "t1" not in repr(github) + repr(github.get_credentials("https://github.com/o/r"))
    assert gitlab.extract_repo_info("https://gitlab.com/a/b/c.git")["owner"] == "a/b"
    assert GitLabProvider("t", "https://git.example.com/api/v4").can_handle_url("https://git.example.com/a/b")
    with pytest.raises(ValueError):
        github.extract_repo_info("https://gitlab.com/a/b")
    assert TokenProvider("git.example.com", "t").get_credentials("https://git.example.com/x")[1] == "t"


def test_providers_come_from_the_configuration(config):
    config.provider_config = {"github": {"api_token": "t"}, "gitlab": {"api_token": "u", "enabled": False}}
    assert list(GitCacheManager(config)._providers) == ["GitHub"]
    config.provider_config = {"forge": {}}
    with pytest.raises(ValueError, match="forge"):
        GitCacheManager(config)


def test_a_provider_asked_only_for_its_urls(manager, site, remote):
    asked = []

    class Watching(BasicProvider):
        def get_credentials(self, url):
            asked.append(url)
            return super().get_credentials(url)

    manager.register_provider(Watching("elsewhere.example", "reader", "sesame"))
    site.password = "sesame"
    assert isinstance(manager.cache_repository(remote.url), Exception) and asked == []


def test_tokens_go_over_no_open_network():
    token = TokenProvider("git.example.com", "t")
    assert token.get_credentials("https://git.example.com/x") and not token.get_credentials("http://git.example.com/x")
    assert GitHubProvider("t").get_credentials("http://github.com/o/r") is None
    own = GitLabProvider("t", "http://git.example.com")
    assert own.get_credentials("http://git.example.com/a/b") == ("oauth2", "t")


def test_a_token_for_an_api_follows_no_redirect_to_another_host():
    with git_http.redirecting("http://127.0.0.2:9/elsewhere") as url:
        answer = GitHubProvider("t", url).get_repository_metadata("o", "r")
    assert isinstance(answer, Exception) and "127.0.0.2:9" in str(answer)
