//! Which refs a backup or restore is about, and what they are called at the other end.

use bstr::{BString, ByteSlice};
use packhouse_object::RefName;
use packhouse_repo::{ref_bytes, ref_text};

use super::MirrorError;
use super::diff::RefTargets;
use super::options::RefSelection;

/// Where short names are looked for, in this order.
const FOLDERS: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/notes/"];

/// The refs that are taken from `source`, by the names they get.
pub(crate) fn select(
    selection: &RefSelection,
    source: &RefTargets,
) -> Result<RefTargets, MirrorError> {
    let names = match selection {
        RefSelection::All => return Ok(source.clone()),
        RefSelection::Names(names) => names,
    };
    let mut selected = RefTargets::new();
    for (from, to) in names {
        let (folder, name) = find(from, source)?;
        let to = match to {
            None => name.clone(),
            Some(to) => {
                let target = ref_bytes(to);
                match target.starts_with(b"refs/") {
                    true => parse(to, &target)?,
                    false => parse(to, &[folder.as_bytes(), &target].concat())?,
                }
            }
        };
        let target = source[&name];
        match selected.insert(to.clone(), target) {
            Some(other) if other != target => {
                let to = ref_text(to.as_bytes());
                return Err(MirrorError::Invalid {
                    reason: format!("two refs would become '{to}'"),
                });
            }
            _ => {}
        }
    }
    Ok(selected)
}

/// The first of the `damaged` refs among those that would be taken from `source` if all were whole.
pub(crate) fn damaged_one<'a>(
    selection: &RefSelection,
    source: &RefTargets,
    damaged: &'a [BString],
) -> Option<&'a BString> {
    let names = match selection {
        RefSelection::All => return damaged.first(),
        RefSelection::Names(names) => names,
    };
    // A tag is not meant where the branch of its name is damaged.
    let of = |name: &str| {
        for full in candidates(name) {
            match damaged.iter().find(|damaged| **damaged == full) {
                None if source.contains_key(full.as_slice()) => return None,
                None => {}
                found => return found,
            }
        }
        None
    };
    names.iter().find_map(|(name, _)| of(name))
}

/// The whole names that a name may stand for, the first one first.
fn candidates(name: &str) -> impl Iterator<Item = BString> {
    let given = ref_bytes(name);
    let folders: &[&str] = match given.starts_with(b"refs/") {
        true => &[""],
        false => &FOLDERS,
    };
    let full = move |folder: &&str| BString::from([folder.as_bytes(), &given].concat());
    folders.iter().map(full)
}

/// The ref of this name, and the folder that another name for it would be in.
fn find(name: &str, source: &RefTargets) -> Result<(BString, RefName), MirrorError> {
    let mut known = candidates(name).filter_map(|full| RefName::parse(full).ok());
    match known.find(|full| source.contains_key(full)) {
        Some(full) => Ok((folder_of(full.as_bytes()).into(), full)),
        None => Err(MirrorError::NoSuchRef {
            name: name.to_owned(),
        }),
    }
}

/// `refs/heads/` of `refs/heads/a/b`.
fn folder_of(name: &[u8]) -> &[u8] {
    let mut known = FOLDERS.into_iter().map(str::as_bytes);
    known
        .find(|folder| name.starts_with(folder))
        .unwrap_or_else(|| &name[..name.rfind_byte(b'/').map_or(0, |slash| slash + 1)])
}

fn parse(given: &str, full: &[u8]) -> Result<RefName, MirrorError> {
    RefName::parse(full).map_err(|error| MirrorError::Invalid {
        reason: format!("Invalid ref name: '{given}' ({})", error.problem),
    })
}

#[cfg(test)]
mod tests {
    use packhouse_object::ObjectId;

    use super::*;

    fn selected(names: &[(&str, Option<&str>)]) -> Result<Vec<String>, String> {
        let source = [
            "heads/main",
            "heads/x",
            "tags/x",
            "tags/v1",
            "notes/commits",
        ]
        .into_iter()
        .enumerate()
        .map(|(number, name)| {
            let id = ObjectId::from_bytes_or_panic(&[number as u8; 20]);
            (RefName::parse(format!("refs/{name}")).unwrap(), id)
        })
        .collect();
        let names = names
            .iter()
            .map(|(from, to)| ((*from).to_owned(), to.map(str::to_owned)))
            .collect();
        select(&RefSelection::Names(names), &source)
            .map(|refs| refs.keys().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn short_names_are_branches_then_tags_then_notes() {
        let names = selected(&[("x", None), ("v1", None), ("commits", None)]).unwrap();
        assert_eq!(
            names,
            ["refs/heads/x", "refs/notes/commits", "refs/tags/v1"]
        );
        assert_eq!(selected(&[("refs/tags/x", None)]).unwrap(), ["refs/tags/x"]);
    }

    #[test]
    fn a_new_name_stays_in_its_folder_unless_it_is_whole() {
        let names = selected(&[
            ("v1", Some("v2")),
            ("refs/heads/main", Some("a/b")),
            ("x", Some("refs/keep/x")),
        ]);
        assert_eq!(
            names.unwrap(),
            ["refs/heads/a/b", "refs/keep/x", "refs/tags/v2"]
        );
    }

    #[test]
    fn names_that_are_no_text_are_quoted() {
        let id = ObjectId::from_bytes_or_panic(&[1; 20]);
        let odd = RefName::parse(b"refs/heads/caf\xe9").unwrap();
        let source = RefTargets::from([(odd.clone(), id)]);
        for text in [r#""caf\351""#, r#""refs/heads/caf\351""#] {
            let chosen = select(&RefSelection::names([text]), &source).unwrap();
            assert_eq!(chosen, source);
            let renamed = vec![(text.to_owned(), Some(r#""\377""#.to_owned()))];
            let renamed = select(&RefSelection::Names(renamed), &source).unwrap();
            assert!(
                renamed
                    .keys()
                    .eq([&RefName::parse(b"refs/heads/\xff").unwrap()])
            );
        }
    }

    #[test]
    fn a_damaged_ref_matters_where_it_is_asked_for() {
        let id = ObjectId::from_bytes_or_panic(&[1; 20]);
        let whole = |name: &str| (RefName::parse(name).unwrap(), id);
        let source = RefTargets::from([whole("refs/heads/main"), whole("refs/tags/x")]);
        let damaged = [BString::from("refs/heads/x"), "refs/notes/main".into()];
        let of = |name: &str| {
            let found = damaged_one(&RefSelection::names([name]), &source, &damaged);
            found.map(ToString::to_string)
        };
        // The branch is meant, not the tag.
        assert_eq!(of("x").as_deref(), Some("refs/heads/x"));
        assert_eq!(of("refs/notes/main").as_deref(), Some("refs/notes/main"));
        for name in ["main", "refs/tags/x", "nope"] {
            assert_eq!(of(name), None, "{name}");
        }
        let all = damaged_one(&RefSelection::All, &source, &damaged);
        assert_eq!(all, Some(&damaged[0]));
        assert_eq!(damaged_one(&RefSelection::All, &source, &[]), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(selected(&[("nope", None)]).unwrap_err().contains("nope"));
        assert!(selected(&[("main", Some("a..b"))]).is_err());
        assert!(selected(&[("main", Some("x")), ("x", None)]).is_err());
    }
}
