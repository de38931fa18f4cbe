//! The end of a push: what became of the pack and of each ref.

use std::io;

use crate::pktline::PacketWriter;
use crate::sink::CommandStatus;

/// The report as pkt-lines, for a client that asked for `report-status` or `report-status-v2`. No option
/// lines of the latter are needed: a ref that was updated is the one that was named.
pub(crate) fn report(
    unpacked: Result<(), &str>,
    statuses: &[(&[u8], CommandStatus)],
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    match unpacked {
        Ok(()) => out.data(&[b"unpack ok\n"])?,
        Err(reason) => out.data(&[b"unpack ", one_line(reason).as_bytes(), b"\n"])?,
    }
    for (name, status) in statuses {
        match status {
            CommandStatus::Ok => out.data(&[b"ok ", name, b"\n"])?,
            CommandStatus::Rejected { reason, .. } => {
                out.data(&[b"ng ", name, b" ", one_line(reason).as_bytes(), b"\n"])?
            }
        }
    }
    out.flush()?;
    out.send()?;
    drop(out);
    Ok(bytes)
}

/// A reason must not end the line it stands in, nor fill it.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(400)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ref_has_its_line() {
        let statuses = [
            (&b"refs/heads/a"[..], CommandStatus::Ok),
            (&b"refs/heads/b"[..], CommandStatus::rejected("no\nway")),
        ];
        let text = String::from_utf8(report(Ok(()), &statuses).unwrap()).unwrap();
        assert_eq!(
            text,
            "000eunpack ok\n0014ok refs/heads/a\n001bng refs/heads/b no way\n0000"
        );
        let text = String::from_utf8(report(Err("bad pack"), &[]).unwrap()).unwrap();
        assert_eq!(text, "0014unpack bad pack\n0000");
    }
}
