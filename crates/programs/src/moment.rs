//! Points in time as Git takes them from its environment: `GIT_COMMITTER_DATE`, in the forms that git-commit(1) has, and `TZ`.

use std::fs;
use std::path::Path;

use bstr::ByteSlice;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use packhouse_repo::directory::Moment;

use crate::environment::Environment;

/// Numbers of seconds have more digits than this: others are dates, or parts of them.
const DATE_DIGITS: usize = 8;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

const DAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

/// The years that Git knows.
const YEARS: std::ops::Range<i16> = 1970..2100;

/// Now, where this environment says that we are.
pub(crate) fn now(environment: &Environment) -> Moment {
    let now = Timestamp::now();
    let offset = zone(environment).to_offset(now);
    moment(now, offset)
}

/// Now, in UTC.
pub(crate) fn utc_now() -> Moment {
    moment(Timestamp::now(), Offset::UTC)
}

/// The time that a text names: seconds and an offset, or a date and a time as RFC 2822 or ISO 8601 have them, which are local where
/// they have no offset.
pub(crate) fn parse(text: &str, environment: &Environment) -> Option<Moment> {
    let text = text.lines().next()?.trim();
    if let Some(internal) = text.strip_prefix('@') {
        let (seconds, offset) = internal.split_once(' ')?;
        return of_seconds(seconds, Some(offset_of_digits(offset)?));
    }
    let mut words = text.split_ascii_whitespace();
    if let Some(seconds) = words.next().filter(|word| is_seconds(word)) {
        let moment = match words.next() {
            Some(offset) => of_seconds(seconds, Some(offset_of(offset)?)),
            None => {
                let moment = of_seconds(seconds, None)?;
                let at = Timestamp::from_second(moment.seconds).ok()?;
                Some(self::moment(at, zone(environment).to_offset(at)))
            }
        };
        return moment.filter(|_| words.next().is_none());
    }
    let read = Reading::read(text)?;
    let date = Date::new(read.year?, read.month?, read.day?).ok()?;
    if !YEARS.contains(&date.year()) {
        return None;
    }
    let (time, leap) = read.time?;
    let civil = DateTime::from_parts(date, time);
    let zone = match read.offset {
        Some(offset) => TimeZone::fixed(offset),
        None => zone(environment),
    };
    let zoned = civil.to_zoned(zone).ok()?;
    let mut moment = moment(zoned.timestamp(), zoned.offset());
    moment.seconds += leap;
    Some(moment)
}

fn moment(at: Timestamp, offset: Offset) -> Moment {
    Moment {
        seconds: at.as_second(),
        offset_minutes: offset.seconds() / 60,
    }
}

fn is_seconds(word: &str) -> bool {
    word.len() > DATE_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn of_seconds(digits: &str, offset: Option<Offset>) -> Option<Moment> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.parse().ok().filter(|_| is_number)?;
    Some(Moment {
        seconds,
        offset_minutes: offset.unwrap_or(Offset::UTC).seconds() / 60,
    })
}

/// What has been found of a date and a time.
#[derive(Default)]
struct Reading {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    /// And a leap second that no clock of ours shows.
    time: Option<(Time, i64)>,
    offset: Option<Offset>,
}

impl Reading {
    fn read(text: &str) -> Option<Reading> {
        let mut read = Reading::default();
        for word in text.split([' ', '\t', ',']).filter(|word| !word.is_empty()) {
            let (word, rest) = match word.split_once(['T', 't']) {
                // `2005-04-07T22:13:13`, and not `Thu` or `Oct`.
                Some((date, time)) if date.ends_with(|c: char| c.is_ascii_digit()) => {
                    (date, Some(time))
                }
                _ => (word, None),
            };
            for part in [Some(word), rest].into_iter().flatten() {
                read.take(part)?;
            }
        }
        Some(read)
    }

    /// Takes a word. `None`: nobody knows what it is.
    fn take(&mut self, word: &str) -> Option<()> {
        let first = word.chars().next()?;
        if first.is_ascii_alphabetic() {
            return self.take_name(word);
        }
        if matches!(first, '+' | '-') {
            return set(&mut self.offset, offset_of(word)?);
        }
        if word.contains(':') {
            return self.take_time(word);
        }
        let separator = word.chars().find(|c| !c.is_ascii_digit());
        match separator {
            None if word.len() == 4 => set(&mut self.year, word.parse().ok()?),
            None if word.len() <= 2 => set(&mut self.day, word.parse().ok()?),
            Some(separator @ ('-' | '.' | '/')) => self.take_date(word, separator),
            _ => None,
        }
    }

    fn take_name(&mut self, word: &str) -> Option<()> {
        let word = word.to_ascii_lowercase();
        let begins = |name: &&str| word.len() >= 3 && name.starts_with(&word);
        if let Some(month) = MONTHS.iter().position(begins) {
            return set(&mut self.month, month as i8 + 1);
        }
        match &*word {
            "z" | "utc" | "gmt" => set(&mut self.offset, Offset::UTC),
            _ => DAYS.iter().any(begins).then_some(()),
        }
    }

    /// `22:13`, `22:13:13`, and what may follow: a fraction, which is passed over, and an offset.
    fn take_time(&mut self, word: &str) -> Option<()> {
        let end = word.find(['+', '-', 'Z', 'z']).unwrap_or(word.len());
        let (time, offset) = word.split_at(end);
        match offset {
            "" => {}
            "Z" | "z" => set(&mut self.offset, Offset::UTC)?,
            offset => set(&mut self.offset, offset_of(offset)?)?,
        }
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = time.split(':').map(|part| {
            let is_part = (1..=2).contains(&part.len()) && is_number(part);
            part.parse::<i8>().ok().filter(|_| is_part)
        });
        let (hour, minute) = (parts.next()??, parts.next()??);
        let second = match parts.next() {
            Some(second) => second?,
            None => 0,
        };
        if parts.next().is_some() || !is_number(fraction) {
            return None;
        }
        let leap = i8::from(second == 60);
        let time = Time::new(hour, minute, second - leap, 0).ok()?;
        set(&mut self.time, (time, i64::from(leap)))
    }

