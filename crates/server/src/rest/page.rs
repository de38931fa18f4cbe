//! Pages of a list.

use std::fmt::Display;

use packhouse_object::BString;

use super::input::shown;
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

/// One list: of what it is, and what was asked of it. Its cursors are none of another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    word: &'static str,
    mark: String,
}

impl List {
    /// The list called `word` that `asked` chose: everything in the request but the page.
    pub(super) fn new(word: &'static str, asked: &[&str]) -> List {
        let mut hasher = blake3::Hasher::new();
        for part in asked {
            // With its length: two parts never read as one, whatever is in them.
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let mark = hasher.finalize().to_hex()[..8].to_owned();
        List { word, mark }
    }

    /// The same of a list that every organisation has: here it is that of `org`.
    pub(super) fn of_org(word: &'static str, org: impl Display, asked: &[&str]) -> List {
        let org = org.to_string();
        List::new(word, &[&[&*org][..], asked].concat())
    }

    /// The cursor of the list behind `place`. Where that is not UTF-8 it stands there in hexadecimal digits.
    pub(super) fn cursor(&self, place: &[u8]) -> String {
        let List { word, mark } = self;
        match std::str::from_utf8(place) {
            Ok(place) => format!("{word}.{mark}:{place}"),
            Err(_) => format!("{word}.{mark}/{}", hex(Some(place))),
        }
    }

    /// The place behind which the list goes on. An empty cursor is none.
    pub(super) fn after(&self, cursor: Option<&str>) -> Result<Option<BString>, ApiError> {
        let Some(cursor) = cursor.filter(|cursor| !cursor.is_empty()) else {
            return Ok(None);
        };
        let rest = cursor.strip_prefix(self.word);
        let rest = rest.and_then(|rest| rest.strip_prefix('.')?.strip_prefix(&*self.mark));
        let place = match rest.and_then(|rest| rest.split_at_checked(1)) {
            Some((":", place)) => Some(BString::from(place)),
            Some(("/", digits)) => unhex(digits),
            _ => None,
        };
        place
            .filter(|place| !place.is_empty())
            .map(Some)
            .ok_or_else(|| foreign_cursor(cursor))
    }

    /// The place as `parse` reads it, for lists whose places are not names.
    pub(super) fn after_as<T>(
        &self,
        cursor: Option<&str>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(place) = self.after(cursor)? else {
            return Ok(None);
        };
        let parsed = std::str::from_utf8(&place).ok().and_then(parse);
        parsed
            .map(Some)
            .ok_or_else(|| foreign_cursor(cursor.unwrap_or_default()))
    }
}

/// The failure where a cursor came from elsewhere.
pub(super) fn foreign_cursor(cursor: &str) -> ApiError {
    ApiError::invalid(format!(
        "`cursor` is `{}`, which is none of this list: pass on what `next_cursor` said of the same query, or begin again without one",
        shown(cursor)
    ))
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
    fn a_place_goes_through_a_cursor_whatever_its_bytes() {
        let list = List::new("files", &["a", "main"]);
        let others = [
            List::new("tags", &["a", "main"]),
            List::new("files", &["a", "mai"]),
            List::new("files", &["am", "ain"]),
            List::new("files", &[]),
        ];
        for place in [
            &b"a/b.txt"[..],
            b"\xff1",
            b"caf\xe9/x",
            "é".as_bytes(),
            b"files:x",
        ] {
            let cursor = list.cursor(place);
            assert_eq!(list.after(Some(&cursor)).unwrap().unwrap(), place);
            for other in &others {
                assert!(other.after(Some(&cursor)).is_err());
            }
        }
        let start = list.cursor(b"");
        let hex = start.replace(':', "/");
        let odd = [
            "a/b.txt".into(),
            "files".into(),
            start,
            format!("{hex}f"),
            format!("{hex}+1"),
            format!("{hex}é"),
            hex,
        ];
        for cursor in odd {
            assert!(list.after(Some(&cursor)).is_err(), "{cursor}");
        }
        assert_eq!(list.after(Some("")).unwrap(), None);
        assert_eq!(list.after(None).unwrap(), None);
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
