//! Commits and tags: lines in a given order, then a message.

use super::{Judge, Link, SyntaxError};
use crate::{ObjectId, ObjectKind};

pub(super) fn check_commit(
    data: &[u8],
    judge: &mut Judge<'_>,
    mut link: impl FnMut(Link),
) -> Result<(), SyntaxError> {
    let mut lines = Lines::new(data)?;
    let tree = lines.take("tree ").ok_or(SyntaxError::MissingTree)?;
    let tree = id(tree, SyntaxError::BadTreeId)?;
    link(Link::new(tree, ObjectKind::Tree));
    while let Some(parent) = lines.take("parent ") {
        let parent = id(parent, SyntaxError::BadParentId)?;
        link(Link::new(parent, ObjectKind::Commit));
    }
    let mut authors = 0;
    while let Some(author) = lines.take("author ") {
        authors += 1;
        check_signature(author).or_else(&mut *judge)?;
    }
    match authors {
        0 => judge(SyntaxError::MissingAuthor)?,
        1 => {}
        _ => judge(SyntaxError::MultipleAuthors)?,
    }
    match lines.take("committer ") {
        Some(committer) => check_signature(committer).or_else(&mut *judge)?,
        None => judge(SyntaxError::MissingCommitter)?,
    }
    match data.contains(&0) {
        true => judge(SyntaxError::NulInCommit),
        false => Ok(()),
    }
}

pub(super) fn check_tag(
    data: &[u8],
    judge: &mut Judge<'_>,
    mut link: impl FnMut(Link),
) -> Result<(), SyntaxError> {
    let mut lines = Lines::new(data)?;
    let object = lines.take("object ").ok_or(SyntaxError::MissingObject)?;
    let object = id(object, SyntaxError::BadObjectId)?;
    let kind = lines.take("type ").ok_or(SyntaxError::MissingType)?;
    let kind = ObjectKind::from_bytes(kind).ok_or(SyntaxError::BadType)?;
    link(Link::new(object, kind));
    lines.take("tag ").ok_or(SyntaxError::MissingTagName)?;
    // Tags of the first years of Git have none.
    let tagger = lines.take("tagger ");
    tagger.map_or(Ok(()), check_signature).or_else(judge)
}

/// The header lines, each ending with a line break, none of them with a NUL.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    fn new(data: &'a [u8]) -> Result<Lines<'a>, SyntaxError> {
        // Headers end at the first empty line. A message is not needed, a line break is.
        let mut after_break = false;
        for (offset, byte) in data.iter().enumerate() {
            match byte {
                0 => return Err(SyntaxError::NulInHeader { offset }),
                b'\n' if after_break => return Ok(Lines { rest: data }),
                _ => after_break = *byte == b'\n',
            }
        }
        if after_break {
            Ok(Lines { rest: data })
        } else {
            Err(SyntaxError::UnterminatedHeader)
        }
    }

    /// What follows `word` in the next line, if it begins with that; else the line stays.
    fn take(&mut self, word: &str) -> Option<&'a [u8]> {
        let line = self.rest.strip_prefix(word.as_bytes())?;
        let end = bstr::ByteSlice::find_byte(line, b'\n')?;
        self.rest = &line[end + 1..];
        Some(&line[..end])
    }
}

fn id(hex: &[u8], error: SyntaxError) -> Result<ObjectId, SyntaxError> {
    let id = ObjectId::from_hex(hex).map_err(|_| error)?;
    if id.is_null() {
        Err(SyntaxError::NullId)
    } else {
        Ok(id)
    }
}

/// Checks `name <email> seconds +zone`, as Git's `fsck_ident` does.
fn check_signature(line: &[u8]) -> Result<(), SyntaxError> {
    let angle = |bytes: &[u8]| bytes.iter().position(|byte| matches!(byte, b'<' | b'>'));
    let name_end = angle(line);
    match name_end.map(|at| (at, line[at])) {
        Some((0, b'<')) => return Err(SyntaxError::MissingNameBeforeEmail),
        Some((_, b'>')) => return Err(SyntaxError::BadName),
        None => return Err(SyntaxError::MissingEmail),
        Some((at, _)) if line[at - 1] != b' ' => return Err(SyntaxError::MissingSpaceBeforeEmail),
        Some(_) => {}
    }
    let email = &line[name_end.map_or(0, |at| at + 1)..];
    let email_end = angle(email)
        .filter(|at| email[*at] == b'>')
        .ok_or(SyntaxError::BadEmail)?;
    let date = email[email_end + 1..]
        .strip_prefix(b" ")
        .ok_or(SyntaxError::MissingSpaceBeforeDate)?;
    check_date(date.trim_ascii_start())
}

fn check_date(date: &[u8]) -> Result<(), SyntaxError> {
    let digits = date.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = date.split_at(digits);
    if number.starts_with(b"0") && number.len() > 1 {
        return Err(SyntaxError::ZeroPaddedDate);
    }
    let zone = rest
        .strip_prefix(b" ")
        .filter(|_| digits > 0)
        .ok_or(SyntaxError::BadDate)?;
    let seconds = number.iter().try_fold(0i64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    });
    if seconds.is_none() {
        return Err(SyntaxError::BadDateOverflow);
    }
    match zone {
        [b'+' | b'-', digits @ ..]
            if digits.len() == 4 && digits.iter().all(u8::is_ascii_digit) =>
        {
            Ok(())
        }
        _ => Err(SyntaxError::BadTimezone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_judged_as_git_judges_them() {
        use SyntaxError::*;
        let cases: [(&str, Option<SyntaxError>); 20] = [
            ("A <a@b> 1 +0000", None),
            (" <a@b> 0 -9999", None),
            ("A <> 9223372036854775807 +0000", None),
            ("A <a@b>  1 +0000", None),
            ("<a@b> 1 +0000", Some(MissingNameBeforeEmail)),
            ("A<a@b> 1 +0000", Some(MissingSpaceBeforeEmail)),
            ("A <a@b>1 +0000", Some(MissingSpaceBeforeDate)),
            ("A <a@b>", Some(MissingSpaceBeforeDate)),
            ("A <a@b> 01 +0000", Some(ZeroPaddedDate)),
            ("A <a@b> 9223372036854775808 +0000", Some(BadDateOverflow)),
            ("A <a@b> x +0000", Some(BadDate)),
            ("A <a@b> +1 +0000", Some(BadDate)),
            ("A <a@b> -1 +0000", Some(BadDate)),
            ("A <a@b> 1", Some(BadDate)),
            ("A <a@b> 1 0000", Some(BadTimezone)),
            ("A <a@b> 1 +000", Some(BadTimezone)),
            ("A <a@b> 1 +00000", Some(BadTimezone)),
            ("A a@b> 1 +0000", Some(BadName)),
            ("A <a<b> 1 +0000", Some(BadEmail)),
            ("", Some(MissingEmail)),
        ];
        for (line, error) in cases {
            assert_eq!(check_signature(line.as_bytes()).err(), error, "{line}");
        }
    }
}
