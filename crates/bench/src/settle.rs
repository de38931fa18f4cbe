//! What a timed command finds: a disk that is done, and memory that is there.

use std::process::Command;

use crate::Result;
use crate::fixture::run;

/// The most memory that is touched, in bytes: a command's new files and its own memory fit in it.
const MEMORY_BYTES_MAX: usize = 3 << 30;

/// Of the memory that is available, the part that is touched at most.
const MEMORY_SHARE: usize = 4;

const PAGE_BYTES: usize = 4096;

/// Waits until the disk has what was written before, which would be written at the cost of what comes next, and takes
/// memory from the machine.
///
/// A virtual machine may give free memory back to its host within seconds (free page reporting, `mm/page_reporting.c`), and
/// pays for each page when it takes it again: a copy of 1 GiB took 0.24 s of the processor in memory that had just been
/// freed, and 2.4 s in memory that had not been used for a while. Which of the two a command meets depends on what ran
/// before it.
pub(crate) fn settle() -> Result<()> {
    run(&mut Command::new("sync"))?;
    let available = available_bytes().unwrap_or(0) / MEMORY_SHARE;
    let mut memory = vec![0u8; available.min(MEMORY_BYTES_MAX)];
    memory
        .iter_mut()
        .step_by(PAGE_BYTES)
        .for_each(|byte| *byte = 1);
    std::hint::black_box(&memory);
    Ok(())
}

fn available_bytes() -> Option<usize> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
