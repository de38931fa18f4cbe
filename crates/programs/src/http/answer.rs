//! Answers as CGI has them: a status, headers, and a body.

use std::fs::File;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use super::route::Target;

/// How long what never changes may be kept, in seconds: a year.
const FOREVER_SECONDS: u64 = 31_536_000;

/// An answer, by default an empty one of status 200.
#[derive(Debug, Default)]
pub(super) struct Answer {
    status: Option<(u16, &'static str)>,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Default)]
enum Body {
    #[default]
    None,
    Text(Vec<u8>),
    File(File),
}

impl Answer {
    pub(super) fn status(code: u16, reason: &'static str) -> Answer {
        Answer {
            status: Some((code, reason)),
            ..Answer::default()
        }
    }

    pub(super) fn header(&mut self, name: &str, value: impl Into<String>) {
        self.headers.push((name.to_owned(), value.into()));
    }

    /// The answer may differ the next time.
    pub(super) fn forbid_caching(&mut self) {
        self.header("Expires", "Fri, 01 Jan 1980 00:00:00 GMT");
        self.header("Pragma", "no-cache");
        self.header("Cache-Control", "no-cache, max-age=0, must-revalidate");
    }

    /// The answer never changes.
    pub(super) fn allow_caching(&mut self) {
        let now = SystemTime::now();
        self.header("Date", date(now));
        let end = now + std::time::Duration::from_secs(FOREVER_SECONDS);
        self.header("Expires", date(end));
        self.header(
            "Cache-Control",
            format!("public, max-age={FOREVER_SECONDS}"),
        );
    }

    pub(super) fn text(&mut self, content_type: &str, text: Vec<u8>) {
        self.header("Content-Length", text.len().to_string());
        self.header("Content-Type", content_type);
        self.body = Body::Text(text);
    }

    /// A text that says for a person what is wrong.
    pub(super) fn remark(&mut self, text: String) {
        self.body = Body::Text(text.into_bytes());
    }

    pub(super) fn file(&mut self, content_type: &str, file: File) -> io::Result<()> {
        let metadata = file.metadata()?;
        self.header("Content-Length", metadata.len().to_string());
        self.header("Last-Modified", date(metadata.modified()?));
        self.header("Content-Type", content_type);
        self.body = Body::File(file);
        Ok(())
    }

    pub(super) fn write(self, out: &mut (dyn Write + Send)) -> io::Result<()> {
        let mut head = Vec::new();
        if let Some((code, reason)) = self.status {
            write!(head, "Status: {code} {reason}\r\n")?;
        }
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        head.extend_from_slice(b"\r\n");
        out.write_all(&head)?;
        match self.body {
            Body::None => {}
            Body::Text(text) => out.write_all(&text)?,
            Body::File(mut file) => drop(io::copy(&mut file, out)?),
        }
        out.flush()
    }
}

/// A request that is not served.
#[derive(Debug)]
pub(super) struct Refusal {
    answer: Answer,
    log: Option<String>,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, log: Option<String>) -> Refusal {
        let mut answer = Answer::status(code, reason);
        answer.forbid_caching();
        Refusal { answer, log }
    }

    pub(super) fn not_found(log: String) -> Refusal {
        Refusal::new(404, "Not Found", Some(log))
    }

    pub(super) fn forbidden(log: String) -> Refusal {
        Refusal::new(403, "Forbidden", Some(log))
    }

    /// The server itself is not as it must be.
    pub(super) fn broken(log: impl Into<String>) -> Refusal {
        let log = format!("fatal: {}", log.into());
        Refusal::new(500, "Internal Server Error", Some(log))
    }

    pub(super) fn wrong_method(target: &Target, is_new: bool) -> Refusal {
        if !is_new {
            return Refusal::new(400, "Bad Request", None);
        }
        let mut answer = Answer::status(405, "Method Not Allowed");
        let allowed = match target {
            Target::Service(_) => "POST",
            _ => "GET, HEAD",
        };
        answer.header("Allow", allowed);
        answer.forbid_caching();
        Refusal { answer, log: None }
    }

    pub(super) fn wrong_type(expected: &str, found: &str) -> Refusal {
        let mut refusal = Refusal::new(415, "Unsupported Media Type", None);
        refusal.answer.remark(format!(
            "Expected POST with Content-Type '{expected}', but received '{found}' instead.\n"
        ));
        refusal
    }

    pub(super) fn into_answer(self, log: &mut dyn FnMut(&str)) -> Answer {
        if let Some(line) = &self.log {
            log(line);
        }
        self.answer
    }
}

/// A time as HTTP writes it.
fn date(time: SystemTime) -> String {
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (days, within) = (seconds / 86_400, seconds % 86_400);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days % 7) as usize];
    let (year, month, day) = civil(days);
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][month];
    format!(
        "{weekday}, {day:02} {month} {year} {:02}:{:02}:{:02} GMT",
        within / 3600,
        within / 60 % 60,
        within % 60
    )
}

/// Year, month (from 0) and day of a number of days since the epoch.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_http() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(951_827_696), "Tue, 29 Feb 2000 12:34:56 GMT");
        assert_eq!(at(4_102_444_799), "Thu, 31 Dec 2099 23:59:59 GMT");
    }
}
