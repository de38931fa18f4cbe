//! Names of refs as text: Git's have any bytes, and what people and programs write has none but text.

use bstr::{BString, ByteSlice};

use crate::quoted_name::{quoted_name, unquoted_name};

/// The name of a ref, whole or short, as text from which [`ref_bytes`] gets it back.
///
/// Text stays as it is. A name that is not UTF-8 is quoted as by [`quoted_name`]. No name is mistaken for a quoted one: that
/// has a backslash, which Git allows in no name of a ref.
///
/// ```
/// use packhouse_repo::{ref_bytes, ref_text};
///
/// assert_eq!(ref_text("caf\u{e9}".as_bytes()), "caf\u{e9}");
/// assert_eq!(ref_text(b"caf\xe9"), r#""caf\351""#);
/// assert_eq!(ref_bytes(r#""caf\351""#), b"caf\xe9"[..]);
/// assert_eq!(ref_bytes(r#""a""#), br#""a""#[..]);
/// ```
pub fn ref_text(name: &[u8]) -> String {
    match name.to_str() {
        Ok(text) => text.to_owned(),
        Err(_) => quoted_name(name).into_owned(),
    }
}

/// The name that [`ref_text`] has made text of. Whatever is not such a text is a name itself, be it one that Git refuses.
pub fn ref_bytes(text: &str) -> BString {
    let quoted = unquoted_name(text).filter(|name| name.to_str().is_err());
    quoted
        .filter(|name| quoted_name(name) == text)
        .unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use packhouse_object::RefName;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_quoted_although_it_is_text_is_no_name() {
        for text in [r#""a\303\251""#, r#""\"a""#, r#""\377"x"#, r#""\xff""#] {
            assert_eq!(ref_bytes(text), text, "{text}");
            assert!(RefName::parse(format!("refs/heads/{text}")).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_name_is_had_back(name in prop::collection::vec(any::<u8>(), 0..12)) {
            let full = [&b"refs/heads/"[..], &name].concat();
            if RefName::parse(&full).is_ok() {
                prop_assert_eq!(ref_bytes(&ref_text(&name)), &name[..]);
                prop_assert_eq!(ref_bytes(&ref_text(&full)), &full[..]);
            }
        }
    }
}
