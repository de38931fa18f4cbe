//! Writes of many threads to one branch: one of the threads makes the commits of all that wait.
//!
//! Each write is a commit of its own, on the one before it, and is answered by itself; the branch moves once. So
//! threads do not hand the turn to write to each other for every commit, and what a move costs is paid once. A thread
//! leads for some milliseconds, so that nobody waits for another to wake up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use packhouse_object::ProcessLocal;

use super::open::full_name;
use super::refs::RefKind;
use super::write::{Made, Outcome, told};
use super::{CommitOptions, Edits, Snapshot, Store, StoreError};
use crate::directory::Bring;
use crate::error::RepoError;
use crate::given_up::{ASK_EVERY, is_given_up};

/// The most writes that are made as one move.
const WRITES_MAX: usize = 32;

/// How long a thread leads that others wait behind: its own answer waits too. As long as a write takes that is durable.
const LEADS_FOR: Duration = Duration::from_millis(4);

/// The writes of one store that wait for a leader.
#[derive(Default)]
pub(super) struct Waiting {
    queue: ProcessLocal<Mutex<Queue>>,
}

impl Waiting {
    /// Takes back the request of a caller who has given up, unless it is being made, or is to lead.
    fn leave(&self, request: &Arc<Request>) -> bool {
        if !is_given_up() {
            return false;
        }
        let mut queue = self.queue.lock();
        let requests = &mut queue.requests;
        let at = requests.iter().position(|at| Arc::ptr_eq(at, request));
        let at = at.filter(|_| matches!(*request.progress(), Progress::Waits));
        at.and_then(|at| requests.remove(at)).is_some()
    }
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Arc<Request>>,
    has_leader: bool,
}

struct Request {
    branch: String,
    /// Taken by whoever makes the commit.
    work: Mutex<Option<(Edits, CommitOptions)>>,
    progress: Mutex<Progress>,
    told: Condvar,
}

enum Progress {
    Waits,
    Leads,
    Done(Answer),
}

/// What became of a write; `None` if it was not tried, because one before it failed with an error that need not be its
/// own. It is to be made anew: whoever comes first gets an answer.
pub(super) type Answer = Option<Box<Result<Snapshot, StoreError>>>;

/// Commits edits on the newest state of a branch.
pub(super) fn commit_on_newest(
    store: &Store,
    branch: &str,
    edits: Edits,
    options: CommitOptions,
) -> Answer {
    // Whoever leads would wait for this thread's turn to end.
    if store.inner.directory.is_in_turn() {
        let newest = store.branches().get(branch);
        let written = newest.and_then(|newest| newest.commit_edits(edits, options));
        return Some(Box::new(written));
    }
    let waiting = &store.inner.waiting;
    let request = Arc::new(Request::new(branch, edits, options));
    let mut queue = waiting.queue.lock();
    queue.requests.push_back(request.clone());
    let leads = !std::mem::replace(&mut queue.has_leader, true);
    drop(queue);
    if !leads {
        match request.wait_for(|| waiting.leave(&request)) {
            Progress::Done(answer) => return answer,
            Progress::Waits => return Some(Box::new(Err(StoreError::Cancelled))),
            Progress::Leads => {}
        }
    }
    let leading = Leading {
        waiting,
        own: &request,
    };
    match store.exclusive() {
        Ok(_turn) => leading.lead(store),
        // The others have not given up.
        Err(error @ StoreError::Cancelled) => return Some(Box::new(Err(error))),
        Err(error) => refuse(leading.take(branch).requests(), error),
    }
    drop(leading);
    match request.wait_for(|| false) {
        Progress::Done(answer) => answer,
        Progress::Waits | Progress::Leads => None,
    }
}

/// The lead, until this is dropped: then whoever waits longest has it.
struct Leading<'a> {
    waiting: &'a Waiting,
    /// The leader's own request.
    own: &'a Arc<Request>,
}

impl Leading<'_> {
    /// Answers the leader, and whoever waits after it as long as the lead lasts. Another thread would have to be woken for
    /// it, and all would wait for that; those who are answered bring their next writes meanwhile.
    fn lead(&self, store: &Store) {
        let began = Instant::now();
        let mut branch = Some(self.own.branch.clone());
        while let Some(name) = branch {
            make_all(store, &name, &self.take(&name));
            branch = self.next_branch().filter(|_| began.elapsed() < LEADS_FOR);
        }
    }

    /// The branch of the one that waits longest.
    fn next_branch(&self) -> Option<String> {
        let queue = self.waiting.queue.lock();
        queue.requests.front().map(|next| next.branch.clone())
    }

    /// Takes the leader's own request, if it is there still, and those of the same branch that wait by now.
    fn take(&self, branch: &str) -> Group {
        let own = self.own;
        let mut queue = self.waiting.queue.lock();
        let is_own = |request: &Arc<Request>| Arc::ptr_eq(request, own);
        let mut group = Vec::new();
        if let Some(at) = queue.requests.iter().position(is_own) {
            group.extend(queue.requests.remove(at));
        }
        queue.requests.retain(|request| {
            let joins = group.len() < WRITES_MAX && request.branch == branch;
            if joins {
                group.push(request.clone());
            }
            !joins
        });
        Group(group)
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        let mut queue = self.waiting.queue.lock();
        // It is there still if this thread panicked before it was taken: then nobody leads for it.
        queue
            .requests
            .retain(|request| !Arc::ptr_eq(request, self.own));
        match queue.requests.front() {
            Some(next) => next.tell(Progress::Leads),
            None => queue.has_leader = false,
        }
    }
}

/// Requests that are being answered.
struct Group(Vec<Arc<Request>>);

impl Group {
    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.0.iter().map(|request| &**request)
    }
}

