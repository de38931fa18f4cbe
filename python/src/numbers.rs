//! Whole numbers from Python, which have no end there.

use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;

/// A number, as far as numbers go here: a larger one counts as the largest, a smaller one as the smallest. No file is as
/// long, and no history.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) i64);

impl FromPyObject<'_, '_> for Number {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> Result<Self, Self::Error> {
        match object.extract::<i64>() {
            Err(error) if error.is_instance_of::<PyOverflowError>(object.py()) => {
                let is_negative = object.lt(0)?;
                Ok(Number(if is_negative { i64::MIN } else { i64::MAX }))
            }
            number => number.map(Number),
        }
    }
}

impl Number {
    /// For numbers that are not negative; such as are count as none.
    pub(crate) fn unsigned(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}
