//! pkt-lines of a client: no input may panic, loop or make the reader allocate what a length claims.
#![no_main]

use libfuzzer_sys::fuzz_target;
use packhouse_wire::pktline::PacketReader;

fuzz_target!(|data: &[u8]| {
    let mut input = data;
    let mut reader = PacketReader::new(&mut input);
    let mut packets = 0;
    while let Ok(Some(packet)) = reader.read() {
        let _ = packet.text();
        packets += 1;
        assert!(packets <= data.len(), "a packet takes at least four bytes");
    }
});
