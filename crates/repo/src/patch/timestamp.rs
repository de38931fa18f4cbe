//! The times that traditional diffs write behind file names.

/// How many bytes at the end of `line`, which has no newline, are a time and what separates it from the name.
pub(super) fn timestamp_len(line: &[u8]) -> usize {
    let mut rest = line;
    rest = &rest[..rest.len() - zone_len(rest)];
    rest = &rest[..rest.len() - time_len(rest)];
    let date = date_len(rest);
    if date == 0 {
        return 0;
    }
    rest = &rest[..rest.len() - date];
    match rest.last() {
        Some(b'\t') => line.len() - rest.len() + 1,
        // White space was damaged on the way.
        Some(b' ') => {
            let spaces = rest.iter().rev().take_while(|&&byte| byte == b' ').count();
            line.len() - rest.len() + spaces
        }
        _ => 0,
    }
}

/// Whether `bytes` look like `pattern`, in which `0` is any digit and `+` a sign.
fn looks_like(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.len() == pattern.len()
        && bytes
            .iter()
            .zip(pattern)
            .all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'+' => matches!(byte, b'+' | b'-'),
                wanted => byte == wanted,
            })
}

fn ends_like(line: &[u8], pattern: &[u8]) -> bool {
    line.len() >= pattern.len() && looks_like(&line[line.len() - pattern.len()..], pattern)
}

fn zone_len(line: &[u8]) -> usize {
    let zones: [&[u8]; 2] = [b" +0000", b" +00:00"];
    let found = zones.into_iter().find(|zone| ends_like(line, zone));
    found.map_or(0, <[u8]>::len)
}

fn time_len(line: &[u8]) -> usize {
    const TIME: &[u8] = b" 00:00:00";
    if ends_like(line, TIME) {
        return TIME.len();
    }
    let digits = line
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let whole = &line[..line.len() - digits];
    match whole.strip_suffix(b".") {
        Some(whole) if digits > 0 && ends_like(whole, TIME) => TIME.len() + digits + 1,
        _ => 0,
    }
}

fn date_len(line: &[u8]) -> usize {
    if ends_like(line, b"0000-00-00") {
        return 10;
    }
    if ends_like(line, b"00-00-00") { 8 } else { 0 }
}

/// Whether the time behind the last tab of `line` is the beginning of 1970: so GNU diff writes that a file is not there.
pub(super) fn is_epoch(line: &[u8]) -> bool {
    let Some(tab) = line.iter().rposition(|&byte| byte == b'\t') else {
        return false;
    };
    let time = line[tab + 1..].trim_ascii_end();
    let (rest, day_minutes) = if let Some(rest) = time.strip_prefix(b"1969-12-31 ") {
        (rest, 24 * 60)
    } else if let Some(rest) = time.strip_prefix(b"1970-01-01 ") {
        (rest, 0)
    } else {
        return false;
    };
    minutes_past(rest) == Some(day_minutes)
}

/// `hh:mm:00 ±hhmm`, with a fraction of zeros perhaps, as minutes in UTC.
fn minutes_past(time: &[u8]) -> Option<i32> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<i32>().ok();
    let (clock, rest) = time.split_at_checked(8)?;
    if !looks_like(clock, b"00:00:00")
        || !clock.ends_with(b"00")
        || clock[0] > b'2'
        || clock[3] > b'5'
    {
        return None;
    }
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let zeros = fraction.iter().take_while(|&&byte| byte == b'0').count();
            if zeros == 0 {
                return None;
            }
            &fraction[zeros..]
        }
    };
    if !looks_like(rest, b" +0000") && !looks_like(rest, b" +00:00") {
        return None;
    }
    let (hours, minutes) = (&rest[2..4], &rest[rest.len() - 2..]);
    if hours[0] > b'2' || minutes[0] > b'5' {
        return None;
    }
    let zone = number(hours)? * 60 + number(minutes)?;
    let zone = if rest[1] == b'-' { -zone } else { zone };
    Some(number(&clock[..2])? * 60 + number(&clock[3..5])? - zone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_names() {
        for (line, name) in [
            ("a/b\t2010-07-05 19:41:17.620000023 -0500", "a/b"),
            ("a/b\t2010-07-05 19:41:17 -05:00", "a/b"),
            ("a/b\t2010-07-05 19:41:17", "a/b"),
            ("a/b\t72-02-05", "a/b"),
            ("a b   2010-07-05 19:41:17 +0000", "a b"),
            ("a/2010-07-05", "a/2010-07-05"),
            ("a/b", "a/b"),
            ("2010-07-05", "2010-07-05"),
            ("a/b\t2010-07-05 19:41:17x", "a/b\t2010-07-05 19:41:17x"),
        ] {
            let len = timestamp_len(line.as_bytes());
            assert_eq!(&line[..line.len() - len], name, "{line}");
        }
    }

    #[test]
    fn the_epoch_is_known_in_every_zone() {
        for (time, expected) in [
            ("f\t1970-01-01 00:00:00 +0000\n", true),
            ("f\t1970-01-01 00:00:00.000000000 +0000\n", true),
            ("f\t1969-12-31 19:00:00 -0500\n", true),
            ("f\t1970-01-01 05:30:00 +05:30\n", true),
            ("f\t1970-01-01 00:00:00.1 +0000\n", false),
            ("f\t1970-01-01 00:00:01 +0000\n", false),
            ("f\t1970-01-01 01:00:00 +0000\n", false),
            ("f\t1970-01-01 00:00:00\n", false),
            ("f 1970-01-01 00:00:00 +0000\n", false),
        ] {
            assert_eq!(is_epoch(time.as_bytes()), expected, "{time}");
        }
    }
}
