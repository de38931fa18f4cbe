//! Processor time, from `/proc`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Result;

/// Ticks of the clock that `/proc` counts in, a second; the same on every Linux that Rust runs on (`USER_HZ`).
const TICKS: u64 = 100;

/// What processes have used: themselves, and the children that they have waited for.
pub(crate) fn cpu_of(pids: &[u32]) -> Result<Duration> {
    // utime, stime, cutime and cstime.
    pids.iter()
        .map(|pid| cpu_in(&pid.to_string(), 14..=17))
        .sum()
}

/// What this process's children have used that it has waited for.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    cpu_in("self", 16..=17)
}

/// The sum of some fields of a process's `stat`, by the numbers they have in proc(5).
fn cpu_in(process: &str, fields: RangeInclusive<usize>) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // They are counted from behind the name, which may hold anything: the state, the third, comes next.
    let behind = stat.rsplit_once(") ").ok_or("no name in stat")?.1;
    let numbers: Vec<&str> = behind.split(' ').collect();
    let mut ticks = 0;
    for number in fields {
        ticks += numbers
            .get(number - 3)
            .ok_or("stat is cut off")?
            .parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// All processes below one, which must be running, and it.
pub(crate) fn with_descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        // A child belongs to the thread that started it.
        let threads = std::fs::read_dir(format!("/proc/{}/task", found[at]));
        for thread in threads.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children"));
            let children = children.unwrap_or_default();
            found.extend(children.split_whitespace().flat_map(str::parse::<u32>));
        }
        at += 1;
    }
    found
}
