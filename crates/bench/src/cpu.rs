//! Processor time, from `/proc`.

use std::time::Duration;

use crate::Result;

/// Ticks of the clock that `/proc` counts in, a second; the same on every Linux that Rust runs on (`USER_HZ`).
const TICKS: u64 = 100;

/// What processes have used: themselves, and the children that they have waited for.
pub(crate) fn cpu_of(pids: &[u32]) -> Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Fields are counted from behind the name, which may hold anything: state is the third (proc(5)).
        let fields = stat.rsplit_once(") ").ok_or("no name in stat")?.1;
        // utime, stime, cutime, cstime: 14 to 17.
        for field in fields.split(' ').skip(11).take(4) {
            ticks += field.parse::<u64>()?;
        }
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// What this process's children have used that it has waited for.
pub(crate) fn cpu_of_children() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").ok_or("no name in stat")?.1;
    let mut ticks = 0;
    for field in fields.split(' ').skip(13).take(2) {
        ticks += field.parse::<u64>()?;
    }
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

/// All processes below one, which must be running, and it.
pub(crate) fn with_descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let children = format!("/proc/{0}/task/{0}/children", found[at]);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        found.extend(children.split_whitespace().flat_map(str::parse::<u32>));
        at += 1;
    }
    found
}
