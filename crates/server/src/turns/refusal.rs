//! What somebody is told who gets no turn.

use std::fmt;

use super::TurnLimits;

/// Why there is no turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoTurn {
    /// Too many of the organisation wait already.
    OrgQueueFull,
    /// Too many of all organisations wait already.
    QueueFull,
    /// None came in time.
    Waited,
}

/// A refusal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Crowded {
    pub(crate) why: NoTurn,
    /// When it makes sense to come again, in seconds: about when those who wait will have had their turns.
    pub(crate) retry_seconds: u64,
    pub(super) limits: TurnLimits,
    pub(super) what: &'static str,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Crowded {
            what,
            retry_seconds,
            limits,
            ..
        } = self;
        write!(f, "too many {what} at once: ")?;
        match self.why {
            NoTurn::OrgQueueFull => {
                write!(
                    f,
                    "{} of this organisation wait already",
                    limits.org_waiting
                )
            }
            NoTurn::QueueFull => write!(f, "{} wait already", limits.waiting),
            NoTurn::Waited => write!(f, "none ended within {} s", limits.wait.as_secs_f64()),
        }?;
        write!(f, "; try again in {retry_seconds} s")
    }
}
