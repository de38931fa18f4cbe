//! The upstream of a repository, its jobs, audit log, webhooks and events.

use packhouse_api::{
    ListJobsQuery, ListedAuditEntries, ListedJobs, PullUpstream, RepoAuditQuery, UpstreamMessage,
    paths,
};
use reqwest::Method;

use super::call::Call;
use super::error::HostedError;
use super::events::EventStream;
use super::repo::HostedRepo;
use super::retry::Effect;
use super::webhooks::Webhooks;

impl HostedRepo {
    /// Asks for a sync with the upstream, which goes on in the background: [`HostedRepo::describe`] tells how it went.
    pub async fn pull_upstream(&self, request: &PullUpstream) -> Result<(), HostedError> {
        let call = Call::new(Method::POST, paths::PULL_UPSTREAM, &["git:write"]);
        self.caller.done(call.write(request)?).await
    }

    /// Detaches the repository from its upstream.
    pub async fn detach_upstream(&self) -> Result<UpstreamMessage, HostedError> {
        let mut call = Call::new(Method::DELETE, paths::BASE, &["repo:write"]);
        call.effect = Effect::Write;
        self.caller.json(call).await
    }

    /// One page of the repository's jobs.
    pub async fn list_jobs(&self, query: &ListJobsQuery) -> Result<ListedJobs, HostedError> {
        self.caller
            .get(paths::REPO_JOBS, &["git:read"], query)
            .await
    }

    /// One page of what was done to the repository, and to deleted ones of its name, newest first.
    pub async fn list_audit(
        &self,
        query: &RepoAuditQuery,
    ) -> Result<ListedAuditEntries, HostedError> {
        self.caller
            .get(paths::REPO_AUDIT, &["repo:write"], query)
            .await
    }

    /// Webhooks of this repository.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(self.caller.clone(), &["repo:write"], &["repo:write"])
    }

    /// Events of this repository: those after the event `after` (`0`: all there are), or what comes.
    pub fn events(&self, after: Option<&str>) -> EventStream {
        EventStream::new(self.caller.clone(), &["git:read"], after)
    }
}
