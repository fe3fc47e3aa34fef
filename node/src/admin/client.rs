//! A small HTTP/1.1 client for the admin API: one request per connection, answers bounded in bytes and time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer in bytes, head included.
const ANSWER_BYTES_MAX: u64 = 16 * 1_024 * 1_024;
/// An answer must be complete by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// A stream says something at least this often, if only that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// Longest line of a stream in bytes.
const LINE_BYTES_MAX: usize = 64 * 1_024;

/// By which a world process that stands by tells the address of the one that leads.
pub(crate) const LEADER_HEADER: &str = "x-pangaea-leader";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It listens, but does not answer.
    #[error("{0} takes too long")]
    TooSlow(String),
    /// The connection broke.
    #[error("the connection to {address} broke")]
    Broken {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The answer is no.
    #[error("{}", words(*status, text))]
    Refused {
        /// Such as 403.
        status: u16,
        /// In words.
        text: String,
    },
    /// The answer cannot be read.
    #[error("the answer is not what it should be: {0}")]
    Malformed(&'static str),
}

/// The body of `GET http://address/path`, as whoever has this token.
///
/// # Errors
/// See [`AskError`].
pub async fn get(address: &str, path: &str, token: Option<&str>) -> Result<Vec<u8>, AskError> {
    ask(address, &|address| (head("GET", address, path, token) + "\r\n").into_bytes()).await
}

/// The body of the answer to `POST http://address/path` with JSON.
///
/// # Errors
/// See [`AskError`].
pub async fn post(address: &str, path: &str, token: &str, json: &[u8]) -> Result<Vec<u8>, AskError> {
    let request = |address: &str| {
        let (head, length) = (head("POST", address, path, Some(token)), json.len());
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), json].concat()
    };
    ask(address, &request).await
}

/// The server-sent events at `path`: their data, until `told` returns `false`.
///
/// # Errors
/// See [`AskError`]; also when the other side ends the stream.
pub async fn listen(
    address: &str,
    path: &str,
    token: Option<&str>,
    mut told: impl FnMut(&str) -> bool + Send,
) -> Result<(), AskError> {
    let broken = |source| AskError::Broken { address: address.to_owned(), source };
    let mut socket = connect(address).await?;
    // In this version of the protocol a stream comes in no chunks and lasts as long as its connection.
    let head = head("GET", address, path, token).replacen("HTTP/1.1", "HTTP/1.0", 1) + "\r\n";
    socket.write_all(head.as_bytes()).await.map_err(broken)?;
    let (mut waiting, mut head) = (Vec::new(), Some(Vec::new()));
    loop {
        let mut bytes = [0; 4_096];
        let read = tokio::time::timeout(SILENCE_MAX, socket.read(&mut bytes)).await;
        let read = read.map_err(|_| AskError::TooSlow(address.to_owned()))?.map_err(broken)?;
        let over = read == 0;
        waiting.extend_from_slice(&bytes[..read]);
        while let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            match &mut head {
                Some(told) => {
                    told.extend_from_slice(&line);
                    if line == b"\r\n" {
                        if !told.split(|byte| *byte == b' ').nth(1).is_some_and(|status| status.starts_with(b"2")) {
                            // A refusal's words are short: they came with its head, or come next.
                            let mut rest = std::mem::take(told);
                            rest.append(&mut waiting);
                            socket.take(LINE_BYTES_MAX as u64).read_to_end(&mut rest).await.map_err(broken)?;
                            return parse(&rest).map(drop);
                        }
                        head = None;
                    }
                }
                None => {
                    let line = String::from_utf8_lossy(&line);
                    if let Some(data) = line.strip_prefix("data:")
                        && !told(data.trim())
                    {
                        return Ok(());
                    }
                }
            }
        }
        if over || waiting.len() > LINE_BYTES_MAX {
            return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn words(status: u16, text: &str) -> String {
    if text.is_empty() { format!("status {status}") } else { text.to_owned() }
}

/// All of a request's head but its end.
fn head(method: &str, address: &str, path: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{token}")
}

async fn connect(address: &str) -> Result<TcpStream, AskError> {
    let connected = tokio::time::timeout(ANSWER_TIME_MAX, TcpStream::connect(address)).await;
    let connected = connected.map_err(|_| AskError::TooSlow(address.to_owned()))?;
    connected.map_err(|source| AskError::Unreachable { address: address.to_owned(), source })
}

/// Ask, and once more whoever leads, if this world process only stands by.
async fn ask(address: &str, request: &(dyn Fn(&str) -> Vec<u8> + Sync)) -> Result<Vec<u8>, AskError> {
    let answer = exchange(address, request(address)).await?;
    match leader(&answer) {
        Some(leader) => parse(&exchange(&leader, request(&leader)).await?),
        None => parse(&answer),
    }
}

/// Whom to ask instead, if the answer says so.
fn leader(answer: &[u8]) -> Option<String> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let named = head.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.eq_ignore_ascii_case(LEADER_HEADER))?;
    Some(named.1.trim().to_owned()).filter(|leader| !leader.is_empty())
}

async fn exchange(address: &str, request: Vec<u8>) -> Result<Vec<u8>, AskError> {
    let broken = |source| AskError::Broken { address: address.to_owned(), source };
    let exchange = async {
        let mut socket = connect(address).await?;
        socket.write_all(&request).await.map_err(broken)?;
        let mut answer = Vec::new();
        socket.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(broken)?;
        Ok(answer)
    };
    tokio::time::timeout(ANSWER_TIME_MAX, exchange).await.map_err(|_| AskError::TooSlow(address.to_owned()))?
}

fn parse(answer: &[u8]) -> Result<Vec<u8>, AskError> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or(AskError::Malformed("not HTTP"))?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let status = head.lines().next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse::<u16>().ok());
    let status = status.ok_or(AskError::Malformed("no status"))?;
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
        return Err(AskError::Malformed("it broke off"));
    }
    if !(200..300).contains(&status) {
        let text = String::from_utf8_lossy(&body).trim().to_owned();
        return Err(AskError::Refused { status, text });
    }
    Ok(body)
}

fn join_chunks(mut rest: &[u8]) -> Result<Vec<u8>, AskError> {
    const BROKEN: AskError = AskError::Malformed("a chunk broke off");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n").ok_or(BROKEN)?;
        let length = std::str::from_utf8(&rest[..line]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let length = length.ok_or(BROKEN)?;
        rest = &rest[line + 2..];
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(..length).ok_or(BROKEN)?);
        rest = rest.get(length + 2..).ok_or(BROKEN)?;
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
    fn who_stands_by_names_who_leads() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nX-Pangaea-Leader: 10.0.0.2:7000\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(leader(answer).as_deref(), Some("10.0.0.2:7000"));
        assert_eq!(leader(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), None);
    }

    #[test]
    fn a_refusal_keeps_its_words() {
        let error = parse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno!\n").expect_err("a refusal");
        assert_eq!(error.to_string(), "no!");
    }
}
