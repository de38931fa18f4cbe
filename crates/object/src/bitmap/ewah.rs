//! Bitmaps as they are stored: EWAH, where words without holes are counted instead of written.
//!
//! A stream is a sequence of markers, each of which counts words that are all zeros or all ones, and then words that
//! follow as they are (`gitformat-bitmap(5)`, appendix A).

use super::Bits;

/// A compressed bitmap in the bytes of a file.
#[derive(Copy, Clone, Debug)]
pub struct Ewah<'a> {
    words: &'a [u8],
}

/// Bytes that are no compressed bitmap, or one that is not about this pack.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EwahError {
    /// It ends before the words it counts.
    #[error("a bitmap is cut short")]
    Truncated,
    /// It has more bits than the pack has objects.
    #[error("a bitmap names an object that the pack does not have")]
    Beyond,
}

/// The number of bits and the number of words.
const HEADER_LEN: usize = 8;
/// Where the last marker is: for who goes on writing.
const FOOTER_LEN: usize = 4;
const WORD_LEN: usize = 8;

/// The fewest bytes of a compressed bitmap.
pub(super) const MIN_LEN: usize = HEADER_LEN + FOOTER_LEN;

/// A marker's bits: one for the words that are counted, 32 for how many, 31 for how many follow as they are.
const RUN_SHIFT: u32 = 1;
const MAX_RUN: u64 = u32::MAX as u64;
const LITERALS_SHIFT: u32 = 33;
const MAX_LITERALS: u64 = (1 << 31) - 1;

impl<'a> Ewah<'a> {
    /// The bitmap at the start of `bytes`, and how many bytes it takes.
    pub fn parse(bytes: &'a [u8]) -> Result<(Ewah<'a>, usize), EwahError> {
        let count = bytes.get(4..HEADER_LEN).ok_or(EwahError::Truncated)?;
        let count = u32::from_be_bytes(count.try_into().expect("it has four bytes"));
        let end = HEADER_LEN + count as usize * WORD_LEN;
        let words = bytes.get(HEADER_LEN..end).ok_or(EwahError::Truncated)?;
        match bytes.len() >= end + FOOTER_LEN {
            true => Ok((Ewah { words }, end + FOOTER_LEN)),
            false => Err(EwahError::Truncated),
        }
    }

    /// Flips the bits of `bits` that are set in this bitmap.
    pub fn toggle(&self, bits: &mut Bits) -> Result<(), EwahError> {
        let out = bits.words_mut();
        let mut words = self
            .words
            .chunks_exact(WORD_LEN)
            .map(|word| u64::from_be_bytes(word.try_into().expect("it has eight bytes")));
        let mut at = 0usize;
        while let Some(marker) = words.next() {
            let run = (marker >> RUN_SHIFT & MAX_RUN) as usize;
            let literals = (marker >> LITERALS_SHIFT) as usize;
            // Words of zeros past the end say nothing, and Git does write them.
            let run_end = at.saturating_add(run);
            if marker & 1 == 1 {
                let ones = out.get_mut(at..run_end).ok_or(EwahError::Beyond)?;
                ones.iter_mut().for_each(|word| *word = !*word);
            }
            at = run_end;
            for _ in 0..literals {
                let literal = words.next().ok_or(EwahError::Truncated)?;
                match out.get_mut(at) {
                    Some(word) => *word ^= literal,
                    None if literal == 0 => {}
                    None => return Err(EwahError::Beyond),
                }
                at = at.saturating_add(1);
            }
        }
        match bits.is_within_limit() {
            true => Ok(()),
            false => Err(EwahError::Beyond),
        }
    }

    /// The bits under `limit`, which are all there must be.
    pub fn bits(&self, limit: u32) -> Result<Bits, EwahError> {
        let mut bits = Bits::new(limit);
        self.toggle(&mut bits)?;
        Ok(bits)
    }
}

impl Bits {
    /// The bytes of the compressed bitmap.
    pub fn to_ewah(&self) -> Vec<u8> {
        compress(self.words())
    }

    /// The bytes of the compressed bitmap of what is in one of both sets only.
    pub(super) fn to_ewah_beside(&self, other: &Bits) -> Vec<u8> {
        let pairs = self.words().iter().zip(other.words());
        compress(&pairs.map(|(a, b)| a ^ b).collect::<Vec<_>>())
    }
}

