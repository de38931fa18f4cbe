//! Base64 that arrives in pieces of any length.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The data is not standard base64 with padding.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("the data is not valid base64")]
pub(crate) struct NotBase64;

/// Decodes piece by piece. Accepts exactly what decoding the whole at once would.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    /// Characters that do not make up a group of four yet.
    carry: Vec<u8>,
    /// A group with padding was seen: nothing may follow.
    ended: bool,
}

impl Pieces {
    /// Decodes what `piece` completes, onto `out`.
    pub(crate) fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        let mut piece = piece;
        if !self.carry.is_empty() {
            let (head, rest) = piece.split_at(piece.len().min(4 - self.carry.len()));
            self.carry.extend_from_slice(head);
            piece = rest;
            if self.carry.len() < 4 {
                return Ok(());
            }
            let group = std::mem::take(&mut self.carry);
            self.groups(&group, out)?;
        }
        let (groups, rest) = piece.split_at(piece.len() / 4 * 4);
        self.groups(groups, out)?;
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// Fails if the data stopped inside of a group.
    pub(crate) fn finish(self) -> Result<(), NotBase64> {
        if self.carry.is_empty() {
            Ok(())
        } else {
            Err(NotBase64)
        }
    }

    fn groups(&mut self, groups: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        if groups.is_empty() {
            return Ok(());
        }
        if self.ended {
            return Err(NotBase64);
        }
        self.ended = groups.ends_with(b"=");
        STANDARD.decode_vec(groups, out).map_err(|_| NotBase64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_decode_like_the_whole(text in "[A-D+/=]{0,40}", cuts in proptest::collection::vec(0usize..9, 0..12)) {
            let mut pieces = Pieces::default();
            let mut out = Vec::new();
            let mut rest = text.as_bytes();
            let mut result = Ok(());
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                rest = after;
                result = result.and_then(|()| pieces.decode(piece, &mut out));
            }
            let result = result.and_then(|()| pieces.finish());
            prop_assert_eq!(result.ok().map(|()| out), STANDARD.decode(&text).ok());
        }
    }
}
