//! What kind of content a file is said to have, by its name.

const TEXT: &str = "text/plain; charset=utf-8";
const UNKNOWN: &str = "application/octet-stream";

/// Text to read that has no type of its own, or one that makes browsers save it instead of showing it.
const SHOWN_AS_TEXT: &str = "adoc bash bat bib c cc cfg clj cmake cmd conf cpp cs csh cxx diff dockerignore editorconfig env erl \
     ex exs fish geojson gitattributes gitignore go gql graphql h hcl hpp hs ini java jl json json5 jsonc \
     jsonl jsx ksh kt less lock log lua mk ml ndjson nim nix org patch php pl pm properties proto ps1 py \
     pyi r rb rs rst sass scala scss sh sql svelte swift tex tf toml ts tsx txt vue yaml yml zig zsh";

/// Files of text whose names have no dot.
const TEXT_NAMES: &str = "AUTHORS CODEOWNERS CONTRIBUTING Dockerfile Gemfile Justfile LICENCE LICENSE Makefile NOTICE OWNERS \
     Procfile README Rakefile VERSION";

/// The `Content-Type` of a file of this name.
pub(super) fn of(name: &[u8]) -> String {
    let Ok(name) = std::str::from_utf8(name) else {
        return UNKNOWN.to_owned();
    };
    let Some((_, extension)) = name.rsplit_once('.') else {
        return match has_word(TEXT_NAMES, name) {
            true => TEXT.to_owned(),
            false => UNKNOWN.to_owned(),
        };
    };
    let extension = extension.to_ascii_lowercase();
    if has_word(SHOWN_AS_TEXT, &extension) {
        return TEXT.to_owned();
    }
    match mime_guess::from_ext(&extension).first_raw() {
        None => UNKNOWN.to_owned(),
        Some("application/xml") => "text/xml; charset=utf-8".to_owned(),
        Some("application/javascript") => "text/javascript; charset=utf-8".to_owned(),
        Some(kind) if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
        Some(kind) => kind.to_owned(),
    }
}

fn has_word(list: &str, word: &str) -> bool {
    list.split(' ').any(|other| other == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_people_read_is_text() {
        for (name, kind) in [
            ("a.json", TEXT),
            ("map.geojson", TEXT),
            ("a.yaml", TEXT),
            ("a.YML", TEXT),
            ("main.ts", TEXT),
            ("Makefile", TEXT),
            ("a.xml", "text/xml; charset=utf-8"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.md", "text/markdown; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.svg", "image/svg+xml"),
            ("a.xyz123", UNKNOWN),
            ("a", UNKNOWN),
        ] {
            assert_eq!(of(name.as_bytes()), kind, "{name}");
        }
        assert_eq!(of(b"\xff.txt"), UNKNOWN);
    }
}