impl Drop for Group {
    /// Whoever has no answer yet, because this thread panicked, tries again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let unanswered = |request: &&Request| matches!(*request.progress(), Progress::Waits);
            self.requests()
                .filter(unanswered)
                .for_each(|request| request.tell(Progress::Done(None)));
        }
    }
}

impl Request {
    fn new(branch: &str, edits: Edits, options: CommitOptions) -> Request {
        Request {
            branch: branch.to_owned(),
            work: Mutex::new(Some((edits, options))),
            progress: Mutex::new(Progress::Waits),
            told: Condvar::new(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, progress: Progress) {
        *self.progress() = progress;
        self.told.notify_one();
    }

    fn answer(&self, result: Result<Snapshot, StoreError>) {
        self.tell(Progress::Done(Some(Box::new(result))));
    }

    /// What it is told; that it waits still, if it `leaves` meanwhile.
    fn wait_for(&self, leaves: impl Fn() -> bool) -> Progress {
        loop {
            let waits = |progress: &mut Progress| matches!(progress, Progress::Waits);
            let waited = self
                .told
                .wait_timeout_while(self.progress(), ASK_EVERY, waits);
            let (mut progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *progress, Progress::Waits) {
                Progress::Waits => {}
                told => return told,
            }
            drop(progress);
            if leaves() {
                return Progress::Waits;
            }
        }
    }
}

/// A write that is made, or changes nothing, if only the branch moves.
struct Ready<'a> {
    request: &'a Request,
    snapshot: Snapshot,
}

/// Makes the commits of a group, each on the one before it, and moves the branch.
fn make_all(store: &Store, branch: &str, group: &Group) {
    let newest = match store.branches().get(branch) {
        Ok(newest) => newest,
        Err(error) => return refuse(group.requests(), error),
    };
    let mut at = newest.clone();
    let mut ready = Vec::new();
    let (mut steps, mut bring, mut objects) = (Vec::new(), Bring::default(), Vec::new());
    for request in &group.0 {
        let work = request
            .work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some((edits, options)) = work else {
            continue;
        };
        let snapshot = match at.make(edits, options) {
            Err(error) => {
                request.answer(Err(error));
                continue;
            }
            Ok(Outcome::Unchanged(report)) => at.unchanged(report),
            Ok(Outcome::Made(made)) => {
                let Made {
                    id,
                    commit,
                    step,
                    report,
                    objects: new,
                    bring: own,
                } = *made;
                steps.push(step);
                bring.add(own);
                // The next one stands on objects that are not stored yet.
                let database = at.database().with_objects(new.clone());
                objects.extend(new);
                at = Snapshot::of(store, database, id, commit).bound(newest.ref_name.clone(), true);
                at.with_changes(Some(report))
            }
        };
        ready.push(Ready { request, snapshot });
    }
    let has_packs = !bring.packs.is_empty();
    if let Err(error) = move_on(&newest, branch, &steps, bring) {
        return refuse(ready.iter().map(|ready| ready.request), error);
    }
    for object in &objects {
        store.inner.directory.remember(object);
    }
    for Ready { request, snapshot } in ready {
        let database = match has_packs {
            true => store.database(),
            false => Ok(newest.database().clone()),
        };
        request.answer(database.map(|database| snapshot.reading(database)));
    }
}

fn move_on(
    newest: &Snapshot,
    branch: &str,
    steps: &[crate::directory::Step],
    bring: Bring,
) -> Result<(), StoreError> {
    if !steps.is_empty() {
        return newest.move_branch(branch, steps, bring);
    }
    let directory = &newest.store().inner.directory;
    let name = full_name(RefKind::Branch, branch)?;
    told(
        branch,
        directory.confirm(&name, newest.commit(), newest.store().storing())?,
    )
}

/// Answers the first with the error, and the others too if it is theirs as well.
fn refuse<'a>(requests: impl Iterator<Item = &'a Request>, error: StoreError) {
    let same = |branch: &str| match &error {
        StoreError::Stale { .. } => Some(StoreError::Stale {
            branch: branch.to_owned(),
        }),
        StoreError::NoSuchBranch { .. } => Some(StoreError::NoSuchBranch {
            name: branch.to_owned(),
        }),
        // All have waited, and one after the other would wait as long again.
        StoreError::Repo(RepoError::Directory(taken)) => {
            let taken = taken.again()?;
            Some(StoreError::Repo(RepoError::Directory(taken)))
        }
        _ => None,
    };
    let mut requests = requests;
    let first = requests.next();
    for request in requests {
        let answer = same(&request.branch).map(|error| Box::new(Err(error)));
        request.tell(Progress::Done(answer));
    }
    if let Some(first) = first {
        first.answer(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Create, StoreOptions};

    #[test]
    fn a_leader_that_panics_before_it_takes_its_request_leaves_the_lead_to_another() {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            create: Create::New { branch: None },
            ..StoreOptions::default()
        };
        let store = Store::open(folder.path().join("s.git"), options).unwrap();
        let waiting = &store.inner.waiting;
        let request = || {
            let (edits, options) = (Edits::new(&store), CommitOptions::default());
            Arc::new(Request::new("main", edits, options))
        };
        let (first, second) = (request(), request());
        {
            let mut queue = waiting.queue.lock();
            queue.requests.extend([first.clone(), second.clone()]);
            queue.has_leader = true;
        }
        let lead = || {
            let _leading = Leading {
                waiting,
                own: &first,
            };
            panic!("before it takes its request");
        };
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead));
        assert!(panicked.is_err());
        assert!(matches!(*second.progress(), Progress::Leads));
        let leading = Leading {
            waiting,
            own: &second,
        };
        assert_eq!(leading.take("main").0.len(), 1);
        drop(leading);
        assert!(!waiting.queue.lock().has_leader);
    }
}