fn compress(words: &[u64]) -> Vec<u8> {
    let mut out = vec![0; HEADER_LEN];
    let mut marker_at;
    let mut rest = words;
    loop {
        let ones = rest.first() == Some(&u64::MAX);
        let filler = if ones { u64::MAX } else { 0 };
        let run = count_while(rest, MAX_RUN, |word| word == filler);
        let literals = count_while(&rest[run..], MAX_LITERALS, |word| {
            word != 0 && word != u64::MAX
        });
        let marker =
            u64::from(ones) | (run as u64) << RUN_SHIFT | (literals as u64) << LITERALS_SHIFT;
        marker_at = (out.len() - HEADER_LEN) / WORD_LEN;
        out.extend_from_slice(&marker.to_be_bytes());
        for word in &rest[run..run + literals] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        rest = &rest[run + literals..];
        if rest.is_empty() {
            break;
        }
    }
    let count = (out.len() - HEADER_LEN) / WORD_LEN;
    // A pack has under 2^32 objects, so that all of these fit.
    let bits = (words.len() as u64 * 64).min(u64::from(u32::MAX)) as u32;
    out[..4].copy_from_slice(&bits.to_be_bytes());
    out[4..HEADER_LEN].copy_from_slice(&(count as u32).to_be_bytes());
    out.extend_from_slice(&(marker_at as u32).to_be_bytes());
    out
}

/// How many words at the start are so, at most `most`.
fn count_while(words: &[u64], most: u64, is_so: impl Fn(u64) -> bool) -> usize {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let so = words.iter().take(most).take_while(|word| is_so(**word));
    so.count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words as bitmaps have them: long runs, and now and then something else.
    fn words() -> impl Strategy<Value = Vec<u64>> {
        let word = prop_oneof![3 => Just(0), 3 => Just(u64::MAX), 1 => any::<u64>()];
        let run = (word, 1..20usize).prop_map(|(word, n)| vec![word; n]);
        prop::collection::vec(run, 0..20).prop_map(|runs| runs.concat())
    }

    fn bits(words: &[u64], limit: u32) -> Bits {
        let mut bits = Bits::new(limit);
        let set = (0..limit).filter(|bit| words[*bit as usize / 64] >> (bit % 64) & 1 == 1);
        for bit in set {
            bits.insert(bit);
        }
        bits
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(words in words(), cut in 0..64u32) {
            let limit = (words.len() as u32 * 64).saturating_sub(cut);
            let bits = bits(&words, limit);
            let bytes = bits.to_ewah();
            let (ewah, len) = Ewah::parse(&bytes).unwrap();
            prop_assert_eq!(len, bytes.len());
            prop_assert_eq!(ewah.bits(limit).unwrap(), bits);
        }

        #[test]
        fn a_bitmap_beside_another_gives_it_back(a in words(), b in words()) {
            let limit = a.len().min(b.len()) as u32 * 64;
            let (a, b) = (bits(&a, limit), bits(&b, limit));
            let bytes = a.to_ewah_beside(&b);
            let mut found = b;
            Ewah::parse(&bytes).unwrap().0.toggle(&mut found).unwrap();
            prop_assert_eq!(found, a);
        }

        #[test]
        fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0..1000u32) {
            if let Ok((ewah, len)) = Ewah::parse(&bytes) {
                prop_assert!(len <= bytes.len());
                if let Ok(bits) = ewah.bits(limit) {
                    prop_assert!(bits.iter().all(|bit| bit < limit));
                }
            }
        }

        #[test]
        fn no_markers_do_harm(markers in prop::collection::vec((any::<bool>(), 0..9u64, 0..3u64), 0..9), limit in 0..1000u32) {
            let mut bytes = 0u32.to_be_bytes().to_vec();
            bytes.extend((markers.len() as u32).to_be_bytes());
            for (ones, run, literals) in markers {
                bytes.extend((u64::from(ones) | run << RUN_SHIFT | literals << LITERALS_SHIFT).to_be_bytes());
            }
            bytes.extend([0; FOOTER_LEN]);
            if let Ok(bits) = Ewah::parse(&bytes).unwrap().0.bits(limit) {
                prop_assert!(bits.iter().all(|bit| bit < limit));
            }
        }
    }

    #[test]
    fn a_bitmap_that_claims_words_it_has_not_is_refused() {
        let mut bytes = Bits::full(130).to_ewah();
        assert_eq!(
            Ewah::parse(&bytes[..bytes.len() - 1]).unwrap_err(),
            EwahError::Truncated
        );
        bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(Ewah::parse(&bytes).unwrap_err(), EwahError::Truncated);
    }

    #[test]
    fn bits_past_the_last_object_are_refused() {
        let bytes = Bits::full(130).to_ewah();
        let (ewah, _) = Ewah::parse(&bytes).unwrap();
        assert_eq!(ewah.bits(129).unwrap_err(), EwahError::Beyond);
        assert_eq!(ewah.bits(64).unwrap_err(), EwahError::Beyond);
        assert_eq!(ewah.bits(200).unwrap().count(), 130);
    }
}
