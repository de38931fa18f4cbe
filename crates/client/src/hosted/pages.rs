//! Lists of any length, page by page.

use std::future::Future;

use futures::Stream;
use futures::stream;
use packhouse_api::{
    BranchInfo, CommitInfo, FileEntry, GrepFileMatch, GrepRequest, ListBranchesQuery,
    ListCommitsQuery, ListFilesQuery, ListReposQuery, ListTagsQuery, RepoInfo, TagInfo,
};

use super::client::Client;
use super::error::HostedError;
use super::repo::HostedRepo;

/// One page of a list: what is on it, and where the next begins.
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    fn new(items: Vec<T>, next: Option<String>, has_more: bool) -> Page<T> {
        Page {
            items,
            next: next.filter(|_| has_more),
        }
    }
}

/// What is on every page from `start` on. Holds one page; asks for the next when that is used up.
fn items<T, F>(
    start: Option<String>,
    load: impl Fn(Option<String>) -> F,
) -> impl Stream<Item = Result<T, HostedError>>
where
    F: Future<Output = Result<Page<T>, HostedError>>,
{
    struct State<T> {
        items: std::vec::IntoIter<T>,
        /// The page after the one at hand, if there may be one.
        next: Option<Option<String>>,
    }
    let state = State {
        items: Vec::new().into_iter(),
        next: Some(start),
    };
    stream::try_unfold((state, load), |(mut state, load)| async move {
        loop {
            if let Some(item) = state.items.next() {
                return Ok(Some((item, (state, load))));
            }
            let Some(cursor) = state.next.take() else {
                return Ok(None);
            };
            let page = load(cursor).await?;
            state.items = page.items.into_iter();
            state.next = page.next.map(Some);
        }
    })
}

impl Client {
    /// Every repository of the organisation.
    pub fn repos(
        &self,
        query: ListReposQuery,
    ) -> impl Stream<Item = Result<RepoInfo, HostedError>> {
        let client = self.clone();
        items(query.cursor.clone(), move |cursor| {
            let (client, query) = (
                client.clone(),
                ListReposQuery {
                    cursor,
                    ..query.clone()
                },
            );
            async move {
                let page = client.list_repos(&query).await?;
                Ok(Page::new(page.repos, page.next_cursor, page.has_more))
            }
        })
    }
}

impl HostedRepo {
    /// Every branch, oldest first.
    pub fn branches(
        &self,
        query: ListBranchesQuery,
    ) -> impl Stream<Item = Result<BranchInfo, HostedError>> {
        let repo = self.clone();
        items(query.cursor.clone(), move |cursor| {
            let (repo, query) = (
                repo.clone(),
                ListBranchesQuery {
                    cursor,
                    ..query.clone()
                },
            );
            async move {
                let page = repo.list_branches(&query).await?;
                Ok(Page::new(page.branches, page.next_cursor, page.has_more))
            }
        })
    }

    /// Every tag, by name.
    pub fn tags(&self, query: ListTagsQuery) -> impl Stream<Item = Result<TagInfo, HostedError>> {
        let repo = self.clone();
        items(query.cursor.clone(), move |cursor| {
            let (repo, query) = (
                repo.clone(),
                ListTagsQuery {
                    cursor,
                    ..query.clone()
                },
            );
            async move {
                let page = repo.list_tags(&query).await?;
                Ok(Page::new(page.tags, page.next_cursor, page.has_more))
            }
        })
    }

    /// Every commit that a branch, tag or commit reaches, newest first.
    pub fn commits(
        &self,
        query: ListCommitsQuery,
    ) -> impl Stream<Item = Result<CommitInfo, HostedError>> {
        let repo = self.clone();
        items(query.cursor.clone(), move |cursor| {
            let (repo, query) = (
                repo.clone(),
                ListCommitsQuery {
                    cursor,
                    ..query.clone()
                },
            );
            async move {
                let page = repo.list_commits(&query).await?;
                Ok(Page::new(page.commits, page.next_cursor, page.has_more))
            }
        })
    }

    /// Every entry of a folder, in pages of `limit` (1,000 if absent).
    pub fn files(
        &self,
        query: ListFilesQuery,
    ) -> impl Stream<Item = Result<FileEntry, HostedError>> {
        let repo = self.clone();
        items(query.cursor.clone(), move |cursor| {
            // Without a limit or a cursor the answer would hold all of it.
            let limit = Some(query.limit.unwrap_or(0));
            let query = ListFilesQuery {
                cursor,
                limit,
                ..query.clone()
            };
            let repo = repo.clone();
            async move {
                let page = repo.list_files(&query).await?;
                let has_more = page.has_more.unwrap_or(false);
                Ok(Page::new(page.entries, page.next_cursor, has_more))
            }
        })
    }

    /// Every file that has matches, with the lines. A file may come again on the page after, with lines further down.
    pub fn matches(
        &self,
        request: GrepRequest,
    ) -> impl Stream<Item = Result<GrepFileMatch, HostedError>> {
        let repo = self.clone();
        let start = request
            .pagination
            .as_ref()
            .and_then(|page| page.cursor.clone());
        items(start, move |cursor| {
            let (repo, mut request) = (repo.clone(), request.clone());
            if cursor.is_some() {
                request.pagination.get_or_insert_default().cursor = cursor;
            }
            async move {
                let page = repo.grep(&request).await?;
                Ok(Page::new(page.matches, page.next_cursor, page.has_more))
            }
        })
    }
}
