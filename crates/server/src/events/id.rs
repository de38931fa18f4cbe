//! Ids of events: their place in the order of all events of an organisation, as text.

use packhouse_catalog::{Position, RepoId};

/// The id of the event at `position`.
pub(crate) fn format_id(position: Position) -> String {
    let Position {
        tick,
        repo,
        generation,
        ordinal,
    } = position;
    format!("{tick}-{repo}-{generation}-{ordinal}")
}

/// The position that `id` stands for; `0` is before every event.
pub(crate) fn parse_id(id: &str) -> Option<Position> {
    if id == "0" {
        return Some(Position {
            tick: 0,
            repo: RepoId(0),
            generation: -1,
            ordinal: 0,
        });
    }
    let mut parts = id.split('-').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| digits)
    });
    let mut next = || parts.next().flatten();
    let position = Position {
        tick: next()?,
        repo: RepoId(next()?),
        generation: next()?,
        ordinal: next()?,
    };
    parts.next().is_none().then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let position = Position {
            tick: 7,
            repo: RepoId(i64::MAX),
            generation: 12,
            ordinal: 0,
        };
        assert_eq!(parse_id(&format_id(position)), Some(position));
        assert!(parse_id("0").unwrap() < position);
        for bad in [
            "",
            "1",
            "1-2-3",
            "1-2-3-4-5",
            "1-2-3-x",
            "1--2-3",
            "-1-2-3-4",
            "1-2-3-+4",
        ] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