    /// `2005-04-07`, `2005.04.07`, `04/07/2005`, `07.04.2005`.
    fn take_date(&mut self, word: &str, separator: char) -> Option<()> {
        let mut parts = word.split(separator);
        let parts = (parts.next()?, parts.next()?, parts.next()?, parts.next());
        let (year, month, day) = match parts {
            (year, month, day, None) if year.len() == 4 => (year, month, day),
            (day, month, year, None) if separator == '.' => (year, month, day),
            (month, day, year, None) if separator == '/' => (year, month, day),
            _ => return None,
        };
        if year.len() != 4 {
            return None;
        }
        set(&mut self.year, year.parse().ok()?)?;
        set(&mut self.month, month.parse().ok()?)?;
        set(&mut self.day, day.parse().ok()?)
    }
}

/// Sets what has not been said before.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    match place.replace(value) {
        Some(_) => None,
        None => Some(()),
    }
}

/// `Z`, `+02`, `+0200` or `+02:00`.
fn offset_of(word: &str) -> Option<Offset> {
    if matches!(word, "Z" | "UTC" | "GMT") {
        return Some(Offset::UTC);
    }
    match (word.len(), word.split_once(':')) {
        (3, None) => offset_of_digits(&format!("{word}00")),
        (6, Some((hours, minutes))) => offset_of_digits(&format!("{hours}{minutes}")),
        _ => offset_of_digits(word),
    }
}

/// `+0200`.
fn offset_of_digits(word: &str) -> Option<Offset> {
    let digits = word.strip_prefix(['+', '-'])?;
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    if hours >= 24 || minutes >= 60 {
        return None;
    }
    let seconds = (hours * 60 + minutes) * 60;
    let is_west = word.starts_with('-');
    Offset::from_seconds(if is_west { -seconds } else { seconds }).ok()
}

/// The zone that `TZ` names, or that of the machine.
fn zone(environment: &Environment) -> TimeZone {
    let of_file = |path: &Path| {
        let bytes = fs::read(path).ok()?;
        TimeZone::tzif("", &bytes).ok()
    };
    let zone = match environment.present("TZ") {
        None => of_file(Path::new("/etc/localtime")),
        Some(name) => {
            let name = name.as_encoded_bytes();
            let name = name.strip_prefix(b":").unwrap_or(name);
            match name.to_str() {
                Ok("") | Err(_) => None,
                Ok(path) if path.starts_with('/') => of_file(Path::new(path)),
                Ok(name) => TimeZone::get(name).or_else(|_| TimeZone::posix(name)).ok(),
            }
        }
    };
    zone.unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use packhouse_testkit::git::command;

    use super::*;

    /// What git makes of a date; `None`: it is none.
    fn of_git(text: &str, zone: &str) -> Option<Moment> {
        let said = command()
            .args(["var", "GIT_COMMITTER_IDENT"])
            .env("GIT_COMMITTER_DATE", text)
            .env("TZ", zone)
            .output()
            .unwrap();
        if !said.status.success() {
            return None;
        }
        let said = String::from_utf8(said.stdout).unwrap();
        let (_, time) = said.trim_end().rsplit_once("> ").unwrap();
        let (seconds, offset) = time.split_once(' ').unwrap();
        Some(Moment {
            seconds: seconds.parse().unwrap(),
            offset_minutes: offset_of_digits(offset).unwrap().seconds() / 60,
        })
    }

    #[test]
    fn dates_are_what_git_takes_them_for() {
        let dates = [
            "1640995200 +0000",
            "1640995200 -0330",
            "1640995200",
            "@0 +0000",
            "@1 +0130",
            "@1640995200 +0100",
            "Thu, 07 Apr 2005 22:13:13 +0200",
            "Thu, 7 Apr 2005 22:13:13 GMT",
            "7 April 2005 22:13:13",
            "Thu Apr 7 22:13:13 2005 -0700",
            "2005-04-07T22:13:13",
            "2005-04-07T22:13:13Z",
            "2005-04-07t22:13:13+02:00",
            "2005-04-07 22:13:13 +0200",
            "2005-04-07 22:13:13 +02",
            "2005-04-07T22:13:13.019",
            "2005-04-07T22:13:13.019+0530",
            "2005-04-07 22:13",
            "2005.04.07 22:13:13",
            "04/07/2005 22:13:13",
            "07.04.2005 22:13:13",
            "2005-12-31T23:59:60Z",
            "2005-07-07 12:00:00",
        ];
        for zone in ["UTC", "Europe/Berlin", "America/St_Johns", "EST5", ""] {
            let mut environment = Environment::default();
            environment.set("TZ", zone);
            for date in dates {
                let ours = parse(date, &environment);
                assert!(ours.is_some(), "{date}");
                assert_eq!(ours, of_git(date, zone), "{date} {zone}");
            }
        }
        for bad in [
            "",
            "now",
            "yesterday",
            "2005-04-07",
            "1",
            "@1",
            "@x +0000",
            "2200-01-01T00:00:00Z",
            "22:13:13",
        ] {
            assert_eq!(parse(bad, &Environment::default()), None, "{bad}");
            if !bad.is_empty() {
                assert_eq!(of_git(bad, "UTC"), None, "{bad}");
            }
        }
    }
}
