//! Messages with placeholders, as Python's `str.format` takes them (the "Format String Syntax" of its library reference).
//!
//! Values are texts and numbers; a placeholder names one, and may have a conversion (`!r`, `!s`, `!a`) and a format: fill,
//! alignment, sign, zeros, width, grouping, precision and type. Attributes, indices and nested placeholders name nothing.

use super::StoreError;

/// The widest and most precise that is asked for: a message is not made of padding.
const WIDTH_MAX: usize = 1 << 16;

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text.
    Text(String),
    /// A number of things.
    Count(usize),
}

/// Fills in a template. `value` says what a name stands for.
pub(super) fn fill(
    template: &str,
    value: &dyn Fn(&str) -> Option<Value>,
) -> Result<String, StoreError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            filled.push_str(brace);
            rest = after;
        } else if brace == "}" {
            return Err(bad("Single '}' encountered in format string"));
        } else {
            let end = rest
                .find('}')
                .ok_or_else(|| bad("expected '}' before end of string"))?;
            filled.push_str(&placeholder(&rest[..end], value)?);
            rest = &rest[end + 1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn bad(reason: impl Into<String>) -> StoreError {
    StoreError::BadTemplate {
        reason: reason.into(),
    }
}

fn placeholder(field: &str, value: &dyn Fn(&str) -> Option<Value>) -> Result<String, StoreError> {
    let name_len = field.find(['!', ':']).unwrap_or(field.len());
    let (name, rest) = field.split_at(name_len);
    let value = value(name).ok_or_else(|| StoreError::UnknownPlaceholder {
        name: name.to_owned(),
    })?;
    let Some(conversion) = rest.strip_prefix('!') else {
        return format(value, rest.strip_prefix(':').unwrap_or_default());
    };
    let (conversion, spec) = conversion.split_once(':').unwrap_or((conversion, ""));
    let converted = match (conversion, value) {
        ("s", Value::Text(text)) => text,
        ("r", Value::Text(text)) => quoted(&text, false),
        ("a", Value::Text(text)) => quoted(&text, true),
        ("s" | "r" | "a", Value::Count(count)) => count.to_string(),
        _ => {
            return Err(bad(format!(
                "Unknown conversion specifier {conversion:?} in {{{field}}}: there are r, s and a"
            )));
        }
    };
    format(Value::Text(converted), spec)
}

/// A text as Python's `repr` shows it, and its `ascii`.
fn quoted(text: &str, ascii: bool) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if !c.is_control() && (c.is_ascii() || !ascii) => out.push(c),
            c => out.push_str(&match u32::from(c) {
                code @ ..=0xff => format!("\\x{code:02x}"),
                code @ ..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

/// A format: `[[fill]align][sign][#][0][width][grouping][.precision][type]`.
#[derive(Debug, Default)]
struct Spec {
    fill: Option<char>,
    align: Option<char>,
    sign: Option<char>,
    zeros: bool,
    width: usize,
    grouping: Option<char>,
    precision: Option<usize>,
    kind: Option<char>,
}

impl Spec {
    fn parse(text: &str) -> Option<Spec> {
        let is_align = |c: &char| matches!(c, '<' | '>' | '^' | '=');
        let mut spec = Spec::default();
        let mut rest = text;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(fill), Some(align)) if is_align(&align) => {
                (spec.fill, spec.align) = (Some(fill), Some(align));
                rest = chars.as_str();
            }
            (Some(align), _) if is_align(&align) => {
                spec.align = Some(align);
                rest = &text[1..];
            }
            _ => {}
        }
        spec.sign = take(&mut rest, &['+', '-', ' ']);
        spec.zeros = take(&mut rest, &['0']).is_some();
        spec.width = take_number(&mut rest)?.unwrap_or(0);
        spec.grouping = take(&mut rest, &[',', '_']);
        if take(&mut rest, &['.']).is_some() {
            spec.precision = Some(take_number(&mut rest)??);
        }
        spec.kind = take(&mut rest, &['s', 'd', 'n', 'b', 'o', 'x', 'X']);
        rest.is_empty().then_some(spec)
    }

    fn padded(&self, sign: &str, text: &str, align: char) -> String {
        let missing = self.width.saturating_sub(sign.len() + text.chars().count());
        let fill = self.fill.unwrap_or(if self.zeros { '0' } else { ' ' });
        let pad = |count: usize| fill.to_string().repeat(count);
        match self.align.unwrap_or(align) {
            '<' => format!("{sign}{text}{}", pad(missing)),
            '^' => {
                let left = missing / 2;
                format!("{}{sign}{text}{}", pad(left), pad(missing - left))
            }
            '=' => format!("{sign}{}{text}", pad(missing)),
            _ => format!("{}{sign}{text}", pad(missing)),
        }
    }
}

fn take(rest: &mut &str, of: &[char]) -> Option<char> {
    let first = rest.chars().next().filter(|c| of.contains(c))?;
    *rest = &rest[first.len_utf8()..];
    Some(first)
}

/// `None` if the number is beyond all measure, `Some(None)` if there is none.
#[expect(
    clippy::option_option,
    reason = "absent and too large are not the same"
)]
fn take_number(rest: &mut &str) -> Option<Option<usize>> {
    let len = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = rest.split_at(len);
    *rest = after;
    if digits.is_empty() {
        return Some(None);
    }
    let number = digits.parse().ok().filter(|number| *number <= WIDTH_MAX)?;
    Some(Some(number))
}

