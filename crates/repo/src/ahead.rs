//! Writes that take thought: worked out ahead, on a view, so that other writes of the repository do not wait for them.
//!
//! Only if the branch has moved since is the work done again. Work that is quickly done is then done in the write
//! itself; other work is done ahead again, a few times, before it keeps the other writes waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::change::Change;
use crate::error::{PublishError, RepoError};
use crate::repository::Repository;
use crate::view::View;

/// Work that took less may be done in the write itself: other writes of the repository wait that long at most.
const QUICK: Duration = Duration::from_millis(20);
/// How often other work is done ahead.
const TRIES_AHEAD: u32 = 3;

/// A write that is worked out on a view.
pub(crate) trait WorkedOut: Send + Sync + 'static {
    /// What is worked out.
    type Plan: Send + Sync + 'static;
    /// What the caller learns.
    type Outcome: Send + 'static;
    /// Why it cannot be done.
    type Error: From<RepoError> + Send + 'static;

    /// Does the work. `earlier` is what was worked out on a view before this one.
    fn plan(&self, view: &View, earlier: Option<&Self::Plan>) -> Result<Self::Plan, Self::Error>;

    /// Whether what was worked out still holds.
    fn holds(&self, view: &View, plan: &Self::Plan) -> Result<bool, Self::Error>;

    /// The write that comes of it; an empty change writes nothing.
    fn change(
        &self,
        view: &View,
        plan: &Self::Plan,
    ) -> Result<(Change, Self::Outcome), Self::Error>;
}

impl Repository {
    /// Works `work` out and writes it, on the newest state of the branch.
    pub(crate) async fn publish_worked_out<W: WorkedOut>(
        &self,
        who: &str,
        work: W,
    ) -> Result<W::Outcome, W::Error> {
        let work = Arc::new(work);
        let mut earlier: Option<Arc<W::Plan>> = None;
        let mut tries = TRIES_AHEAD;
        loop {
            tries -= 1;
            let view = self.view().await?;
            let began = Instant::now();
            let planned = tokio::task::spawn_blocking({
                let work = work.clone();
                move || work.plan(&view, earlier.as_deref())
            });
            let plan = Arc::new(planned.await.map_err(|_| RepoError::Stopped)??);
            let again_in_write = tries == 0 || began.elapsed() < QUICK;
            let prepare = {
                let (work, plan) = (work.clone(), plan.clone());
                move |view: &View| prepare(view, work.as_ref(), &plan, again_in_write)
            };
            match self.publish(who, Vec::new(), prepare).await {
                Ok((outcome, _)) => return Ok(outcome),
                Err(PublishError::Refused(Refusal::Moved)) => earlier = Some(plan),
                Err(PublishError::Refused(Refusal::Error(error))) => return Err(error),
                // What was worked out left out an object that was there, and was dropped since.
                Err(PublishError::Repo(RepoError::Vanished { .. })) if tries > 0 => earlier = None,
                Err(PublishError::Repo(error)) => return Err(error.into()),
            }
        }
    }
}

/// Why the write was not made.
enum Refusal<E> {
    /// What was worked out does not hold any more.
    Moved,
    Error(E),
}

fn prepare<W: WorkedOut>(
    view: &View,
    work: &W,
    plan: &W::Plan,
    again_in_write: bool,
) -> Result<(Change, W::Outcome), Refusal<W::Error>> {
    if work.holds(view, plan).map_err(Refusal::Error)? {
        return work.change(view, plan).map_err(Refusal::Error);
    }
    if !again_in_write {
        return Err(Refusal::Moved);
    }
    let newer = work.plan(view, Some(plan)).map_err(Refusal::Error)?;
    work.change(view, &newer).map_err(Refusal::Error)
}
