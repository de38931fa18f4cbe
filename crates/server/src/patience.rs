//! How long a sender may be silent, and how slow it may be.

use std::time::Duration;

/// What is asked of a sender.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest silence, and how long may be waited in all for who sends next to nothing.
    pub(crate) idle: Duration,
    /// Bytes that earn another second of waiting.
    pub(crate) min_rate: u64,
}

/// What a sender has left of it.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    pace: Pace,
    received: u64,
    /// Time spent waiting for the sender, without the time the server took itself.
    waited: Duration,
}

impl Patience {
    /// Nothing was sent yet, and nobody has waited.
    pub(crate) fn new(pace: Pace) -> Patience {
        Patience {
            pace,
            received: 0,
            waited: Duration::ZERO,
        }
    }

    /// How long the sender may keep silent now.
    pub(crate) fn left(&self) -> Duration {
        let Pace { idle, min_rate } = self.pace;
        let earned = Duration::from_secs(self.received / min_rate.max(1));
        let total = idle.saturating_add(earned).saturating_sub(self.waited);
        total.min(idle)
    }

    /// So much has come.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// So long was waited for it.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_to_be_earned() {
        let second = Duration::from_secs(1);
        let pace = Pace {
            idle: 10 * second,
            min_rate: 100,
        };
        let mut patience = Patience::new(pace);
        assert_eq!(patience.left(), 10 * second);
        patience.waited(4 * second);
        assert_eq!(patience.left(), 6 * second);
        patience.received(399);
        assert_eq!(patience.left(), 9 * second);
        // However much came, a silence is no longer than any.
        patience.received(1_000_000);
        assert_eq!(patience.left(), 10 * second);
        patience.waited(20_000 * second);
        assert_eq!(patience.left(), Duration::ZERO);
    }
}
