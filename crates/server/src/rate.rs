//! Rate limits: how many requests an organisation, and each repository, may make of this node.
//!
//! A bucket is the one number of the generic cell rate algorithm (ITU-T I.371): the moment at which it would be full
//! again if nothing more came. Whatever happens, no key is admitted more than `burst + per_second × t` times in any `t`
//! seconds, and who waits as long as a refusal says is admitted if nobody else used the key meanwhile.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use packhouse_catalog::OrgId;
use parking_lot::Mutex;

/// Keys of one kind with a bucket of their own. Full buckets are forgotten, so only keys in use count.
const MAX_KEYS: usize = 1 << 16;

/// How often full buckets are looked for while there is no room.
const SWEEP_EVERY_NS: u64 = 1_000_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// How many requests a key may make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// The highest rate and burst there are.
    pub const MAX: u32 = 1_000_000;

    /// `per_second` requests a second, and `burst` at once after a time of rest. `None` unless both are from 1 to
    /// [`Rate::MAX`].
    pub fn new(per_second: u32, burst: u32) -> Option<Rate> {
        let range = 1..=Rate::MAX;
        let is_valid = range.contains(&per_second) && range.contains(&burst);
        is_valid.then_some(Rate { per_second, burst })
    }

    /// Time in which one request is earned; rounded up, so that the rate is never exceeded.
    fn interval_ns(self) -> u64 {
        SECOND_NS.div_ceil(self.per_second.into())
    }
}

/// What a request was refused for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Limited {
    /// All requests of its organisation.
    Org(Rate),
    /// All requests for its repository.
    Repo(Rate),
}

/// A refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany {
    /// The limit that was met; the one that lasts longer, if both were.
    pub(crate) limit: Limited,
    /// How long to wait.
    pub(crate) wait: Duration,
}

impl TooMany {
    /// The wait in whole seconds, for `Retry-After` (RFC 9110, section 10.2.3).
    pub(crate) fn wait_seconds(&self) -> u64 {
        let seconds = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        seconds.max(1)
    }

    /// What the refused client reads; `org` and `repo` are its names.
    pub(crate) fn message(&self, org: &str, repo: Option<&str>) -> String {
        let (of, Rate { per_second, burst }) = match (self.limit, repo) {
            (Limited::Repo(rate), Some(repo)) => (format!("repository `{repo}`"), rate),
            (Limited::Repo(rate) | Limited::Org(rate), _) => {
                (format!("organisation `{org}`"), rate)
            }
        };
        let seconds = self.wait_seconds();
        format!(
            "too many requests for {of}: {per_second} per second are allowed, {burst} at once; try again in {seconds} s"
        )
    }
}

/// Both limits of one node.
#[derive(Debug)]
pub(crate) struct RateLimits {
    org: Option<Rate>,
    repo: Option<Rate>,
    hasher: RandomState,
    began: Instant,
    /// Of organisations, and of repositories. Held for a few lookups, never across an await.
    buckets: Mutex<(Buckets, Buckets)>,
}

impl RateLimits {
    /// Limits under which nothing has happened yet.
    pub(crate) fn new(org: Option<Rate>, repo: Option<Rate>) -> RateLimits {
        RateLimits {
            org,
            repo,
            hasher: RandomState::new(),
            began: Instant::now(),
            buckets: Mutex::default(),
        }
    }

    /// The time, as [`RateLimits::admit`] counts it.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a request of `org` for `repo` at time `now`, or refuses it, which costs nothing. It is refused unless
    /// there is room for `ahead` requests: it and those that will come of it.
    pub(crate) fn admit(
        &self,
        org: OrgId,
        repo: Option<&str>,
        ahead: u32,
        now: Duration,
    ) -> Result<(), TooMany> {
        if self.org.is_none() && self.repo.is_none() {
            return Ok(());
        }
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX / 4);
        let of_org = self.org.map(|rate| (rate, self.hasher.hash_one(org.0)));
        let of_repo = self
            .repo
            .zip(repo)
            .map(|(rate, repo)| (rate, self.hasher.hash_one((org.0, repo))));
        let mut buckets = self.buckets.lock();
        let (orgs, repos) = &mut *buckets;
        // Both are looked at before either is charged.
        let wait = |buckets: &mut Buckets, counted: Option<(Rate, u64)>| {
            counted.map_or(0, |(rate, key)| buckets.wait_ns(rate, key, ahead, now))
        };
        let (org_wait, repo_wait) = (wait(orgs, of_org), wait(repos, of_repo));
        let limit = match (of_org, of_repo) {
            (Some((rate, _)), _) if org_wait > 0 && org_wait >= repo_wait => Limited::Org(rate),
            (_, Some((rate, _))) if repo_wait > 0 => Limited::Repo(rate),
            _ => {
                for (buckets, counted) in [(orgs, of_org), (repos, of_repo)] {
                    if let Some((rate, key)) = counted {
                        buckets.charge(rate, key, now);
                    }
                }
                return Ok(());
            }
        };
        let wait = Duration::from_nanos(org_wait.max(repo_wait));
        Err(TooMany { limit, wait })
    }
}

