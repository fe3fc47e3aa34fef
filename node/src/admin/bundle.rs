//! The web page, built beforehand and carried inside the binary.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// The committed bundle of `tools/web`.
#[derive(RustEmbed)]
#[folder = "../tools/web/dist"]
struct Bundle;

/// Content types of the files a bundle has.
const TYPES: [(&str, &str); 9] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
];

/// A file of the bundle; the page itself at `/`.
pub(super) async fn file(uri: Uri) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    let Some(file) = Bundle::get(path) else {
        return (StatusCode::NOT_FOUND, format!("no `{path}` here\n")).into_response();
    };
    ([(header::CONTENT_TYPE, content_type(path)), (header::CACHE_CONTROL, "no-cache")], file.data.into_owned()).into_response()
}

fn content_type(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    TYPES.iter().find(|(known, _)| *known == ending).map_or("application/octet-stream", |(_, mime)| mime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_is_served_at_the_root_and_nothing_is_invented() {
        let page = file(Uri::from_static("/")).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(file(Uri::from_static("/no-such-file.js")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(file(Uri::from_static("/../Cargo.toml")).await.status(), StatusCode::NOT_FOUND);
    }
}
