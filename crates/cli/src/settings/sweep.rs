//! Settings of sweeps.

use clap::Args;
use packhouse_repo::SweepOptions;

use crate::error::CliError;
use crate::size::Lapse;

/// Settings of sweeps on the command line, each with its variable.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SweepFlags {
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
}

/// How to sweep, by what was given.
pub(super) fn options(
    keep_deleted: Option<Lapse>,
    grace: Option<Lapse>,
) -> Result<SweepOptions, CliError> {
    let mut options = SweepOptions::default();
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn sweeps_keep_a_grace_period() {
        let lapse = |text: &str| Some(text.parse().unwrap());
        let chosen = options(lapse("30d"), lapse("2h")).unwrap();
        assert_eq!(chosen.grace, Duration::from_secs(7200));
        assert_eq!(chosen.keep_deleted, Duration::from_secs(30 * 86_400));
        assert_eq!(
            options(None, None).unwrap().grace,
            SweepOptions::default().grace
        );
        let error = options(None, lapse("59m")).unwrap_err();
        assert!(error.to_string().contains("less than an hour"), "{error}");
    }
}