/// The buckets of keys of one kind: for each the moment, in nanoseconds, at which it is full again.
#[derive(Debug, Default)]
struct Buckets {
    full_at: HashMap<u64, u64>,
    /// One bucket for all keys that found no room. A key that gets one of its own begins with what this one has, which
    /// is never more than it had itself.
    shared_full_at: u64,
    sweep_at: u64,
}

impl Buckets {
    /// How long until there is room for `ahead` requests; 0: there is.
    fn wait_ns(&mut self, rate: Rate, key: u64, ahead: u32, now: u64) -> u64 {
        let interval = rate.interval_ns();
        let full_at = self.full_at.get(&key).unwrap_or(&self.shared_full_at);
        let asked = interval * u64::from(ahead.clamp(1, rate.burst));
        let held = interval * u64::from(rate.burst);
        ((*full_at).max(now) + asked).saturating_sub(now + held)
    }

    fn charge(&mut self, rate: Rate, key: u64, now: u64) {
        let interval = rate.interval_ns();
        if let Some(full_at) = self.full_at.get_mut(&key) {
            *full_at = (*full_at).max(now) + interval;
            return;
        }
        if self.full_at.len() >= MAX_KEYS && now >= self.sweep_at {
            self.full_at.retain(|_, full_at| *full_at > now);
            self.sweep_at = now + SWEEP_EVERY_NS;
        }
        let full_at = self.shared_full_at.max(now) + interval;
        if self.full_at.len() < MAX_KEYS {
            self.full_at.insert(key, full_at);
        } else {
            self.shared_full_at = full_at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORG: OrgId = OrgId(1);

    fn rate(per_second: u32, burst: u32) -> Option<Rate> {
        Some(Rate::new(per_second, burst).unwrap())
    }

    /// Whether any window of `times` holds more than `rate` allows.
    fn exceeds(times: &[u64], rate: Rate) -> bool {
        times.iter().enumerate().any(|(first, from)| {
            times[first..].iter().zip(1_u64..).any(|(to, count)| {
                let earned = u128::from(to - from) * u128::from(rate.per_second);
                u128::from(count) * u128::from(SECOND_NS)
                    > u128::from(rate.burst) * u128::from(SECOND_NS) + earned
            })
        })
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_rate_allows_and_who_waits_is_admitted(
            per_second in 1_u32..5000,
            burst in 1_u32..50,
            ahead in 1_u32..5,
            steps in prop::collection::vec((0_u64..3_000_000_000, 0_u32..40, any::<bool>()), 1..60),
        ) {
            let limit = Rate::new(per_second, burst).unwrap();
            let limits = RateLimits::new(Some(limit), None);
            let (mut now, mut admitted) = (0_u64, Vec::new());
            for (pause, requests, waits) in steps {
                now += pause / u64::from(per_second).max(1);
                for _ in 0..requests {
                    match limits.admit(ORG, None, ahead, Duration::from_nanos(now)) {
                        Ok(()) => admitted.push(now),
                        Err(refused) if waits => {
                            prop_assert!(Duration::from_secs(refused.wait_seconds()) >= refused.wait);
                            now += u64::try_from(refused.wait.as_nanos()).unwrap();
                            let again = limits.admit(ORG, None, ahead, Duration::from_nanos(now));
                            prop_assert_eq!(again, Ok(()));
                            admitted.push(now);
                        }
                        Err(_) => {}
                    }
                }
            }
            prop_assert!(!exceeds(&admitted, limit));
        }

        #[test]
        fn a_refusal_by_one_limit_costs_the_other_nothing(refused in 0_u32..200) {
            let limits = RateLimits::new(rate(1, 10), rate(1, 2));
            let admit = |repo: &str| limits.admit(ORG, Some(repo), 1, Duration::ZERO);
            let first: Vec<_> = (0..2 + refused).map(|_| admit("a").is_ok()).collect();
            prop_assert_eq!(first.iter().filter(|ok| **ok).count(), 2);
            let others = (0..20).filter(|other| admit(&format!("b{other}")).is_ok()).count();
            prop_assert_eq!(others, 8);
        }
    }

    #[test]
    fn repositories_and_organisations_have_buckets_of_their_own() {
        let limits = RateLimits::new(None, rate(1, 1));
        let admit = |org, repo| limits.admit(OrgId(org), repo, 1, Duration::ZERO).is_ok();
        assert!(admit(1, Some("a")) && admit(1, Some("b")) && admit(2, Some("a")));
        assert!(!admit(1, Some("a")) && !admit(2, Some("a")));
        assert!(admit(1, None) && admit(1, None));
    }

    #[test]
    fn the_wait_is_that_of_the_limit_that_lasts_longer() {
        let limits = RateLimits::new(rate(1, 1), rate(10, 1));
        assert!(limits.admit(ORG, Some("a"), 1, Duration::ZERO).is_ok());
        let refused = limits
            .admit(ORG, Some("a"), 1, Duration::from_millis(50))
            .unwrap_err();
        assert_eq!(refused.wait, Duration::from_millis(950));
        assert_eq!(refused.wait_seconds(), 1);
        assert_eq!(
            refused.message("acme", Some("a")),
            "too many requests for organisation `acme`: 1 per second are allowed, 1 at once; try again in 1 s"
        );
    }

    #[test]
    fn made_up_names_neither_fill_the_memory_nor_escape_the_limit() {
        let limits = RateLimits::new(None, rate(1, 2));
        let keys = MAX_KEYS as u64 + 1000;
        let mut admitted = vec![Vec::new(); keys as usize];
        // Four rounds over more names than there are buckets, each within the rate of its key.
        for round in 0..4_u64 {
            for key in 0..keys {
                let now = round * SECOND_NS + key * 10_000;
                let name = format!("made-up-{key}");
                if limits
                    .admit(ORG, Some(&name), 1, Duration::from_nanos(now))
                    .is_ok()
                {
                    admitted[key as usize].push(now);
                }
            }
            assert!(limits.buckets.lock().1.full_at.len() <= MAX_KEYS);
        }
        let limit = Rate::new(1, 2).unwrap();
        assert!(admitted.iter().all(|times| !exceeds(times, limit)));
        // Whoever has a bucket is not disturbed by those who have none.
        assert_eq!(admitted[0].len(), 4);
        // Once those are full again, there is room for others.
        let later = Duration::from_secs(60);
        assert!(limits.admit(ORG, Some("new"), 1, later).is_ok());
        assert_eq!(limits.buckets.lock().1.full_at.len(), 1);
    }

    #[test]
    fn room_for_what_follows_is_asked_for_but_not_charged() {
        let limits = RateLimits::new(rate(1, 4), None);
        let admit = |ahead| limits.admit(ORG, None, ahead, Duration::ZERO);
        assert!(admit(3).is_ok() && admit(3).is_ok());
        assert_eq!(admit(3).unwrap_err().wait, Duration::from_secs(1));
        assert!(admit(1).is_ok() && admit(1).is_ok());
        assert!(admit(1).is_err());
        // More than the burst is as much as there can be.
        let small = RateLimits::new(rate(1, 1), None);
        assert!(small.admit(ORG, None, 3, Duration::ZERO).is_ok());
    }

    #[test]
    fn only_rates_that_can_be_kept_are_rates() {
        assert!(Rate::new(0, 1).is_none() && Rate::new(1, 0).is_none());
        assert!(Rate::new(Rate::MAX + 1, 1).is_none());
        assert!(Rate::new(Rate::MAX, Rate::MAX).is_some());
    }
}
