//! Which process has its turn, as the first line of the lock file says, and whether it can still be at work.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use packhouse_object::ProcessLocal;
use rustix::process::{Pid, test_kill_process};

/// `w`, a space, three numbers and a line break.
pub(super) const HOLDER_BYTES: usize = 55;

/// A process. Its number alone is not enough: it is given out again, and means something else in another container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pid: u32,
    /// When it started, in ticks of the clock since the system did; 0 where that is not known.
    start: u64,
    /// The inode of its namespace of process numbers; 0 where that is not known.
    namespace: u64,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    AtWork,
    /// It was stopped by a signal.
    Stopped,
    Gone,
    /// It runs, if it runs, where its number cannot be looked up from here.
    Elsewhere,
}

impl Holder {
    /// This process.
    pub(super) fn this() -> Holder {
        static THIS: ProcessLocal<Holder> = ProcessLocal::new();
        *THIS.get_or_init(|| {
            let pid = std::process::id();
            Holder {
                pid,
                start: stat_of("self").map_or(0, |(_, start)| start),
                namespace: namespace(),
            }
        })
    }

    /// The line that names it.
    pub(super) fn line(&self) -> [u8; HOLDER_BYTES] {
        let Holder {
            pid,
            start,
            namespace,
        } = self;
        let line = format!("w {pid:>10} {start:>20} {namespace:>20}\n");
        line.into_bytes()
            .try_into()
            .expect("numbers of these widths make a line of this length")
    }

    /// What a line says; `None` if it is none.
    pub(super) fn parse(line: &[u8]) -> Option<Holder> {
        let line = std::str::from_utf8(line.get(..HOLDER_BYTES)?).ok()?;
        let mut numbers = line.strip_prefix("w ")?.split_ascii_whitespace();
        let mut next = || numbers.next()?.parse::<u64>().ok();
        Some(Holder {
            pid: u32::try_from(next()?).ok()?,
            start: next()?,
            namespace: next()?,
        })
    }

    /// What is known of it now.
    pub(super) fn life(&self) -> Life {
        if self.namespace != namespace() {
            return Life::Elsewhere;
        }
        match stat_of(&self.pid.to_string()) {
            Some((b'Z' | b'X' | b'x', _)) => Life::Gone,
            Some((_, start)) if self.start != 0 && start != self.start => Life::Gone,
            Some((b'T' | b't', _)) => Life::Stopped,
            Some(_) => Life::AtWork,
            // There is no such list here, or it does not show processes of others.
            None => self.life_by_signal(),
        }
    }

    fn life_by_signal(&self) -> Life {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        match pid.map(test_kill_process) {
            Some(Ok(()) | Err(rustix::io::Errno::PERM)) => Life::AtWork,
            _ => Life::Gone,
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid;
        match self.life() {
            Life::AtWork => write!(f, "process {pid}"),
            Life::Stopped => write!(f, "process {pid}, which is stopped,"),
            Life::Gone => write!(
                f,
                "a process that was started by process {pid}, which is gone,"
            ),
            Life::Elsewhere => write!(f, "process {pid} of another container or machine"),
        }
    }
}

fn namespace() -> u64 {
    fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

/// The state of a process, and when it started.
fn stat_of(process: &str) -> Option<(u8, u64)> {
    let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name, which may have anything in it.
    let end_of_name = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[end_of_name + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_process_and_its_number_alone_does_not() {
        let this = Holder::this();
        assert_eq!(Holder::parse(&this.line()), Some(this));
        assert_eq!(this.life(), Life::AtWork);
        let earlier = Holder {
            start: this.start.wrapping_sub(1).max(1),
            ..this
        };
        assert_eq!(earlier.life(), Life::Gone);
        let elsewhere = Holder {
            namespace: this.namespace + 1,
            ..this
        };
        assert_eq!(elsewhere.life(), Life::Elsewhere);
        for text in [&b""[..], b"w", b"-", &[b'w'; HOLDER_BYTES], b"w 1 2 3\n"] {
            assert_eq!(Holder::parse(text), None);
        }
    }

    #[test]
    fn a_process_that_ended_or_was_stopped_is_not_at_work() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let holder = Holder {
            pid: child.id(),
            start: stat_of(&child.id().to_string()).unwrap().1,
            namespace: namespace(),
        };
        assert_eq!(holder.life(), Life::AtWork);
        let pid = Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        let begun = std::time::Instant::now();
        while holder.life() != Life::Stopped {
            assert!(begun.elapsed().as_secs() < 20);
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(holder.life(), Life::Gone);
    }
}
