//! The web page, built into the binary.

use axum::http::{header, HeaderName};
use axum::response::{IntoResponse, Response};

/// No scripts, styles or connections but the server's own; pictures also from the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &'static str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// `/`.
pub async fn index() -> Response {
    file("text/html; charset=utf-8", include_str!("page/index.html"))
}

/// `/style.css`.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("page/style.css"))
}

/// `/app.js`.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/app.js"))
}

/// `/timeline.js`.
pub async fn timeline() -> Response {
    file("text/javascript; charset=utf-8", include_str!("page/timeline.js"))
}
