//! A bucket that fails, the same way for the same seed.
//!
//! What happens to a call depends on the seed, the operation, the key and how often that operation was called on that
//! key before, and on nothing else: not on the order in which tasks happen to run. A seed that fails can be run again.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use packhouse_bucket::{Bucket, BucketError, Key, Listed};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How often each fault happens, as a share of all calls, and how long delays last.
#[derive(Debug, Clone, Copy)]
pub struct FaultPlan {
    /// The call fails and changes nothing.
    pub refused: f64,
    /// The call takes effect, and then fails.
    pub failed_after: f64,
    /// The call takes effect, and the answer never comes: it fails after [`FaultPlan::silence`].
    pub answer_lost: f64,
    /// How long a lost answer is waited for.
    pub silence: Duration,
    /// The longest delay before a call; each waits for a random part of it.
    pub delay: Duration,
}

impl FaultPlan {
    /// No faults and no delays.
    pub const NONE: FaultPlan = FaultPlan {
        refused: 0.0,
        failed_after: 0.0,
        answer_lost: 0.0,
        silence: Duration::ZERO,
        delay: Duration::ZERO,
    };

    /// Every third call goes wrong, in every way, with short delays.
    pub const ROUGH: FaultPlan = FaultPlan {
        refused: 0.15,
        failed_after: 0.1,
        answer_lost: 0.08,
        silence: Duration::from_millis(20),
        delay: Duration::from_millis(3),
    };
}

/// Faults that were injected so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Calls, good and bad.
    pub calls: u64,
    /// Calls that failed and changed nothing.
    pub refused: u64,
    /// Calls that took effect and failed.
    pub failed_after: u64,
    /// Calls that took effect and were not answered.
    pub answers_lost: u64,
}

/// The cause of every error that a [`FaultyBucket`] makes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected(&'static str);

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "injected: {}", self.0)
    }
}

impl std::error::Error for Injected {}

/// A [`Bucket`] around another one that fails according to a plan.
#[derive(Debug)]
pub struct FaultyBucket {
    inner: Arc<dyn Bucket>,
    seed: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: FaultPlan,
    counts: FaultCounts,
    calls: HashMap<(&'static str, String), u64>,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Refused,
    FailedAfter,
    AnswerLost,
}

/// What a call is in for.
struct Fate {
    fault: Fault,
    delay: Duration,
    silence: Duration,
}

impl FaultyBucket {
    /// `inner`, with the faults that `seed` chooses from `plan`.
    pub fn new(inner: Arc<dyn Bucket>, seed: u64, plan: FaultPlan) -> FaultyBucket {
        let state = State {
            plan,
            counts: FaultCounts::default(),
            calls: HashMap::new(),
        };
        FaultyBucket {
            inner,
            seed,
            state: Mutex::new(state),
        }
    }

    /// Follows another plan from now on; [`FaultPlan::NONE`] heals the bucket.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.state().plan = plan;
    }

    /// What was injected so far.
    pub fn counts(&self) -> FaultCounts {
        self.state().counts
    }

    /// The bucket without faults.
    pub fn inner(&self) -> &Arc<dyn Bucket> {
        &self.inner
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, action: &'static str, subject: &str) -> Fate {
        let mut state = self.state();
        let nth = state.calls.entry((action, subject.to_owned())).or_default();
        *nth += 1;
        // The hasher of the standard library with its fixed keys: the same for every process.
        let mut hasher = DefaultHasher::new();
        (self.seed, action, subject, *nth).hash(&mut hasher);
        let mut random = StdRng::seed_from_u64(hasher.finish());
        let plan = state.plan;
        let roll: f64 = random.random();
        let fault = if roll < plan.refused {
            Fault::Refused
        } else if roll < plan.refused + plan.failed_after {
            Fault::FailedAfter
        } else if roll < plan.refused + plan.failed_after + plan.answer_lost {
            Fault::AnswerLost
        } else {
            Fault::None
        };
        state.counts.calls += 1;
        match fault {
            Fault::None => {}
            Fault::Refused => state.counts.refused += 1,
            Fault::FailedAfter => state.counts.failed_after += 1,
            Fault::AnswerLost => state.counts.answers_lost += 1,
        }
        Fate {
            fault,
            delay: plan.delay.mul_f64(random.random()),
            silence: plan.silence,
        }
    }

    /// Runs `call` as fate has it.
    async fn run<T>(
        &self,
        action: &'static str,
        key: &Key,
        call: impl Future<Output = Result<T, BucketError>> + Send,
    ) -> Result<T, BucketError> {
        let error = |what| BucketError::Object {
            action,
            key: key.clone(),
            source: Injected(what).into(),
        };
        let fate = self.fate(action, key.as_str());
        if !fate.delay.is_zero() {
            tokio::time::sleep(fate.delay).await;
        }
        match fate.fault {
            Fault::None => call.await,
            Fault::Refused => Err(error("refused")),
            Fault::FailedAfter => call.await.and(Err(error("failed after it was done"))),
            Fault::AnswerLost => {
                let done = call.await;
                tokio::time::sleep(fate.silence).await;
                done.and(Err(error("the answer was lost")))
            }
        }
    }
}

#[async_trait]
impl Bucket for FaultyBucket {
    async fn put(&self, key: &Key, bytes: Bytes) -> Result<(), BucketError> {
        self.run("put", key, self.inner.put(key, bytes)).await
    }

