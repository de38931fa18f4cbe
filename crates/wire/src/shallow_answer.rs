//! Where a client's history will end, and what it needs to get there.

use std::io;

use packhouse_object::{
    Boundary, INFINITE_DEPTH, IdSet, ObjectId, Progress, ReadError, cut_at_depth, cut_by_rules,
    unreached_commits,
};

use crate::error::WireError;
use crate::pktline::PacketWriter;
use crate::shallow_request::ShallowRequest;
use crate::shown::Shown;
use crate::upload_pack::FetchOptions;

/// What a shallow request comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShallowAnswer {
    /// Where the client's history ends from now on and did not before.
    pub(crate) shallow: Vec<ObjectId>,
    /// Where it ended and does no longer.
    pub(crate) unshallow: Vec<ObjectId>,
    /// Where history ends while objects are counted. It does so at the commits of `unshallow` too: what the client has is
    /// told from what it lacks there, and what they follow is wanted by itself.
    pub(crate) cut: IdSet,
    /// Wanted besides what the client named: the parents of `unshallow`.
    pub(crate) wants: Vec<ObjectId>,
}

impl ShallowAnswer {
    /// Works out a request for `wants`. `plain_too`: a repository that is cut off itself says where, even to who asks for
    /// no depth (version 2).
    pub(crate) fn to(
        request: &ShallowRequest,
        wants: &[ObjectId],
        plain_too: bool,
        shown: &Shown<'_>,
        options: &FetchOptions,
        progress: &dyn Progress,
    ) -> Result<ShallowAnswer, WireError> {
        let own: IdSet = shown.shallow().iter().copied().collect();
        let mut answer = ShallowAnswer {
            cut: request.cut(shown),
            ..ShallowAnswer::default()
        };
        let db = shown.database();
        let boundary = match request.depth {
            Some(INFINITE_DEPTH) if own.is_empty() => Boundary {
                shallow: Vec::new(),
                inside: request.shallow.iter().copied().collect(),
            },
            Some(depth) if request.relative => {
                let ends = reached(request, shown, options, progress)?;
                let depth = depth.saturating_add(1).min(INFINITE_DEPTH);
                cut_at_depth(db, &own, &ends, depth, progress)?
            }
            Some(depth) => cut_at_depth(db, &own, wants, depth, progress)?,
            None if request.by_rules() => {
                let (excluded, since) = (&request.excluded, request.since);
                cut_by_rules(db, &own, wants, excluded, since, progress)?
                    .ok_or_else(|| WireError::refused("no commits selected for shallow requests"))?
            }
            None if plain_too && !own.is_empty() => {
                cut_at_depth(db, &answer.cut, wants, INFINITE_DEPTH, progress)?
            }
            None => return Ok(answer),
        };
        answer.take(boundary, request, &own, shown)?;
        Ok(answer)
    }

    fn take(
        &mut self,
        boundary: Boundary,
        request: &ShallowRequest,
        own: &IdSet,
        shown: &Shown<'_>,
    ) -> Result<(), WireError> {
        let Boundary { shallow, inside } = boundary;
        let is_new = |id: &ObjectId| !request.ends_at(id) && !inside.contains(id);
        self.shallow = shallow.into_iter().filter(is_new).collect();
        self.cut.extend(self.shallow.iter().copied());
        for id in request.shallow.iter().filter(|id| inside.contains(*id)) {
            self.unshallow.push(*id);
            if !own.contains(id) {
                self.wants.extend(shown.database().commit(id)?.parents);
            }
        }
        Ok(())
    }

    /// Writes the lines, without what stands around them.
    pub(crate) fn write(&self, out: &mut PacketWriter<'_>) -> io::Result<()> {
        for id in &self.shallow {
            out.text(format_args!("shallow {id}"))?;
        }
        for id in &self.unshallow {
            out.text(format_args!("unshallow {id}"))?;
        }
        Ok(())
    }
}

/// Where the client's history ends, as far as our refs reach that.
fn reached(
    request: &ShallowRequest,
    shown: &Shown<'_>,
    options: &FetchOptions,
    progress: &dyn Progress,
) -> Result<Vec<ObjectId>, ReadError> {
    let own: IdSet = shown.shallow().iter().copied().collect();
    let ends: IdSet = request.shallow.iter().copied().collect();
    let tips: Vec<ObjectId> = shown
        .tips(options.wants.sees_hidden())
        .into_iter()
        .collect();
    let foreign = unreached_commits(shown.database(), &ends, &tips, &own, progress)?;
    let ends = request.shallow.iter().copied();
    Ok(ends.filter(|end| !foreign.contains(end)).collect())
}