fn format(value: Value, text: &str) -> Result<String, StoreError> {
    let invalid = || bad(format!("Invalid format specifier {text:?}"));
    let spec = Spec::parse(text).ok_or_else(invalid)?;
    match value {
        Value::Text(text) => format_text(&text, &spec),
        Value::Count(count) => format_count(count, &spec),
    }
    .ok_or_else(invalid)
}

fn format_text(text: &str, spec: &Spec) -> Option<String> {
    let is_for_numbers = spec.sign.is_some()
        || spec.grouping.is_some()
        || spec.align == Some('=')
        || spec.kind.is_some_and(|kind| kind != 's');
    if is_for_numbers {
        return None;
    }
    let kept: String = text
        .chars()
        .take(spec.precision.unwrap_or(usize::MAX))
        .collect();
    Some(spec.padded("", &kept, '<'))
}

fn format_count(count: usize, spec: &Spec) -> Option<String> {
    let digits = match (spec.kind, spec.grouping) {
        (None | Some('d'), by) => grouped(count.to_string(), by),
        (Some('n'), None) => count.to_string(),
        (Some('b'), None) => format!("{count:b}"),
        (Some('o'), None) => format!("{count:o}"),
        (Some('x'), None) => format!("{count:x}"),
        (Some('X'), None) => format!("{count:X}"),
        _ => return None,
    };
    let sign = match spec.sign {
        Some('+') => "+",
        Some(' ') => " ",
        _ => "",
    };
    let align = if spec.zeros { '=' } else { '>' };
    spec.precision
        .is_none()
        .then(|| spec.padded(sign, &digits, align))
}

fn grouped(digits: String, by: Option<char>) -> String {
    let Some(by) = by else { return digits };
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(by);
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, StoreError> {
        fill(template, &|name| match name {
            "n" => Some(Value::Count(1234567)),
            "one" => Some(Value::Count(1)),
            "text" => Some(Value::Text("it's\tü".to_owned())),
            "op" => Some(Value::Text("cp".to_owned())),
            "none" => Some(Value::Text(String::new())),
            _ => None,
        })
    }

    /// The right sides are what Python 3.11 makes of the left ones.
    #[test]
    fn placeholders_are_formatted_as_python_does() {
        for (template, expected) in [
            (
                "{n}|{n:d}|{n:,}|{n:_}|{one:+}|{one: }",
                "1234567|1234567|1,234,567|1_234_567|+1| 1",
            ),
            (
                "{one:>3}|{one:<3}|{one:^4}|{one:3}|{one:03}|{one:+04d}",
                "  1|1  | 1  |  1|001|+001",
            ),
            (
                "{one:*^5}|{n:x}|{n:b}|{one:ü>3}",
                "**1**|12d687|100101101011010000111|üü1",
            ),
            (
                "{op:>4}|{op:<4}|{op:^5}|{op:4}|{op:.1}|{op:*>4.1s}",
                "  cp|cp  | cp  |cp  |c|***c",
            ),
            (
                "{op!r}|{none!r}|{text!r}|{text!a}|{text!s}|{one!r:>3}",
                "'cp'|''|\"it's\\tü\"|\"it's\\t\\xfc\"|it's\tü|  1",
            ),
            ("{op:05}|{op:0>5}|{one:<03}|{one:03}", "cp000|000cp|100|001"),
            ("{{{op}}} }}", "{cp} }"),
        ] {
            assert_eq!(filled(template).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for bad in [
            "{op:d}",
            "{op:=5}",
            "{op:+}",
            "{op:,}",
            "{op!z}",
            "{n:.2}",
            "{n:s}",
            "{n:q}",
            "{op:99999999}",
            "{",
            "x}",
        ] {
            assert!(
                matches!(filled(bad), Err(StoreError::BadTemplate { .. })),
                "{bad}"
            );
        }
        for unknown in ["{what}", "{}", "{0}", "{op.x}", "{op[0]}", "{what:>3}"] {
            assert!(
                matches!(filled(unknown), Err(StoreError::UnknownPlaceholder { .. })),
                "{unknown}"
            );
        }
    }
}
