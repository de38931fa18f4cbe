//! A small HTTP/1.1 client: one connection, kept alive. A load generator must cost less than what it measures.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Result;

/// One kept-alive connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

/// An answer, whole.
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream: BufReader::new(stream),
        })
    }

    /// Sends one request and reads its answer.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        kind: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request).await?;
        self.answer().await
    }

    /// Sends a request without a body, leaving its answer to be read.
    pub(crate) async fn request_only(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
    ) -> Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        Ok(self.stream.get_mut().write_all(head.as_bytes()).await?)
    }

    /// Starts a request whose body follows in chunks of unknown total length.
    pub(crate) async fn begin_chunked(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        kind: &str,
    ) -> Result<()> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        Ok(self.stream.get_mut().write_all(head.as_bytes()).await?)
    }

    /// Sends a piece of a chunked body; an empty one ends it.
    pub(crate) async fn chunk(&mut self, piece: &[u8]) -> Result<()> {
        let stream = self.stream.get_mut();
        stream
            .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
            .await?;
        stream.write_all(piece).await?;
        Ok(stream.write_all(b"\r\n").await?)
    }

    /// Reads an answer whose body fits into memory.
    pub(crate) async fn answer(&mut self) -> Result<Answer> {
        let (status, length) = self.head().await?;
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(usize::try_from(length)?, 0);
                self.stream.read_exact(&mut body).await?;
            }
            None => {
                self.chunked(&mut |piece| body.extend_from_slice(piece))
                    .await?
            }
        }
        Ok(Answer { status, body })
    }

    /// Reads an answer, giving its body away piece by piece; answers the status and the number of bytes.
    pub(crate) async fn stream_answer(&mut self) -> Result<(u16, u64)> {
        let (status, length) = self.head().await?;
        let mut total = 0u64;
        match length {
            Some(length) => {
                let mut buffer = vec![0; 1 << 16];
                while total < length {
                    let want = usize::try_from((length - total).min(buffer.len() as u64))?;
                    let got = self.stream.read(&mut buffer[..want]).await?;
                    if got == 0 {
                        return Err("the answer ends early".into());
                    }
                    total += got as u64;
                }
            }
            None => {
                self.chunked(&mut |piece| total += piece.len() as u64)
                    .await?
            }
        }
        Ok((status, total))
    }

    async fn head(&mut self) -> Result<(u16, Option<u64>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status = line
            .split(' ')
            .nth(1)
            .ok_or_else(|| format!("no status line: {line:?}"))?
            .parse()?;
        let (mut length, mut chunked) = (None, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            if line.trim().is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse()?),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        Ok((
            status,
            if chunked {
                None
            } else {
                Some(length.unwrap_or(0))
            },
        ))
    }

    async fn chunked(&mut self, take: &mut (dyn FnMut(&[u8]) + Send)) -> Result<()> {
        let mut line = String::new();
        let mut piece = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let size = usize::from_str_radix(line.trim(), 16)?;
            piece.resize(size + 2, 0);
            self.stream.read_exact(&mut piece).await?;
            if size == 0 {
                return Ok(());
            }
            take(&piece[..size]);
        }
    }
}
