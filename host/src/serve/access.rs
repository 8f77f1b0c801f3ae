//! Who may ask: API keys, and names that a server on the loopback interface answers to.

use super::error::ApiError;
use axum::http::{header, HeaderMap, StatusCode};
use std::net::{IpAddr, SocketAddr};

/// The rules.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Keys, one of which a request must carry; empty: none is needed.
    pub keys: Vec<String>,
    /// Answer only to names of this computer, so that another site's page cannot reach the server
    /// through a name that it points here.
    pub loopback_only: bool,
}

impl Access {
    /// The client's name for the queue: its key, or its address.
    pub fn client(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<String, ApiError> {
        self.check_host(headers)?;
        if self.keys.is_empty() {
            return Ok(peer.ip().to_string());
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("").trim();
        // Every key is compared, in a time that does not depend on where they differ.
        let found = self.keys.iter().enumerate().fold(None, |found, (index, key)| match same(key, given) {
            true => Some(index),
            false => found,
        });
        found.map(|index| format!("key {index}")).ok_or_else(|| {
            let what = "this server needs an API key: send Authorization: Bearer KEY";
            ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", what)
        })
    }

    /// Refuses names that are not this computer's.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        if !self.loopback_only || is_loopback(host) {
            return Ok(());
        }
        let what = "this server answers to localhost only; start it with --host to serve other names";
        Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_host", what))
    }
}

fn same(key: &str, given: &str) -> bool {
    let differ = key.bytes().zip(given.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
    key.len() == given.len() && differ == 0
}

/// `localhost:8000`, `127.0.0.1`, `[::1]:8000`.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(header::HeaderName, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), value.parse().expect("value"))).collect()
    }

    #[test]
    fn keys_are_needed_and_name_the_client() {
        let access = Access { keys: vec!["first".into(), "second".into()], loopback_only: false };
        let peer = "10.0.0.1:99".parse().expect("address");
        let client = |value: &str| access.client(&headers(&[(header::AUTHORIZATION, value)]), peer);
        assert_eq!(client("Bearer second").as_deref(), Ok("key 1"));
        for wrong in ["Bearer secon", "Bearer second2", "Bearer ", "second", "Basic second"] {
            assert_eq!(client(wrong).expect_err(wrong).status.as_u16(), 401);
        }
        let open = Access::default();
        assert_eq!(open.client(&HeaderMap::new(), peer).as_deref(), Ok("10.0.0.1"));
    }

    #[test]
    fn only_names_of_this_computer_pass() {
        let access = Access { keys: vec![], loopback_only: true };
        for (host, passes) in [
            ("localhost:8000", true),
            ("127.0.0.1", true),
            ("[::1]:80", true),
            ("evil.example:8000", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1", false),
        ] {
            assert_eq!(access.check_host(&headers(&[(header::HOST, host)])).is_ok(), passes, "{host}");
        }
    }
}
