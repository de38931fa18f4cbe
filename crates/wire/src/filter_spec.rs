//! Filters of partial clones as clients spell them.

use packhouse_object::{ObjectFilter, ObjectKind, SparsePaths};

/// So deep may combinations be in one another; nobody has a use for two.
const MOST_NESTED: u32 = 16;

/// What may not stand unescaped in a part of a combination, besides spaces and control characters.
const RESERVED: &[u8] = b"~`!@#$^&*()[]{}\\;'\",<>?";

/// A filter, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterSpec {
    /// `blob:none`
    BlobNone,
    /// `blob:limit=<bytes>`
    BlobLimit(u64),
    /// `tree:<depth>`
    TreeDepth(u64),
    /// `sparse:oid=<blob>`, with the name of a blob
    SparseOid(Vec<u8>),
    /// `object:type=<kind>`
    ObjectType(ObjectKind),
    /// `combine:<filter>+<filter>…`, and what stands behind the colon
    Combine(Vec<FilterSpec>, Vec<u8>),
}

impl FilterSpec {
    /// Reads a filter as the line `filter` has it. The error is what git says about it.
    pub fn parse(spec: &[u8]) -> Result<FilterSpec, String> {
        parse(spec, 0)
    }

    /// As it is told to other programs.
    pub(crate) fn expanded(&self) -> Vec<u8> {
        match self {
            FilterSpec::BlobNone => b"blob:none".to_vec(),
            FilterSpec::BlobLimit(bytes) => format!("blob:limit={bytes}").into_bytes(),
            FilterSpec::TreeDepth(depth) => format!("tree:{depth}").into_bytes(),
            FilterSpec::SparseOid(name) => [b"sparse:oid=", &name[..]].concat(),
            FilterSpec::ObjectType(kind) => format!("object:type={kind}").into_bytes(),
            FilterSpec::Combine(_, parts) => [b"combine:", &parts[..]].concat(),
        }
    }

    /// Its name in `uploadpackfilter.<filter>.allow`.
    pub fn name(&self) -> &'static str {
        match self {
            FilterSpec::BlobNone => "blob:none",
            FilterSpec::BlobLimit(_) => "blob:limit",
            FilterSpec::TreeDepth(_) => "tree",
            FilterSpec::SparseOid(_) => "sparse:oid",
            FilterSpec::ObjectType(_) => "object:type",
            FilterSpec::Combine(..) => "combine",
        }
    }

    /// Which objects pass; `sparse` finds the paths in the blob of a name.
    pub(crate) fn objects<E>(
        &self,
        sparse: &mut dyn FnMut(&[u8]) -> Result<SparsePaths, E>,
    ) -> Result<ObjectFilter, E> {
        Ok(match self {
            FilterSpec::BlobNone => ObjectFilter::blobs_below(0),
            FilterSpec::BlobLimit(bytes) => ObjectFilter::blobs_below(*bytes),
            FilterSpec::TreeDepth(depth) => ObjectFilter::depth_below(*depth),
            FilterSpec::ObjectType(kind) => ObjectFilter::only(*kind),
            FilterSpec::SparseOid(name) => ObjectFilter::sparse(sparse(name)?),
            FilterSpec::Combine(parts, _) => {
                let mut all = ObjectFilter::everything();
                for part in parts {
                    all = all.and(part.objects(sparse)?);
                }
                all
            }
        })
    }
}

fn parse(spec: &[u8], nested: u32) -> Result<FilterSpec, String> {
    let invalid = || format!("invalid filter-spec '{}'", shown(spec));
    if spec == b"blob:none" {
        return Ok(FilterSpec::BlobNone);
    }
    if let Some(limit) = spec.strip_prefix(b"blob:limit=") {
        return size(limit).map(FilterSpec::BlobLimit).ok_or_else(invalid);
    }
    if let Some(depth) = spec.strip_prefix(b"tree:") {
        let depth = size(depth).map(FilterSpec::TreeDepth);
        return depth.ok_or_else(|| "expected 'tree:<depth>'".to_owned());
    }
    if let Some(name) = spec.strip_prefix(b"sparse:oid=") {
        return Ok(FilterSpec::SparseOid(name.to_vec()));
    }
    if spec.starts_with(b"sparse:path=") {
        return Err("sparse:path filters support has been dropped".to_owned());
    }
    if let Some(kind) = spec.strip_prefix(b"object:type=") {
        return ObjectKind::from_bytes(kind)
            .map(FilterSpec::ObjectType)
            .ok_or_else(|| {
                let kind = shown(kind);
                format!("'{kind}' for 'object:type=<type>' is not a valid object type")
            });
    }
    match spec.strip_prefix(b"combine:") {
        Some(parts) => combination(parts, nested),
        None => Err(invalid()),
    }
}

