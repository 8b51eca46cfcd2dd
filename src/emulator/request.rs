//! A request as it arrived, and which operation it asks for.

use std::fmt;

use ureq::http::{HeaderMap, Method};

/// An operation of the identity service, as faults and records name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `POST /identities`, with or without a token.
    Create,
    /// `GET /identities/{id}`, in `2025-03-02-preview` only.
    Get,
    /// `DELETE /identities/{id}`.
    Delete,
    /// `POST /identities/{id}/:issueAccessToken`.
    Issue,
    /// `POST /identities/{id}/:revokeAccessTokens`.
    Revoke,
    /// `POST /teamsUser/:exchangeAccessToken`.
    Exchange,
}

/// What came over the wire, with the target exactly as it was written there.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Where method and path lead.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The identity is empty where the path has none.
    Operation(Operation, String),
    /// The path exists, the method does not: the `Allow` header of the answer.
    WrongMethod(&'static str),
    Unknown,
}

impl Request {
    /// Stands for what could not be read as a request.
    pub(super) fn unreadable() -> Self {
        let (method, headers) = (Method::default(), HeaderMap::new());
        Self { method, target: String::new(), headers, body: Vec::new() }
    }

    /// The header's text; `None` if it is absent or not ASCII.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Path and query as they are signed: the raw target, without scheme and host in the form that
    /// proxies are sent.
    pub(super) fn path_and_query(&self) -> &str {
        if self.target.starts_with('/') {
            return &self.target;
        }
        let Some((_, rest)) = self.target.split_once("://") else { return &self.target };
        rest.find(['/', '?']).and_then(|start| rest.get(start..)).unwrap_or("/")
    }

    pub(super) fn path(&self) -> &str {
        self.path_and_query().split('?').next().unwrap_or_default()
    }

    pub(super) fn api_version(&self) -> Option<String> {
        let (_, query) = self.path_and_query().split_once('?')?;
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("api-version"));
        values
            .next()
            .and_then(|(_, value)| percent_decoded(value))
            .filter(|value| !value.is_empty())
    }

    pub(super) fn route(&self) -> Route {
        let Some(path) = self.path().strip_prefix('/') else { return Route::Unknown };
        // Split first, decode each segment once: an id may hold an escaped slash.
        let segments: Option<Vec<String>> = path.split('/').map(percent_decoded).collect();
        let Some(segments) = segments else { return Route::Unknown };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();

        // Ours: the case of the path matters, and so does a slash at its end; nothing public shows
        // either.
        match segments.as_slice() {
            ["identities"] => self.only(&Method::POST, "POST", Operation::Create, ""),
            ["identities", id] if !id.is_empty() => match self.method {
                Method::GET => Route::Operation(Operation::Get, (*id).to_owned()),
                _ => self.only(&Method::DELETE, "GET, DELETE", Operation::Delete, id),
            },
            ["identities", id, ":issueAccessToken"] if !id.is_empty() => {
                self.only(&Method::POST, "POST", Operation::Issue, id)
            }
            ["identities", id, ":revokeAccessTokens"] if !id.is_empty() => {
                self.only(&Method::POST, "POST", Operation::Revoke, id)
            }
            ["teamsUser", ":exchangeAccessToken"] => {
                self.only(&Method::POST, "POST", Operation::Exchange, "")
            }
            _ => Route::Unknown,
        }
    }

    pub(super) fn operation(&self) -> Option<Operation> {
        match self.route() {
            Route::Operation(operation, _) => Some(operation),
            Route::WrongMethod(_) | Route::Unknown => None,
        }
    }

    fn only(&self, method: &Method, allow: &'static str, operation: Operation, id: &str) -> Route {
        if self.method == *method {
            Route::Operation(operation, id.to_owned())
        } else {
            Route::WrongMethod(allow)
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// `None` for a broken escape, or for bytes that are not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        // from_str_radix alone would take a sign.
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| hexadecimal)?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, target: &str) -> Request {
        Request { method, target: target.to_owned(), headers: HeaderMap::new(), body: Vec::new() }
    }

    #[test]
    fn finds_the_operation_in_both_forms_of_the_path() {
        for target in [
            "/identities/8:acs:a_b/:issueAccessToken?api-version=x",
            "/identities/8%3Aacs%3Aa_b/:issueAccessToken",
            "/identities/8%3aacs%3aa_b/%3AissueAccessToken",
            "http://127.0.0.1:1/identities/8%3Aacs%3Aa_b/:issueAccessToken",
        ] {
            let route = Route::Operation(Operation::Issue, "8:acs:a_b".to_owned());
            assert_eq!(request(Method::POST, target).route(), route, "{target}");
        }
    }

    #[test]
    fn decodes_an_id_exactly_once_and_after_splitting() {
        let route = request(Method::DELETE, "/identities/a%2Fb%253A").route();
        assert_eq!(route, Route::Operation(Operation::Delete, "a/b%3A".to_owned()));
    }

    #[test]
    fn knows_no_other_path_and_no_other_method() {
        for target in
            ["/", "/identities/", "/identities//:issueAccessToken", "/Identities", "*", "/x%"]
        {
            assert_eq!(request(Method::POST, target).route(), Route::Unknown, "{target}");
        }
        let route = request(Method::PUT, "/identities/8:acs:a").route();
        assert_eq!(route, Route::WrongMethod("GET, DELETE"));
    }

    #[test]
    fn reads_the_api_version() {
        let of = |target| request(Method::POST, target).api_version();
        assert_eq!(of("/identities?x=1&API-Version=2023%2D10-01").as_deref(), Some("2023-10-01"));
        for target in
            ["/identities", "/identities?", "/identities?api-version", "/identities?api-version="]
        {
            assert_eq!(of(target), None, "{target}");
        }
    }

    #[test]
    fn refuses_broken_escapes() {
        for text in ["%", "%4", "%+4", "%zz", "%ff"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
