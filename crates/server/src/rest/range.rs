//! Byte ranges (RFC 9110, 14).

use std::ops::Range;

/// What a `Range` header asks of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    /// All of it: no range, one that is not understood, or several, which a server may answer with everything.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that it does not have.
    Beyond,
}

/// Reads the `Range` header for a file of `size` bytes.
pub(crate) fn parse(header: Option<&str>, size: u64) -> Asked {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Asked::Whole;
    };
    // More digits than fit mean: further than any file goes.
    let value = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    match (number(first), number(last)) {
        (Some(first), None) if last.is_empty() => part(value(first), u64::MAX, size),
        (Some(first), Some(last)) if value(first) <= value(last) => {
            part(value(first), value(last), size)
        }
        (None, Some(last)) if first.is_empty() => match value(last) {
            0 => Asked::Beyond,
            count => part(size.saturating_sub(count), u64::MAX, size),
        },
        _ => Asked::Whole,
    }
}

fn number(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

fn part(first: u64, last: u64, size: u64) -> Asked {
    if first >= size {
        return Asked::Beyond;
    }
    Asked::Part(first..last.saturating_add(1).min(size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_range_is_a_part_and_anything_odd_is_everything() {
        for (header, expected) in [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=2-5", Asked::Part(2..6)),
            ("bytes=2-", Asked::Part(2..10)),
            ("bytes=2-99", Asked::Part(2..10)),
            ("bytes=-3", Asked::Part(7..10)),
            ("bytes=-99", Asked::Part(0..10)),
            ("bytes=0-18446744073709551616", Asked::Part(0..10)),
            ("bytes=10-", Asked::Beyond),
            ("bytes=99999999999999999999-", Asked::Beyond),
            ("bytes=-0", Asked::Beyond),
            ("bytes=5-2", Asked::Whole),
            ("bytes=0-1,4-5", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("lines=0-1", Asked::Whole),
        ] {
            assert_eq!(parse(Some(header), 10), expected, "{header}");
        }
        assert_eq!(parse(None, 10), Asked::Whole);
        assert_eq!(parse(Some("bytes=0-"), 0), Asked::Beyond);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_past_the_end(header in "bytes=[0-9,-]{0,24}", size in 0u64..100) {
            if let Asked::Part(range) = parse(Some(&header), size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