    async fn put_file(&self, key: &Key, file: &Path) -> Result<(), BucketError> {
        self.run("put", key, self.inner.put_file(key, file)).await
    }

    async fn get(&self, key: &Key) -> Result<Bytes, BucketError> {
        self.run("read", key, self.inner.get(key)).await
    }

    async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, BucketError> {
        self.run("read", key, self.inner.get_range(key, range))
            .await
    }

    async fn get_to_file(&self, key: &Key, file: &Path) -> Result<u64, BucketError> {
        self.run("read", key, self.inner.get_to_file(key, file))
            .await
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, BucketError> {
        self.run("read", key, self.inner.size(key)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), BucketError> {
        self.run("delete", key, self.inner.delete(key)).await
    }

    /// A listing fails at its start, or after the last object: then its reader must not take it for complete.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<Listed, BucketError>> {
        let error = |what| BucketError::List {
            prefix: prefix.to_owned(),
            source: Injected(what).into(),
        };
        match self.fate("list", prefix).fault {
            Fault::None => self.inner.list(prefix),
            Fault::Refused => stream::iter([Err(error("refused"))]).boxed(),
            Fault::FailedAfter | Fault::AnswerLost => {
                let broken = stream::iter([Err(error("the listing broke off"))]);
                self.inner.list(prefix).chain(broken).boxed()
            }
        }
    }

    /// None: a file that is read in place would be read around the faults.
    fn local_path(&self, _key: &Key) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        format!(
            "{} with faults of seed {}",
            self.inner.describe(),
            self.seed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_bucket::{conformance, memory};

    fn faulty(seed: u64, plan: FaultPlan) -> FaultyBucket {
        FaultyBucket::new(Arc::new(memory()), seed, plan)
    }

    fn key(n: usize) -> Key {
        Key::parse(&format!("k/{n}")).unwrap()
    }

    /// Puts 200 objects and says which of them were acknowledged.
    async fn acknowledged(bucket: &FaultyBucket) -> Vec<bool> {
        let mut answers = Vec::new();
        for n in 0..200 {
            answers.push(
                bucket
                    .put(&key(n), Bytes::from(n.to_string()))
                    .await
                    .is_ok(),
            );
        }
        answers
    }

    #[tokio::test]
    async fn without_faults_it_is_the_bucket_inside() {
        let bucket = faulty(1, FaultPlan::NONE);
        conformance::run(&bucket).await;
        assert_eq!(
            bucket.counts().refused + bucket.counts().failed_after + bucket.counts().answers_lost,
            0
        );
    }

    #[tokio::test]
    async fn a_seed_decides_what_fails() {
        let first = acknowledged(&faulty(7, FaultPlan::ROUGH)).await;
        assert_eq!(acknowledged(&faulty(7, FaultPlan::ROUGH)).await, first);
        assert_ne!(acknowledged(&faulty(8, FaultPlan::ROUGH)).await, first);
    }

    #[tokio::test]
    async fn the_order_of_calls_does_not_matter() {
        let in_order = acknowledged(&faulty(7, FaultPlan::ROUGH)).await;
        let bucket = faulty(7, FaultPlan::ROUGH);
        let at_once = (0..200).map(async |n| {
            bucket
                .put(&key(n), Bytes::from(n.to_string()))
                .await
                .is_ok()
        });
        assert_eq!(futures::future::join_all(at_once).await, in_order);
    }

    #[tokio::test]
    async fn refused_calls_change_nothing_and_all_others_took_effect() {
        let bucket = faulty(3, FaultPlan::ROUGH);
        let answers = acknowledged(&bucket).await;
        let counts = bucket.counts();
        assert!(
            counts.refused > 10 && counts.failed_after > 5 && counts.answers_lost > 5,
            "{counts:?}"
        );
        let mut stored = 0;
        for (n, acknowledged) in answers.iter().enumerate() {
            let there = bucket.inner().size(&key(n)).await.unwrap().is_some();
            assert!(
                there || !acknowledged,
                "{n} was acknowledged and is not there"
            );
            stored += u64::from(there);
        }
        assert_eq!(stored, 200 - counts.refused);
    }

    #[tokio::test]
    async fn trying_again_succeeds_in_the_end() {
        let bucket = faulty(4, FaultPlan::ROUGH);
        let mut attempts = 0;
        for n in 0..50 {
            while bucket.put(&key(n), "same every time".into()).await.is_err() {
                attempts += 1;
            }
        }
        assert!(attempts > 5);
        bucket.set_plan(FaultPlan::NONE);
        for n in 0..50 {
            assert_eq!(bucket.get(&key(n)).await.unwrap(), "same every time");
        }
    }

    #[tokio::test]
    async fn a_listing_that_breaks_off_says_so() {
        let plan = FaultPlan {
            failed_after: 1.0,
            ..FaultPlan::NONE
        };
        let bucket = faulty(5, FaultPlan::NONE);
        bucket.put(&key(0), "x".into()).await.unwrap();
        bucket.set_plan(plan);
        let listed: Vec<_> = bucket.list("k").collect().await;
        assert!(
            matches!(&listed[..], [Ok(_), Err(BucketError::List { .. })]),
            "{listed:?}"
        );
    }
}
