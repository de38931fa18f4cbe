//! What tests share: faults, a clock, repositories, `git` and its server. Never a dependency of anything that ships.

pub mod clock;
pub mod faults;
pub mod forked;
pub mod git;
pub mod git_site;
pub mod history;
pub mod locks;
pub mod responder;
pub mod small_disk;
