//! One repository: a method for each call, which takes the API's request as a dictionary.

use packhouse_api::{
    ArchiveRequest, BlameQuery, BranchDiffQuery, CommitDiffQuery, CreateBranch, CreateRepo,
    CreateTag, DeleteBranch, DeleteNote, DeleteTag, FileQuery, FilesMetadataQuery, GetBranchQuery,
    GetCommitQuery, GetNoteQuery, GetTagQuery, GrepRequest, ListBranchesQuery, ListCommitsQuery,
    ListFilesQuery, ListJobsQuery, ListNotesRefsQuery, ListTagsQuery, MergeBranches,
    PreviewMergeQuery, PullUpstream, ReplayCommits, RepoAuditQuery, RestoreMetadata, WriteNote,
};
use packhouse_client::hosted::{self, FileConditions, RemoteKind, RemoteOptions};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::client::policies;
use super::events::HostedEvents;
use super::failures::failure;
use super::running::{answer, request_of, spawn};
use super::streams::HostedDownload;
use super::upload::{Contents, HostedUpload, made};
use super::webhooks::HostedWebhooks;

#[pyclass(frozen, module = "packhouse._native")]
pub(crate) struct HostedRepo(pub(super) hosted::HostedRepo);

/// A method of this class for a call of the same name that takes a request and returns JSON.
macro_rules! calls {
    ($($name:ident($request:ty);)*) => {
        #[pymethods]
        impl HostedRepo {
            $(
                fn $name<'py>(
                    &self,
                    py: Python<'py>,
                    request: &Bound<'py, PyAny>,
                ) -> PyResult<Bound<'py, PyAny>> {
                    let (repo, request) = (self.0.clone(), request_of::<$request>(request)?);
                    answer(py, async move { repo.$name(&request).await })
                }
            )*
        }
    };
}

calls! {
    list_files(ListFilesQuery);
    list_files_with_metadata(FilesMetadataQuery);
    grep(GrepRequest);
    blame(BlameQuery);
    list_branches(ListBranchesQuery);
    get_branch(GetBranchQuery);
    create_branch(CreateBranch);
    delete_branch(DeleteBranch);
    list_tags(ListTagsQuery);
    get_tag(GetTagQuery);
    create_tag(CreateTag);
    delete_tag(DeleteTag);
    list_commits(ListCommitsQuery);
    get_commit(GetCommitQuery);
    branch_diff(BranchDiffQuery);
    commit_diff(CommitDiffQuery);
    merge(MergeBranches);
    preview_merge(PreviewMergeQuery);
    cherry_pick(ReplayCommits);
    revert(ReplayCommits);
    get_note(GetNoteQuery);
    write_note(WriteNote);
    delete_note(DeleteNote);
    list_notes_refs(ListNotesRefsQuery);
    pull_upstream(PullUpstream);
    list_jobs(ListJobsQuery);
    list_audit(RepoAuditQuery);
}

#[pymethods]
impl HostedRepo {
    fn create<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (repo, request) = (self.0.clone(), request_of::<CreateRepo>(request)?);
        spawn(py, async move { repo.create(&request).await.map(drop) })
    }

    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let repo = self.0.clone();
        answer(py, async move { repo.describe().await })
    }

    fn delete<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let repo = self.0.clone();
        answer(py, async move { repo.delete().await })
    }

    fn detach_upstream<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let repo = self.0.clone();
        answer(py, async move { repo.detach_upstream().await })
    }

    fn read_file<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
        conditions: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (repo, query) = (self.0.clone(), request_of::<FileQuery>(request)?);
        let conditions: FileConditions = request_of(conditions)?;
        spawn(py, async move {
            let file = repo.read_file(&query, &conditions).await?;
            Ok(HostedDownload::new(file))
        })
    }

    fn head_file<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
        conditions: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (repo, query) = (self.0.clone(), request_of::<FileQuery>(request)?);
        let conditions: FileConditions = request_of(conditions)?;
        spawn(py, async move {
            let file = repo.head_file(&query, &conditions).await?;
            Ok(HostedDownload::new(file))
        })
    }

    fn archive<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (repo, request) = (self.0.clone(), request_of::<ArchiveRequest>(request)?);
        spawn(py, async move {
            let archive = repo.archive(&request).await?;
            Ok(HostedDownload::new(archive))
        })
    }

    fn restore_commit<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (repo, request) = (self.0.clone(), request_of::<RestoreMetadata>(request)?);
        answer(
            py,
            async move { repo.restore_commit(&request).await.map(made) },
        )
    }

    fn commit(&self, metadata: &Bound<'_, PyAny>, contents: Contents) -> PyResult<HostedUpload> {
        HostedUpload::commit(&self.0, request_of(metadata)?, contents)
    }

    fn commit_patch(
        &self,
        metadata: &Bound<'_, PyAny>,
        contents: Contents,
    ) -> PyResult<HostedUpload> {
        HostedUpload::patch(&self.0, request_of(metadata)?, contents)
    }

    #[pyo3(signature = (*, kind, scopes, ttl, refs, ops))]
    fn remote_url(
        &self,
        kind: &str,
        scopes: Option<Vec<String>>,
        ttl: Option<i64>,
        refs: Vec<(String, Vec<String>)>,
        ops: Vec<String>,
    ) -> PyResult<String> {
        let kind = match kind {
            "ordinary" => RemoteKind::Ordinary,
            "ephemeral" => RemoteKind::Ephemeral,
            "import" => RemoteKind::Import,
            other => return Err(PyValueError::new_err(format!("no such kind: {other}"))),
        };
        let options = RemoteOptions {
            scopes,
            ttl_seconds: ttl,
            refs: policies(refs),
            ops,
        };
        self.0
            .remote_url(kind, &options)
            .map_err(|error| failure(&error))
    }

    fn webhooks(&self) -> HostedWebhooks {
        HostedWebhooks(self.0.webhooks())
    }

    fn events(&self, after: Option<&str>) -> HostedEvents {
        HostedEvents::new(self.0.events(after))
    }
}
