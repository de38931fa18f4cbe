//! Names as text: Git's have any bytes, and JSON has none.

use std::borrow::Cow;

use bstr::{BString, ByteSlice};

use crate::diff::quoted;
use crate::patch::unquote;

/// A name of a file, or of anything else that need not be text, as text from which [`unquoted_name`] gets it back.
///
/// Text stays as it is. A name that is not UTF-8, or begins with a double quote, is written as Git prints names that are not
/// plain (`core.quotePath`): in double quotes with C's escapes.
///
/// ```
/// use packhouse_repo::{quoted_name, unquoted_name};
///
/// assert_eq!(quoted_name("caf\u{e9} \"new\"".as_bytes()), "caf\u{e9} \"new\"");
/// assert_eq!(quoted_name(b"caf\xe9"), r#""caf\351""#);
/// assert_eq!(unquoted_name(r#""caf\351""#).unwrap(), b"caf\xe9");
/// ```
pub fn quoted_name(name: &[u8]) -> Cow<'_, str> {
    match name.to_str() {
        Ok(text) if !text.starts_with('"') => Cow::Borrowed(text),
        _ => {
            let quoted = quoted("", name.as_bstr());
            Cow::Owned(String::from_utf8(quoted).expect("what is not ASCII was escaped"))
        }
    }
}

/// The name that [`quoted_name`] has made text of; `None` if it begins with a quote and is not as Git writes such.
pub fn unquoted_name(text: &str) -> Option<BString> {
    match text.starts_with('"') {
        false => Some(text.into()),
        true => unquote(text.as_bytes())
            .filter(|(_, rest)| rest.is_empty())
            .map(|(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_stays_and_all_else_is_quoted() {
        for text in [
            "",
            "a",
            "a b/c",
            "a\"b",
            "\u{e9}\u{1F600}",
            "a\\351",
            "tab\t",
        ] {
            assert_eq!(quoted_name(text.as_bytes()), text);
        }
        assert_eq!(quoted_name(b"\""), r#""\"""#);
        assert_eq!(quoted_name(b"\"a\""), r#""\"a\"""#);
        assert_eq!(quoted_name(b"\xff\n\\\xc3\xa9"), r#""\377\n\\\303\251""#);
        for bad in ["\"", "\"a", "\"a\"b", r#""\x""#] {
            assert_eq!(unquoted_name(bad), None, "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_is_had_back(name in prop::collection::vec(any::<u8>(), 0..12)) {
            prop_assert_eq!(unquoted_name(&quoted_name(&name)).unwrap(), name);
        }

        #[test]
        fn any_name_with_quotes_is_had_back(name in "[\"\\\\a0-9\u{e9}]{0,6}") {
            prop_assert_eq!(unquoted_name(&quoted_name(name.as_bytes())).unwrap(), name);
        }
    }
}
