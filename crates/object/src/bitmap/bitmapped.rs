//! What bits stand for.

use std::sync::Arc;

use super::{BitmapIndex, Bits};
use crate::to_send::PackPart;
use crate::{Database, MultiPack, ObjectId, Pack, oid};

/// The objects that a bitmap index is about: those of one pack, or of several that have an index together.
///
/// Whatever one of them reaches is among them.
#[derive(Clone, Debug)]
pub enum Bitmapped {
    /// One pack.
    Pack(Arc<Pack>),
    /// Several packs.
    Packs(Arc<MultiPack>),
}

/// The objects that a bitmap index of the database is about; of several the one about most.
pub fn bitmapped(db: &Database) -> Option<Bitmapped> {
    let packs = db.packs().iter().filter(|pack| pack.bitmap().is_some());
    let packs = packs.cloned().map(Bitmapped::Pack);
    let multi = db
        .multi_packs()
        .iter()
        .filter(|multi| multi.bitmap().is_some());
    let multi = multi.cloned().map(Bitmapped::Packs);
    packs.chain(multi).max_by_key(Bitmapped::object_count)
}

impl Bitmapped {
    /// The checksum of the pack, or of the packs' index.
    pub fn id(&self) -> ObjectId {
        match self {
            Bitmapped::Pack(pack) => pack.id(),
            Bitmapped::Packs(multi) => multi.index().checksum(),
        }
    }

    /// How many objects there are.
    pub fn object_count(&self) -> u32 {
        match self {
            Bitmapped::Pack(pack) => pack.index().count(),
            Bitmapped::Packs(multi) => multi.index().count(),
        }
    }

    /// `db` with these packs alone.
    pub(crate) fn alone(&self, db: &Database) -> Database {
        match self {
            Bitmapped::Pack(pack) => db.with_packs(vec![Arc::clone(pack)]),
            Bitmapped::Packs(multi) => db
                .with_packs(multi.packs().to_vec())
                .with_multi_packs(vec![Arc::clone(multi)]),
        }
    }

    /// Whether an object is among them.
    pub fn has(&self, id: &oid) -> bool {
        self.position(id).is_some()
    }

    /// The position of an object in the index, by which bitmaps know commits.
    pub(crate) fn position(&self, id: &oid) -> Option<u32> {
        match self {
            Bitmapped::Pack(pack) => pack.index().lookup(id),
            Bitmapped::Packs(multi) => multi.index().lookup(id),
        }
    }

    /// The bit of each position. `None`: the index of several packs does not say in which order their objects are.
    pub(crate) fn bits(&self) -> Option<Vec<u32>> {
        let pack = match self {
            Bitmapped::Pack(pack) => pack,
            Bitmapped::Packs(multi) => return multi.index().bits(),
        };
        let count = pack.index().count();
        let mut bits = vec![0; count as usize];
        for bit in 0..count {
            bits[pack.position_of_bit(bit) as usize] = bit;
        }
        Some(bits)
    }

    /// The bit of an object.
    pub(crate) fn bit_of(&self, id: &oid) -> Option<u32> {
        match self {
            Bitmapped::Pack(pack) => pack.bit_of(id),
            Bitmapped::Packs(multi) => multi.bit_of(id),
        }
    }

    /// The object of a bit, which must be under the number of objects.
    pub(crate) fn id_of_bit(&self, bit: u32) -> ObjectId {
        match self {
            Bitmapped::Pack(pack) => pack.id_of_bit(bit),
            Bitmapped::Packs(multi) => multi.id_of_bit(bit),
        }
    }

    /// The bitmaps. They are there, unless a process that was forked off finds them gone.
    pub(crate) fn bitmap(&self) -> Option<&BitmapIndex> {
        match self {
            Bitmapped::Pack(pack) => pack.bitmap(),
            Bitmapped::Packs(multi) => multi.bitmap(),
        }
    }

    /// What of a set is in each pack, by the bits of the pack, and what is in none, where an index was wrong about that.
    pub(crate) fn by_pack(&self, bits: &Bits) -> (Vec<PackPart>, Vec<ObjectId>) {
        let part = |pack: &Arc<Pack>, bits| PackPart {
            pack: Arc::clone(pack),
            bits,
        };
        let multi = match self {
            Bitmapped::Pack(pack) => return (vec![part(pack, bits.clone())], Vec::new()),
            Bitmapped::Packs(multi) => multi,
        };
        let mut parts: Vec<Option<PackPart>> = vec![None; multi.packs().len()];
        let mut strays = Vec::new();
        for bit in bits.iter() {
            let id = multi.id_of_bit(bit);
            let place = multi.lookup(&id).and_then(|(number, _)| {
                // By its id: so it is this object, whatever the index says of offsets.
                Some((number, multi.packs()[number].bit_of(&id)?))
            });
            let Some((number, bit)) = place else {
                strays.push(id);
                continue;
            };
            let pack = &multi.packs()[number];
            let new = || part(pack, Bits::new(pack.index().count()));
            if !parts[number].get_or_insert_with(new).bits.insert(bit) {
                strays.push(id);
            }
        }
        (parts.into_iter().flatten().collect(), strays)
    }
}
