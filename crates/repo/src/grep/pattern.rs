//! What to search for: a regular expression, held to one line and compiled within bounds.
//!
//! Matching takes time linear in the text, whatever the pattern: there is no backtracking, and what would need it
//! (backreferences, look-around) is refused.

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{
    Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look,
    Repetition,
};

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// The most memory a compiled pattern may take, in bytes: tens of thousands of states.
const MAX_PROGRAM_BYTES: usize = 1 << 20;

/// The memory each thread may use to remember what it found out about a pattern, in bytes.
const MATCHER_CACHE_BYTES: usize = 4 << 20;

/// A compiled pattern. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) regex: Regex,
    /// How many states the slowest way of matching looks at for each byte of text.
    pub(super) states: usize,
}

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing to search for.
    #[error("the pattern is empty")]
    Empty,
    /// More bytes than [`MAX_PATTERN_BYTES`].
    #[error("the pattern has {bytes} bytes, over the limit of {MAX_PATTERN_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It does not follow the syntax.
    #[error("the pattern is not valid at byte {at}: {reason}")]
    Syntax {
        /// What is wrong, in the words of the parser.
        reason: String,
        /// Where.
        at: usize,
    },
    /// It names a line break.
    #[error("the pattern names a line break, which is in no line; each line is searched by itself")]
    LineBreak,
    /// Compiled, it is too large: large repetitions multiply.
    #[error("the pattern is too large once compiled; use smaller repetitions")]
    TooLarge,
}

impl Pattern {
    /// Compiles a pattern; `^` and `$` are the ends of a line.
    pub fn new(pattern: &str, case_sensitive: bool) -> Result<Pattern, PatternError> {
        if pattern.is_empty() {
            return Err(PatternError::Empty);
        }
        if pattern.len() > MAX_PATTERN_BYTES {
            let bytes = pattern.len();
            return Err(PatternError::TooLong { bytes });
        }
        let parsed = ParserBuilder::new()
            .utf8(false)
            .multi_line(true)
            .case_insensitive(!case_sensitive)
            .build()
            .parse(pattern)
            .map_err(|error| syntax(&error))?;
        compile(&within_a_line(parsed)?)
    }
}

fn compile(hir: &Hir) -> Result<Pattern, PatternError> {
    let program = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(MAX_PROGRAM_BYTES));
    let states = thompson::Compiler::new()
        .configure(program)
        .build_from_hir(hir)
        .map_err(|_| PatternError::TooLarge)?
        .states()
        .len();
    let config = Config::new()
        .utf8_empty(false)
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(MAX_PROGRAM_BYTES))
        .hybrid_cache_capacity(MATCHER_CACHE_BYTES);
    let regex = Regex::builder()
        .configure(config)
        .build_from_hir(hir)
        .map_err(|_: BuildError| PatternError::TooLarge)?;
    Ok(Pattern { regex, states })
}

fn syntax(error: &regex_syntax::Error) -> PatternError {
    let (reason, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), error.span()),
        error => {
            let (reason, at) = (error.to_string(), 0);
            return PatternError::Syntax { reason, at };
        }
    };
    let at = span.start.offset;
    PatternError::Syntax { reason, at }
}

/// The pattern such that no match contains a line break: whole files can be searched at once, and what is found lies
/// in one line. The start and the end of the text become those of the line.
fn within_a_line(hir: Hir) -> Result<Hir, PatternError> {
    Ok(match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(Look::Start) => Hir::look(Look::StartLF),
        HirKind::Look(Look::End) => Hir::look(Look::EndLF),
        HirKind::Look(look) => Hir::look(look),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => {
            return Err(PatternError::LineBreak);
        }
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(Class::Unicode(mut class)) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Hir::class(Class::Unicode(class))
        }
        HirKind::Class(Class::Bytes(mut class)) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Hir::class(Class::Bytes(class))
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(within_a_line(*repetition.sub)?),
            ..repetition
        }),
        // Only whether a line matches is asked, so groups need not be told apart.
        HirKind::Capture(capture) => within_a_line(*capture.sub)?,
        HirKind::Concat(parts) => Hir::concat(all_within_a_line(parts)?),
        HirKind::Alternation(parts) => Hir::alternation(all_within_a_line(parts)?),
    })
}

fn all_within_a_line(parts: Vec<Hir>) -> Result<Vec<Hir>, PatternError> {
    parts.into_iter().map(within_a_line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn refused(pattern: &str) -> String {
        Pattern::new(pattern, true).unwrap_err().to_string()
    }

    #[test]
    fn what_would_need_backtracking_is_refused_with_the_reason() {
        assert!(refused("(a)\\1").contains("backreferences are not supported"));
        assert!(refused("a(?=b)").contains("look-around"));
        assert!(refused("a(?<!b)").contains("look-around"));
    }

    #[test]
    fn what_is_no_pattern_says_where() {
        assert_eq!(refused(""), "the pattern is empty");
        assert!(refused("ab(cd").starts_with("the pattern is not valid at byte 2: "));
        assert!(refused(&"a".repeat(MAX_PATTERN_BYTES + 1)).contains("4097 bytes"));
        assert!(refused("a\\nb").contains("line break"));
        assert!(refused("((a{100}){100}){100}").contains("too large"));
    }

    #[test]
    fn hostile_patterns_are_compiled_or_refused_in_bounded_time() {
        let sets = "[\\w&&\\W--\\p{L}]";
        for (pattern, case_sensitive) in [
            ("\\W".repeat(MAX_PATTERN_BYTES / 2), false),
            ("\\p{L}|".repeat(MAX_PATTERN_BYTES / 6) + "x", false),
            (sets.repeat(MAX_PATTERN_BYTES / sets.len()), false),
            ("(".repeat(2000) + &")".repeat(2000), true),
            ("a?".repeat(1000) + &"a".repeat(1000), true),
            ("(x+x+)+y".repeat(500), true),
        ] {
            let began = Instant::now();
            let _ = Pattern::new(&pattern, case_sensitive);
            let took = began.elapsed();
            assert!(took < Duration::from_secs(5), "{:.40} {took:?}", pattern);
        }
    }
}
