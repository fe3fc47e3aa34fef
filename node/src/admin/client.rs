//! A small HTTP/1.1 client for the admin API: one request per connection, answers bounded in bytes and time.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer in bytes, head included.
const ANSWER_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// An answer must be complete by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);

/// The body of `GET http://address/path`.
///
/// # Errors
/// Not reached, too slow, too large, or a status other than 2xx; the text has the status and the answer's words.
pub async fn get(address: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    ask(address, head.into_bytes()).await
}

/// The body of the answer to `POST http://address/path` with JSON, as the operator.
///
/// # Errors
/// As [`get`].
pub async fn post(address: &str, path: &str, token: &str, json: &[u8]) -> anyhow::Result<Vec<u8>> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        json.len()
    );
    ask(address, [head.as_bytes(), json].concat()).await
}

async fn ask(address: &str, request: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    let exchange = async {
        let mut socket = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        socket.write_all(&request).await?;
        let mut answer = Vec::new();
        socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(ANSWER_TIME_MAX, exchange).await.with_context(|| format!("{address} takes too long"))??;
    parse(&answer)
}

fn parse(answer: &[u8]) -> anyhow::Result<Vec<u8>> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer is not HTTP")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("the answer has no status")?;
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()))
    };
    let body = if header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        join_chunks(body)?
    } else {
        body.to_vec()
    };
    if let Some(length) = header("content-length").and_then(|length| length.parse::<usize>().ok())
        && length != body.len()
    {
        bail!("the answer broke off after {} of {length} bytes", body.len());
    }
    if !status.starts_with('2') {
        bail!("status {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(body)
}

fn join_chunks(mut rest: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").context("a chunk without a length")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line])?.trim(), 16).context("a bad chunk length")?;
        rest = &rest[line + 2..];
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..length).context("the answer broke off")?);
        rest = rest.get(length + 2..).context("the answer broke off")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").expect("whole"), b"hi");
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).expect("whole"), b"abcde");
        for broken in ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", "HTTP/1.1 200 OK\r\n", "hello"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_words() {
        let error = parse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n").expect_err("a refusal");
        assert_eq!(error.to_string(), "status 403: no!");
    }
}