fn combination(parts: &[u8], nested: u32) -> Result<FilterSpec, String> {
    if parts.is_empty() {
        return Err("expected something after combine:".to_owned());
    }
    if nested == MOST_NESTED {
        return Err("filter-specs are combined too deeply".to_owned());
    }
    let mut parsed = Vec::new();
    let mut rest = parts;
    while !rest.is_empty() {
        // A plus sign ends a part only if something follows, as in git.
        let end = rest.iter().position(|byte| *byte == b'+');
        let (part, next) = match end {
            Some(at) if at + 1 < rest.len() => (&rest[..at], &rest[at + 1..]),
            _ => (rest, &rest[rest.len()..]),
        };
        let is_reserved = |byte: &&u8| **byte <= b' ' || RESERVED.contains(byte);
        if let Some(byte) = part.iter().find(is_reserved) {
            let char = shown(&[*byte]);
            return Err(format!("must escape char in sub-filter-spec: '{char}'"));
        }
        parsed.push(parse(&decode(part), nested + 1)?);
        rest = next;
    }
    Ok(FilterSpec::Combine(parsed, parts.to_vec()))
}

fn decode(part: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*part.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(part.len());
    let mut at = 0;
    while at < part.len() {
        match (part[at], digit(at + 1), digit(at + 2)) {
            // A NUL stays as it is spelled, and so does what is no escape.
            (b'%', Some(high), Some(low)) if high + low > 0 => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// A number as git's configuration spells one: decimal, octal behind a `0`, hexadecimal behind `0x`, and a unit.
fn size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text.split_last()? {
        (b'k' | b'K', rest) => (rest, 10),
        (b'm' | b'M', rest) => (rest, 20),
        (b'g' | b'G', rest) => (rest, 30),
        _ => (text, 0),
    };
    number(digits)?.checked_mul(1 << unit)
}

/// A number in the notation of C, without a sign.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // `from_str_radix` takes a sign.
    let is_digits = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    is_digits.then(|| u64::from_str_radix(digits, radix).ok())?
}

fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let more = if bytes.len() > MOST { "..." } else { "" };
    let bytes = &bytes[..bytes.len().min(MOST)];
    format!("{}{more}", String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(spec: &str) -> String {
        FilterSpec::parse(spec.as_bytes()).unwrap_err()
    }

    #[test]
    fn every_filter_is_read() {
        use FilterSpec::{BlobLimit, BlobNone, Combine, ObjectType, SparseOid, TreeDepth};
        for (spec, expected) in [
            ("blob:none", BlobNone),
            ("blob:limit=0", BlobLimit(0)),
            ("blob:limit=1k", BlobLimit(1024)),
            ("blob:limit=2M", BlobLimit(2 << 20)),
            ("blob:limit=3g", BlobLimit(3 << 30)),
            ("blob:limit=0x10", BlobLimit(16)),
            ("blob:limit=010k", BlobLimit(8192)),
            ("tree:0", TreeDepth(0)),
            ("tree:1k", TreeDepth(1024)),
            ("object:type=tag", ObjectType(ObjectKind::Tag)),
            ("sparse:oid=main:x", SparseOid(b"main:x".to_vec())),
            (
                "combine:tree:2",
                Combine(vec![TreeDepth(2)], b"tree:2".to_vec()),
            ),
            (
                "combine:blob%3anone+tree:%33",
                Combine(
                    vec![BlobNone, TreeDepth(3)],
                    b"blob%3anone+tree:%33".to_vec(),
                ),
            ),
            (
                "combine:combine:tree:1%2bblob:none+blob:limit=5",
                Combine(
                    vec![
                        Combine(vec![TreeDepth(1), BlobNone], b"tree:1+blob:none".to_vec()),
                        BlobLimit(5),
                    ],
                    b"combine:tree:1%2bblob:none+blob:limit=5".to_vec(),
                ),
            ),
        ] {
            let parsed = FilterSpec::parse(spec.as_bytes()).unwrap();
            assert_eq!(parsed, expected, "{spec}");
            // What it is told as is the same filter.
            assert_eq!(
                FilterSpec::parse(&parsed.expanded()),
                Ok(expected),
                "{spec}"
            );
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_in_gits_words() {
        for spec in [
            "",
            "foo",
            "blob:",
            "blob:limit=",
            "blob:limit=1x",
            "blob:limit=-1",
        ] {
            assert_eq!(refusal(spec), format!("invalid filter-spec '{spec}'"));
        }
        assert_eq!(
            refusal("blob:limit=99999999999g").split('\'').next(),
            Some("invalid filter-spec ")
        );
        assert_eq!(refusal("tree:x"), "expected 'tree:<depth>'");
        assert_eq!(refusal("tree:-1"), "expected 'tree:<depth>'");
        assert_eq!(
            refusal("object:type=x"),
            "'x' for 'object:type=<type>' is not a valid object type"
        );
        assert_eq!(refusal("combine:"), "expected something after combine:");
        assert_eq!(
            refusal("combine:blob:none+"),
            "invalid filter-spec 'blob:none+'"
        );
        assert_eq!(refusal("combine:+tree:0"), "invalid filter-spec ''");
        assert_eq!(
            refusal("combine:tree:0+a b"),
            "must escape char in sub-filter-spec: ' '"
        );
        assert_eq!(refusal("combine:tree:0%00"), "expected 'tree:<depth>'");
        let deep = "combine:".repeat(100) + "tree:0";
        assert_eq!(refusal(&deep), "filter-specs are combined too deeply");
    }
}
