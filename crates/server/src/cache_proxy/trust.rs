//! What upstreams have answered callers, for a short time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use packhouse_client::cache::CallerKey;
use quick_cache::sync::Cache;

/// So many callers are remembered.
const CALLERS_MAX: usize = 10_000;
/// Longer answers are not remembered.
pub(super) const ANSWER_BYTES: usize = 2 << 10;

/// By caller: URL and credentials.
pub(super) struct Trust {
    time: Duration,
    /// The digest of the refs that were listed, and when they were asked for.
    listed: Cache<CallerKey, (Instant, String)>,
    /// What the upstream said it can do (in version 2, so without refs), and when it was asked.
    answered: Cache<CallerKey, (Instant, Bytes)>,
    /// When it asked a caller without credentials for some.
    asked_who: Cache<CallerKey, Instant>,
}

impl Trust {
    pub(super) fn new(time: Duration) -> Trust {
        Trust {
            time,
            listed: Cache::new(CALLERS_MAX),
            answered: Cache::new(CALLERS_MAX),
            asked_who: Cache::new(CALLERS_MAX),
        }
    }

    /// The upstream listed refs with this digest to the caller.
    pub(super) fn list(&self, caller: CallerKey, digest: String, asked: Instant) {
        self.listed.insert(caller, (asked, digest));
    }

    /// What it listed, if that still counts.
    pub(super) fn listed(&self, caller: &CallerKey, now: Instant) -> Option<String> {
        let (asked, digest) = self.listed.get(caller)?;
        self.counts(asked, now).then_some(digest)
    }

    /// The upstream let the caller in, with this answer.
    pub(super) fn answer(&self, caller: CallerKey, answer: Bytes, asked: Instant) {
        if answer.len() <= ANSWER_BYTES {
            self.answered.insert(caller, (asked, answer));
        }
    }

    /// What it answered, if that still counts.
    pub(super) fn answered(&self, caller: &CallerKey, now: Instant) -> Option<Bytes> {
        let (asked, answer) = self.answered.get(caller)?;
        self.counts(asked, now).then_some(answer)
    }

    /// The upstream wanted to know who the caller is.
    pub(super) fn ask_who(&self, caller: CallerKey, asked: Instant) {
        self.asked_who.insert(caller, asked);
    }

    /// Whether it wanted to know, as far as that still counts.
    pub(super) fn asked_who(&self, caller: &CallerKey, now: Instant) -> bool {
        let asked = self.asked_who.get(caller);
        asked.is_some_and(|asked| self.counts(asked, now))
    }

    /// The upstream let the caller in.
    pub(super) fn let_in(&self, caller: &CallerKey) {
        self.asked_who.remove(caller);
    }

    /// The upstream let the caller in no more.
    pub(super) fn forget(&self, caller: &CallerKey) {
        self.listed.remove(caller);
        self.answered.remove(caller);
    }

    fn counts(&self, asked: Instant, now: Instant) -> bool {
        now.saturating_duration_since(asked) < self.time
    }
}

#[cfg(test)]
mod tests {
    use packhouse_client::Egress;
    use packhouse_client::cache::{Cache, CacheConfig};

    use super::*;

    #[test]
    fn what_was_answered_counts_for_one_caller_and_for_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(CacheConfig::at(folder.path())).unwrap();
        let served = cache.served(Egress::PublicOnly).unwrap();
        let key = |url: &str, authorization: Option<&str>| {
            let secret = authorization.map(packhouse_client::Secret::new);
            served.caller(url, secret.as_ref()).unwrap()
        };
        let url = "https://h.example/a.git";
        let one = key(url, Some("Basic b25l"));
        assert_eq!(one, key("https://H.example:443/a.git/", Some("Basic b25l")));
        let others = [
            key(url, Some("Basic dHdv")),
            key(url, Some("")),
            key(url, None),
            key("https://h.example/b.git", Some("Basic b25l")),
        ];
        let trust = Trust::new(Duration::from_secs(60));
        let asked = Instant::now();
        trust.list(one.clone(), "digest".to_owned(), asked);
        trust.answer(one.clone(), Bytes::from_static(b"answer"), asked);
        for other in &others {
            assert_ne!(one, *other);
            assert_eq!(trust.listed(other, asked), None);
            assert_eq!(trust.answered(other, asked), None);
        }
        let later = |seconds| asked + Duration::from_secs(seconds);
        assert_eq!(trust.listed(&one, later(59)).as_deref(), Some("digest"));
        assert!(trust.answered(&one, later(59)).is_some());
        assert_eq!(trust.listed(&one, later(60)), None);
        assert_eq!(trust.answered(&one, later(60)), None);
        trust.ask_who(one.clone(), asked);
        assert!(trust.asked_who(&one, later(59)) && !trust.asked_who(&others[2], asked));
        assert!(!trust.asked_who(&one, later(60)));
        trust.let_in(&one);
        assert!(!trust.asked_who(&one, asked));
        trust.forget(&one);
        assert_eq!(trust.listed(&one, asked), None);
        let never = Trust::new(Duration::ZERO);
        never.list(one.clone(), "digest".to_owned(), asked);
        assert_eq!(never.listed(&one, asked), None);
    }
}
