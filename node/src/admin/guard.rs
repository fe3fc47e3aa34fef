//! Which requests are heard at all. A page of another origin can make a browser send requests to this machine: such a request
//! names its page, or, by rebinding a name, another host, and is refused. So nothing that a browser adds by itself is ever
//! believed: there is no cookie, and a token comes in a header that only this page's own script sets.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Browsers say in it how far the page that asks is from here.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the page may load, and that no other page may show it in a frame, where clicks could be stolen.
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Refuse requests that name a host other than a loopback name or the bound address, or come from another page.
pub(super) async fn only_own_host(State(bound): State<SocketAddr>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = match judge(request.headers(), bound, is_api) {
        Ok(()) => next.run(request).await,
        Err(text) => (StatusCode::FORBIDDEN, text).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn judge(headers: &HeaderMap, bound: SocketAddr, is_api: bool) -> Result<(), String> {
    let told = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = told(&header::HOST).unwrap_or_default();
    if !is_own(host, bound) {
        return Err(format!("this is not `{host}`: ask for localhost or {bound}\n"));
    }
    // A browser names the page that asks, unless it only looks at what the page itself is made of.
    if let Some(origin) = told(&header::ORIGIN) {
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        if page != Some(host) {
            return Err(format!("pages of {origin} may not ask here\n"));
        }
    }
    match told(&FETCH_SITE) {
        Some("cross-site" | "same-site") if is_api => Err("other pages may not ask here\n".to_owned()),
        _ => Ok(()),
    }
}

/// Where it listens on all addresses, any address will do: names are what can be rebound.
fn is_own(host: &str, bound: SocketAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let own = |address: IpAddr| address.is_loopback() || address == bound.ip() || bound.ip().is_unspecified();
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: ([u8; 4], u16) = ([192, 168, 1, 5], 7_000);

    fn judged(pairs: &[(HeaderName, &str)]) -> bool {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header"))).collect();
        judge(&headers, SocketAddr::from(BOUND), true).is_ok()
    }

    #[test]
    fn own_names_are_let_in_and_foreign_ones_are_not() {
        for host in ["localhost", "localhost:7000", "127.0.0.1:7000", "[::1]:7000", "192.168.1.5:7000"] {
            assert!(judged(&[(header::HOST, host)]), "{host}");
        }
        for host in ["", "evil.example", "evil.example:7000", "192.168.1.6:7000", "localhost.evil.example"] {
            assert!(!judged(&[(header::HOST, host)]), "{host}");
        }
        let everywhere = SocketAddr::from(([0, 0, 0, 0], 7_000));
        assert!(is_own("192.168.1.6:7000", everywhere) && !is_own("evil.example:7000", everywhere));
    }

    #[test]
    fn pages_of_other_origins_are_refused_also_those_of_the_same_machine() {
        let host = || (header::HOST, "localhost:7000");
        assert!(judged(&[host(), (header::ORIGIN, "http://localhost:7000")]));
        for origin in ["http://evil.example", "null", "http://localhost:3000", "http://127.0.0.1:7000", "ftp://localhost:7000"] {
            assert!(!judged(&[host(), (header::ORIGIN, origin)]), "{origin}");
        }
    }

    #[test]
    fn a_picture_or_script_of_another_page_gets_nothing_of_the_api() {
        let from = |site| judged(&[(header::HOST, "localhost:7000"), (FETCH_SITE, site)]);
        assert!(from("same-origin") && from("none"));
        assert!(!from("cross-site") && !from("same-site"));
        let page = [(header::HOST, "localhost:7000"), (FETCH_SITE, "cross-site")];
        let headers = page.iter().map(|(name, value)| (name.clone(), value.parse().expect("a header"))).collect();
        assert!(judge(&headers, SocketAddr::from(BOUND), false).is_ok(), "a link to the page may be followed");
    }
}
