//! Whether all that a ref would lead to is there: a walk over what is new, as `git rev-list --objects --not --all` is.

use packhouse_object::{
    CountLimits, Database, IdSet, ObjectId, ObjectKind, Progress, ReadError, ToSend, Wanted,
    count_limited, count_to_send,
};

/// Whether `database` has what each of `tips` leads to, given that it has what `known` lead to. The parents of the commits in
/// `cut` need not be there.
pub(super) fn is_connected(
    database: &Database,
    tips: &[ObjectId],
    known: &[ObjectId],
    cut: &IdSet,
    progress: &dyn Progress,
) -> Result<bool, ReadError> {
    for tip in tips {
        if !database.contains(tip)? {
            return Ok(false);
        }
    }
    let wanted = Wanted {
        wants: tips.to_vec(),
        haves: known.to_vec(),
        include_tags: Vec::new(),
        thin: false,
    };
    let counted = match cut.is_empty() {
        true => count_to_send(database, &wanted, progress),
        false => {
            let limits = CountLimits {
                cut: cut.clone(),
                ..CountLimits::default()
            };
            count_limited(database, &wanted, &limits, progress).map(ToSend::from)
        }
    };
    let counted = match counted {
        Err(error) if error.is_not_found() => return Ok(false),
        counted => counted?,
    };
    // What bitmaps say is reached is in the packs that they are about.
    for id in counted.others() {
        if !database.contains(id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether `tip` leads to one of the commits `cut_at` without meeting one of `known`, where refs are already.
pub(super) fn leads_to_cut(
    database: &Database,
    tip: ObjectId,
    known: &IdSet,
    cut_at: &IdSet,
) -> Result<bool, ReadError> {
    let (tip, kind) = database.peel(tip)?;
    if kind != ObjectKind::Commit {
        return Ok(false);
    }
    let mut stack = vec![tip];
    let mut seen = IdSet::default();
    while let Some(id) = stack.pop() {
        if cut_at.contains(&id) {
            return Ok(true);
        }
        if !known.contains(&id) && seen.insert(id) && database.contains(&id)? {
            stack.extend(database.commit(id)?.parents);
        }
    }
    Ok(false)
}

/// Those of the commits that the client says it has cut its history at which are here without their parents, though the
/// repository does not know it: `shallow` are those of which it does.
pub(super) fn cut_commits(
    database: &Database,
    said: &[ObjectId],
    shallow: &IdSet,
) -> Result<IdSet, ReadError> {
    let mut cut = IdSet::default();
    for id in said.iter().filter(|id| !shallow.contains(*id)) {
        match database.header(id)? {
            Some(header) if header.kind == ObjectKind::Commit => {}
            _ => continue,
        }
        for parent in database.commit(*id)?.parents {
            if !database.contains(&parent)? {
                cut.insert(*id);
            }
        }
    }
    Ok(cut)
}
