//! Writes of many threads to one branch: one of the threads makes the commits of all that wait.
//!
//! Each write is a commit of its own, on the one before it, and is answered by itself; the branch moves once. So
//! threads do not hand the turn to write to each other for every commit, and what a move costs is paid once. A thread
//! leads for some milliseconds, so that nobody waits for another to wake up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use packhouse_object::ProcessLocal;

use super::open::full_name;
use super::refs::RefKind;
use super::write::{Made, Outcome, told};
use super::{CommitOptions, Edits, Snapshot, Store, StoreError};
use crate::directory::Bring;
use crate::error::RepoError;
use crate::given_up::{ASK_EVERY, is_given_up, unasked};

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

    /// Whether a request of this thread waits: then this is done while it does, as by the handler of a signal.
    fn has_own(&self) -> bool {
        let me = thread::current().id();
        let queue = self.queue.lock();
        queue.requests.iter().any(|request| request.thread == me)
    }
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Arc<Request>>,
    has_leader: bool,
}

struct Request {
    branch: String,
    /// Whose it is.
    thread: ThreadId,
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
    let waiting = &store.inner.waiting;
    let directory = &store.inner.directory;
    // Whoever leads would wait for this thread: for its turn to end, or to come, or for it to lead.
    if directory.is_in_turn() || directory.waits_for_turn() || waiting.has_own() {
        let written = store.exclusive().and_then(|_turn| {
            let newest = store.branches().get(branch)?;
            newest.commit_edits(edits, options)
        });
        return Some(Box::new(written));
    }
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
        Err(error) => refuse(leading.take(branch).requests(), &request, error),
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
            make_all(store, &name, &self.take(&name), self.own);
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
            thread: thread::current().id(),
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
///
/// Who calls the leader may give up what is done for its `own` request, and nothing else.
fn make_all(store: &Store, branch: &str, group: &Group, own: &Request) {
    let newest = match store.branches().get(branch) {
        Ok(newest) => newest,
        Err(error) => return refuse(group.requests(), own, error),
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
        let made = asking_if(std::ptr::eq(&**request, own), || at.make(edits, options));
        let snapshot = match made {
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
    let has_own = ready.iter().any(|ready| std::ptr::eq(ready.request, own));
    if let Err(error) = asking_if(has_own, || move_on(&newest, branch, &steps, bring)) {
        return refuse(ready.iter().map(|ready| ready.request), own, error);
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

/// Does `work`, which a caller of this thread may give up only if it `may_be_given_up`.
fn asking_if<T>(may_be_given_up: bool, work: impl FnOnce() -> T) -> T {
    match may_be_given_up {
        true => work(),
        false => unasked(work),
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

/// Answers the first with the error, and the others too if it is theirs as well. Only the leader's `own` request was given up.
fn refuse<'a>(requests: impl Iterator<Item = &'a Request>, own: &'a Request, error: StoreError) {
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
    let is_given_up = matches!(error, StoreError::Cancelled);
    let mut whose = None;
    for request in requests {
        if whose.is_none() && (!is_given_up || std::ptr::eq(request, own)) {
            whose = Some(request);
            continue;
        }
        let answer = same(&request.branch).map(|error| Box::new(Err(error)));
        request.tell(Progress::Done(answer));
    }
    if let Some(whose) = whose {
        whose.answer(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;
    use crate::directory::DirectoryError;
    use crate::given_up::for_caller;
    use crate::store::{Create, Durability, StoreOptions, WriteOptions, retry_write};

    const HOSTILE: &[u8] = b"[submodule \"x\"]\n\tpath = a\n\turl = -u./x\n";

    /// What becomes of a leader's own write to `main`, whose caller gives up as soon as it leads, and of the write of another
    /// thread to a branch that a `git` has locked.
    fn given_up_before_another(
        path: &str,
        content: &[u8],
        locked: &str,
    ) -> [Result<Snapshot, StoreError>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let git_dir = folder.path().join("s.git");
        let open = |create| {
            let durability = Durability::Relaxed;
            let options = StoreOptions {
                create,
                durability,
                ..StoreOptions::default()
            };
            Store::open(&git_dir, options).unwrap()
        };
        let branch = Some("main".to_owned());
        let store = open(Create::New { branch });
        let main = store.branches().get("main").unwrap();
        store.branches().set("other", &main).unwrap();
        let config = fs::read_to_string(git_dir.join("config")).unwrap();
        let config = config + "[core]\n\tfilesRefLockTimeout = 200\n";
        fs::write(git_dir.join("config"), config).unwrap();
        fs::write(git_dir.join(format!("refs/heads/{locked}.lock")), "").unwrap();
        let store = open(Create::Never);
        let write = |branch: &str, path: &str, content: &[u8]| {
            retry_write(&store, branch, path, content, &WriteOptions::default(), 0)
        };
        let until_waiting = |count| {
            while store.inner.waiting.queue.lock().requests.len() < count {
                thread::yield_now();
            }
        };
        let turn = store.exclusive().unwrap();
        thread::scope(|scope| {
            let leader = scope.spawn(|| {
                let leads = store.clone();
                let leads = Arc::new(move || leads.inner.directory.is_in_turn());
                for_caller(leads, || write("main", path, content))
            });
            until_waiting(1);
            let other = scope.spawn(|| write(locked, "other", b"other"));
            until_waiting(2);
            drop(turn);
            [leader.join().unwrap(), other.join().unwrap()]
        })
    }

    fn assert_locked(written: &Result<Snapshot, StoreError>) {
        let locked = matches!(
            written,
            Err(StoreError::Repo(RepoError::Directory(
                DirectoryError::Locked { .. }
            )))
        );
        assert!(locked, "{written:?}");
    }

    #[test]
    fn who_gives_up_while_it_leads_takes_nothing_from_others() {
        // The leader has its answer already.
        let [own, other] = given_up_before_another(".gitmodules", HOSTILE, "main");
        let refused = own.unwrap_err().to_string();
        assert!(refused.contains("gitmodulesUrl"), "{refused}");
        assert_locked(&other);
        let [own, other] = given_up_before_another("own", b"own", "other");
        own.unwrap();
        assert_locked(&other);
        // Both wait for the same.
        let [own, other] = given_up_before_another("own", b"own", "main");
        assert!(matches!(own, Err(StoreError::Cancelled)), "{own:?}");
        assert_locked(&other);
    }

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
