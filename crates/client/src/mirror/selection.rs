//! Which refs a backup or restore is about, and what they are called at the other end.

use packhouse_object::RefName;

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
            Some(to) if to.starts_with("refs/") => parse(to, to)?,
            Some(to) => parse(to, &format!("{folder}{to}"))?,
        };
        let target = source[&name];
        match selected.insert(to.clone(), target) {
            Some(other) if other != target => {
                return Err(MirrorError::Invalid {
                    reason: format!("two refs would become '{to}'"),
                });
            }
            _ => {}
        }
    }
    Ok(selected)
}

fn find<'a>(name: &'a str, source: &RefTargets) -> Result<(&'a str, RefName), MirrorError> {
    let folders: &[&str] = match name.starts_with("refs/") {
        true => &[""],
        false => &FOLDERS,
    };
    for folder in folders {
        let Ok(full) = RefName::parse(format!("{folder}{name}")) else {
            continue;
        };
        if source.contains_key(&full) {
            let folder = match folder.is_empty() {
                true => folder_of(name),
                false => FOLDERS
                    .into_iter()
                    .find(|known| known == folder)
                    .unwrap_or(""),
            };
            return Ok((folder, full));
        }
    }
    Err(MirrorError::NoSuchRef {
        name: name.to_owned(),
    })
}

/// `refs/heads/` of `refs/heads/a/b`.
fn folder_of(name: &str) -> &str {
    let known = FOLDERS.into_iter().find(|folder| name.starts_with(folder));
    known.unwrap_or_else(|| &name[..name.rfind('/').map_or(0, |slash| slash + 1)])
}

fn parse(given: &str, full: &str) -> Result<RefName, MirrorError> {
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
    fn what_makes_no_sense_is_refused() {
        assert!(selected(&[("nope", None)]).unwrap_err().contains("nope"));
        assert!(selected(&[("main", Some("a..b"))]).is_err());
        assert!(selected(&[("main", Some("x")), ("x", None)]).is_err());
    }
}
