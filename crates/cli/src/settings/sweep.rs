//! Settings of sweeps.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use packhouse_repo::SweepOptions;

use crate::error::CliError;
use crate::size::Lapse;

/// Settings of sweeps on the command line, each with its variable.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SweepFlags {
    /// How long what no branch or tag reaches is kept after a repack found it, such as 30d [default: 14d]
    #[arg(
        long,
        value_name = "TIME",
        env = "PACKHOUSE_KEEP_UNREACHABLE",
        help_heading = "Sweep"
    )]
    pub(crate) keep_unreachable: Option<Lapse>,
    /// How long the rows of a deleted repository are kept, such as 7d [default: 7d]
    #[arg(
        long,
        value_name = "TIME",
        env = "PACKHOUSE_KEEP_DELETED",
        help_heading = "Sweep"
    )]
    pub(crate) keep_deleted: Option<Lapse>,
    /// How long a pack that no repository lists is kept, 1h at least [default: 1d]
    #[arg(
        long,
        value_name = "TIME",
        env = "PACKHOUSE_SWEEP_GRACE",
        help_heading = "Sweep"
    )]
    pub(crate) sweep_grace: Option<Lapse>,
    /// How many days entries of the audit log are kept [default: for good]
    #[arg(
        long,
        value_name = "DAYS",
        env = "PACKHOUSE_AUDIT_DAYS",
        help_heading = "Sweep"
    )]
    pub(crate) audit_days: Option<NonZeroU32>,
}

/// How to sweep, by what was given.
pub(super) fn options(
    keep_unreachable: Option<Lapse>,
    keep_deleted: Option<Lapse>,
    grace: Option<Lapse>,
    audit_days: Option<NonZeroU32>,
) -> Result<SweepOptions, CliError> {
    let day = Duration::from_secs(24 * 3600);
    let mut options = SweepOptions {
        keep_audit: audit_days.map(|days| day * days.get()),
        ..SweepOptions::default()
    };
    if let Some(Lapse(keep)) = keep_unreachable {
        options.keep_unreachable = keep;
    }
    if let Some(Lapse(keep)) = keep_deleted {
        options.keep_deleted = keep;
    }
    if let Some(Lapse(grace)) = grace {
        if grace < SweepOptions::LEAST_GRACE {
            return Err(CliError::usage(
                "a grace period of less than an hour is shorter than a request may take",
                "give --sweep-grace (PACKHOUSE_SWEEP_GRACE) 1h or more",
            ));
        }
        options.grace = grace;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_keep_a_grace_period() {
        let lapse = |text: &str| Some(text.parse().unwrap());
        let days = NonZeroU32::new(90);
        let chosen = options(lapse("60d"), lapse("30d"), lapse("2h"), days).unwrap();
        assert_eq!(chosen.keep_unreachable, Duration::from_secs(60 * 86_400));
        assert_eq!(chosen.grace, Duration::from_secs(7200));
        assert_eq!(chosen.keep_deleted, Duration::from_secs(30 * 86_400));
        assert_eq!(chosen.keep_audit, Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(
            options(None, None, None, None).unwrap().grace,
            SweepOptions::default().grace
        );
        let error = options(None, None, lapse("59m"), None).unwrap_err();
        assert!(error.to_string().contains("less than an hour"), "{error}");
    }
}
