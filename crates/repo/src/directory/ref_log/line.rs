//! The lines of reflogs, as Git writes and reads them.

use std::fmt;

use bstr::{BStr, ByteSlice};
use packhouse_object::{HashKind, ObjectId};

use crate::reflog::{ReflogEntry, ReflogPage};

/// Longer lines are cut: messages and names come from strangers.
pub(super) const LINE_BYTES_MAX: usize = 64 << 10;

/// A point in time, and how people near it have their clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since the epoch.
    pub seconds: i64,
    /// How many minutes clocks are ahead of UTC.
    pub offset_minutes: i32,
}

impl Moment {
    /// A time in milliseconds since the epoch, in UTC.
    pub(in crate::directory) fn of_ms(at_ms: i64) -> Moment {
        Moment {
            seconds: at_ms.div_euclid(1000),
            offset_minutes: 0,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let minutes = self.offset_minutes.unsigned_abs();
        let (hours, minutes) = (minutes / 60, minutes % 60);
        write!(f, "{} {sign}{hours:02}{minutes:02}", self.seconds)
    }
}

/// One move of a ref.
#[derive(Clone, Copy, Debug)]
pub(in crate::directory) struct Move<'a> {
    pub(in crate::directory) old: Option<ObjectId>,
    pub(in crate::directory) new: Option<ObjectId>,
    pub(in crate::directory) who: &'a str,
    pub(in crate::directory) message: &'a str,
    pub(in crate::directory) at: Moment,
}

/// The line that tells of a move.
pub(super) fn line(entry: &Move<'_>) -> Vec<u8> {
    let zero = ObjectId::null(HashKind::Sha1);
    let (old, new) = (entry.old.unwrap_or(zero), entry.new.unwrap_or(zero));
    let message: Vec<&str> = entry.message.split_whitespace().collect();
    let mut line = format!("{old} {new} {} {}", identity(entry.who), entry.at).into_bytes();
    if !message.is_empty() {
        line.push(b'\t');
        line.extend_from_slice(message.join(" ").as_bytes());
    }
    line.truncate(LINE_BYTES_MAX);
    line.push(b'\n');
    line
}

/// `who` as Git writes people: as it is if it has the form `Name <email>`, else with an empty email.
fn identity(who: &str) -> String {
    let clean = |text: &str| {
        let text: String = text
            .chars()
            .filter(|c| !c.is_control() && !matches!(c, '<' | '>'))
            .take(1000)
            .collect();
        text.trim().to_owned()
    };
    let parts = who.strip_suffix('>').and_then(|who| who.split_once(" <"));
    let (name, email) = parts.unwrap_or((who, ""));
    format!("{} <{}>", clean(name), clean(email))
}

/// What a line says; `None` if it is none.
pub(super) fn parse_line(line: &[u8], name: &BStr) -> Option<ReflogEntry> {
    let id = |digits: &[u8]| {
        ObjectId::from_hex(digits)
            .ok()
            .map(|id| (!id.is_null()).then_some(id))
    };
    let (old, new) = (id(line.get(..40)?)?, id(line.get(41..81)?)?);
    let (before, message) = line
        .get(82..)?
        .split_once_str("\t")
        .unwrap_or((&line[82..], b""));
    let (who, time) = before.rsplit_once_str("> ")?;
    let (person, email) = who.rsplit_once_str("<")?;
    let seconds = time
        .split(|&byte| byte == b' ')
        .next()?
        .to_str()
        .ok()?
        .parse::<i64>()
        .ok()?;
    let who = if email.is_empty() {
        person.trim_end().to_vec()
    } else {
        [who, b">"].concat()
    };
    Some(ReflogEntry {
        page: ReflogPage {
            generation: 0,
            ordinal: 0,
        },
        name: name.to_vec(),
        old,
        new,
        who: who.to_str_lossy().into_owned(),
        message: message.to_str_lossy().into_owned(),
        at_ms: seconds.saturating_mul(1000),
    })
}
