//! The end of a push: what became of the pack and of each ref.

use std::io;

use crate::pktline::PacketWriter;
use crate::sink::{CommandStatus, RefReport};

/// The report as pkt-lines, for a client that asked for `report-status` or, if `is_v2`, `report-status-v2`, which has
/// lines for what was done on other refs.
pub(crate) fn report(
    unpacked: Result<(), &str>,
    statuses: &[(&[u8], CommandStatus)],
    is_v2: bool,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut out = PacketWriter::new(&mut bytes);
    match unpacked {
        Ok(()) => out.data(&[b"unpack ok\n"])?,
        Err(reason) => out.data(&[b"unpack ", one_line(reason).as_bytes(), b"\n"])?,
    }
    for (name, status) in statuses {
        match status {
            CommandStatus::Reported(reports) if is_v2 && !reports.is_empty() => {
                for report in reports {
                    out.data(&[b"ok ", name, b"\n"])?;
                    write_options(report, &mut out)?;
                }
            }
            CommandStatus::Ok | CommandStatus::Reported(_) => out.data(&[b"ok ", name, b"\n"])?,
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

fn write_options(report: &RefReport, out: &mut PacketWriter<'_>) -> io::Result<()> {
    if let Some(name) = &report.name {
        out.data(&[b"option refname ", name, b"\n"])?;
    }
    if let Some(old) = report.old {
        out.text(format_args!("option old-oid {old}\n"))?;
    }
    if let Some(new) = report.new {
        out.text(format_args!("option new-oid {new}\n"))?;
    }
    match report.forced {
        true => out.data(&[b"option forced-update\n"]),
        false => Ok(()),
    }
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
        let text = String::from_utf8(report(Ok(()), &statuses, true).unwrap()).unwrap();
        assert_eq!(
            text,
            "000eunpack ok\n0014ok refs/heads/a\n001bng refs/heads/b no way\n0000"
        );
        let text = String::from_utf8(report(Err("bad pack"), &[], true).unwrap()).unwrap();
        assert_eq!(text, "0014unpack bad pack\n0000");
    }

    #[test]
    fn only_the_newer_report_says_what_was_done_elsewhere() {
        let done = |name: &str| RefReport {
            name: Some(name.as_bytes().to_vec()),
            forced: true,
            ..RefReport::default()
        };
        let status = CommandStatus::Reported(vec![done("refs/x"), done("refs/y")]);
        let statuses = [(&b"refs/for/a"[..], status)];
        let lines = |is_v2| {
            let bytes = report(Ok(()), &statuses, is_v2).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(lines(false), "000eunpack ok\n0012ok refs/for/a\n0000");
        let one = |name: &str| {
            format!("0012ok refs/for/a\n001aoption refname {name}\n0019option forced-update\n")
        };
        assert_eq!(
            lines(true),
            format!("000eunpack ok\n{}{}0000", one("refs/x"), one("refs/y"))
        );
    }
}
