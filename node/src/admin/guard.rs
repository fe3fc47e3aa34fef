//! Who may ask the admin API at all. A page of another origin can make a browser send requests to this machine, by name
//! rebinding too: such a request names another host, and is refused.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuse requests that name a host other than a loopback name or the bound address.
pub(super) async fn only_own_host(State(bound): State<SocketAddr>, request: Request, next: Next) -> Response {
    match judge(request.headers(), bound) {
        Ok(()) => next.run(request).await,
        Err(text) => (StatusCode::FORBIDDEN, text).into_response(),
    }
}

fn judge(headers: &HeaderMap, bound: SocketAddr) -> Result<(), String> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_own(host, bound) {
        return Err(format!("this is not `{host}`: ask for localhost or {bound}\n"));
    }
    // A browser names the page that asks when it is another one.
    let Some(origin) = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok()) else { return Ok(()) };
    let own = origin.strip_prefix("http://").is_some_and(|origin| is_own(origin, bound));
    if own { Ok(()) } else { Err(format!("pages of {origin} may not ask here\n")) }
}

fn is_own(host: &str, bound: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == bound.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        judge(&headers, SocketAddr::from(([192, 168, 1, 5], 7_000))).is_ok()
    }

    #[test]
    fn own_names_are_let_in_and_foreign_ones_are_not() {
        for host in ["localhost", "localhost:7000", "127.0.0.1:7000", "[::1]:7000", "192.168.1.5:7000"] {
            assert!(judged(host, None), "{host}");
        }
        for host in ["", "evil.example", "evil.example:7000", "192.168.1.6:7000", "localhost.evil.example"] {
            assert!(!judged(host, None), "{host}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        assert!(judged("localhost:7000", Some("http://localhost:7000")));
        assert!(!judged("localhost:7000", Some("http://evil.example")));
        assert!(!judged("localhost:7000", Some("null")));
    }
}
