//! The lines of the report.

mod clone;
mod commits;
mod create;
mod large;
mod million;
mod push;
mod sequential;

use crate::report::Row;
use crate::{Bench, Result};

/// Measures one line or a few that belong together.
pub(crate) type Line = fn(&Bench, &tokio::runtime::Runtime) -> Result<Vec<Row>>;

/// Every line, in the order of the report.
pub(crate) fn all() -> Vec<(&'static str, Line)> {
    vec![
        ("commits-sqlite", commits::sqlite as Line),
        ("commits-postgres", commits::postgres),
        ("sequential", sequential::line),
        ("create", create::line),
        ("clone", clone::line),
        ("push", push::line),
        ("million", million::line),
        ("large", large::line),
    ]
}
