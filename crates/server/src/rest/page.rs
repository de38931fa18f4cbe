//! Pages of a list.

use packhouse_object::BString;

use crate::error::ApiError;
use crate::events::hex;

/// Items per page: `default` if the request says nothing or 0, `max` at most.
pub(super) fn limit(asked: Option<u32>, default: usize, max: usize) -> usize {
    match asked {
        None | Some(0) => default,
        Some(asked) => (asked as usize).min(max),
    }
}

/// Cuts a list that was read with one item too many to `limit`, and says whether there was more.
pub(super) fn cut<T>(items: &mut Vec<T>, limit: usize) -> bool {
    let has_more = items.len() > limit;
    items.truncate(limit);
    has_more
}

/// The kind of a list that goes on behind a name: its cursors are none of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameList {
    Files,
    Tags,
}

impl NameList {
    fn word(self) -> &'static str {
        match self {
            NameList::Files => "files",
            NameList::Tags => "tags",
        }
    }

    /// The cursor of the list behind `name`, which need not be UTF-8: then it stands there in hexadecimal digits.
    pub(super) fn cursor(self, name: &[u8]) -> String {
        let word = self.word();
        match std::str::from_utf8(name) {
            Ok(name) => format!("{word}:{name}"),
            Err(_) => format!("{word}/{}", hex(Some(name))),
        }
    }

    /// The name behind which the list goes on. An empty cursor is none.
    pub(super) fn after(self, cursor: Option<&str>) -> Result<Option<BString>, ApiError> {
        let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        let rest = cursor.strip_prefix(self.word());
        let name = match rest.and_then(|rest| rest.split_at_checked(1)) {
            Some((":", name)) => Some(BString::from(name)),
            Some(("/", digits)) => unhex(digits),
            _ => None,
        };
        name.filter(|name| !name.is_empty())
            .map(Some)
            .ok_or_else(foreign_cursor)
    }
}

/// The failure where a cursor came from elsewhere.
pub(super) fn foreign_cursor() -> ApiError {
    ApiError::invalid("`cursor` is none of this list")
}

fn unhex(digits: &str) -> Option<BString> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .map(BString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_goes_through_a_cursor_whatever_its_bytes() {
        for name in [
            &b"a/b.txt"[..],
            b"\xff1",
            b"caf\xe9/x",
            "é".as_bytes(),
            b"files:x",
        ] {
            let cursor = NameList::Files.cursor(name);
            let after = NameList::Files.after(Some(&cursor)).unwrap().unwrap();
            assert_eq!(after, name);
            assert!(NameList::Tags.after(Some(&cursor)).is_err());
        }
        for cursor in [
            "a/b.txt", "files", "files:", "files/", "files/f", "files/+1", "filesé",
        ] {
            assert!(NameList::Files.after(Some(cursor)).is_err(), "{cursor}");
        }
        assert_eq!(NameList::Files.after(Some("")).unwrap(), None);
        assert_eq!(NameList::Files.after(None).unwrap(), None);
    }

    #[test]
    fn a_limit_has_a_default_and_a_maximum() {
        assert_eq!(limit(None, 20, 100), 20);
        assert_eq!(limit(Some(0), 20, 100), 20);
        assert_eq!(limit(Some(7), 20, 100), 7);
        assert_eq!(limit(Some(u32::MAX), 20, 100), 100);
    }

    #[test]
    fn one_item_too_many_means_more() {
        let mut items = vec![1, 2, 3];
        assert!(!cut(&mut items, 3));
        assert!(cut(&mut items, 2));
        assert_eq!(items, [1, 2]);
    }
}
