//! The text of commits that is not in UTF-8: their `encoding` header names what it is in.

use std::borrow::Cow;

use bstr::{BStr, BString, ByteSlice};
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, REPLACEMENT, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE,
    WINDOWS_1252, X_USER_DEFINED, mem,
};

use crate::{Commit, Signature};

/// Names that `iconv`, and so Git, knows, and the web does not.
const ICONV_NAMES: [(&str, &Encoding); 10] = [
    ("cp932", SHIFT_JIS),
    ("eucjp", EUC_JP),
    ("ujis", EUC_JP),
    ("cp936", GBK),
    ("euc-cn", GBK),
    ("euccn", GBK),
    ("cp949", EUC_KR),
    ("uhc", EUC_KR),
    ("euckr", EUC_KR),
    ("cp950", BIG5),
];

/// The names of ISO 8859-1 itself, which the web takes for Windows' code page.
const LATIN_1_NAMES: [&str; 10] = [
    "iso-8859-1",
    "iso8859-1",
    "iso88591",
    "iso_8859-1",
    "latin1",
    "latin-1",
    "l1",
    "cp819",
    "ibm819",
    "iso-ir-100",
];

/// What the bytes of a commit are.
enum Charset {
    Utf8,
    Latin1,
    Other(&'static Encoding),
}

/// Text of a commit in UTF-8, as `git log` shows it: its message, or the name of its author. `encoding` is what the header of
/// that name says ([`Commit::encoding`]).
///
/// As in Git, the text of a commit without that header is taken for UTF-8; and text in an encoding that is not known, or that
/// is malformed in it, stays as it is. So what is returned need not be UTF-8.
pub fn commit_text<'a>(text: &'a [u8], encoding: Option<&BStr>) -> Cow<'a, BStr> {
    let decoded = charset(encoding).and_then(|charset| charset.decode(text));
    decoded.unwrap_or_else(|| Cow::Borrowed(text.as_bstr()))
}

impl Commit {
    /// What its `encoding` header says its text is in; nothing for UTF-8.
    pub fn encoding(&self) -> Option<&BStr> {
        self.header("encoding")
    }

    /// The commit as `git log` shows it: with the message, and who made it, in UTF-8 if they were in another encoding, and
    /// without the header that said so. If any of it is malformed in that encoding all of it stays as it is.
    pub fn in_utf8(self) -> Commit {
        match charset(self.encoding()) {
            None | Some(Charset::Utf8) => self,
            Some(charset) => re_encoded(&self, &charset).unwrap_or(self),
        }
    }
}

fn re_encoded(commit: &Commit, charset: &Charset) -> Option<Commit> {
    let text = |bytes: &BString| Some(charset.decode(bytes)?.into_owned());
    let signature = |of: &Signature| {
        Some(Signature {
            name: text(&of.name)?,
            email: text(&of.email)?,
            ..of.clone()
        })
    };
    let headers = commit.extra_headers.iter();
    Some(Commit {
        author: signature(&commit.author)?,
        committer: signature(&commit.committer)?,
        message: text(&commit.message)?,
        extra_headers: headers
            .filter(|(name, _)| name != "encoding")
            .cloned()
            .collect(),
        ..commit.clone()
    })
}

/// `None` for one that is not known.
fn charset(name: Option<&BStr>) -> Option<Charset> {
    let Some(name) = name else {
        return Some(Charset::Utf8);
    };
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    if LATIN_1_NAMES.into_iter().any(is) {
        return Some(Charset::Latin1);
    }
    let of_iconv = ICONV_NAMES.into_iter().find(|(other, _)| is(other));
    let found = match of_iconv {
        Some((_, encoding)) => encoding,
        None => Encoding::for_label(name)?,
    };
    if found == UTF_8 {
        return Some(Charset::Utf8);
    }
    // A commit cannot be in UTF-16, and the web's stand-ins for what it does not read are no encodings.
    let is_none = [UTF_16LE, UTF_16BE, REPLACEMENT, X_USER_DEFINED].contains(&found);
    // To the web, ASCII is the code page too.
    let is_ascii = found == WINDOWS_1252 && name.find(b"1252").is_none();
    (!is_none && !is_ascii).then_some(Charset::Other(found))
}

impl Charset {
    /// `None` if the text is malformed.
    fn decode<'a>(&self, text: &'a [u8]) -> Option<Cow<'a, BStr>> {
        let decoded = match self {
            Charset::Utf8 => return Some(Cow::Borrowed(text.as_bstr())),
            Charset::Latin1 => mem::decode_latin1(text),
            Charset::Other(encoding) => {
                encoding.decode_without_bom_handling_and_without_replacement(text)?
            }
        };
        Some(match decoded {
            Cow::Borrowed(text) => Cow::Borrowed(text.into()),
            Cow::Owned(text) => Cow::Owned(text.into()),
        })
    }
}
