//! Members of a zip that are compressed otherwise than by deflate.

use std::io::{Cursor, Read, Write};

use packhouse_repo::store::{ArchiveFormat, ArchiveIn, NoProgress, Snapshot, StoreError};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::place::Place;

/// A zip with one member, whose bytes are `packed` whatever they are.
struct Member<'a> {
    method: u16,
    packed: &'a [u8],
    size: u32,
    crc: u32,
}

impl<'a> Member<'a> {
    fn of(method: u16, packed: &'a [u8], content: &[u8]) -> Member<'a> {
        Member {
            method,
            packed,
            size: content.len() as u32,
            crc: crc32fast::hash(content),
        }
    }

    /// What the local and the central header share.
    fn described(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(63u16.to_le_bytes());
        out.extend(0u16.to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0; 4]);
        for number in [self.crc, self.packed.len() as u32, self.size] {
            out.extend(number.to_le_bytes());
        }
        out.extend((name.len() as u16).to_le_bytes());
        out.extend(0u16.to_le_bytes());
        out
    }

    fn zip(&self, name: &str) -> Vec<u8> {
        let mut out = b"PK\x03\x04".to_vec();
        out.extend(self.described(name));
        out.extend(name.as_bytes());
        out.extend(self.packed);
        let directory = out.len() as u32;
        out.extend(b"PK\x01\x02\x3f\x03");
        out.extend(self.described(name));
        out.extend([0; 6]);
        out.extend((0o100644u32 << 16).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        out.extend(name.as_bytes());
        let size = out.len() as u32 - directory;
        out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        out.extend(size.to_le_bytes());
        out.extend(directory.to_le_bytes());
        out.extend([0; 2]);
        out
    }
}

fn take(zip: &[u8]) -> Result<Snapshot, StoreError> {
    let (place, options) = (Place::new(), ArchiveIn::default());
    let main = place.main();
    let taken = main.archive_in(&mut &*zip, ArchiveFormat::Zip, &options, &NoProgress);
    if taken.is_err() {
        assert_eq!(place.main(), main);
    } else {
        place.fsck();
    }
    // The snapshot reads from a store that goes with its place.
    taken.inspect(|taken| drop(taken.read("a.txt", 0, None).unwrap()))
}

fn content() -> Vec<u8> {
    let words = ["one ", "two ", "three "].iter().cycle().take(40_000);
    words.flat_map(|word| word.bytes()).collect()
}

fn deflated(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packed = flate2::read::DeflateEncoder::new(content, flate2::Compression::fast());
    packed.read_to_end(&mut out).unwrap();
    out
}

fn bzip2ed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packed = bzip2::read::BzEncoder::new(content, bzip2::Compression::fast());
    packed.read_to_end(&mut out).unwrap();
    out
}

fn xz(content: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(1);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// As zip has it: a version, the properties, and a stream without a header.
fn lzma(content: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::with_preset(1);
    let mut out = vec![9, 20, 5, 0, options.get_props()];
    out.extend(options.dict_size.to_le_bytes());
    let mut writer = lzma_rust2::LzmaWriter::new_no_header(Vec::new(), &options, true).unwrap();
    writer.write_all(content).unwrap();
    out.extend(writer.finish().unwrap());
    out
}

#[test]
fn members_of_every_usual_method_are_read() {
    let content = content();
    for (method, packed) in [
        (0, content.clone()),
        (8, deflated(&content)),
        (12, bzip2ed(&content)),
        (14, lzma(&content)),
        (95, xz(&content)),
    ] {
        let zip = Member::of(method, &packed, &content).zip("a.txt");
        let place = Place::new();
        let options = ArchiveIn::default();
        let taken = place
            .main()
            .archive_in(&mut &zip[..], ArchiveFormat::Zip, &options, &NoProgress)
            .unwrap();
        assert_eq!(taken.read("a.txt", 0, None).unwrap(), content, "{method}");
        place.fsck();
        // An empty one too.
        let packed = match method {
            0 => Vec::new(),
            8 => deflated(b""),
            12 => bzip2ed(b""),
            14 => lzma(b""),
            _ => xz(b""),
        };
        take(&Member::of(method, &packed, b"").zip("a.txt")).unwrap();
    }
    // Deflate64 is deflate with longer matches: short ones are the same in both.
    let short = b"no match is long here";
    let taken = take(&Member::of(9, &deflated(short), short).zip("a.txt"));
    taken.unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let bzip2 = SimpleFileOptions::default().compression_method(CompressionMethod::BZIP2);
    zip.start_file("a.txt", bzip2).unwrap();
    zip.write_all(&content).unwrap();
    take(&zip.finish().unwrap().into_inner()).unwrap();
}

#[test]
fn other_methods_are_refused_by_name() {
    for (method, name) in [(93, "Zstd"), (98, "Ppmd"), (6, "Implode"), (97, "97")] {
        let zip = Member::of(method, b"packed", b"content").zip("dir/a.txt");
        let error = take(&zip).unwrap_err();
        let text = error.io().unwrap().to_string();
        assert!(
            text.contains("'dir/a.txt'") && text.contains(name),
            "{text}"
        );
        assert!(text.contains("not supported"), "{text}");
    }
}

#[test]
fn damaged_members_are_named() {
    let content = content();
    for (method, packed) in [
        (0, content.clone()),
        (8, deflated(&content)),
        (12, bzip2ed(&content)),
        (14, lzma(&content)),
        (95, xz(&content)),
    ] {
        let refused = |member: &Member<'_>, why: &str| {
            let error = take(&member.zip("a.txt")).unwrap_err();
            let text = error.io().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("'a.txt'"), "{method}, {why}: {error}: {text}");
        };
        let good = || Member::of(method, &packed, &content);
        refused(&Member { crc: 1, ..good() }, "another checksum");
        let half = &packed[..packed.len() / 2];
        refused(
            &Member {
                packed: half,
                ..good()
            },
            "cut short",
        );
        let size = good().size;
        refused(
            &Member {
                size: size - 1,
                ..good()
            },
            "more than it says",
        );
        refused(
            &Member {
                size: size + 1,
                ..good()
            },
            "less than it says",
        );
    }
}

#[test]
fn checksums_of_large_members_are_seen_to() {
    let content = vec![7; 3 << 20];
    for (method, packed) in [
        (0, content.clone()),
        (8, deflated(&content)),
        (95, xz(&content)),
    ] {
        let good = || Member::of(method, &packed, &content);
        take(&good().zip("a.txt")).unwrap();
        for wrong in [
            Member { crc: 1, ..good() },
            Member {
                size: good().size - 1,
                ..good()
            },
            Member {
                size: good().size + 1,
                ..good()
            },
        ] {
            take(&wrong.zip("a.txt")).unwrap_err();
        }
    }
}

#[test]
fn memory_for_unpacking_is_bounded() {
    let content = content();
    let mut packed = lzma(&content);
    packed[5..9].copy_from_slice(&(1u32 << 30).to_le_bytes());
    let error = take(&Member::of(14, &packed, &content).zip("a.txt")).unwrap_err();
    let text = error.io().unwrap().to_string();
    assert!(
        text.contains("'a.txt'") && text.contains("96 MiB"),
        "{text}"
    );
    let error = take(&Member::of(14, &packed[..5], &content).zip("a.txt")).unwrap_err();
    assert!(error.io().unwrap().to_string().contains("'a.txt'"));
}
