//! Changed-path filters: Bloom filters of the paths that a commit changes against its first parent, and of all folders on the
//! way to them.

const SEEDS: [u32; 2] = [0x293a_e76f, 0x7e64_6e2c];

/// A path to look for in filters.
#[derive(Clone, Debug)]
pub struct PathFilter {
    hashes: [u32; 2],
    is_ascii: bool,
}

/// The filter of one commit.
#[derive(Clone, Copy)]
pub(super) struct FilterBits<'a> {
    pub(super) bits: &'a [u8],
    pub(super) version: u32,
    /// How many bits a path sets.
    pub(super) hashes: u32,
}

impl PathFilter {
    /// The file or folder `path`, without a slash at its end.
    pub fn new(path: &[u8]) -> PathFilter {
        PathFilter {
            hashes: SEEDS.map(|seed| murmur3(seed, path)),
            is_ascii: path.is_ascii(),
        }
    }

    /// Whether the path may be among those of a filter; if not, it is certain that the commit does not change it.
    pub(super) fn may_be_in(&self, filter: FilterBits<'_>) -> bool {
        let FilterBits {
            bits,
            version,
            hashes,
        } = filter;
        // No filter was made. (One of no paths has a byte.) In version 1 it depends on the machine how other bytes than those of
        // ASCII are hashed.
        if bits.is_empty() || (version == 1 && !self.is_ascii) {
            return true;
        }
        self.bits(hashes, bits.len())
            .all(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1)
    }

    /// The bits that the path sets in a filter of so many bytes, which must not be none.
    pub(super) fn bits(&self, hashes: u32, len: usize) -> impl Iterator<Item = usize> {
        let modulus = len as u64 * 8;
        let [start, step] = self.hashes;
        (0..hashes).map(move |number| {
            let hash = start.wrapping_add(number.wrapping_mul(step));
            (u64::from(hash) % modulus) as usize
        })
    }
}

/// MurmurHash3 of 32 bits.
fn murmur3(seed: u32, data: &[u8]) -> u32 {
    const C1: u32 = 0xcc9e_2d51;
    const C2: u32 = 0x1b87_3593;
    let mix = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let mut hash = seed;
    let words = data.chunks_exact(4);
    let rest = words.remainder();
    for word in words {
        let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        hash = (hash ^ mix(word)).rotate_left(13);
        hash = hash.wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash ^= mix(u32::from_le_bytes(last));
    }
    hash ^= data.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_gits_own_tests() {
        assert_eq!(murmur3(0, b""), 0);
        assert_eq!(murmur3(0, b"Hello world!"), 0x627b_0c2c);
        let dog = b"The quick brown fox jumps over the lazy dog";
        assert_eq!(murmur3(0, dog), 0x2e4f_f723);
    }

    #[test]
    fn a_filter_that_was_not_made_says_nothing() {
        let filter = |bits, version| FilterBits {
            bits,
            version,
            hashes: 7,
        };
        let path = PathFilter::new(b"a/b");
        assert!(path.may_be_in(filter(&[], 1)));
        assert!(!path.may_be_in(filter(&[0], 1)));
        assert!(path.may_be_in(filter(&[0xff], 1)));
        let other = PathFilter::new("größe".as_bytes());
        assert!(other.may_be_in(filter(&[0], 1)));
        assert!(!other.may_be_in(filter(&[0], 2)));
    }
}
