//! What tests share: faults, a clock, repositories. Never a dependency of anything that ships.

pub mod clock;
pub mod faults;
pub mod history;
